"""Calls that go on when nobody waits for them any more, as under JupyterHub, whose spawners are not used to less.

sudospawner learns of its process when its mediator answers, a batch system's spawner of its job when that is queued:
only when such a start has ended is it known what it has begun. A poll that is cut short may forget what it asks for.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from hubbub.plugin import cancel, settled

GRACE = 10.0
"""Seconds that a call may go on after it was given up."""
_ROUND = 0.5


class Uncut:
    """One call at a time. All but `over` is for the loop that the spawner lives on."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._given_up = 0.0

    async def of(self, function: Callable[[], Any]) -> Any:
        """What *function* returns; if such a call goes on, what that does. To cancel this cancels no call."""

        async def run() -> Any:
            return await settled(function())

        if self._task is None or self._task.done():
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
        return await self.end() if time.monotonic() > self._given_up + GRACE else self._task.done()

    async def end(self) -> bool:
        """Cancel it after all."""
        if self._task is not None:
            await cancel(self._task)
        return True


def _look(task: "asyncio.Task[Any]") -> None:
    """Who called may have gone: asyncio is not to complain that nobody asked for what was raised."""
    if not task.cancelled():
        task.exception()
