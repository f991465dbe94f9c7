"""Places where a test can cut a process in two. Outside tests a call costs one comparison.

HUBBUB_FAULT names a folder. A file `plan` in it says `point:n:how`: the process that comes to *point* for the nth
time since (each counts for itself) takes the plan, by renaming it to `struck.<its process id>`, and is struck there.
*how* is `kill` (SIGKILL), `stop` (SIGSTOP), or for how many seconds it has no connection to the bus.
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

_FOLDER = os.environ.get("HUBBUB_FAULT", "")
_seen: tuple[str, int] = ("", 0)


def point(name: str) -> None:
    """Here a process may die."""
    if _FOLDER:
        _maybe(name, Path(_FOLDER))


def _maybe(name: str, folder: Path) -> None:
    global _seen  # noqa: PLW0603 - counts for the whole process
    plan = folder / "plan"
    try:
        text = plan.read_text()
        wanted, number, how = text.split(":")
        if wanted != name:
            return
        _seen = (text, _seen[1] + 1 if _seen[0] == text else 1)
        if _seen[1] < int(number):
            return
        plan.rename(folder / f"struck.{os.getpid()}")
    except FileNotFoundError:  # nothing is planned, or somebody else was quicker
        return
    _seen = ("", 0)
    if how in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[how])
    else:
        from hubbub.settings import Settings  # which nobody else who comes here needs

        bus = Settings.from_environ().nats_url.split(",")[0]
        _cut(int(urlsplit(bus).port or 4222), float(how))


def _cut(port: int, seconds: float) -> None:
    until = time.monotonic() + seconds

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.connect" and time.monotonic() < until:
            address = arguments[1]
            if isinstance(address, tuple) and address[1] == port:
                raise ConnectionRefusedError("by a plan of a test")

    sys.addaudithook(refuse)  # it stays for ever, but refuses nothing later
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            with socket.socket(fileno=os.dup(int(entry.name))) as one:
                if one.getpeername()[1] == port:
                    one.shutdown(socket.SHUT_RDWR)
        except (OSError, IndexError, TypeError):  # no socket, or not connected
            continue
