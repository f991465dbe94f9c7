"""Clients of the proxies of the tests: each asks for one person's server all the time, and notes who answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp

from upstreams import NAME

HUB = "hub"
#: Seconds between two questions of a client.
PAUSE = 0.1


class Asker:
    """Asks for one person's server all the time. `strange`: whatever it was told by somebody else's. `last`: what
    became of the last question; `since`: when (time.monotonic) the next one was asked.
    """

    def __init__(self, name: str, pause: float = PAUSE) -> None:
        self.name = name
        self.served = 0
        self.strange: set[str] = set()
        self.last = "nothing was asked"
        self.since = 0.0
        self._pause = pause

    async def run(self, session: aiohttp.ClientSession, url: str) -> None:
        while True:
            self.since = time.monotonic()
            try:
                async with session.get(f"{url}/user/{self.name}/", allow_redirects=False) as answer:
                    self._note(answer.headers.get(NAME, ""))
                    self.last = f"{answer.status} by {answer.headers.get(NAME, 'the proxy')}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.last = repr(error)
            await asyncio.sleep(self._pause)

    def _note(self, said: str) -> None:
        if said == self.name:
            self.served += 1
        elif said not in ("", HUB):
            self.strange.add(said)


class Talk:
    """Somebody who talks to their server all the time, by a WebSocket. `heard`: how many answers were right."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard = 0

    async def run(self, session: aiohttp.ClientSession, url: str) -> None:
        """Returns when it is cut."""
        async with session.ws_connect(f"{url}/user/{self.name}/ws") as socket:
            while True:
                try:
                    await socket.send_str(str(self.heard))
                    answer = await socket.receive_str(timeout=20)
                except (aiohttp.ClientError, ConnectionError, TypeError):
                    return
                assert answer == f"{self.name}:{self.heard}"
                self.heard += 1
                await asyncio.sleep(PAUSE)


def is_still(pid: int) -> bool:
    """Whether no thread of a process runs any more: one that is stopped is not at once, on a machine that is busy."""
    states = set()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            states.add(stat.read_text(errors="replace").rpartition(")")[2].split()[0])
    return states <= {"T", "Z", "X"}


async def until(look: Callable[[], bool | Awaitable[bool]], seconds: float, what: str | Callable[[], str]) -> None:
    """For what nobody announces."""
    ends = time.monotonic() + seconds
    while True:
        seen = look()
        if not (seen if isinstance(seen, bool) else await seen):
            assert time.monotonic() < ends, f"not within {seconds} s: {what if isinstance(what, str) else what()}"
            await asyncio.sleep(0.02)
        else:
            return
