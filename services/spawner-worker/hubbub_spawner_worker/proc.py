"""What /proc says of a process, so that a pid that was given to another is never taken for the one it was."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Stat:
    """`started`: clock ticks since the boot. `session`: the pid of the leader of its session."""

    pid: int
    started: int
    session: int
    alive: bool
    """False for a zombie: nobody may have reaped it yet."""


def stat(pid: int) -> Stat | None:
    """None if there is no process with that pid."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name, second in the line, may itself hold spaces and brackets.
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(pid=pid, started=int(fields[19]), session=int(fields[3]), alive=fields[0] not in b"ZX")


def uid(pid: int) -> int | None:
    """As whom it runs (the real user id)."""
    try:
        text = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    return None


def everybody() -> Iterator[Stat]:
    """Every process that can be seen from here."""
    for name in os.listdir("/proc"):  # noqa: PTH208  (for every stop: names are all it needs)
        if name.isdigit() and (found := stat(int(name))):
            yield found
