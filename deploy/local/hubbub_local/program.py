"""A program of the stack: how to run it, and how to see that it is up."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

ROTATE_AT = 10_000_000
"""Bytes after which a log is put aside as <name>.log.1."""
_ENOUGH = 100_000


@dataclass(frozen=True)
class LogPart:
    """What one run of a program has written: its log from some byte on."""

    path: Path
    start: int

    def lines(self) -> list[str]:
        """The lines of this run, of a long one the last."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            # The log may have been put aside meanwhile.
            file.seek(max(self.start if self.start <= size else 0, size - _ENOUGH))
            return file.read().decode(errors="replace").splitlines()

    def events(self) -> list[str]:
        """The events of the lines that are JSON."""
        return [event for line in self.lines() if (event := _event(line))]

    def last_words(self, *, shared: bool = False) -> str:
        """The last line, which of a program that gave up says why. *shared*: another one of its name writes its JSON
        here, too: then the last that is none, as sentences and tracebacks are.
        """
        lines = [line for line in self.lines() if line.strip()]
        if shared:
            lines = [line for line in lines if not _record(line)] or lines
        if not lines:
            return "it said nothing"
        record = _record(lines[-1])
        said = [str(record[key]) for key in ("event", "message", "error", "exception") if record.get(key)]
        return " ".join(said).strip().splitlines()[-1] if said else lines[-1].strip()


def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the supervisor needs to know of a child."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[LogPart], Awaitable[bool]]
    environment: Mapping[str, str] | None = None
    """All of it; None is that of this process."""
    where: str = ""
    """Its address, for people."""
    before: Callable[[], None] = field(default=_nothing)
    """Done before each start, in a thread."""
    stop_signal: signal.Signals = signal.SIGTERM
    sockets: Sequence[socket.socket] = ()
    """Handed to it to listen at (see `hubbub.listening`); they are ours, and stay open when it ends."""
    overlaps: bool = False
    """Whether two of it may run for a while: then, to restart it, the new one is started before the old one ends."""


def open_log(path: Path) -> BinaryIO:
    """To append to it, for its owner alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def rotate(log: Path, at: int = ROTATE_AT) -> None:
    """Put aside a log that has grown long, in a way that a process writing to it does not notice."""
    if log.exists() and log.stat().st_size > at:
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        log.with_name(log.name + ".1").chmod(0o600)
        with log.open("r+b") as file:
            file.truncate()


def _record(line: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _event(line: str) -> str:
    return str(_record(line).get("event", ""))
