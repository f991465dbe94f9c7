"""What a process is using of its host, as the kernel says."""

import os
import resource
import time
from functools import cache
from pathlib import Path

import msgspec


class Vitals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`memory`, `virtual`: bytes; `cpu`: seconds since `began`, which is in seconds of Unix time; `files`: open ones,
    of `most_files`.
    """

    memory: int = 0
    virtual: int = 0
    cpu: float = 0.0
    files: int = 0
    most_files: int = 0
    began: float = 0.0


def vitals() -> Vitals:
    """Those of this process; 0 for what its host does not tell."""
    times = os.times()
    virtual, memory = _memory()
    return Vitals(
        memory=memory,
        virtual=virtual,
        cpu=times.user + times.system,
        files=_files(),
        most_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        began=_began(),
    )


def _memory() -> tuple[int, int]:
    try:
        virtual, resident = Path("/proc/self/statm").read_text().split()[:2]
    except OSError:
        return 0, 0
    return int(virtual) * resource.getpagesize(), int(resident) * resource.getpagesize()


def _files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many, and without a path for each
    except OSError:
        return 0


@cache
def _began() -> float:
    try:
        ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, IndexError, ValueError):
        return 0.0
    return booted + ticks / os.sysconf("SC_CLK_TCK")
