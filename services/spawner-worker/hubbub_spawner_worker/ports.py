"""A port for each local server of this host, never given again while a route may still lead to it.

A reservation is a file named after the port. It is in use while a workload on the spool has that port, and
for a minute after it was last touched: by then its route is gone.
"""

import errno
import json
import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from hubbub_spawner_worker.spool import Lock

KEPT = 60.0
"""Seconds."""
_TRIES = 100
_KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ENOUGH = 2000


class NoPort(Exception):
    """There is no free port left on this host."""


class Ports:
    """The reservations of a host, shared by its workers. *clock*: seconds since the epoch, as files have them."""

    def __init__(self, folder: Path, worker: str, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._worker = worker
        self._clock = clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def reserve(self, server: str, ip: str = "") -> int:
        """A port that nobody listens on and nobody else has reserved."""
        for _ in range(_TRIES):
            port = _free_port(ip)
            try:
                file = os.open(self._path(port), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(file, "w") as reservation:
                json.dump({"server": server, "worker": self._worker}, reservation)
            return port
        raise NoPort

    def release(self, port: int) -> None:
        """Its server is gone; its route may not be yet. Ports that were not reserved are nobody's business."""
        now = self._clock()
        with suppress(FileNotFoundError):
            os.utime(self._path(port), (now, now))

    def sweep(self, in_use: Callable[[], set[int]]) -> None:
        """Give up reservations that nobody needs: old enough, and not *in_use*."""
        with Lock(self._folder / ".lock") as lock:
            # Two at once could each find a file old, and the second take away what was reserved meanwhile.
            if not lock.take():
                return
            if old := [path for path in self._folder.iterdir() if path.name.isdigit() and self._is_old(path)]:
                used = in_use()
                for path in old:
                    if int(path.name) not in used:
                        path.unlink(missing_ok=True)

    def _is_old(self, path: Path) -> bool:
        return self._clock() - path.stat().st_mtime > KEPT

    def _path(self, port: int) -> Path:
        return self._folder / str(port)


def _free_port(ip: str) -> int:
    """One that nobody comes by unless they ask for it: a server may take its time until it listens, and what the
    kernel gives to outgoing connections, or to those who ask for any port, might be gone until then.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    for _ in range(_TRIES):
        wanted = random.choice(_asked_for()) if _asked_for() else 0  # noqa: S311 - guards nothing
        with socket.socket(family, socket.SOCK_STREAM) as found:
            try:
                found.bind((ip, wanted))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return int(found.getsockname()[1])
    raise NoPort


@cache
def _asked_for() -> tuple[int, ...]:
    """Above the well-known ones, and outside the kernel's range. The embedded stack has the 12,000 below that for its
    own ports (`hubbub_local.ports`). Empty where the kernel has nearly all for itself.
    """
    try:
        low, high = map(int, _KERNELS.read_text().split())
    except (OSError, ValueError):
        return ()
    ports = (*range(10_000, low - 12_000), *range(high + 1, 65_536))
    return ports if len(ports) >= _ENOUGH else ()
