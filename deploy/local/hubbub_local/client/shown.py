"""How states, times and numbers look on a terminal."""

import sys
from datetime import UTC, datetime
from typing import Any

from hubbub_local.client.table import Styled
from hubbub_local.client.times import ago

_COLOURS = {
    "up": "green",
    "ready": "green",
    "running": "green",
    "draining": "yellow",
    "spawning": "yellow",
    "starting": "yellow",
    "started": "yellow",
    "stopping": "yellow",
    "silent": "red",
    "failed": "red",
    "lost": "red",
}


def state(word: str) -> Styled:
    return Styled(word, _COLOURS.get(word, ""))


def clock(stamp: str | None) -> str:
    """The hub's `2026-11-21T10:30:00.123456Z` as the clocks show it here: with the day unless that is today."""
    if not stamp:
        return ""
    then, now = datetime.fromisoformat(stamp).astimezone(), datetime.now().astimezone()
    return then.strftime("%H:%M:%S" if then.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def since(stamp: str | None) -> str:
    """`3 min ago`."""
    return ago((datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()) if stamp else ""


def heard(seconds: float | None) -> str:
    return "never" if seconds is None else ago(seconds)


def count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def word_of(server: dict[str, Any]) -> str:
    """The state of a server of the API in a word."""
    if server["pending"] == "spawn":
        return "starting"
    return "stopping" if server["pending"] == "stop" else "ready" if server["ready"] else "stopped"


def fails(sentence: str, status: int) -> int:
    sys.stderr.write(f"hubbub: {sentence}\n")
    return status
