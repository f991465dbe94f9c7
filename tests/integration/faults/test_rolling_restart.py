"""Every service is restarted, one by one, below people who work: no connection ends, nothing is refused or lost."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from rolling import Crowd, told
from stack import HERE, MANY, Hub, eventually, hub

#: Whoever works goes on for so long after the last restart: what was cut would be noticed by then.
AFTERWARDS = 2.0


async def restarted_below(it: Hub, crowd: Crowd, *, rounds: int = 1) -> None:
    """All of its services, while *crowd* works."""
    before = it.services()
    async with crowd.working() as work:
        for _ in range(rounds):
            status, output = await it.command("restart", seconds=300)
            assert status == 0, output
            assert told(output).keys() == before.keys()
            work.restarted |= told(output)
            await asyncio.sleep(AFTERWARDS)
    after = it.services()
    assert all(after[name] != pid for name, pid in before.items())
    assert work.failed == []
    await crowd.settle()


async def killed_below(it: Hub) -> None:
    """What is not restarted but dies takes down what it was about to answer: so the crowd can tell."""
    crowd = Crowd(it, 2, name="victim")
    async with crowd.working() as work:
        while not work.failed:
            os.kill(it.pid("api-1"), signal.SIGSTOP)
            await asyncio.sleep(0.5)  # somebody has asked by then
            it.kill("api-1")
            await eventually(lambda: crowd.hub.is_ready(crowd.people[0]), 20, "another api")
    await crowd.settle()


@pytest.mark.timeout(300)
async def test_nobody_notices_that_every_service_is_restarted(tmp_path: Path):
    async with hub(tmp_path / "data", config=HERE / "config_several.py") as it:
        crowd = Crowd(it, 10)
        await restarted_below(it, crowd)
        assert crowd.work.done["start"] >= 5
        assert {"websocket", "api", "page", "log", "login", "server"} <= crowd.work.done.keys()
        await killed_below(it)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scale", ["", MANY])
async def test_nor_do_fifty_people_who_are_there_for_long(tmp_path: Path, scale: str):
    async with hub(tmp_path / "data", config=HERE / "config_several.py", scale=scale) as it:
        crowd = Crowd(it, 50)
        await restarted_below(it, crowd, rounds=3)
        assert crowd.work.done["start"] >= 25
