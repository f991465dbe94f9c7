"""The whole stack dies, or is stopped, while servers run: after the next start they all still run, and once each."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from burst import PEOPLE, all_stopped, killed, pids, settle_in, some_ready, start, starting
from checks import all_ready, five_checks
from stack import Hub, hub

FEW = PEOPLE[:8]


async def kill_everything(it: Hub) -> None:
    """`hubbub up` and all that it has started, but for the users' servers, at one moment."""
    up = psutil.Process(it.pid_of_up())
    up.suspend()  # or it would begin to start others
    theirs = {process.pid for process in it.workloads()}
    parts = [process for process in [*up.children(recursive=True), it.proxy()] if process.pid not in theirs]
    for process in [*parts, up]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for process in [*parts, up]:
        await killed(process.pid)
    await it.ended(10)


async def test_the_whole_stack_is_killed(tmp_path: Path):
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it, FEW):
            pass
        before, url = await pids(it, FEW), it.url
        await kill_everything(it)
        assert {process.pid for process in it.workloads()} == set(before.values())
        await it.start()
        assert it.url == url
        await all_ready(it, FEW, 30)
        await five_checks(it)
        assert await pids(it, FEW) == before


@pytest.mark.long
async def test_the_whole_stack_is_killed_while_servers_start(tmp_path: Path):
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it, PEOPLE, 90):
            await some_ready(it, 5)
            await kill_everything(it)
            await it.start()


@pytest.mark.long
async def test_hubbub_up_alone_is_killed(tmp_path: Path):
    """Its children end by themselves, the proxy and the servers stay."""
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it, FEW):
            pass
        before = await pids(it, FEW)
        os.kill(it.pid_of_up(), signal.SIGKILL)
        await it.ended(10)
        await it.start()
        await all_ready(it, FEW, 30)
        await five_checks(it)
        assert await pids(it, FEW) == before


@pytest.mark.long
async def test_servers_outlive_a_stop_without_cleanup(tmp_path: Path):
    async with hub(tmp_path / "data", environ={"TEST_CLEANUP": "0"}) as it:
        await settle_in(it)
        async with starting(it, FEW):
            pass
        before, url = await pids(it, FEW), it.url
        assert await it.stop() == 0
        assert {process.pid for process in it.workloads()} == set(before.values())
        await it.start()
        assert it.url == url
        await all_ready(it, FEW, 30)
        await five_checks(it)
        assert await pids(it, FEW) == before
        await start(it, PEOPLE[-1])
        await five_checks(it)


@pytest.mark.long
async def test_a_server_that_dies_while_the_hub_is_down_is_noticed(tmp_path: Path):
    async with hub(tmp_path / "data", environ={"TEST_CLEANUP": "0"}) as it:
        await settle_in(it)
        async with starting(it, FEW):
            pass
        before = await pids(it, FEW)
        await it.stop()
        gone, *rest = FEW
        os.kill(before[gone], signal.SIGKILL)
        await killed(before[gone])
        await it.start()
        await all_ready(it, rest, 30)
        await five_checks(it)
        assert await pids(it, FEW) == {**before, gone: 0}


@pytest.mark.long
async def test_a_stop_with_cleanup_leaves_nothing(tmp_path: Path):
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it, FEW):
            pass
        assert await it.stop() == 0
        await all_stopped(it, 0)
        await it.start()
        await five_checks(it)
        assert not it.workloads()
