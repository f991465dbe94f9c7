"""Where cgroups may be made, on machines of every kind: made of folders here."""

import os
from pathlib import Path

import pytest

from hubbub_spawner_worker import cgroup_homes, cgroups
from hubbub_spawner_worker.cgroup_homes import SERVICES, find_homes
from hubbub_spawner_worker.cgroups import Cgroup, Cgroups, Limits, settings

MB = 1024 * 1024


class Machine:
    """A /proc/self and a /sys/fs/cgroup that are plain files: nothing is enforced, all can be read."""

    def __init__(self, folder):
        self.proc = folder / "proc"
        self.mounts = folder / "sys fs cgroup"
        self.proc.mkdir()
        self._lines = ["1 0 8:1 / / rw - ext4 /dev/vda rw"]
        self._owns = []

    def first(self, controllers, own, root="/"):
        """A hierarchy of version 1."""
        point = self._mount(controllers, "cgroup", controllers, root)
        self._owns.append(f"3:{controllers}:{own}")
        inner = point / own.removeprefix(root).lstrip("/")
        inner.mkdir(parents=True, exist_ok=True)
        return inner

    def second(self, own, *, controllers="cpuset cpu io memory pids", enabled="", is_root=False, name="unified"):
        point = self._mount(name, "cgroup2", "nsdelegate", "/")
        self._owns.append(f"0::{own}")
        inner = point / own.lstrip("/")
        for folder in {inner, inner.parent} - {self.mounts}:
            folder.mkdir(parents=True, exist_ok=True)
            self.cgroup(folder, controllers, enabled, is_root=is_root)
        return inner

    def cgroup(self, folder, controllers="cpu memory", enabled="", *, is_root=False):
        (folder / "cgroup.controllers").write_text(controllers)
        (folder / "cgroup.subtree_control").write_text(enabled)
        (folder / "cgroup.procs").write_text("")
        if not is_root:
            (folder / "cgroup.type").write_text("domain")

    def _mount(self, name, kind, options, root):
        point = self.mounts / name
        point.mkdir(parents=True, exist_ok=True)
        seen = str(point).replace(" ", "\\040")
        self._lines.append(f"41 31 0:38 {root} {seen} rw,relatime shared:9 - {kind} {kind} rw,{options}")
        return point

    def homes(self, *, systemd=False):
        (self.proc / "mountinfo").write_text("".join(f"{line}\n" for line in self._lines))
        (self.proc / "cgroup").write_text("".join(f"{line}\n" for line in self._owns))
        return find_homes(self.proc, systemd=systemd)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    made = Machine(tmp_path)

    def enable(folder):
        # The kernel adds what is written to what is on; a plain file is written over.
        there = (folder / "cgroup.controllers").read_text().split()
        (folder / "cgroup.subtree_control").write_text(" ".join({"cpu", "memory"} & set(there)))

    monkeypatch.setattr(cgroup_homes, "_enable", enable)
    return made


def test_version_1_has_a_folder_for_each(machine):
    memory = machine.first("memory", "/user.slice/1")
    cpu = machine.first("cpu,cpuacct", "/")
    pids = machine.first("pids", "/user.slice")
    homes = machine.homes()
    assert {name: (home.folder, home.version) for name, home in homes.limits.items()} == {
        "memory": (memory, 1),
        "cpu": (cpu, 1),
    }
    assert homes.tracks.folder == pids
    assert homes.flaws == {}


def test_a_container_sees_its_own_part_of_a_hierarchy(machine):
    memory = machine.first("memory", "/docker/abc/inner", root="/docker/abc")
    assert machine.homes().limits["memory"].folder == memory


def test_below_the_root_of_version_2_processes_do_not_matter(machine):
    own = machine.second("/", is_root=True)
    homes = machine.homes(systemd=True)
    assert {home.folder for home in homes.limits.values()} == {own} == homes.folders


def test_a_worker_in_a_subgroup_of_its_unit_has_cgroups_beside_it(machine, monkeypatch):
    own = machine.second("/system.slice/hub.service/worker")
    delegated(monkeypatch, own.parent)
    homes = machine.homes(systemd=True)
    assert homes.folders == {own.parent}
    assert set(homes.limits) == {"memory", "cpu"}


def test_a_worker_alone_in_its_unit_moves_out_of_the_way(machine, monkeypatch):
    own = machine.second("/system.slice/hub.service")
    (own / "cgroup.procs").write_text("1\n")
    (own / SERVICES).mkdir()
    delegated(monkeypatch, own)
    assert machine.homes(systemd=True).folders == {own}
    assert (own / SERVICES / "cgroup.procs").read_text() == "1"


def test_without_systemd_whoever_may_write_decides(machine):
    own = machine.second("/", is_root=False, enabled="")
    assert machine.homes().folders == {own}


def test_what_systemd_has_not_delegated_is_not_touched(machine, monkeypatch):
    own = machine.second("/user.slice/session-3.scope")
    delegated(monkeypatch, None)
    homes = machine.homes(systemd=True)
    assert homes.limits == {} and homes.tracks is None
    assert "not delegated" in homes.flaws["memory"] and str(own) in homes.flaws["cpu"]
    assert (own / "cgroup.subtree_control").read_text() == ""


def test_a_controller_that_was_not_handed_down_is_named(machine):
    machine.second("/", controllers="memory pids")
    homes = machine.homes()
    assert set(homes.limits) == {"memory"}
    assert "no controller" in homes.flaws["cpu"]


def test_both_versions_may_share_the_controllers(machine):
    memory = machine.first("memory", "/a")
    unified = machine.second("/", controllers="cpu", is_root=True)
    homes = machine.homes()
    assert (homes.limits["memory"].folder, homes.limits["cpu"].folder) == (memory, unified)
    assert homes.tracks.folder == unified


def test_a_machine_without_any_says_so(machine):
    homes = machine.homes()
    assert homes.flaws == {"memory": "no cgroups are mounted", "cpu": "no cgroups are mounted"}
    assert homes.folders == frozenset()


def test_a_folder_that_is_not_ours_to_write_is_named(machine, monkeypatch):
    memory = machine.first("memory", "/a")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != memory)
    assert f"may not write to {memory}" in machine.homes().flaws["memory"]


def test_no_proc_is_no_crash(tmp_path):
    assert set(find_homes(tmp_path / "nowhere").flaws) == {"memory", "cpu"}


def delegated(monkeypatch, folder):
    """As systemd marks it."""

    def read(path, name):
        if name == "user.delegate" and Path(path) == folder:
            return b"1"
        raise OSError(61, "No data available")

    monkeypatch.setattr(os, "getxattr", read)


@pytest.mark.parametrize(
    ("limits", "controller", "version", "written"),
    [
        (
            Limits(memory=512 * MB, memory_guarantee=MB),
            "memory",
            1,
            [
                ("memory.limit_in_bytes", "536870912"),
                ("memory.memsw.limit_in_bytes", "536870912"),
                ("memory.soft_limit_in_bytes", "1048576"),
            ],
        ),
        (
            Limits(memory=512 * MB, memory_guarantee=MB),
            "memory",
            2,
            [("memory.max", "536870912"), ("memory.swap.max", "0"), ("memory.low", "1048576")],
        ),
        (
            Limits(cpu=1.5, cpu_guarantee=0.25),
            "cpu",
            1,
            [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000"), ("cpu.shares", "256")],
        ),
        (Limits(cpu=1.5, cpu_guarantee=0.25), "cpu", 2, [("cpu.max", "150000 100000"), ("cpu.weight", "25")]),
        (Limits(cpu=0.002), "cpu", 2, [("cpu.max", "2000 1000000")]),
        (Limits(cpu=0.0000001), "cpu", 2, [("cpu.max", "1000 1000000")]),
        (Limits(cpu_guarantee=0.001), "cpu", 1, [("cpu.shares", "2")]),
        (Limits(cpu_guarantee=0.001), "cpu", 2, [("cpu.weight", "1")]),
        (Limits(cpu_guarantee=1000), "cpu", 2, [("cpu.weight", "10000")]),
        (Limits(memory=MB), "cpu", 2, []),
    ],
)
def test_limits_are_written_as_each_version_has_them(limits, controller, version, written):
    assert settings(limits, controller, version) == written


def test_a_server_is_in_one_folder_of_version_2(machine, monkeypatch):
    own = machine.second("/")
    made = make_with_files(monkeypatch, Cgroups(machine.homes(), "h"))
    cgroup = made("s1", 1, Limits(memory=MB, cpu=1))
    assert cgroup.folders == (str(own / "hubbub-h-s1.1"),)
    assert Path(cgroup.folders[0], "memory.max").read_text() == str(MB)
    assert Path(cgroup.folders[0], "cpu.max").read_text() == "100000 100000"
    cgroup.enter(17)
    assert Path(cgroup.folders[0], "cgroup.procs").read_text() == "17"


def test_what_was_killed_is_counted_in_either_version(tmp_path):
    (tmp_path / "memory.events").write_text("low 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n")
    assert Cgroup([str(tmp_path)]).oom_kills() == 1
    (tmp_path / "memory.events").unlink()
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert Cgroup([str(tmp_path)]).oom_kills() == 3


async def test_a_folder_that_is_gone_has_nobody_in_it(tmp_path):
    gone = Cgroup([str(tmp_path / "gone")])
    await gone.clear()
    assert gone.kill() is False
    assert gone.oom_kills() == 0
    gone.remove()


def make_with_files(monkeypatch, made):
    """The kernel puts files into a new cgroup; a plain folder has none."""

    def write(folder, name, text):
        Path(folder, name).write_text(text)

    monkeypatch.setattr(cgroups, "_write", write)
    return made.make
