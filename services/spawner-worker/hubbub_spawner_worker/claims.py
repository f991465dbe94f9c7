"""Taking work: a ticket is a hint that there is some, a claim gets what the api chooses."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol
from uuid import uuid4

import msgspec
import nats
import structlog
from nats.aio.msg import Msg

from hubbub import faults, telemetry
from hubbub.bus import Bus, BusUnavailable, Remote
from hubbub.domain.server_messages import Reach
from hubbub.plugin import cancel
from hubbub.rpc import Claim, Claimed, Inherited, Spec
from hubbub.tokens import new_token, token_hash

log = structlog.get_logger()

IDLE = 2.0
"""Seconds between claims that nothing asked for: hints may be lost."""
_MOST = 32
_BATCH = 100
_LONGEST_PAUSE = 2.0


class Takes(Protocol):
    """Who starts what was claimed."""

    def free(self) -> int:
        """How many more it could start now."""

    def room(self) -> int:
        """How many more it could hold."""

    def take(self, spec: Spec, token: str) -> None: ...

    def inherit(self, inherited: Inherited) -> None: ...

    def clear(self, spec: Spec) -> None: ...


class Claims:
    """Claims while there is room. `made` counts them; `open` while one is not answered yet; `asked`: when it was.
    `draining`: the api gives us no start, whatever we ask for; hints are for colleagues then.
    """

    def __init__(self, bus: Bus, *, pool: str, worker: str, host: str, taker: Takes, reach: Reach) -> None:
        self.made = 0
        self.open = False
        self.asked = 0.0
        self.draining = False
        self._bus = bus
        self._pool = pool
        self._subject = f"hub.rpc.claim.{pool}.{worker}"
        self._host = host
        self._reach: Reach = reach
        self._taker = taker
        self._hint = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._more = False
        self._tickets: list[Msg] = []
        self.on_reconnect: Callable[[], None] = lambda: None

    def room(self) -> None:
        """To be called when a start has come to its end, or a server."""
        self._room.set()
        if self._more and self._taker.free() > 0:
            self._hint.set()

    async def run(self) -> None:
        """Claim, again and again."""
        while True:
            await self._until_above_zero(self._taker.room)
            self._hint.clear()
            if await self._claim() and self._taker.room() > 0:
                continue
            await self._settle()
            try:
                async with asyncio.timeout(IDLE):
                    await self._hint.wait()
            except TimeoutError:
                pass

    async def listen(self) -> None:
        """Take tickets, and hint; what is in them is of no interest."""
        durable = f"pool-{self._pool}"
        tickets = await self._bus.js.pull_subscribe_bind(durable, stream="TICKETS")
        while True:
            await self._until_above_zero(self._taker.free)
            fetch = asyncio.create_task(tickets.fetch(_BATCH, timeout=IDLE))
            again = asyncio.create_task(self._bus.reconnected.wait())
            try:
                await asyncio.wait({fetch, again}, return_when=asyncio.FIRST_COMPLETED)
                if again.done():
                    # A fetch that was open across a restart hears nothing more.
                    self._bus.reconnected.clear()
                    self._hint.set()
                    self.on_reconnect()
                if fetch.done():
                    await self._heard(fetch.result())
            except TimeoutError:
                continue
            except (nats.errors.Error, nats.js.errors.Error, OSError) as error:
                # The api makes the consumer; it may not have yet, or again after the bus lost its disk.
                log.debug("tickets.unavailable", error=str(error) or type(error).__name__)
                await asyncio.sleep(1)
            finally:
                await cancel(fetch)
                await cancel(again)

    async def _heard(self, tickets: list[Msg]) -> None:
        self._tickets += tickets
        if self._taker.free() > 0:
            self._hint.set()
        else:
            await self._settle()

    async def _settle(self) -> None:
        """Hints that we have followed are done with, unless we have no room left: then a colleague may have."""
        tickets, self._tickets = self._tickets, []
        with suppress(nats.errors.Error, OSError):  # they come again by themselves
            for ticket in tickets:
                await (ticket.ack() if self._taker.free() > 0 else ticket.nak())

    async def _until_above_zero(self, count: Callable[[], int]) -> None:
        while count() <= 0:
            self._room.clear()
            await self._room.wait()

    async def _claim(self) -> bool:
        """Whether there is more to be had at once. One who cannot start anything may still take over."""
        self.asked = began = time.monotonic()
        tokens = {token_hash(token): token for token in (new_token() for _ in range(min(_MOST, self._taker.free())))}
        self.open = True
        try:
            claim = Claim(
                host=self._host,
                hashes=tuple(tokens),
                room=max(0, min(_MOST, self._taker.room())),
                reach=self._reach,
                id=uuid4().hex,
            )
            faults.point("worker.claiming")
            with telemetry.span("worker.claim"):
                claimed = await self._answer(claim)
            faults.point("worker.claimed")
            self.made += 1
            self._drain(to=claimed.draining)
            if tokens:
                self._more = claimed.waiting > 0
            for spec in claimed.specs:
                self._take(spec, tokens, began)
            for inherited in claimed.inherited:
                self._taker.inherit(inherited)
            for spec in claimed.leftovers:
                self._taker.clear(spec)
        finally:
            self.open = False
        return bool(claimed.inherited) or (bool(claimed.specs) and self._more and self._taker.free() > 0)

    def _drain(self, *, to: bool) -> None:
        if to != self.draining:
            log.info("worker.draining" if to else "worker.undrained")
            self.draining = to
            self.room()

    async def _answer(self, claim: Claim) -> Claimed:
        """The very same claim until it is answered: were it given up, what it got would be ours unknown to us."""
        pause = 0.1
        while True:
            try:
                return await self._bus.ask(self._subject, claim, Claimed)
            except (BusUnavailable, Remote, msgspec.MsgspecError) as error:
                log.warning("claim.retry", error=str(error))
                claim = msgspec.structs.replace(claim, again=True)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _take(self, spec: Spec, tokens: dict[str, str], began: float) -> None:
        token = tokens.get(spec.hash)
        if token is None:
            log.error("claim.unknown_hash", server=spec.server, attempt=spec.attempt)
            return
        log.info(
            "server.claimed",
            server=spec.server,
            attempt=spec.attempt,
            ms=round((time.monotonic() - began) * 1000, 1),
            trace_id=spec.traceparent[3:35],
        )
        self._taker.take(spec, token)
