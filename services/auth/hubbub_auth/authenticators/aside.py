"""Threads for what blocks and cannot be asked any other way: PAM, directories, the system's own lists of people."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore
from typing import Any, ClassVar, TypeVar

from tornado.web import HTTPError

T = TypeVar("T")

#: Calls that may wait for each thread: at the seconds that a wrong password takes, for half a minute.
WAITING = 10


class Full(HTTPError):
    """More logins wait than can be looked at in time. Nobody has looked at this one."""

    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}

    def __init__(self) -> None:
        super().__init__(429, "Too many people are logging in at this moment. Try again in a few seconds.")


class Aside:
    """*threads* of its own. May be used from any loop; what has begun there goes on though nobody waits any more."""

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._room = BoundedSemaphore(threads * (1 + WAITING))

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Raises Full, or what *function* does."""
        if not self._room.acquire(blocking=False):
            raise Full
        future = self._executor.submit(copy_context().run, function, *arguments)
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)
