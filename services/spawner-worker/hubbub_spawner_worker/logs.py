"""What servers write to stdout and stderr: a file each, cut by size, readable by its owner through the API."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

LIMIT = 5_000_000
"""Bytes, after which a log is moved to <name>.1."""
_TAIL = 64 * 1024
"""Bytes: what fits into a reply with every character escaped."""
_PLAIN = re.compile(r"[A-Za-z0-9_:%-]{1,200}")


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
        try:
            with self._path(server).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL))
                found = file.read(_TAIL).decode(errors="replace").splitlines()
        except FileNotFoundError:
            raise NoLog(f"server {server} has written no log on this host") from None
        if size > _TAIL:
            del found[:1]  # cut in two
        return "\n".join(found[-lines:]) if lines > 0 else ""

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
