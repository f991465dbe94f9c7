"""Which place a start has in its queue, and what a long queue costs."""

import asyncio
import json
import time
from typing import Any

import asyncpg
import pytest

from hubbub_api.places import Place, Places
from hubbub_api.queue import _FIRST

CLASS = [f"pupil-{number:03}" for number in range(40)]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two looks."""
    monkeypatch.setattr("hubbub_api.places.PAUSE", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_everybody_has_the_place_in_which_they_will_be_taken(house: Any) -> None:
    places = Places(house.pool)
    async with house.following(places.hear) as told:
        await house.wish(*CLASS[:3], asker="instructor")
        await house.wish("ada")
        await told()
        line = [CLASS[0], "ada", CLASS[1], CLASS[2]]
        found = [await places.of(server, "default") for server in line]
        assert found == [Place(place=place, of=4) for place in (1, 2, 3, 4)]
        moved = places.moved("default")
        assert await house.claim(1) == [line[0]]
        await told()
        assert moved.is_set()
        assert await places.of(line[0], "default") is None
        # The instructor has had a turn, and ada has waited since before it.
        assert [await places.of(server, "default") for server in line[1:]] == [
            Place(place=place, of=3) for place in (1, 2, 3)
        ]


@pytest.mark.usefixtures("at_once")
async def test_how_long_it_takes_is_guessed_by_what_was_taken_lately(house: Any) -> None:
    clock = Clock()
    places = Places(house.pool, clock=clock)
    async with house.following(places.hear) as told:
        await house.wish(*CLASS, asker="instructor")
        await told()
        assert await places.of(CLASS[39], "default") == Place(place=40, of=40)
        for _ in range(4):
            await house.claim(1)
            await told()
            clock.now += 2
        assert await places.of(CLASS[39], "default") == Place(place=36, of=36, seconds=75)
        assert await places.of(CLASS[4], "default") == Place(place=1, of=36, seconds=2)
        clock.now += 100
        assert await places.of(CLASS[4], "default") == Place(place=1, of=36)


async def test_those_who_watch_one_queue_share_the_look_at_it(house: Any) -> None:
    class Counted:
        looks = 0

        async def fetch(self, *args: Any) -> Any:
            self.looks += 1
            return await house.pool.fetch(*args)

    source: Any = Counted()
    places = Places(source)
    async with house.following(places.hear) as told:
        await house.wish(*CLASS)
        await told()
        for _ in range(2):
            found = await asyncio.gather(*(places.of(name, "default") for name in CLASS))
            assert [place.place for place in found if place] == list(range(1, 41))
        assert source.looks == 1
        await house.claim(1)
        await told()
        await asyncio.gather(*(places.of(name, "default") for name in CLASS))
    assert source.looks == 2


@pytest.mark.parametrize("askers", [1, 50, 5000])
async def test_five_thousand_that_wait_are_no_trouble(house: Any, askers: int) -> None:
    """It is read by its index, and what a claim needs besides (owner, options, cause) for those alone that it gets."""
    owner = await asyncpg.connect(house.database.owner_dsn)
    await owner.execute(
        "insert into users (id, number, version, position, state, name, admin) "
        "select 'p' || n, n, 1, n, '{}', 'p' || n, false from generate_series(1, 5000) n"
    )
    await owner.execute(
        "insert into servers (id, number, version, position, state, user_id, name, display_name, kind, attempt, since, "
        "pool, deadline, asker) select 's' || n, n, 1, n, '{}', 'p' || n, '', '', 'Spawning', 1, "
        f"now() + n * interval '1 ms', 'default', now(), 'a' || (n % {askers}) from generate_series(1, 5000) n"
    )
    await owner.execute("insert into turns select 'default', 'a' || n, now() from generate_series(1, 300) n")
    await owner.execute("analyze")
    await owner.close()
    async with house.pool.acquire() as connection:
        statement = await connection.prepare(_FIRST)
        plan = json.dumps(await statement.explain("default", "h", 32, True))
        assert "servers_queue" in plan
        assert "Hash Join" not in plan
        began = time.perf_counter()
        rows = await statement.fetch("default", "h", 32, True)
        seconds = time.perf_counter() - began
    assert (len(rows), rows[0]["waiting"]) == (32, 5000)
    assert seconds < 0.25
