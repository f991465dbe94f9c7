"""Hashing and checking passwords: in a few processes of low priority, with a bounded queue in front of them."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

import structlog
from argon2 import PasswordHasher
from tornado.web import HTTPError

from hubbub_auth import argon

log = structlog.get_logger()
T = TypeVar("T")


BUSY = "Many people are logging in at the moment. Please try again in a moment."
#: Seconds.
SOON = "1"


class Overloaded(HTTPError):
    """More wait already than could be looked at soon: how a login, too, is told to come back."""

    def __init__(self) -> None:
        super().__init__(429, BUSY)
        self.headers = {"Retry-After": SOON}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of an Argon2id hash. `memory`: KiB."""

    time: int = 2
    memory: int = 19_456
    lanes: int = 1

    def is_of(self, encoded: str) -> bool:
        """Whether *encoded* was made like this."""
        hasher = PasswordHasher(time_cost=self.time, memory_cost=self.memory, parallelism=self.lanes)
        return not hasher.check_needs_rehash(encoded)

    def decoy(self) -> str:
        """What looks like a hash, and costs as much to check, but no password is known to lead to it."""
        salt, digest = (_base64(secrets.token_bytes(length)) for length in (16, 32))
        return f"$argon2id$v=19$m={self.memory},t={self.time},p={self.lanes}${salt}${digest}"


class Hashing:
    """To be used on one loop. `processes` work at once, and so many more as are in `queue` may wait."""

    def __init__(self, cost: Cost, *, processes: int, queue: int) -> None:
        self.cost = cost
        self._processes = processes
        self._most = processes + queue
        self._under_way = 0
        self._pool: ProcessPoolExecutor | None = None
        #: How many passwords were checked.
        self.verified = 0

    async def hash(self, password: bytes) -> str:
        """Raises `Overloaded`."""
        return await self._run(argon.hashed, self.cost.time, self.cost.memory, self.cost.lanes, password)

    async def verify(self, encoded: str, password: bytes) -> bool:
        """Raises `Overloaded`."""
        self.verified += 1
        return await self._run(argon.verify, encoded, password)

    async def begin(self) -> None:
        """Have the processes started, which holds up the loop for a moment, before there is anything to hold up."""
        await asyncio.gather(*(asyncio.wrap_future(self._submit(argon.ready)) for _ in range(self._processes)))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._under_way >= self._most:
            raise Overloaded
        try:
            return await self._answer(function, *arguments)
        except BrokenProcessPool:
            log.warning("passwords.pool_died")
            return await self._answer(function, *arguments)

    async def _answer(self, function: Callable[..., T], *arguments: Any) -> T:
        """Raises BrokenProcessPool if the process ended meanwhile; there are new ones for the next call then."""
        loop = asyncio.get_running_loop()
        try:
            future = self._submit(function, *arguments)
        except BrokenProcessPool:  # they died while there was nothing to do
            self._renew(self._pool)
            future = self._submit(function, *arguments)
        self._under_way += 1
        future.add_done_callback(lambda _: _on(loop, self._end))
        pool = self._pool
        try:
            return await asyncio.wrap_future(future)
        except BrokenProcessPool:
            self._renew(pool)
            raise

    def _end(self) -> None:
        self._under_way -= 1

    def _submit(self, function: Callable[..., T], *arguments: Any) -> "Future[T]":
        if self._pool is None:
            # Not by fork: what our threads and connections are in the middle of would be theirs, too.
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, mp_context=context, initializer=argon.begin)
        return self._pool.submit(function, *arguments)

    def _renew(self, broken: ProcessPoolExecutor | None) -> None:
        """Many calls learn of the same death: the first of them has the pool replaced."""
        if broken is not None and self._pool is broken:
            broken.shutdown(wait=False)
            self._pool = None


def _on(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the process is ending
        loop.call_soon_threadsafe(function)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()
