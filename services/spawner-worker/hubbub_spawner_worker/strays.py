"""Processes that an attempt has left on this host, told from all others by the API token in their environment.

A spawner that is no longer asked, or was killed before anybody heard of what it had begun, cannot end them.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import structlog

from hubbub.legacy import matches
from hubbub_spawner_worker import proc

log = structlog.get_logger()

_GRACE = 5.0
_PAUSE = 0.05
_NAME = b"JUPYTERHUB_API_TOKEN="


async def end(hashed: str) -> bool:
    """End what has the token of that hash: SIGTERM, and SIGKILL after some seconds. Whether there was anything."""
    found = await asyncio.to_thread(_find, hashed) if hashed else []
    if found:
        log.warning("server.strays_found", pids=[each.pid for each in found])
    ends, number = time.monotonic() + _GRACE, signal.SIGTERM
    _tell(found, number)
    while any(map(_lives, found)):
        if time.monotonic() > ends and number != signal.SIGKILL:
            number = signal.SIGKILL
            _tell(found, number)
        await asyncio.sleep(_PAUSE)
    return bool(found)


def _find(hashed: str) -> list[proc.Stat]:
    return [each for each in proc.everybody() if each.alive and _has(each.pid, hashed)]


def _has(pid: int, hashed: str) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended, or is not ours to read
        return False
    found = [each for each in environ.split(b"\0") if each.startswith(_NAME)]
    return bool(found) and matches(hashed, found[0].removeprefix(_NAME).decode(errors="replace"))


def _tell(processes: list[proc.Stat], number: signal.Signals) -> None:
    for each in processes:
        if _lives(each):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(each.pid, number)


def _lives(process: proc.Stat) -> bool:
    now = proc.stat(process.pid)
    return now is not None and now.alive and now.started == process.started
