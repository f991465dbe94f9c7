"""Names of hosts that exist for a test only: all of them are the proxy of its hub."""

import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from browser import Browser
from stack import Hub


class Proxy(AbstractResolver):
    """Whatever is asked for at port 80 is found at the hub's own."""

    def __init__(self, hub: Hub) -> None:
        self._at = URL(hub.url)

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        found = ResolveResult(
            hostname=host,
            host=self._at.host or "",
            port=(self._at.port or 0) if port == 80 else port,
            family=socket.AF_INET,
            proto=0,
            flags=socket.AI_NUMERICHOST,
        )
        return [found]

    async def close(self) -> None:
        """There is nothing to close."""


def browser(hub: Hub, base: str) -> Browser:
    """One that begins at *base*, e.g. http://hub.test/."""
    return Browser(base, aiohttp.TCPConnector(resolver=Proxy(hub)))
