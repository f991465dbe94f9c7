"""Cgroups of this machine: limits are kept, nobody leaves, nothing stays."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from hubbub.domain.server_messages import ReportExit
from hubbub.domain.server_states import Running, Stopped
from hubbub_spawner_worker import cgroups as cgroups_module
from hubbub_spawner_worker import gate
from hubbub_spawner_worker.cgroup_homes import Home, Homes, find_homes
from hubbub_spawner_worker.cgroups import NO_LIMITS, Cgroup, Cgroups, Limits, NoCgroup, configured
from hubbub_spawner_worker.process import Process, Sessions

PATIENCE = 20
MB = 1024 * 1024
QUICK = ((signal.SIGINT, 0.1), (signal.SIGKILL, 5))
BUSY = """
import time
began = time.monotonic()
while time.monotonic() - began < 1.5: pass
print(time.process_time() / (time.monotonic() - began))
"""


@pytest.fixture(scope="module")
def homes():
    found = find_homes()
    if found.flaws:
        pytest.skip(f"this machine lets us have no cgroups: {found.flaws}")
    return found


@pytest.fixture
def cgroups(homes, tmp_path):
    made = Cgroups(homes, f"test{os.getpid()}")
    yield made
    for path in made._found():
        Cgroup([str(path)]).kill()
        path.rmdir()


@pytest.fixture
async def run(cgroups, tmp_path):
    """run(command, limits) -> its process and its cgroup."""
    begun = []

    def start(command, limits=NO_LIMITS):
        cgroup = cgroups.make("s1", len(begun) + 1, limits)
        with (tmp_path / "log").open("ab") as output:
            environment = {"PATH": os.environ["PATH"]}
            child = gate.begin(command, environment=environment, folder=str(tmp_path), output=output.fileno())
        cgroup.enter(child.pid)
        process = Process.of_child(child, Sessions(), cgroup)
        begun.append(process)
        gate.let_go(child)
        return process, cgroup

    yield start
    for process in begun:
        if process.alive:
            await process.stop(QUICK)


async def ended(process):
    async with asyncio.timeout(PATIENCE):
        return await process.wait()


async def written(path):
    async with asyncio.timeout(PATIENCE):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.005)  # a file tells nobody
    return path.read_text()


def left_of(cgroup):
    return [folder for folder in cgroup.folders if Path(folder).exists()]


def number_in(cgroup, name):
    """What that file says, in whichever hierarchy it is."""
    (found,) = (path for folder in cgroup.folders if (path := Path(folder, name)).exists())
    return int(found.read_text())


def python(script):
    return [sys.executable, "-S", "-E", "-c", script]


async def test_who_takes_more_memory_than_the_limit_is_killed_and_known_to_be(run):
    process, _ = run(python(f"x = b'x' * {400 * MB}; print(len(x))"), Limits(memory=100 * MB))
    assert await ended(process) == -signal.SIGKILL
    assert process.starved


async def test_who_takes_less_lives(run, tmp_path):
    process, cgroup = run(python(f"x = b'x' * {50 * MB}; print(len(x))"), Limits(memory=200 * MB))
    assert await ended(process) == 0
    assert (tmp_path / "log").read_text() == f"{50 * MB}\n"
    assert not process.starved
    assert cgroup.oom_kills() == 0


async def test_who_is_killed_by_us_has_not_starved(run):
    process, _ = run(["sleep", "1000"], Limits(memory=100 * MB))
    await process.stop([(signal.SIGKILL, 5)])
    assert (process.status, process.starved) == (-9, False)


async def test_a_busy_loop_gets_no_more_than_its_share_of_a_core(run, tmp_path):
    process, _ = run(python(BUSY), Limits(cpu=0.1))
    assert await ended(process) == 0
    assert float((tmp_path / "log").read_text()) < 0.25


async def test_a_program_is_in_its_cgroup_from_its_first_instruction_on(run, tmp_path):
    process, cgroup = run(["cat", "/proc/self/cgroup"], Limits(memory=100 * MB, cpu=1, cpu_guarantee=0.5))
    assert await ended(process) == 0
    told = (tmp_path / "log").read_text()
    assert len(cgroup.folders) >= 1
    for folder in cgroup.folders:
        assert f"/{folder.rpartition('/')[2]}\n" in told


async def test_guarantees_are_told_to_the_kernel(run, homes):
    _, cgroup = run(["sleep", "1000"], Limits(memory_guarantee=16 * MB, cpu_guarantee=0.5))
    memory = {1: "memory.soft_limit_in_bytes", 2: "memory.low"}[homes.limits["memory"].version]
    cpu, share = {1: ("cpu.shares", 512), 2: ("cpu.weight", 50)}[homes.limits["cpu"].version]
    assert number_in(cgroup, memory) == 16 * MB
    assert number_in(cgroup, cpu) == share


async def test_grandchildren_that_have_left_the_session_are_gone_after_a_stop(run, tmp_path, is_alive):
    process, cgroup = run(["/bin/sh", "-c", "setsid sh -c 'echo $$ >orphan; sleep 1000; :' & sleep 1000"])
    orphan = int(await written(tmp_path / "orphan"))
    assert os.getsid(orphan) != process.pid
    await process.stop(QUICK)
    assert not is_alive(orphan)
    cgroup.remove()
    assert not left_of(cgroup)


async def test_those_of_a_server_that_ended_by_itself_are_gone_too(run, tmp_path, is_alive):
    process, _ = run(["/bin/sh", "-c", "setsid sleep 1000 & echo $! >orphan; exit 3"])
    assert await ended(process) == 3
    assert not is_alive(int((tmp_path / "orphan").read_text()))


async def test_a_member_is_killed_by_pid_where_the_kernel_cannot_kill_a_cgroup(run, tmp_path, is_alive, homes):
    """Version 1 has no cgroup.kill: looked at without the folders of version 2."""
    process, cgroup = run(["sleep", "1000"], Limits(memory=100 * MB, cpu=1))
    first = {home.folder for home in homes.limits.values() if home.version == 1}
    await Cgroup([folder for folder in cgroup.folders if not first or Path(folder).parent in first]).clear()
    assert await ended(process) == -9


async def test_what_is_nobodys_is_swept_with_whoever_is_in_it(cgroups, run, is_alive):
    process, cgroup = run(["sleep", "1000"])
    cgroups.sweep(lambda: {"s1.1"})
    cgroups.sweep(lambda: {"s1.1"})
    assert is_alive(process.pid)
    cgroups.sweep(set)  # it may have been begun this moment
    assert is_alive(process.pid)
    cgroups.sweep(set)
    assert await ended(process) == -9
    cgroups.sweep(set)
    assert not left_of(cgroup)


async def test_cgroups_of_another_hub_are_left_alone(cgroups, homes):
    other = Cgroups(homes, f"other{os.getpid()}")
    cgroup = other.make("s1", 1, NO_LIMITS)
    for _ in range(3):
        cgroups.sweep(set)
    assert left_of(cgroup) == list(cgroup.folders)
    cgroup.remove()


async def test_a_limit_that_the_kernel_refuses_is_said_and_the_server_runs(cgroups, capsys):
    cgroup = cgroups.make("s1", 1, Limits(memory=-5))
    assert cgroup.folders
    assert "cgroup.limit_refused" in capsys.readouterr().out


def test_no_server_with_limits_runs_where_its_cgroup_cannot_be_made(tmp_path):
    gone = Home(folder=tmp_path / "gone", version=1)
    cgroups = Cgroups(Homes(limits={"memory": gone}, tracks=gone), "h")
    with pytest.raises(NoCgroup, match="cannot be made"):
        cgroups.make("s1", 1, Limits(memory=MB))
    assert cgroups.make("s1", 1, NO_LIMITS).folders == ()


def test_where_there_are_none_that_is_said_once_and_servers_run_without(capsys):
    nowhere = Cgroups(Homes(flaws={"memory": "no cgroups are mounted", "cpu": "the same"}), "h")
    assert nowhere.make("s1", 1, NO_LIMITS).folders == ()
    assert capsys.readouterr().out == ""
    for _ in range(3):
        assert nowhere.make("s1", 1, Limits(memory=MB)).folders == ()
    told = capsys.readouterr().out
    assert told.count("cgroups.no_limits") == 1
    assert "no cgroups are mounted" in told


def test_any_option_that_the_operator_sets_is_one_to_warn_of():
    config = {"Spawner": {"mem_limit": "1G"}, "LocalProcessSpawner": {"cpu_guarantee": 0.5}, "Other": {"cpu_limit": 1}}
    assert configured(["Spawner"], config).needs == {"memory"}
    assert configured(["Spawner", "LocalProcessSpawner"], config).needs == {"memory", "cpu"}
    assert configured(["SimpleLocalProcessSpawner"], config).needs == frozenset()


def test_the_name_tells_hub_server_and_attempt(homes, tmp_path):
    made = Cgroups.of(tmp_path, "host")
    cgroup = made.make("managed:a/b", 7, NO_LIMITS)
    names = {Path(folder).name for folder in cgroup.folders}
    cgroup.remove()
    (name,) = names
    ours, hub, attempt = name.split("-", 2)
    assert (ours, len(hub), attempt) == ("hubbub", 12, "managed%3aa%2fb.7")


# In a worker ---------------------------------------------------------------------------------


@pytest.fixture
def leaves(standin):
    """The command of a server with a child that has left its session, and told its pid."""
    return ["/bin/sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & exec \"$@\"", "sh", *standin]


async def test_a_server_is_stopped_with_all_that_it_has_begun(homes, hire, api, record_of, tmp_path, leaves, gone):
    await hire(cmd=leaves)
    await api.start("s1")
    await api.until_is("s1", Running)
    child, folders = int(first_line(tmp_path / "log/servers/s1.log")), record_of("s1")["cgroups"]
    assert existing(folders) == folders != []
    await api.stop("s1")
    await api.until_is("s1", Stopped)
    assert gone(child)
    assert not existing(folders)


async def test_what_a_server_left_that_died_unwatched_is_gone_too(homes, hire, api, record_of, tmp_path, leaves, gone):
    first = await hire(cmd=leaves)
    await api.start("s1")
    await api.until_is("s1", Running)
    child, record = int(first_line(tmp_path / "log/servers/s1.log")), record_of("s1")
    await first.dismiss()
    os.kill(record["pid"], signal.SIGKILL)
    assert gone(record["pid"])
    await hire(cmd=leaves)
    assert gone(child)
    assert not existing(record["cgroups"])


async def test_a_server_that_starves_says_so(homes, hire, api, standin):
    hungry = [*standin[:1], "-c", f"x = b'x' * {400 * MB}"]
    await hire(cmd=hungry, mem_limit="100M")
    await api.start("s1")
    await api.until(lambda: api.reported(ReportExit))
    (report,) = api.reported(ReportExit)[:1]
    assert report.status == "-9: out of memory, of which it may have 104857600 bytes"


@pytest.mark.parametrize(("option", "times"), [("mem_limit", 1), ("cpu_guarantee", 1), ("start_timeout", 0)])
async def test_a_worker_without_cgroups_says_so_at_its_start_if_limits_are_wanted(
    hire, monkeypatch, capsys, option, times
):
    flaws = dict.fromkeys(("memory", "cpu"), "no cgroups are mounted")
    monkeypatch.setattr(cgroups_module, "find_homes", lambda: Homes(flaws=flaws))
    await hire(**{option: 1})
    assert capsys.readouterr().out.count("cgroups.no_limits") == times


def existing(folders):
    return [folder for folder in folders if Path(folder).exists()]


def first_line(path):
    return path.read_text().partition("\n")[0]
