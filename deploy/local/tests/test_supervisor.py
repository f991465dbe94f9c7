"""Children are kept running, stopped in order, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubbub_local import child, process, record
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.process import Process
from hubbub_local.supervisor import Supervisor
from hubbub_local.testing import Changes, python

FOREVER = "print('up'); import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up')\nwhile True: signal.pause()"


def supervisor(data: Folder, changes: Changes, hurry: asyncio.Event | None = None) -> Supervisor:
    return Supervisor(data, changes.tell, hurry or asyncio.Event())


async def test_a_child_that_dies_is_started_again(data: Folder, changes: Changes) -> None:
    async with supervisor(data, changes) as house:
        house.start(python("api-1", FOREVER))
        first = await changes.until("api-1", "up")
        os.kill(first.pid or 0, signal.SIGKILL)
        down = await changes.until("api-1", "down")
        again = await changes.until("api-1", "up")
    assert down.note.startswith("killed by signal 9, starts again in 0.2 s")
    assert again.pid != first.pid
    assert again.deaths == 1


async def test_the_pause_grows_from_death_to_death(data: Folder, changes: Changes) -> None:
    async with supervisor(data, changes) as house:
        house.start(python("api-1", "import sys; sys.exit('no luck')"))
        notes = [(await changes.until("api-1", "down")).note for _ in range(3)]
    assert notes == [f"exited with 1, starts again in {pause} s: no luck" for pause in ("0.2", "0.4", "0.8")]


async def test_a_child_that_refuses_its_configuration_is_not_tried_again(data: Folder, changes: Changes) -> None:
    code = "import sys; print('HUBBUB_DATA is not set', file=sys.stderr); sys.exit(78)"
    async with supervisor(data, changes) as house:
        house.start(python("spawner-worker-1", code))
        with pytest.raises(StackError, match=r"spawner-worker-1 cannot run .*: HUBBUB_DATA is not set"):
            await asyncio.wait_for(house.trouble(), 20)


async def test_a_child_that_dies_before_it_is_up_is_an_error_for_those_who_need_it(
    data: Folder, changes: Changes
) -> None:
    async with supervisor(data, changes) as house:
        with pytest.raises(StackError, match="nats does not start: cannot bind"):
            await house.start(python("nats", "import sys; sys.exit('cannot bind')")).first_up()


async def test_a_program_that_is_not_there_is_an_ordinary_death(data: Folder, changes: Changes) -> None:
    program = python("api-1", "")
    missing = type(program)(name="api-1", command=["/nowhere/api"], is_ready=program.is_ready)
    async with supervisor(data, changes) as house:
        house.start(missing)
        assert "cannot start: " in (await changes.until("api-1", "down")).note


async def test_children_are_stopped_last_started_first(data: Folder, changes: Changes) -> None:
    stopped: list[str] = []

    def tell(status: child.Status) -> None:
        changes.tell(status)
        if status.state == "stopped":
            stopped.append(status.name)

    async with Supervisor(data, tell, asyncio.Event()) as house:
        for name in ("postgres", "nats", "api-1", "api-2"):
            house.start(python(name, FOREVER))
            await changes.until(name, "up")
        await house.stop(*house.copies("api"))
        assert set(stopped) == {"api-1", "api-2"}
    assert stopped[2:] == ["nats", "postgres"]
    assert list(data.run.glob("*.pid")) == []


async def test_a_child_that_does_not_listen_is_killed_once_there_is_a_hurry(data: Folder, changes: Changes) -> None:
    hurry = asyncio.Event()
    async with supervisor(data, changes, hurry) as house:
        house.start(python("api-1", DEAF))
        pid = (await changes.until("api-1", "up")).pid
        hurry.set()
    assert process.find(pid or 0) is None


async def test_a_child_has_a_session_of_its_own(data: Folder, changes: Changes) -> None:
    async with supervisor(data, changes) as house:
        house.start(python("api-1", FOREVER))
        pid = (await changes.until("api-1", "up")).pid or 0
        assert os.getsid(pid) == pid


async def test_what_a_child_says_goes_to_its_log_which_is_its_owners_alone(data: Folder, changes: Changes) -> None:
    async with supervisor(data, changes) as house:
        house.start(python("api-1", "import sys; print('to stderr', file=sys.stderr); " + FOREVER))
        await changes.until("api-1", "up")
    log = data.logs / "api-1.log"
    assert log.read_text().splitlines() == ["to stderr", "up"]
    assert log.stat().st_mode & 0o777 == 0o600


async def test_children_do_not_outlive_a_supervisor_that_is_killed(data: Folder) -> None:
    """`hubbub up` is killed with -9: what it started ends with it."""
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", _SUPERVISES, str(data.root))
    found = await _recorded(data.run / "api-1.pid")
    killed.kill()
    await killed.wait()
    async with asyncio.timeout(20):
        while found.is_alive():
            await asyncio.sleep(0.01)


def test_what_a_killed_stack_left_is_ended_by_the_next(data: Folder) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    record.write(data.run / "api-1.pid", left.pid, signal.SIGTERM)
    record.end_left_over(data.run)
    assert left.wait() == -signal.SIGTERM
    assert list(data.run.iterdir()) == []


def test_a_reused_pid_is_left_alone(data: Folder) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    record.write(data.run / "api-1.pid", other.pid, signal.SIGTERM)
    path = data.run / "api-1.pid"
    path.write_text(path.read_text().replace('"started": ', '"started": 1'))
    record.end_left_over(data.run)
    assert other.poll() is None
    other.kill()
    other.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": 3}', '{"process": {"pid": 1}, "signal": 15}'])
def test_a_half_written_record_is_passed_over(data: Folder, text: str) -> None:
    (data.run / "api-1.pid").write_text(text)
    record.end_left_over(data.run)
    assert list(data.run.iterdir()) == []


async def _recorded(path: Path) -> Process:
    """The process another supervisor puts on record; it is no child of ours, so only looking tells."""
    async with asyncio.timeout(20):
        while not (found := record.read(path)):
            await asyncio.sleep(0.01)
    return found[0]


_SUPERVISES = f"""
import asyncio, sys
from pathlib import Path
from hubbub_local.folder import Folder
from hubbub_local.supervisor import Supervisor
from hubbub_local.testing import Changes, python

async def main():
    changes = Changes()
    async with Supervisor(Folder(Path(sys.argv[1])), changes.tell, asyncio.Event()) as house:
        house.start(python("api-1", {FOREVER!r}))
        await changes.until("nobody", "up")

asyncio.run(main())
"""
