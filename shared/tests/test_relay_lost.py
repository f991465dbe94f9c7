"""The relay when the bus has lost something, or everything: what it should hold is sent again."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import nats as nats_py
import pytest

from hubbub import bus as buses
from hubbub.domain.server_messages import ClaimAttempt
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.house import ME, House, count, reaches, sent
from hubbub.testing.nats import NatsServer
from hubbub.testing.postgres import Database
from hubbub.views import SERVERS


@pytest.fixture
async def house(database: Database, nats: NatsServer) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(stack, database, nats)


async def test_what_is_owed_is_sent_again_when_the_bus_has_lost_everything(
    house: House, jetstream_folder: Path
) -> None:
    """The tickets of attempts that wait; nobody's of one that is held."""
    relay, _ = await house.relay()
    await house.start_server("s1")
    await house.start_server("s2", "gpu")
    claim = ClaimAttempt(attempt=1, worker="w1", host="h", token="t", deadline=datetime(2030, 1, 1, tzinfo=UTC))
    await house.committer.execute(SERVERS, "s2", claim, ME.follow())
    await eventually(lambda: relay.sent == 5)
    bus = await house.bus()
    house.nats.kill()
    shutil.rmtree(jetstream_folder)
    house.nats.start()

    async def tickets() -> int:
        try:
            return await count(bus, "TICKETS")
        except nats_py.errors.Error:
            return 0

    assert await eventually(tickets) == 1
    worker = await house.bus("pool-default")
    pulled = await worker.js.pull_subscribe_bind(consumer="pool-default", stream="TICKETS")
    assert len(await pulled.fetch(1, timeout=5)) == 1
    await house.commit(10)
    await eventually(reaches(bus, 10))
    assert await sent(bus) == list(range(6, 16))


async def test_every_stream_is_there_again_after_a_restart_of_the_bus(house: House) -> None:
    """Also the one that is in memory alone, and though nothing is committed meanwhile."""
    await house.relay()
    bus = await house.bus()
    house.nats.kill()
    await eventually(lambda: not bus.connected)
    house.nats.start()

    async def all_there() -> bool:
        try:
            return [await count(bus, str(stream.name)) for stream in buses.STREAMS] == [0, 0, 0]
        except nats_py.errors.Error:
            return False

    await eventually(all_there)


async def test_nothing_is_lost_when_the_bus_is_killed_while_it_is_sent(house: House) -> None:
    relay, _ = await house.relay()
    await house.commit(1)
    await eventually(lambda: relay.sent == 1)
    for n in range(3):
        committing = asyncio.create_task(house.commit(100, f"q{n}-"))
        await eventually(lambda n=n: relay.sent > 1 + 100 * n)
        house.nats.kill()
        house.nats.start()
        await committing
        await eventually(lambda n=n: relay.sent == 101 + 100 * n, 20)
    bus = await house.bus()
    assert await sent(bus) == list(range(1, 302))


async def test_what_was_never_sent_is_sent_although_the_stream_is_empty(house: House) -> None:
    """The first leader died before its first event, or all have expired: the stream says nothing, a bookmark does."""
    _, task = await house.relay()
    await end(task)
    await house.commit(3)
    relay, task = await house.relay()
    bus = await house.bus()
    await eventually(reaches(bus, 3))
    assert await sent(bus) == [1, 2, 3]
    await eventually(lambda: relay._marked == 3)
    await end(task)
    await bus.js.purge_stream("EVENTS")
    await house.commit(2, "q")
    await house.relay()
    await eventually(reaches(bus, 2))
    assert await sent(bus) == [4, 5]


async def test_a_log_that_was_restored_begins_anew(house: House) -> None:
    """Its epoch is another, so its positions are not those that the bus has seen."""
    relay, task = await house.relay()
    await house.commit(3)
    await eventually(lambda: relay.sent == 3)
    await end(task)
    await house.query("update log_head set epoch = 'another' returning 1")
    await house.relay()
    await house.commit(2, "q")
    bus = await house.bus()
    await eventually(reaches(bus, 5))
    ids = [(await bus.js.get_msg("EVENTS", seq)).headers or {} for seq in (4, 5)]
    assert [each["Nats-Msg-Id"] for each in ids] == ["another:4", "another:5"]
