"""For tests of the stack: tiny programs to supervise, and a way to wait for what becomes of them."""

import asyncio
import signal
import sys

from hubbub_local.child import State, Status
from hubbub_local.identity import leashed
from hubbub_local.program import LogPart, Program


class Changes:
    """What became of the children, in order; takes the place of the screen."""

    def __init__(self) -> None:
        self._all: asyncio.Queue[Status] = asyncio.Queue()

    def tell(self, status: Status) -> None:
        self._all.put_nowait(status)

    async def until(self, name: str, state: State) -> Status:
        """The next time that child is in that state; what came before is passed over."""
        async with asyncio.timeout(20):
            while True:
                status = await self._all.get()
                if (status.name, status.state) == (name, state):
                    return status


def python(name: str, code: str) -> Program:
    """A tiny service that runs `code`; it is up when it has printed `up`."""

    async def is_ready(log: LogPart) -> bool:
        return "up" in log.lines()

    command = [sys.executable, "-I", "-S", "-u", "-c", code]
    return Program(name=name, command=leashed(command, death_signal=signal.SIGTERM), is_ready=is_ready)
