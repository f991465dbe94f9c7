"""What an option of a spawner comes to, whoever's class it is."""

import random
from typing import Any

from hubbub.plugin import settled

_SHORTEST_POLL = 0.05
_LOCAL_NAMES = ("DNS:localhost", "IP:127.0.0.1")


def pause_of(spawner: Any) -> float:
    """Seconds until *spawner* is to be polled again; 0: never."""
    if spawner.poll_interval <= 0:
        return 0.0
    half = spawner.poll_jitter / 2
    jitter = random.uniform(1 - half, 1 + half)  # noqa: S311  (no secret)
    return float(max(spawner.poll_interval, _SHORTEST_POLL) * jitter)


async def alt_names_of(spawner: Any) -> list[str]:
    """By which names its server is known, each with DNS: or IP: before it."""
    option = spawner.ssl_alt_names
    found = await settled(option(spawner)) if callable(option) else option
    return [*_LOCAL_NAMES, *found] if spawner.ssl_alt_names_include_local else list(found)
