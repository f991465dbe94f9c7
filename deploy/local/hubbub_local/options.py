"""What `hubbub up` was asked to do."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SERVICES = ("api", "auth", "spawner-worker", "proxy-sync", "poller")
WORKER = "spawner-worker"
_MOST = 64


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line of `hubbub up`."""

    data: Path
    config: Path | None = None
    port: int | None = None
    """The public port; 0 is any free ones for everything."""
    scale: Mapping[str, int] = field(default_factory=dict)
    postgres: str | None = None
    nats: str | None = None
    nats_host: str = "127.0.0.1"
    """Where the embedded NATS listens."""

    def copies(self, service: str) -> int:
        return self.scale.get(service, 1)

    def workers(self, pool: str, *, usual: bool) -> int:
        """How many workers *pool* has here; the *usual* pool is meant where none is named."""
        return self.scale.get(f"{WORKER}@{pool}", self.copies(WORKER) if usual else 1)

    @property
    def proxies(self) -> int:
        return self.copies("proxy-sync")

    @property
    def pools(self) -> set[str]:
        """Those that are named."""
        return {name.partition("@")[2] for name in self.scale if "@" in name}


def parse_scale(text: str) -> dict[str, int]:
    """`api=2,spawner-worker=3,spawner-worker@gpu=1`. Raises ValueError saying what is wrong."""
    scale: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        service, at, _ = name.partition("@")
        least = 0 if at else 1  # the workers of a pool may all be on other hosts
        if not equals or not number.isdecimal() or not least <= int(number) <= _MOST:
            raise ValueError(f"{part.strip()!r} is not like api=2, with a number from 1 to {_MOST}")
        if service not in SERVICES:
            raise ValueError(f"there is no service {service!r}; there are {', '.join(SERVICES)}")
        if at and service != WORKER:
            raise ValueError(f"{name!r}: only {WORKER} has pools")
        scale[name] = int(number)
    return scale


def parse_port(text: str) -> int:
    """A port number. Raises ValueError when there is no such port."""
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port number from 0 to 65535")
    return int(text)


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse show what a ValueError says."""

    def checking(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checking
