"""Whether a service still works: it touches a file from its loop, and `python -m hubbub.health` looks at that.

HUBBUB_PULSE names the file. It is there from when the service is ready on, and gets older when its loop hangs. What the
service needs (NATS, Postgres) may be away meanwhile: starting it again would not bring them back. A service that has a
port is asked there as well: HUBBUB_HEALTH_URL.
"""

import os
import sys
import time
from pathlib import Path

EVERY_SECONDS = 2.0
#: Above what a loop that is merely busy may be late.
TOO_OLD = 15.0
_OK = 200


def forget() -> None:
    """That an earlier process was ready."""
    if path := _path():
        path.unlink(missing_ok=True)


def ready() -> None:
    if path := _path():
        path.touch()


def beat() -> None:
    """Still here. Nothing before `ready`."""
    if (path := _path()) and path.exists():
        path.touch()


def complaint(now: float) -> str:
    """Why the service is not well, empty if it is. *now*: seconds since the epoch."""
    path = _path()
    if path is None:
        return "HUBBUB_PULSE is not set: nobody knows how the service is"
    try:
        age = now - path.stat().st_mtime
    except FileNotFoundError:
        return "not ready yet"
    return "" if age <= TOO_OLD else f"it has done nothing for {age:.0f} s"


def unanswered(seconds: float = 4.0) -> str:
    """What is wrong with the answer of HUBBUB_HEALTH_URL; empty if nothing is, or it is not set."""
    url = os.environ.get("HUBBUB_HEALTH_URL")
    if not url:
        return ""
    from urllib.request import urlopen  # takes longer to load than all the rest

    try:
        with urlopen(url, timeout=seconds) as answer:  # noqa: S310 - an address of the operator's
            return "" if answer.status == _OK else f"{url} answers {answer.status}"
    except (OSError, ValueError) as error:
        return f"{url}: {error}"


def _path() -> Path | None:
    return Path(found) if (found := os.environ.get("HUBBUB_PULSE")) else None


if __name__ == "__main__":
    sys.exit(complaint(time.time()) or unanswered() or 0)
