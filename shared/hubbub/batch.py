"""Many who ask the database the same question at the same time ask it together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Batch(Generic[K, V]):
    """`get` answers with what *load* finds for a key, None if nothing. No answer is older than its question:
    a question that is asked while a load is under way goes with the next.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, at_once: int = 1) -> None:
        self._load = load
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._at_once = at_once
        self._under_way: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        if (asked := self._waiting.get(key)) is None:
            asked = self._waiting[key] = asyncio.get_running_loop().create_future()
            if len(self._waiting) == 1 and len(self._under_way) < self._at_once:
                self._begin()
        # Shielded: one who gives up must not take the answer from others who asked the same.
        return await asyncio.shield(asked)

    def _begin(self) -> None:
        task = asyncio.get_running_loop().create_task(self._run())
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._waiting and len(self._under_way) < self._at_once:
            self._begin()

    async def _run(self) -> None:
        """What is waiting when this task gets its turn: all that was asked in the same round of the loop."""
        asked, self._waiting = self._waiting, {}
        if not asked:
            return
        try:
            found = await self._load(list(asked))
        except BaseException as error:
            for future in asked.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # nobody may be left to hear it
            if not isinstance(error, Exception):
                raise
        else:
            for key, future in asked.items():
                if not future.done():
                    future.set_result(found.get(key))
