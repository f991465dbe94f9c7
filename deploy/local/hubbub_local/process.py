"""Processes by pid and start time, so that a reused pid is never taken for the process that had it before."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of this boot; `started` is in clock ticks since the boot, as /proc says it."""

    pid: int
    started: int
    boot: str

    def is_alive(self) -> bool:
        """A zombie is dead: nobody may have reaped it yet."""
        return _started(self.pid) == self.started and self.boot == _boot()

    def signal(self, number: signal.Signals) -> None:
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def find(pid: int) -> Process | None:
    """The live process with that pid."""
    started = _started(pid)
    return None if started is None else Process(pid=pid, started=started, boot=_boot())


def every() -> Iterator[Process]:
    """Every live process this one can see."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := find(int(entry.name))):
            yield process


def end(processes: Iterable[Process], *, by: signal.Signals = signal.SIGTERM, within: float = 10) -> None:
    """Ask the processes to end, and kill those that have not after `within` seconds. Returns when all are gone."""
    end_each([(process, by) for process in processes], within=within)


def end_each(by_signal: list[tuple[Process, signal.Signals]], *, within: float = 10) -> None:
    """The same for processes that end by different signals, all at once."""
    processes = [process for process, _ in by_signal]
    for process, by in by_signal:
        process.signal(by)
    if not _gone(processes, within):
        for process in processes:
            process.signal(signal.SIGKILL)
        _gone(processes, within)


def name_of(pid: int) -> str:
    """What a person would call it: the name and the number."""
    try:
        name = Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        name = _read(pid, "comm").strip() or "a process"
    return f"{name} (process {pid})"


def environment(pid: int) -> str:
    """The environment the process was started with, empty when it is not ours to read."""
    return _read(pid, "environ")


def _gone(processes: list[Process], within: float) -> bool:
    return _wait_until(lambda: not any(process.is_alive() for process in processes), within)


def _wait_until(is_true: Callable[[], bool], within: float) -> bool:
    """Look every few milliseconds: what is waited for here is nobody's child, so nothing tells of it."""
    until = time.monotonic() + within
    while not is_true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _started(pid: int) -> int | None:
    # The name in the second field may itself hold spaces and brackets.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
