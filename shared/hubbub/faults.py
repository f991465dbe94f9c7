"""Places where a test can cut a process in two. Outside tests a call costs one comparison.

HUBBUB_FAULT is `point:n:marker`: the process that comes to *point* for the nth time (each counts for itself)
kills itself there (SIGKILL), if the file *marker* does not exist yet; the file is made first, so that the
process that takes its place passes. Nothing is counted before the folder of *marker* exists: making it arms
the plan.
"""

import os
import signal
from pathlib import Path

_PLAN = os.environ.get("HUBBUB_FAULT", "")
_seen = 0


def point(name: str) -> None:
    """Here a process may die."""
    if _PLAN:
        _maybe_die(name)


def _maybe_die(name: str) -> None:
    global _seen  # noqa: PLW0603 - counts for the whole process
    wanted, number, marker = _PLAN.split(":", 2)
    if wanted != name or not Path(marker).parent.is_dir():
        return
    _seen += 1
    if _seen < int(number):
        return
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
