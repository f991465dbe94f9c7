"""A start that was given up goes on for a while, as under JupyterHub: before it ends, nobody may know what it began.

sudospawner learns of its process when its mediator answers, a batch system's spawner of its job when that is queued.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from hubbub_spawner_worker.hosted import settled
from hubbub_spawner_worker.plugin import cancel

GRACE = 10.0
"""Seconds that it may go on."""
_ROUND = 0.5


class Beginning:
    """One call of a spawner's `start`. Its coroutines run where that does; `over` may be asked anywhere."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._given_up = 0.0

    async def of(self, start: Callable[[], Any]) -> Any:
        """What *start* returns. To cancel this does not cancel that."""

        async def run() -> Any:
            return await settled(start())

        self._task = asyncio.create_task(run())
        self._task.add_done_callback(_look)
        return await asyncio.shield(self._task)

    @property
    def over(self) -> bool:
        return self._task is None or self._task.done()

    async def wait(self) -> bool:
        """Wait a moment for its end; whether it has come. It is made to come when the grace is over."""
        assert self._task is not None
        self._given_up = self._given_up or time.monotonic()
        await asyncio.wait({self._task}, timeout=_ROUND)
        if time.monotonic() > self._given_up + GRACE:
            await self.end()
            return True
        return self._task.done()

    async def end(self) -> None:
        if self._task is not None:
            await cancel(self._task)


def _look(task: "asyncio.Task[Any]") -> None:
    """Who called may have gone: asyncio is not to complain that nobody asked for what was raised."""
    if not task.cancelled():
        task.exception()
