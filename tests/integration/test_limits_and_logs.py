"""What a running server may have, what it leaves, and what it prints, all through the whole hub."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from hubbub_spawner_worker.cgroups import Cgroups
from hubbub_spawner_worker.host import host_id
from stack import Hub, eventually, hub

PATIENCE = 30
CONFIG = Path(__file__).parent / "config_limits.py"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = tmp_path_factory.mktemp("limits") / "data"
    async with hub(data, config=CONFIG, scale="api=2,spawner-worker=2") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ada(house: Hub) -> AsyncIterator[str]:
    """She has a server that runs."""
    await house.user("ada")
    status, answer = await house.api("POST", "/users/ada/server", {"eat": 0})
    assert status == 201, (answer, house.logs())
    yield "ada"
    await stop(house)


async def stop(house: Hub) -> None:
    await house.api("DELETE", "/users/ada/server")

    async def stopped() -> bool:
        return not (await house.model("ada"))["servers"][""]["pending"] and not await house.is_ready("ada")

    await eventually(stopped, PATIENCE, "the server has stopped")


async def tell(house: Hub, words: str) -> Any:
    """What the server answers."""
    async with house.session.get(f"{house.url}user/ada/{words}", timeout=aiohttp.ClientTimeout(PATIENCE)) as answer:
        return await answer.json(content_type=None) if answer.status == 200 else None


@asynccontextmanager
async def log(house: Hub, token: str) -> AsyncIterator[aiohttp.StreamReader]:
    """From its last line on."""
    headers = {"Authorization": f"token {token}", "Accept": "text/plain"}
    url = f"{house.url}hub/api/users/ada/server/log?follow=true&lines=1"
    async with house.session.get(url, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        yield answer.content


async def line(stream: aiohttp.StreamReader) -> str:
    async with asyncio.timeout(PATIENCE):
        return (await stream.readline()).decode().rstrip("\n")


async def token_of_ada(house: Hub) -> str:
    _, made = await house.api("POST", "/users/ada/tokens", {"scopes": ["read:servers!user=ada"]})
    return str(made["token"])


def cgroups_of(house: Hub) -> list[Path]:
    return list(Cgroups.of(house.data, host_id())._found())


async def test_a_server_that_takes_more_memory_than_it_may_have_ends(house: Hub, ada: str) -> None:
    assert await tell(house, "eat/10") == 2
    assert await tell(house, "eat/500") is None

    async def known() -> bool:
        _, events = await house.command("events", "--type", "ServerCrashed", "--json")
        return "out of memory" in events

    await eventually(known, PATIENCE, "the log says why it ended")


async def test_whoever_starts_one_is_told_why_it_died(house: Hub) -> None:
    await house.user("ada")
    status, answer = await house.api("POST", "/users/ada/server", {"eat": 500})
    assert status == 500
    assert "-9: out of memory, of which it may have 134217728 bytes" in answer["message"]


async def test_a_busy_one_gets_its_share_of_a_core(house: Hub, ada: str) -> None:
    assert await tell(house, "burn") < 0.7


async def test_nothing_of_it_is_left_when_it_has_stopped(house: Hub, ada: str) -> None:
    child = await tell(house, "breed")
    assert psutil.Process(child).is_running()
    assert cgroups_of(house)
    await stop(house)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert not cgroups_of(house)


async def test_what_it_prints_is_read_as_it_is_printed_and_to_its_end(house: Hub, ada: str) -> None:
    async with log(house, await token_of_ada(house)) as stream:
        assert await line(stream) == "at your service"
        for number in range(3):
            await tell(house, f"say/number {number}")
            assert await line(stream) == f"number {number}"
        await tell(house, "say/goodbye")
        await stop(house)
        assert await line(stream) == "goodbye"
        assert await line(stream) == ""
        assert stream.at_eof()


async def test_a_log_goes_on_under_another_worker(house: Hub, ada: str) -> None:
    async with log(house, "token-of-the-test-service") as stream:
        assert await line(stream) == "at your service"
        for name in ("spawner-worker-1", "spawner-worker-2"):
            house.kill(name)
        for number in range(20):
            await tell(house, f"say/number {number}")
        assert [await line(stream) for _ in range(20)] == [f"number {number}" for number in range(20)]
