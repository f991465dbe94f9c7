"""Whoever reads the log all the time and was away for too long: it goes on after the horizon, and says that it did."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from hubbub.follow import Follower
from hubbub.keeping.archive import archive
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.house import House, sent
from hubbub.testing.nats import NatsServer
from hubbub.testing.postgres import Database

KEY = Fernet.generate_key().decode()


@pytest.fixture
async def house(database: Database, nats: NatsServer) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(stack, database, nats)


async def commits(house: House, number: int) -> None:
    """One after the other."""
    for each in range(number):
        await house.commit(1, f"q{each}-")


async def put_away(database: Database, folder: Path, before: int) -> int:
    done = await archive(database.owner_dsn, KEY, folder, before, unread=True, say=lambda _: None)
    return done.horizon


async def test_the_relay_sends_nothing_of_what_was_archived(house: House, database: Database, tmp_path: Path) -> None:
    relay, task = await house.relay()
    await house.commit(5)
    await eventually(lambda: relay.sent == 5)
    await end(task)
    await commits(house, 10)
    assert await put_away(database, tmp_path / "a", 13) == 12
    relay, _ = await house.relay()
    await eventually(lambda: relay.sent == 15)
    # Who counts positions sees that there is a gap.
    assert await sent(await house.bus()) == [1, 2, 3, 4, 5, 13, 14, 15]


async def test_a_follower_says_that_it_has_missed_something(house: House, database: Database, tmp_path: Path) -> None:
    await commits(house, 8)
    follower, told, missed = Follower(database.api_dsn), [], []
    follower.position = 2  # it was cut off then
    follower.tell(lambda record: told.append(record.position))
    follower.tell_of_gaps(lambda: missed.append(follower.position))
    assert await put_away(database, tmp_path / "a", 7) == 6
    with follower.watch("whatever") as changed:
        running = asyncio.create_task(follower.run())
        await eventually(lambda: told == [7, 8])
        assert changed.is_set()
        assert missed == [6]
        await end(running)
