"""An api that is told to end says so, answers what it was asked, and leaves to others what takes longer."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from checks import all_ready, five_checks
from stack import TOKEN, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADERS = {"Authorization": f"token {TOKEN}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Its apis linger for balancers, and have no long patience."""
    environ = {"HUBBUB_LINGER_SECONDS": "1", "HUBBUB_GRACE_SECONDS": "1"}
    async with hub(tmp_path_factory.mktemp("hub") / "data", environ=environ) as made:
        for name in ("ada", "bob"):
            await made.user(name)
        yield made


def leave(house: Hub) -> psutil.Process:
    """Tell the api to end, as a container's runtime does; its process."""
    process = psutil.Process(house.pid("api-1"))
    os.kill(process.pid, signal.SIGTERM)
    return process


async def come_back(house: Hub, gone: psutil.Process) -> None:
    async def is_another() -> bool:
        return not gone.is_running() and await house.is_ready("ada")

    await eventually(is_another, 30, "another api")


async def health(house: Hub) -> int:
    async with house.session.get(f"{house.url}hub/health") as response:
        return response.status


async def test_it_says_so_first_and_goes_on_answering(house: Hub):
    assert (await house.api("POST", "/users/ada/server"))[0] == 201
    assert await health(house) == 200
    process = leave(house)
    while await health(house) == 200:
        await asyncio.sleep(0.01)
    status, _ = await house.api("GET", "/users/ada")
    assert status == 200
    assert process.is_running()
    await come_back(house, process)
    assert await health(house) == 200


async def test_whoever_waits_for_a_start_is_told_that_it_goes_on(house: Hub):
    """By the request itself, and by its progress, which ends without a last word."""
    asking = asyncio.create_task(house.api("POST", "/users/bob/server", {"user_options": {"delay": 6}}))
    await eventually(lambda: _is_starting(house, "bob"), 10, "a start")
    following = asyncio.create_task(_progress(house, "bob"))
    await asyncio.sleep(0.5)
    process = leave(house)
    assert (await asking)[0] == 202
    frames, is_whole = await following
    assert frames[0]["message"] == "Server requested"
    assert not any(frame.get("ready") or frame.get("failed") for frame in frames)
    assert is_whole
    await come_back(house, process)
    await all_ready(house, ["bob"], 30)
    await five_checks(house)


async def _is_starting(house: Hub, name: str) -> bool:
    return bool((await house.model(name))["pending"] == "spawn")


async def _progress(house: Hub, name: str) -> tuple[list[dict[str, Any]], bool]:
    """Its frames, and whether the answer came to its end."""
    frames: list[dict[str, Any]] = []
    async with house.session.get(f"{house.url}hub/api/users/{name}/server/progress", headers=HEADERS) as response:
        try:
            async for line in response.content:
                if line.startswith(b"data: "):
                    frames.append(json.loads(line[6:]))
        except aiohttp.ClientError:
            return frames, False
    return frames, True
