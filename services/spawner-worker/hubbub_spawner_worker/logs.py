"""What servers write to stdout and stderr: a file each, cut by size, readable by its owner through the API."""

import os
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LIMIT = 5_000_000
"""Bytes, after which a log is moved to <name>.1."""
_TAIL = 64 * 1024
"""Bytes: what fits into a reply with every character escaped."""

Backend = Callable[[int], Awaitable[str]]
"""The log of a server that has no file here, as its backend keeps it: its last so many lines. Raises NoLog."""

_PLAIN = re.compile(r"[A-Za-z0-9_:%-]{1,200}")


@dataclass(frozen=True, kw_only=True)
class Place:
    """*position*: bytes from the start of that *file*."""

    file: str
    position: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """*data*: from *place* on. *size*: of the whole file."""

    data: bytes
    place: Place
    size: int


class NoLog(ValueError):
    """There is no such log."""


class Logs:
    """The logs of this host's servers, by id of the server."""

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, server: str) -> int:
        """A descriptor to append to."""
        return os.open(self._path(server), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def tail(self, server: str, lines: int) -> str:
        """Its last *lines*, as many as fit into one reply. Raises NoLog."""
        with self._open(server) as file:
            _, found = _tail(file)
        return found[_begin_of(found, lines) :].decode(errors="replace").removesuffix("\n")

    def begin(self, server: str, lines: int) -> Place:
        """Where its last *lines* begin. Raises NoLog."""
        with self._open(server) as file:
            start, found = _tail(file)
            return Place(file=_id(file), position=start + _begin_of(found, lines))

    def read(self, server: str, place: Place, most: int) -> Part:
        """What follows *place*, *most* bytes of it. From the start, if the log was begun anew since. Raises NoLog."""
        with self._open(server) as file:
            size, id = os.fstat(file.fileno()).st_size, _id(file)
            position = place.position if place.file == id and place.position <= size else 0
            file.seek(position)
            return Part(data=file.read(most), place=Place(file=id, position=position), size=size)

    def _open(self, server: str) -> BinaryIO:
        try:
            return self._path(server).open("rb")
        except FileNotFoundError:
            raise NoLog(f"server {server} has written no log on this host") from None

    def rotate(self, servers: Iterable[str]) -> None:
        """Copied and then emptied, never renamed: the server keeps the file open for its life."""
        for server in servers:
            path = self._path(server)
            try:
                if path.stat().st_size > self._limit:
                    _copy_and_empty(path)
            except FileNotFoundError:
                continue

    def _path(self, server: str) -> Path:
        if not _PLAIN.fullmatch(server):
            raise NoLog(f"{server!r} is no id of a server")
        return self._folder / f"{server}.log"


def _tail(file: BinaryIO) -> tuple[int, bytes]:
    """The end of *file*, in whole lines, and where that begins."""
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - _TAIL))
    found = file.read(_TAIL)
    cut = found.find(b"\n") + 1 if start else 0
    return start + cut, found[cut:]


def _begin_of(text: bytes, lines: int) -> int:
    """Where its last *lines* begin."""
    position = len(text) - text.endswith(b"\n")
    for _ in range(lines):
        position = text.rfind(b"\n", 0, position)
        if position < 0:
            return 0
    return position + 1 if lines > 0 else len(text)


def _id(file: BinaryIO) -> str:
    """Another file has another one, also on another host: nearly always."""
    found = os.fstat(file.fileno())
    return f"{found.st_dev:x}.{found.st_ino:x}"


def _copy_and_empty(path: Path) -> None:
    kept = path.with_name(f"{path.name}.1")
    with (
        path.open("r+b") as source,
        os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as copy,
    ):
        size = os.fstat(source.fileno()).st_size
        done = 0
        while done < size and (sent := os.sendfile(copy.fileno(), source.fileno(), done, size - done)):
            done += sent
        source.truncate(0)
