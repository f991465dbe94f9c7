"""Children are restarted one by one: those that may be there twice are never missed, the others for a moment."""

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from hubbub.free_port import free_port
from hubbub.listening import given
from hubbub_local import control, record
from hubbub_local.addresses import Address
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.listening import listening
from hubbub_local.program import LogPart, Program
from hubbub_local.restart import restarting, which
from hubbub_local.supervisor import Supervisor
from hubbub_local.testing import Changes, python

FOREVER = "print('up'); import signal; signal.pause()"
THERE = ["api-1", "api-2", "auth-1", "spawner-worker-1", "spawner-worker-gpu-1"]


def supervisor(data: Folder, changes: Changes) -> Supervisor:
    return Supervisor(data, changes.tell, asyncio.Event())


def overlapping(name: str, code: str) -> Program:
    """It is up when *this* process of it has said so."""
    made = python(name, code)

    async def is_ready(log: LogPart) -> bool:
        return "up" in log.lines()

    return replace(made, overlaps=True, is_ready=is_ready)


async def test_one_that_may_be_there_twice_is_never_missed(data: Folder, changes: Changes):
    """The old one goes when the new one is up; nobody sees it go, and the new one is the one on record."""
    async with supervisor(data, changes) as house:
        house.start(overlapping("api-1", FOREVER))
        first = await changes.until("api-1", "up")
        assert await house.restart("api-1") == 0
        second = await changes.until("api-1", "up")
        assert second.pid != first.pid
        found = record.read(data.run / "api-1.pid")
        assert found is not None
        assert found[0].pid == second.pid
    assert (await changes.until("api-1", "stopped")).pid is None


async def test_one_of_which_there_may_be_but_one_is_missed_for_a_while(data: Folder, changes: Changes):
    async with supervisor(data, changes) as house:
        house.start(python("spawner-worker-1", FOREVER))
        first = await changes.until("spawner-worker-1", "up")
        assert await house.restart("spawner-worker-1") > 0
        await changes.until("spawner-worker-1", "stopped")
        assert (await changes.until("spawner-worker-1", "up")).pid != first.pid


async def test_a_fresh_one_that_cannot_run_leaves_the_old_one_in_its_place(data: Folder, changes: Changes, tmp_path):
    """As with a configuration that has a mistake in it by now: the stack goes on."""
    broken = tmp_path / "broken"
    code = f"import os, sys; os.path.exists({str(broken)!r}) and sys.exit(78)\n{FOREVER}"
    async with supervisor(data, changes) as house:
        house.start(overlapping("api-1", code))
        first = await changes.until("api-1", "up")
        broken.touch()
        with pytest.raises(StackError, match="api-1 cannot run with this configuration"):
            await house.restart("api-1")
        assert (await changes.until("api-1", "up")).pid == first.pid
        found = record.read(data.run / "api-1.pid")
        assert found is not None
        assert found[0].pid == first.pid
        broken.unlink()
        await house.restart("api-1")
        trouble = asyncio.create_task(house.trouble())
        await asyncio.wait({trouble}, timeout=0.2)
        assert not trouble.done()
        trouble.cancel()
        assert (await changes.until("api-1", "up")).pid != first.pid


async def test_the_reason_is_told_whatever_the_old_one_writes_meanwhile(data: Folder, changes: Changes, tmp_path):
    broken, code = tmp_path / "broken", "import time, sys, os\nif os.path.exists({!r}): sys.exit('no luck')\n"
    busy = "print('up')\nwhile True: print('{\"event\": \"http\"}', flush=True); time.sleep(0.01)"
    async with supervisor(data, changes) as house:
        await house.start(overlapping("api-1", code.format(str(broken)) + busy)).first_up()
        broken.touch()
        with pytest.raises(StackError, match="api-1 does not start: no luck"):
            await house.restart("api-1")


async def test_a_command_restarts_what_it_names_in_their_order(data: Folder, changes: Changes):
    told = []
    async with supervisor(data, changes) as house, control.listening(data, restarting(house)):
        for name in ("auth-1", "api-1", "api-2"):
            house.start(overlapping(name, FOREVER))
        await house.all_up()
        await control.ask_restart(data, ["auth", "api"], lambda name, seconds: told.append((name, seconds)))
        assert told == [("api-1", 0), ("api-2", 0), ("auth-1", 0)]
        with pytest.raises(StackError, match="there is no 'apo'; there are api, auth"):
            await control.ask_restart(data, ["apo"], lambda *_: None)


async def test_without_a_hub_there_is_nobody_to_ask(data: Folder):
    with pytest.raises(StackError, match="cannot be asked"):
        await control.ask_restart(data, [], lambda *_: None)


async def test_nonsense_is_answered_with_a_sentence(data: Folder, changes: Changes):
    async with supervisor(data, changes) as house, control.listening(data, restarting(house)):
        with control._path(data) as path:
            reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'["restart"]\n')
        assert json.loads(await reader.readline()) == {"error": "this hubbub up does not understand the command"}
        writer.close()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([], THERE),
        (["api"], ["api-1", "api-2"]),
        (["auth", "api-2"], ["api-2", "auth-1"]),
        (["spawner-worker"], ["spawner-worker-1", "spawner-worker-gpu-1"]),
        (["poller"], []),
    ],
)
def test_what_is_meant_by_names(asked: list[str], found: list[str]):
    assert which(asked, THERE) == found


TAKES_SOCKETS = """
import sys
sys.path[:0] = sys.argv[1:]
from hubbub.listening import given
for each in given():
    print(each.fileno(), each.getsockname()[1], each.get_inheritable(), flush=True)
"""


async def test_the_hubs_sockets_are_handed_to_whoever_is_started(data: Folder, changes: Changes):
    """From the third file descriptor on, in whatever order ours are; and they stay open here."""
    import hubbub

    path = str(Path(hubbub.__file__).parents[1])
    ports = sorted([free_port(), free_port()])
    with (
        listening(Address(f"http://127.0.0.1:{ports[1]}")) as more,
        listening(Address(f"http://127.0.0.1:{ports[0]}")) as first,
    ):
        program = python("api-1", TAKES_SOCKETS + FOREVER)
        program = replace(program, command=[*program.command, path], sockets=[*first, *more])
        async with supervisor(data, changes) as house:
            child = house.start(program)
            await child.first_up()
        lines = (data.logs / "api-1.log").read_text().splitlines()
        assert lines[:2] == [f"3 {ports[0]} False", f"4 {ports[1]} False"]
        assert all(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for each in (*first, *more))


def test_sockets_that_were_meant_for_another_process_are_left_alone():
    assert given({"LISTEN_FDS": "1", "LISTEN_PID": "1"}) == given({}) == []


def test_a_port_that_is_taken_is_named():
    with listening(Address("http://127.0.0.1:0")) as [taken]:
        port = taken.getsockname()[1]
        with (
            pytest.raises(StackError, match=f"cannot listen on 127.0.0.1:{port}"),
            listening(Address(f"http://127.0.0.1:{port}")),
        ):
            pass
