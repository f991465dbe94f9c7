"""A server that dies by itself is noticed at once; one that died unseen is noticed later; a pid is not a process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from burst import killed, settle_in, start, without
from checks import five_checks
from stack import Hub, eventually, hub


async def one_server(it: Hub) -> int:
    """Start the server of ada; its process."""
    await settle_in(it, ["ada"])
    await start(it, "ada")
    answer = await it.standin("ada")
    assert answer is not None
    return int(answer["pid"])


async def is_stopped(it: Hub) -> bool:
    return bool((await it.model("ada"))["servers"][""]["stopped"])


async def is_unrouted(it: Hub) -> bool:
    status, routes = await it.api("GET", "/proxy")
    assert status == 200
    return "/user/ada/" not in routes


async def test_a_server_that_is_killed_is_stopped_and_unrouted_within_a_second(house: Hub):
    pid = await one_server(house)
    os.kill(pid, signal.SIGKILL)

    async def is_noticed() -> bool:
        return await is_stopped(house) and await is_unrouted(house)

    await eventually(is_noticed, 1, "the API and the proxy to know")
    await five_checks(house)
    await start(house, "ada")
    await five_checks(house)


@pytest.fixture
def nobody():
    """A process of our own that has nothing to do with the hub."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.long
async def test_a_server_that_dies_while_its_worker_is_away_is_noticed(house: Hub):
    pid = await one_server(house)
    async with without(house, "spawner-worker-1"):
        os.kill(pid, signal.SIGKILL)
        await killed(pid)
    await eventually(lambda: is_stopped(house), 30, "the crash to be noticed")
    await five_checks(house)


@pytest.mark.long
async def test_a_server_whose_worker_was_away_for_too_long_is_removed_when_it_is_back(house: Hub):
    """Longer than its lease, and longer than the patience with those that hold running servers (6 leases)."""
    pid = await one_server(house)
    async with without(house, "spawner-worker-1"):
        await eventually(lambda: is_stopped(house), 30, "the worker to be given up")
        assert psutil.pid_exists(pid)

    async def is_gone() -> bool:
        return not house.workloads()

    # The attempt does not count any more: what is left of it is removed as soon as somebody can.
    await eventually(is_gone, 30, "what does not count to be removed")
    await five_checks(house)
    await start(house, "ada")
    await five_checks(house)


@pytest.mark.long
async def test_another_process_with_the_pid_of_a_dead_server_is_left_alone(
    house: Hub, nobody: "subprocess.Popen[bytes]"
):
    pid = await one_server(house)
    async with without(house, "spawner-worker-1"):
        os.kill(pid, signal.SIGKILL)
        await killed(pid)
        [path] = house.data.glob("spool/*/*/*.json")
        record = json.loads(path.read_text())
        assert record["pid"] == pid
        path.write_text(json.dumps({**record, "pid": nobody.pid}))
    await eventually(lambda: is_stopped(house), 30, "the crash to be noticed")
    await five_checks(house)
    assert nobody.poll() is None


@pytest.mark.long
async def test_a_damaged_record_does_not_keep_the_worker_from_working(house: Hub):
    """The server that it was of does not count any more, whatever becomes of it; all others do."""
    await settle_in(house, ["bea"])
    pid = await one_server(house)
    await start(house, "bea")
    async with without(house, "spawner-worker-1"):
        for path in house.data.glob("spool/*/*/*.json"):
            if json.loads(path.read_text())["pid"] == pid:
                path.write_text('{"server": "nonsense"')
    await eventually(lambda: is_stopped(house), 30, "the loss to be noticed")
    assert await house.is_ready("bea")
    psutil.Process(pid).kill()
    await killed(pid)
    await five_checks(house)


async def test_a_worker_that_dies_while_it_stops_a_server_leaves_it_to_the_next(tmp_path: Path):
    async with hub(tmp_path / "data") as it:
        await one_server(it)
        it.kill("spawner-worker-1")
        status, _ = await it.api("DELETE", "/users/ada/server")
        assert status in (202, 204)
        await eventually(lambda: is_stopped(it), 30, "it to be stopped")
        await five_checks(it)
        assert not it.workloads()
