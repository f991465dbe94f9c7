"""Where operators' code runs: classic spawners and authenticators, subclasses of ours, hooks, callables, forms.

It is a thread with an event loop of its own, which is tornado's, too. So whatever blocks there holds up other such
code, but never the process's own work, a worker's heartbeat say; and what calls `sys.exit` there ends itself alone.
"""

import asyncio
import sys
import threading
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import structlog

from hubbub import plugin
from hubbub.plugin import Overdue

log = structlog.get_logger()
T = TypeVar("T")

_SETTLED_BY_THEN = 0.1
_GRACE = 1.0
"""Seconds beyond its own patience in which a call that blocks nothing has been answered."""

Frames = Callable[[], AsyncIterator[dict[str, Any]]]


class PluginExited(Exception):
    """It wanted to end the whole process."""


class Seat(Protocol):
    """Where a plug-in lives: everything that is asked of it is asked there."""

    async def call(self, function: Callable[..., Any], *arguments: Any, patience: float) -> Any:
        """As `hubbub.plugin.call`; raises PluginExited, too."""
        ...

    def frames(self, frames: Frames) -> AsyncIterator[dict[str, Any]]: ...


class Here:
    """The process's own loop: for what is known never to block."""

    async def call(self, function: Callable[..., Any], *arguments: Any, patience: float) -> Any:
        return await plugin.call(function, *arguments, patience=patience)

    def frames(self, frames: Frames) -> AsyncIterator[dict[str, Any]]:
        return frames()


class Floor:
    """Begun with the first call. To be used from one loop."""

    def __init__(self) -> None:
        self.exited = threading.Event()
        """Something in no call of ours wanted to end the process: what it did is not done any more."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._of_calls: deque[BaseException] = deque(maxlen=100)

    async def call(self, function: Callable[..., Any], *arguments: Any, patience: float) -> Any:
        there, here = self._begun(), asyncio.get_running_loop()
        answer: asyncio.Future[Any] = here.create_future()
        tasks: list[asyncio.Task[Any]] = []

        def settle(task: asyncio.Task[Any]) -> None:
            if not answer.done():
                _settle(answer, task)

        def tell(task: asyncio.Task[Any]) -> None:
            if not task.cancelled() and isinstance(error := task.exception(), SystemExit):
                self._of_calls.append(error)
            with suppress(RuntimeError):  # the process is ending
                here.call_soon_threadsafe(settle, task)

        def begin() -> None:
            tasks.append(there.create_task(plugin.call(function, *arguments, patience=patience)))
            tasks[0].add_done_callback(tell)

        there.call_soon_threadsafe(begin)
        try:
            await asyncio.wait({answer}, timeout=patience + _GRACE)
            if not answer.done():
                self._complain(function)
                raise Overdue(f"no answer within {patience:g} seconds: something blocks")
            return answer.result()
        finally:
            if not answer.done():
                there.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
                await asyncio.wait({answer}, timeout=_GRACE)
                answer.cancel()

    async def frames(self, frames: Frames) -> AsyncIterator[dict[str, Any]]:
        there, here = self._begun(), asyncio.get_running_loop()
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        def put(frame: dict[str, Any] | None) -> None:
            with suppress(RuntimeError):
                here.call_soon_threadsafe(queue.put_nowait, frame)

        async def pump() -> None:
            try:
                async for frame in frames():
                    put(frame)
            finally:
                put(None)

        pumping = asyncio.run_coroutine_threadsafe(pump(), there)
        try:
            while (frame := await queue.get()) is not None:
                yield frame
            await asyncio.wrap_future(pumping)
        finally:
            pumping.cancel()

    def post(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have it called there, some time."""
        self._begun().call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """What still runs there is left alone: it ends with the process."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _begun(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name="floor", daemon=True)
            self._thread.start()
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while True:
            try:
                loop.run_forever()
            except SystemExit as error:
                loop.call_later(_SETTLED_BY_THEN, self._confirm, error)  # a call of ours may be about to say it is its
            else:
                return

    def _confirm(self, error: SystemExit) -> None:
        """One of a call of ours is that call's error, and nothing else."""
        ours = error in self._of_calls
        log.error("plugin.exited", status=str(error.code), in_a_call=ours)
        if not ours:
            self.exited.set()

    def _complain(self, function: Callable[..., Any]) -> None:
        assert self._thread is not None
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001  (documented, but for its name)
        where = traceback.format_stack(frame)[-3:] if frame else []
        log.warning("floor.blocked", waiting=getattr(function, "__qualname__", repr(function)), at="".join(where))


async def at_home(home: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """What *work* comes to on the loop *home*: how those on the floor ask the process for something."""
    if asyncio.get_running_loop() is home:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, home))


def _settle(answer: "asyncio.Future[Any]", task: "asyncio.Task[Any]") -> None:
    if task.cancelled():
        answer.set_exception(plugin.GaveUp("it was cancelled from inside"))
        return
    error = task.exception()
    if error is None:
        answer.set_result(task.result())
    elif isinstance(error, Exception):
        answer.set_exception(error)
    else:
        answer.set_exception(PluginExited(f"{type(error).__name__}: {error}"))
