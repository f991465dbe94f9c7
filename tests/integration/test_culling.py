"""`c.Hubbub.cull` in a whole hub: who is idle is stopped, who is there is not, and nothing is that nobody can know."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from checks import five_checks, rows
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = tmp_path_factory.mktemp("culling") / "data"
    async with hub(data, config=HERE / "config_cull.py", scale="api=2,poller=2") as made:
        yield made


async def start(house: Hub, name: str, server: str = "") -> None:
    await house.user(name)
    status, body = await house.api("POST", f"/users/{name}/servers/{server}")
    assert status == 201, body


async def end_of(house: Hub, name: str) -> dict[str, Any]:
    """What the API says of the end of somebody's server; nothing while it cannot be asked."""
    try:
        status, body = await house.api("GET", f"/users/{name}/server/end")
    except aiohttp.ClientError:
        return {}
    return body if status == 200 else {}


async def why_stopped(house: Hub, name: str, seconds: float = 30) -> list[str]:
    """The reasons of all stops of somebody's default server, once it has stopped."""

    async def stopped() -> bool:
        try:
            return bool((await house.model(name))["servers"][""]["stopped"])
        except (aiohttp.ClientError, AssertionError):
            return False  # an api that has been killed

    await eventually(stopped, seconds, f"the server of {name} is stopped")
    query = f"""
        select e.data from events e join servers s on e.stream = 'server-' || s.id join users u on u.id = s.user_id
        where u.name = '{name}' and s.name = '' and e.type = 'StopRequested' order by e.position
    """
    return [msgspec.json.decode(row["data"])["reason"] for row in await rows(house, query)]


@asynccontextmanager
async def at_work(house: Hub, *names: str) -> AsyncIterator[None]:
    """These people use their servers, by way of the proxy. All of it must have been answered."""
    missed: list[str] = []

    async def work() -> None:
        while True:
            for name in names:
                if await house.standin(name) is None:
                    missed.append(name)
            await asyncio.sleep(0.5)

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
    assert missed == []


@asynccontextmanager
async def kept(house: Hub, name: str) -> AsyncIterator[None]:
    """Somebody says again and again that they need their server, and does not come to it."""

    async def keep() -> None:
        while True:
            assert (await house.api("POST", f"/users/{name}/server/keep"))[0] == 200
            await asyncio.sleep(0.5)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()


async def test_who_is_idle_is_stopped_and_who_is_at_work_is_not(house: Hub) -> None:
    await asyncio.gather(*(start(house, name) for name in ("ada", "bob", "cleo", "dora", "emma", "fay")))
    assert (await house.api("POST", "/groups/patient"))[0] == 201
    assert (await house.api("POST", "/groups/patient/users", {"users": ["fay"]}))[0] == 200
    async with at_work(house, "bob"), kept(house, "emma"):
        told = await end_of(house, "ada")
        assert (told["idle"], told["message"]) == (4, "Nobody will have used it for 4 s by then.")
        told = await end_of(house, "cleo")
        assert (told["longest"], told["rule"], told["keeps"]) == (6, 0, False)
        stopped = await asyncio.gather(*(why_stopped(house, name) for name in ("ada", "cleo")))
        assert stopped == [["idle for 4 s"], ["has run for 6 s"]]
        assert [await house.is_ready(name) for name in ("bob", "dora", "emma", "fay")] == [True] * 4
        assert (await end_of(house, "dora"))["at"] is None
        assert (await end_of(house, "fay"))["idle"] == 3600
    stopped = await asyncio.gather(*(why_stopped(house, name) for name in ("bob", "emma")))
    assert stopped == [["idle for 4 s"]] * 2


async def test_nobody_is_idle_as_far_as_a_proxy_sync_that_says_nothing_is_concerned(house: Hub) -> None:
    """People may be at work all the while. Once it is there again, it is known who was. Until then those are stopped
    alone whose time is up whoever is there.
    """
    await asyncio.gather(*(start(house, name) for name in ("hugo", "ines", "cleo")))
    sync = house.pid("proxy-sync-1")
    os.kill(sync, signal.SIGSTOP)
    try:
        async with at_work(house, "ines"):

            async def waits() -> bool:
                told = await end_of(house, "hugo")
                return bool(told.get("waits_for") == "it is not known whether somebody is there")

            await eventually(waits, 20, "the hub says that it does not know")
            assert (await why_stopped(house, "cleo"))[-1] == "has run for 6 s"
            assert await house.is_ready("hugo")
            os.kill(sync, signal.SIGCONT)
            assert await why_stopped(house, "hugo") == ["idle for 4 s"]
            assert await house.is_ready("ines")
    finally:
        os.kill(sync, signal.SIGCONT)
    await five_checks(house, verify=False)


async def test_killed_pollers_apis_and_workers_stop_nobody_who_is_at_work(house: Hub) -> None:
    await asyncio.gather(*(start(house, name) for name in ("jan", "kim")))
    async with at_work(house, "kim"):
        for part in ("poller-1", "api-1", "spawner-worker-1", "poller-2", "api-2"):
            house.kill(part)
        assert await why_stopped(house, "jan", 60) == ["idle for 4 s"]
        assert await house.is_ready("kim")
    await five_checks(house)
