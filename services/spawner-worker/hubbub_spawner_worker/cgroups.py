"""A cgroup for each local server: its memory and CPU are limited there, and whoever is in it ends with the server.

A process can leave its session, but not its cgroup. Where nothing is to be limited a server gets the cheapest kind.
"""

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import structlog

from hubbub import subjects
from hubbub_spawner_worker.cgroup_homes import CPU, MEMORY, Home, Homes, find_homes

log = structlog.get_logger()

OPTIONS = ("mem_limit", "mem_guarantee", "cpu_limit", "cpu_guarantee")
_CLEARED_WITHIN = 5.0
_LOOK_AGAIN = 0.005
_PERIOD = 100_000
_LONGEST_PERIOD = 1_000_000
_SMALLEST_QUOTA = 1_000
"""Microseconds, as the kernel has them."""
_MAY_LACK = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max"})
"""Files that not every kernel has: only those that account for swap."""

Written = tuple[str, str]
"""A file of a cgroup, and what is written to it."""


class NoCgroup(Exception):
    """A limit is asked for, and the cgroup for it cannot be made or entered."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one server. Memory in bytes, CPU in cores; null or 0: none."""

    memory: int | None = None
    memory_guarantee: int | None = None
    cpu: float | None = None
    cpu_guarantee: float | None = None

    @classmethod
    def of(cls, spawner: Any) -> Self:
        """Those that its options ask for."""
        memory, memory_guarantee, cpu, cpu_guarantee = (getattr(spawner, name, None) for name in OPTIONS)
        return cls(memory=memory, memory_guarantee=memory_guarantee, cpu=cpu, cpu_guarantee=cpu_guarantee)

    @property
    def needs(self) -> frozenset[str]:
        """The controllers that they need."""
        memory, cpu = self.memory or self.memory_guarantee, self.cpu or self.cpu_guarantee
        return frozenset(name for name, wanted in ((MEMORY, memory), (CPU, cpu)) if wanted)


NO_LIMITS = Limits()


def configured(sections: Iterable[str], config: Mapping[str, Any]) -> Limits:
    """What the operator asks for in *sections* of *config*; only good to see whether anything is."""
    asked = (config[section] for section in sections if section in config)
    found = {name: value for options in asked for name, value in options.items() if name in OPTIONS and value}
    return Limits.of(SimpleNamespace(**found))


def settings(limits: Limits, controller: str, version: int) -> list[Written]:
    """What to write, in this order."""
    make = {(MEMORY, 1): _memory_1, (MEMORY, 2): _memory_2, (CPU, 1): _cpu_1, (CPU, 2): _cpu_2}
    return list(make[controller, version](limits))


def _memory_1(limits: Limits) -> Iterable[Written]:
    if limits.memory:
        yield "memory.limit_in_bytes", str(int(limits.memory))
        yield "memory.memsw.limit_in_bytes", str(int(limits.memory))  # with swap: or a limit would only make it slow
    if limits.memory_guarantee:
        yield "memory.soft_limit_in_bytes", str(int(limits.memory_guarantee))


def _memory_2(limits: Limits) -> Iterable[Written]:
    if limits.memory:
        yield "memory.max", str(int(limits.memory))
        yield "memory.swap.max", "0"
    if limits.memory_guarantee:
        yield "memory.low", str(int(limits.memory_guarantee))


def _cpu_1(limits: Limits) -> Iterable[Written]:
    if limits.cpu:
        quota, period = _quota(limits.cpu)
        yield "cpu.cfs_period_us", str(period)
        yield "cpu.cfs_quota_us", str(quota)
    if limits.cpu_guarantee:
        yield "cpu.shares", str(min(max(round(limits.cpu_guarantee * 1024), 2), 262_144))


def _cpu_2(limits: Limits) -> Iterable[Written]:
    if limits.cpu:
        yield "cpu.max", "{} {}".format(*_quota(limits.cpu))
    if limits.cpu_guarantee:
        yield "cpu.weight", str(min(max(round(limits.cpu_guarantee * 100), 1), 10_000))


def _quota(cores: float) -> tuple[int, int]:
    """Microseconds of CPU time in a period of so many microseconds. A long period if the share is very small."""
    period = _PERIOD if cores * _PERIOD >= _SMALLEST_QUOTA else _LONGEST_PERIOD
    return max(round(cores * period), _SMALLEST_QUOTA), period


class Cgroup:
    """Of one attempt: a folder in each hierarchy that it needs, none if there is nothing to be had."""

    def __init__(self, folders: Sequence[str] = ()) -> None:
        self.folders = tuple(folders)

    def enter(self, pid: int) -> None:
        """With all that it will ever start. Raises OSError."""
        for folder in self.folders:
            _write(folder, "cgroup.procs", str(pid))

    async def clear(self) -> None:
        """Kill everybody in it, and return when nobody is."""
        try:
            async with asyncio.timeout(_CLEARED_WITHIN):
                while self.kill():
                    await asyncio.sleep(_LOOK_AGAIN)  # they tell nobody: they are not our children
        except TimeoutError:
            log.warning("cgroup.not_cleared", folders=self.folders)

    def kill(self) -> bool:
        """Whether there was anybody left to kill."""
        return sum(_kill(folder) for folder in self.folders) > 0

    def oom_kills(self) -> int:
        """How many in it were killed for want of memory."""
        return sum(_oom_kills(folder) for folder in self.folders)

    def remove(self) -> None:
        """What cannot be removed now is left to the sweep."""
        for folder in self.folders:
            with suppress(OSError):
                os.rmdir(folder)  # noqa: PTH106


def _kill(folder: str) -> bool:
    members = _members(folder)
    if not members:
        return False
    with suppress(OSError):
        _write(folder, "cgroup.kill", "1")
        return True
    descriptors = {}
    for pid in members:
        with suppress(OSError, ValueError):
            descriptors[pid] = os.pidfd_open(pid)
    try:
        # Whoever is in it still is who the descriptor is of, or the descriptor is of somebody who has ended.
        for pid in _members(folder) & descriptors.keys():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptors[pid], signal.SIGKILL)
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)
    return True


def _members(folder: str) -> set[int]:
    try:
        return {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()}
    except OSError:
        return set()


def _oom_kills(folder: str) -> int:
    for name in ("memory.events", "memory.oom_control"):  # version 2, 1
        with suppress(OSError):
            for line in Path(folder, name).read_text().splitlines():
                key, _, number = line.partition(" ")
                if key == "oom_kill":
                    return int(number)
    return 0


def _write(folder: str, name: str, text: str) -> None:
    """At once, and only to what is there: a plain open would make a file in a folder that is no cgroup."""
    file = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


class Cgroups:
    """Those of one hub on this host, which its workers share. *hub*: what tells it from other hubs of the machine."""

    def __init__(self, homes: Homes, hub: str) -> None:
        self._homes = homes
        self._prefix = f"hubbub-{hub}-"
        self._suspects: set[str] = set()
        self._warned: set[str] = set()

    @classmethod
    def of(cls, data: Path, host: str) -> Self:
        """*data*: the hub's folder."""
        hub = hashlib.sha256(f"{host}\n{data.resolve()}".encode()).hexdigest()[:12]
        return cls(find_homes(), hub)

    def warn(self, needs: Iterable[str]) -> None:
        """Say once of each of *needs* that it cannot be had, and why."""
        for name in sorted(set(needs) & self._homes.flaws.keys() - self._warned):
            self._warned.add(name)
            log.warning(
                "cgroups.no_limits",
                controller=name,
                reason=self._homes.flaws[name],
                means=f"servers run without limits and guarantees of {name}; see docs/running.md",
            )

    def make(self, server: str, attempt: int, limits: Limits) -> Cgroup:
        """With its limits, and nobody in it yet. Raises NoCgroup."""
        self.warn(limits.needs)
        name = f"{self._prefix}{subjects.token(server)}.{attempt}"
        wanted: dict[Home, list[Written]] = {self._homes.tracks: []} if self._homes.tracks else {}
        for controller in sorted(limits.needs & self._homes.limits.keys()):
            home = self._homes.limits[controller]
            wanted.setdefault(home, []).extend(settings(limits, controller, home.version))
        made = Cgroup([str(home.folder / name) for home in wanted])
        try:
            for folder, written in zip(made.folders, wanted.values(), strict=True):
                with suppress(FileExistsError):
                    os.mkdir(folder)  # noqa: PTH102  (a text will do)
                _limit(folder, written)
        except OSError as error:
            made.remove()
            if limits.needs & self._homes.limits.keys():
                raise NoCgroup(f"the server's cgroup cannot be made: {error}") from None
            log.warning("cgroup.not_made", server=server, error=str(error))
            return Cgroup()
        return made

    def sweep(self, in_use: Callable[[], set[str]]) -> None:
        """Kill and remove what belongs to no attempt: *in_use*, as `<server>.<attempt>` in the words of the spool.

        Only what was nobody's the last time, too: an attempt has its cgroup a moment before its record.
        """
        found = {str(path): path.name.removeprefix(self._prefix) for path in self._found()}
        if not found:
            self._suspects = set()
            return
        used = in_use()
        nobodys = {folder for folder, name in found.items() if name not in used}
        for folder in sorted(nobodys & self._suspects):
            cgroup = Cgroup([folder])
            log.info("cgroup.swept", folder=folder, killed=cgroup.kill())
            cgroup.remove()
        self._suspects = nobodys

    def _found(self) -> Iterable[Path]:
        return (path for home in self._homes.folders for path in home.glob(f"{self._prefix}*") if path.is_dir())


def _limit(folder: str, written: Iterable[Written]) -> None:
    for name, text in written:
        try:
            _write(folder, name, text)
        except FileNotFoundError:
            if name not in _MAY_LACK:
                raise
        except OSError as error:  # more than the cgroup around it has, say: that one holds then
            log.warning("cgroup.limit_refused", file=f"{folder}/{name}", value=text, error=error.strerror)
