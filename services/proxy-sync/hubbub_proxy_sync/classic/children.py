"""The processes that a classic proxy starts: nobody tells us of them, so they are found among our children."""

import os
from collections.abc import Iterator
from pathlib import Path

#: Fields of /proc/<pid>/stat after the name: state, parent, start time in clock ticks since the boot, exit status.
_STATE, _PARENT, _STARTED, _STATUS = 0, 1, 19, 49

#: pid -> start time.
Found = dict[int, int]


def of_ours() -> Found:
    """Our live children."""
    return {pid: int(fields[_STARTED]) for pid, fields in _children() if fields[_STATE] not in b"ZX"}


def failed() -> Found:
    """Our children that have ended badly, and that whoever has started them has not asked yet."""
    found = ((pid, fields) for pid, fields in _children() if fields[_STATE] == b"Z" and fields[_STATUS] != b"0")
    return {pid: int(fields[_STARTED]) for pid, fields in found}


def marked(mark: str) -> Found:
    """All that run with *mark*, NAME=value, in the environment that they were started with; but for ourselves."""
    return {pid: int(fields[_STARTED]) for pid, fields in _everybody() if pid != os.getpid() and _has(pid, mark)}


def newest(born: Found) -> int | None:
    """The one that was started last: a class may begin with a helper, a shell or a check."""
    return max(born, key=lambda pid: (born[pid], pid), default=None)


def without(born: Found, earlier: Found) -> Found:
    return {pid: started for pid, started in born.items() if pid not in earlier}


def _children() -> Iterator[tuple[int, list[bytes]]]:
    we = str(os.getpid()).encode()
    return ((pid, fields) for pid, fields in _everybody() if fields[_PARENT] == we)


def _everybody() -> Iterator[tuple[int, list[bytes]]]:
    for name in os.listdir("/proc"):  # noqa: PTH208  (names are all that is needed)
        if name.isdigit() and (fields := _stat(int(name))):
            yield int(name), fields


def _has(pid: int, mark: str) -> bool:
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False  # gone, or of another user


def _stat(pid: int) -> list[bytes]:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return []
    # The name, second in the line, may itself hold spaces and brackets.
    return text[text.rindex(b")") + 2 :].split()
