"""Two pools and a queue: who starts where, how many at a time, and what those who wait are told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from checks import all_ready, five_checks, rows
from stack import HERE, TOKEN, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data: Path = tmp_path_factory.mktemp("hub") / "data"
    scale, slow = "spawner-worker=2,spawner-worker@large=1", {"TEST_SLOW_SPAWN": "0"}
    async with hub(data, config=HERE / "config_pools.py", scale=scale, environ=slow) as made:
        yield made


async def start(house: Hub, name: str, **options: Any) -> None:
    await house.user(name)
    status, body = await house.api("POST", f"/users/{name}/server", {"user_options": options})
    assert status in (201, 202), body


@asynccontextmanager
async def frames(house: Hub, name: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """What the progress of the server says, until its end."""
    url, headers = f"{house.url}hub/api/users/{name}/server/progress", {"Authorization": f"token {TOKEN}"}
    async with house.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(60)) as answer:

        async def told() -> AsyncIterator[dict[str, Any]]:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

        yield told()


async def holders(house: Hub) -> dict[str, str]:
    found = await rows(house, "select u.name, s.holder from servers s join users u on u.id = s.user_id")
    return {row["name"]: row["holder"] for row in found}


async def stopped(house: Hub, *names: str) -> None:
    for name in names:
        await house.api("DELETE", f"/users/{name}/server")
    idle = "select id from servers where kind <> 'Stopped'"

    async def are() -> bool:
        return not await rows(house, idle)

    await eventually(are, 30, "everything has stopped")


async def test_a_profile_has_its_pool_and_its_pool_a_spawner(house: Hub) -> None:
    await start(house, "ada", profile="large")
    await start(house, "bob", profile="small")
    await all_ready(house, ["ada", "bob"], 60)
    found = await holders(house)
    assert found["ada"] == "spawner-worker-large-1"
    assert found["bob"] in ("spawner-worker-1", "spawner-worker-2")
    ada, bob = [await house.standin(name) for name in ("ada", "bob")]
    assert ada and ada["env"]["STANDIN_SIZE"] == "large"
    assert bob and "STANDIN_SIZE" not in bob["env"]
    await stopped(house, "ada", "bob")


async def test_who_waits_for_room_is_told_the_place_and_gets_it_when_there_is(house: Hub) -> None:
    for name in ("first", "second", "third"):
        await start(house, name, profile="large")
    await house.is_ready("first")
    async with frames(house, "third") as told:
        seen = [await anext(told), await anext(told)]
        assert seen[0]["message"] == "Server requested"
        assert (seen[1]["place"], seen[1]["of"]) == (2, 2)
        assert seen[1]["message"].startswith("Waiting for a free worker: place 2 of 2")
        await all_ready(house, ["first"], 30)
        await house.api("DELETE", "/users/first/server")
        assert (await anext(told))["place"] == 1
        await all_ready(house, ["second"], 30)
        await house.api("DELETE", "/users/second/server")
        last = [frame async for frame in told][-1]
    assert last["ready"]
    await stopped(house, "third")


async def test_many_at_once_are_all_accepted_and_start_two_by_two(house: Hub) -> None:
    names = [f"pupil-{number}" for number in range(12)]
    before = (await rows(house, "select position from log_head"))[0]["position"]
    await asyncio.gather(*(start(house, name, delay=0.3) for name in names))
    await all_ready(house, names, 90)
    assert await most_at_once(house, before) == 2
    await five_checks(house)
    await stopped(house, *names)


async def most_at_once(house: Hub, since: int) -> int:
    """How many servers were on their way up at a time, by the log."""
    starting: set[str] = set()
    most = 0
    for row in await rows(house, f"select stream, type from events where position > {since} order by position"):
        if row["type"] == "AttemptClaimed":
            starting.add(row["stream"])
        elif row["type"] in ("ServerResponded", "SpawnFailed", "AttemptLost"):
            starting.discard(row["stream"])
        most = max(most, len(starting))
    return most
