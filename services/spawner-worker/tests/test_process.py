"""Processes: the gate that they wait behind, the end of them and of what they leave, and pids that are reused."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubbub_spawner_worker import gate, proc
from hubbub_spawner_worker.process import Process, Sessions, StillThere

PATIENCE = 10
QUICK = ((signal.SIGINT, 0.1), (signal.SIGTERM, 0.1), (signal.SIGKILL, 5))


@pytest.fixture
def sessions():
    return Sessions()


@pytest.fixture
def begin(tmp_path, sessions):
    """begin(script) -> the child, behind its gate."""
    begun = []

    def start(script, **environment):
        with (tmp_path / "log").open("ab") as output:
            child = gate.begin(
                ["/bin/sh", "-c", script],
                environment={"PATH": os.environ["PATH"], **environment},
                folder=str(tmp_path),
                output=output.fileno(),
            )
        begun.append(child)
        return child

    yield start
    for child in begun:
        if child.stdin:
            child.stdin.close()
        child.kill()
        child.wait()


@pytest.fixture
def run(begin, sessions):
    """run(script) -> the process, let go."""

    def start(script, **environment):
        child = begin(script, **environment)
        process = Process.of_child(child, sessions)
        gate.let_go(child)
        return process

    return start


async def until_written(path):
    async with asyncio.timeout(PATIENCE):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.005)  # a file tells nobody
    return path.read_text()


async def test_nothing_runs_before_the_gate_opens(begin, tmp_path, sessions):
    child = begin("echo ran >ran")
    process = Process.of_child(child, sessions)
    assert not (tmp_path / "ran").exists()
    gate.let_go(child)
    assert await process.wait() == 0
    assert (tmp_path / "ran").read_text() == "ran\n"


async def test_a_child_that_is_called_back_never_runs(begin, tmp_path):
    gate.call_back(begin("echo ran >ran"))
    assert not (tmp_path / "ran").exists()


def test_a_parent_killed_before_it_opens_the_gate_leaves_no_child(tmp_path, gone):
    program = f"""
import os, signal, sys
from hubbub_spawner_worker import gate
child = gate.begin(["/bin/sh", "-c", "echo ran >ran"], environment=dict(os.environ), folder={str(tmp_path)!r}, output=2)
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    parent = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert parent.returncode == -signal.SIGKILL
    assert gone(int(parent.stdout))
    assert not (tmp_path / "ran").exists()


async def test_a_program_finds_its_folder_its_environment_and_no_input(run, tmp_path):
    process = run('pwd >out; echo "$GREETING" >>out; wc -c >>out', GREETING="with spaces and 'quotes'")
    assert await process.wait() == 0
    assert (tmp_path / "out").read_text().split("\n")[:3] == [str(tmp_path), "with spaces and 'quotes'", "0"]


async def test_a_program_may_open_as_many_files_as_the_worker_was_allowed(tmp_path, sessions):
    with (tmp_path / "log").open("ab") as output:
        ask = ["/bin/sh", "-c", "ulimit -n"]
        child = gate.begin(ask, environment=dict(os.environ), folder="/", output=output.fileno(), files=321)
    process = Process.of_child(child, sessions)
    gate.let_go(child)
    assert await process.wait() == 0
    assert (tmp_path / "log").read_text() == "321\n"


async def test_a_folder_that_cannot_be_entered_is_said_in_the_log(tmp_path, sessions):
    with (tmp_path / "log").open("ab") as output:
        child = gate.begin(["pwd"], environment=dict(os.environ), folder="/no/such", output=output.fileno())
    process = Process.of_child(child, sessions)
    gate.let_go(child)
    assert await process.wait() == 0
    assert "cannot enter /no/such, working in / instead\n/\n" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("command", "environment", "says"),
    [
        ([], {}, "cmd"),
        (["nosuch"], {"PATH": "/bin"}, "'nosuch'"),
        (["/etc/passwd"], {}, "'/etc/passwd'"),
        (["sh"], {"PATH": "/bin", "A-B": "x"}, "'A-B'"),
        (["sh"], {"PATH": "/bin", "A": None}, "A is no text"),
        (["sh"], {"PATH": "/bin", "A": "\0"}, "A is no text"),
    ],
)
def test_what_cannot_run_is_named(command, environment, says):
    with pytest.raises(gate.CannotRun, match=says):
        gate.check(command, environment)


async def test_the_end_comes_with_its_status(run):
    assert await run("exit 7").wait() == 7
    assert await run("kill -9 $$").wait() == -9


async def test_a_process_that_ignores_what_is_asked_is_killed(run, tmp_path):
    process = run("trap '' INT TERM; echo on >on; while :; do sleep 1000; done")
    await until_written(tmp_path / "on")
    await process.stop(QUICK)
    assert (process.alive, process.status) == (False, -9)


async def test_one_that_does_not_end_is_not_said_to_have(run, tmp_path):
    process = run("trap '' TERM; echo on >on; while :; do sleep 1000; done")
    await until_written(tmp_path / "on")
    with pytest.raises(StillThere):
        await process.stop([(signal.SIGTERM, 0.05)])
    await process.stop(QUICK)


async def test_orphans_are_gone_when_the_stop_is_over(run, tmp_path, is_alive):
    process = run("sh -c 'trap \"\" INT TERM; echo $$ >orphan; while :; do sleep 1000; done' & sleep 1000")
    orphan = int(await until_written(tmp_path / "orphan"))
    await process.stop(QUICK)
    assert not is_alive(orphan)


async def test_orphans_of_one_that_dies_by_itself_are_gone_too(run, tmp_path, is_alive):
    process = run("sleep 1000 & echo $! >orphan; exit 1")
    assert await process.wait() == 1
    assert not is_alive(int((tmp_path / "orphan").read_text()))


async def test_many_ends_at_once_share_a_look(run, monkeypatch):
    looks = []
    look = proc.everybody
    monkeypatch.setattr(proc, "everybody", lambda: looks.append(1) or look())
    processes = [run("sleep 1000") for _ in range(10)]
    for process in processes:
        process.send(signal.SIGKILL)
    assert [await process.wait() for process in processes] == [-9] * 10
    assert len(looks) < 10


async def test_the_process_of_an_earlier_self_is_found_and_watched(sessions, tmp_path):
    # A child of a child that has ended: not ours to wait for.
    script = "setsid sleep 1000 >/dev/null 2>&1 & echo $!"
    shell = await asyncio.create_subprocess_exec("/bin/sh", "-c", script, stdout=subprocess.PIPE)
    pid = int((await shell.communicate())[0])
    async with asyncio.timeout(PATIENCE):
        while (found := proc.stat(pid)).session != pid:
            await asyncio.sleep(0.005)
    process = Process.find(pid, found.started, os.getuid(), sessions)
    os.kill(pid, signal.SIGKILL)
    assert await process.wait() is None


async def test_a_pid_that_was_given_to_another_is_not_taken_for_the_first(run, sessions, is_alive):
    other = run("sleep 1000")
    assert Process.find(other.pid, other.started - 1, os.getuid(), sessions) is None
    assert Process.find(other.pid, other.started, os.getuid() + 1, sessions) is None
    await sessions.clear(other.pid, other.started - 1)
    assert is_alive(other.pid)
    assert other.alive
    await other.stop(QUICK)


async def test_a_session_whose_leader_lives_is_not_cleared(run, sessions, tmp_path, is_alive):
    process = run("sleep 1000 & echo $! >member; wait")
    member = int(await until_written(tmp_path / "member"))
    await sessions.clear(process.pid, process.started)
    assert is_alive(member)
    await process.stop(QUICK)


@pytest.mark.parametrize("pid", [2**22 + 1, 0, -1])
async def test_a_pid_of_nonsense_is_nobody(sessions, pid):
    assert Process.find(pid, 1, 0, sessions) is None


def test_a_name_with_brackets_and_spaces_is_read(tmp_path):
    program = tmp_path / "a) S 1 (b"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([program, "1000"]) as child:
        assert proc.stat(child.pid).session == os.getsid(0)
        child.kill()
