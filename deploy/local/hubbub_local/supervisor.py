"""Keeps the children of the stack running together and stops them in order."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from hubbub_local.child import Child, Status
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.program import Program, rotate

GRACE = 10.0
"""Seconds a child has to end by itself."""
QUICK_GRACE = 1.0
TIME_TO_START = 60.0
"""Seconds that a fresh child may take to be up before it is given up."""


class Supervisor:
    """The running stack. Leaving the `async with` block stops every child, those started last first."""

    def __init__(self, folder: Folder, tell: Callable[[Status], None], hurry: asyncio.Event) -> None:
        """`tell` hears of every change; once `hurry` is set nobody is waited for long."""
        self._folder = folder
        self._tell = tell
        self._children: dict[str, Child] = {}
        self._hurry = hurry
        self._trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rotation = asyncio.create_task(self._rotate())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rotation.cancel()
        for name in reversed(list(self._children)):
            await self.stop(name)
        if not self._trouble.cancel():
            self._trouble.exception()

    def start(self, program: Program) -> Child:
        child = Child(program, self._folder, self._tell)
        self._adopt(child)
        return child

    def _adopt(self, child: Child) -> None:
        """From now on its trouble is everybody's."""
        self._children[child.program.name] = child
        child.task.add_done_callback(self._on_end)

    async def restart(self, name: str) -> float:
        """Replace the child by a fresh one, which is up when this returns; seconds in which there was none.

        Raises StackError if there is none of that name, or the fresh one does not come up: then, if both could be
        there at once, the old one is still there.
        """
        if (old := self._children.get(name)) is None:
            raise StackError(f"there is no {name}; there are {', '.join(self._children)}")
        if old.program.overlaps:
            await self._overtake(old)
            return 0.0
        began = time.monotonic()
        await self._stop(old)
        fresh = self._children[name] = Child(old.program, self._folder, self._tell)
        await self._come_up(fresh)
        self._adopt(fresh)
        return time.monotonic() - began

    async def _overtake(self, old: Child) -> None:
        fresh = Child(old.program, self._folder, self._tell)
        try:
            await self._come_up(fresh)
        except BaseException:
            await fresh.stop(GRACE)
            old.stays()
            raise
        self._adopt(fresh)
        old.replaced()
        await self._stop(old)

    async def _come_up(self, child: Child) -> None:
        try:
            async with asyncio.timeout(TIME_TO_START):
                await child.first_up()
        except TimeoutError:
            raise StackError(f"{child.program.name} is not up after {TIME_TO_START:.0f} s") from None

    async def all_up(self) -> None:
        for child in self._children.values():
            await child.up.wait()

    async def trouble(self) -> None:
        """Wait for ever, or raise what keeps a child from ever running."""
        await asyncio.shield(self._trouble)

    async def stop(self, *names: str) -> None:
        """Stop these children, all at the same time."""
        await asyncio.gather(*(self._stop(child) for name in names if (child := self._children.pop(name, None))))

    async def _stop(self, child: Child) -> None:
        stopping = asyncio.create_task(child.stop(GRACE))
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([stopping, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not stopping.done():
            await child.stop(QUICK_GRACE)
        await stopping

    def copies(self, service: str) -> list[str]:
        """The children that run a service: `api-1` and `api-2` run `api`, `spawner-worker-gpu-1` is a worker."""
        return [name for name in self._children if name.startswith(f"{service}-")]

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) and not self._trouble.done():
            self._trouble.set_exception(error)

    async def _rotate(self) -> None:
        while True:
            await asyncio.sleep(60)
            for log in self._folder.logs.glob("*.log"):
                await asyncio.to_thread(rotate, log)
