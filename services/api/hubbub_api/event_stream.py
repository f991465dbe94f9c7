"""One listener's stream of events: from its cursor through the log to its end, and on as it grows, without a gap."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import asyncpg
import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.away import AWAY
from hubbub.web.request import HEADERS, ApiError
from hubbub_api.event_rights import watched
from hubbub_api.events import Filter
from hubbub_api.feed import CHANGES, Listener, frame
from hubbub_api.keys import EVENTS, FEED

log = structlog.get_logger()

KEEP_ALIVE = 15.0
#: Seconds after which we look again whether somebody may still do what they could. The log tells of most changes.
AGAIN = 30.0
#: Milliseconds that a browser waits before it comes back.
RETRY = 1000
#: Streams at once, of one person or service in one api.
MOST_STREAMS = 20
#: Events that are read from the log at once.
AT_ONCE = 500
#: Seconds that a listener may take for what was sent to it.
PATIENCE = 60.0


class Rights(Protocol):
    """Both raise ApiError if nothing may be heard any more."""

    async def now(self) -> tuple[Identity, Filter]:
        """Who hears what, as it is at this moment."""

    async def same(self, identity: Identity) -> bool:
        """Whether *identity* may do what they could before. It costs less to ask."""


@dataclass
class Streams:
    """Those that are under way in this process. `by_actor`: the connections of each person or service."""

    tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    by_actor: dict[str, set[asyncio.BaseTransport]] = field(default_factory=dict)


STREAMS = web.AppKey("event_streams", Streams)


async def end_all(app: web.Application) -> None:
    """The api ends: whoever listens asks another one, and goes on after the last event heard."""
    for task in tuple(app[STREAMS].tasks):
        task.cancel()


async def stream(request: web.Request, identity: Identity, rights: Rights, cursor: int) -> web.StreamResponse:
    """All events after the position *cursor* that *rights* let through. Raises ApiError while nothing was sent."""
    connection, ours = request.transport, request.app[STREAMS].by_actor.setdefault(identity.actor, set())
    assert connection is not None
    ours -= {each for each in ours if each.is_closing()}
    if len(ours) >= MOST_STREAMS:
        raise ApiError(429, f"There are {len(ours)} streams of yours already", {"Retry-After": str(int(KEEP_ALIVE))})
    ours.add(connection)
    try:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        response.headers.update(request[HEADERS])
        await response.prepare(request)
        await _attended(request, _Stream(request, response, rights, cursor))
    finally:
        ours.discard(connection)
        if not ours:
            request.app[STREAMS].by_actor.pop(identity.actor, None)
    return response


async def _attended(request: web.Request, made: "_Stream") -> None:
    """In a task of its own, which `end_all` can end."""
    task, tasks = asyncio.create_task(made.run()), request.app[STREAMS].tasks
    tasks.add(task)
    try:
        await asyncio.wait({task})
    finally:
        tasks.discard(task)
        task.cancel()
    with suppress(asyncio.CancelledError, ConnectionError, TimeoutError):
        try:
            task.result()
        except (asyncpg.PostgresError, *AWAY) as error:
            log.warning("events.interrupted", error=str(error) or type(error).__name__)
    if request.transport is not None:
        request.transport.abort()  # so that whoever listens knows that there is more, and comes back


class _Stream:
    """`cursor`: all that is for this listener up to that position was sent."""

    def __init__(self, request: web.Request, response: web.StreamResponse, rights: Rights, cursor: int) -> None:
        self._response = response
        self._events = request.app[EVENTS]
        self._feed = request.app[FEED]
        self._rights = rights
        self._cursor = cursor
        self._epoch = ""

    async def run(self) -> None:
        """Until nobody listens, or nobody may."""
        self._epoch = await self._events.epoch()
        await self._send(f"retry: {RETRY}\n".encode() + self._mark())
        with suppress(ApiError):
            while True:
                known = await self._feed.began()
                identity, wanted = await self._rights.now()  # as they are after all that is known
                # It may be long ago that this listener heard something: it joins when it has caught up.
                await self._read_until(wanted, known)
                with self._feed.joined(wanted, watched(identity)) as listener:
                    if await self._has_changed(listener, known):
                        continue
                    await self._read_until(wanted, listener.start)
                    if not await self._listen(listener, identity):
                        return

    async def _has_changed(self, listener: Listener, known: int) -> bool:
        """Whether anything has happened between *known* and its start that would make it stale."""
        changes = Filter(about=listener.subjects, types=CHANGES)
        return bool(await self._events.filtered(changes, listener.start + 1, known, limit=1))

    async def _read_until(self, wanted: Filter, position: int) -> None:
        """From the log."""
        while self._cursor < position:
            records = await self._events.filtered(wanted, position + 1, self._cursor, limit=AT_ONCE, newest_first=False)
            if not (await self._events.span()).has(after=self._cursor):
                raise ApiError(410)  # archived while it was read: whoever comes back is told so
            if records:
                await self._send(b"".join(map(frame, await self._events.heard(records, wanted))))
            self._cursor = records[-1].position if len(records) == AT_ONCE else position

    async def _listen(self, listener: Listener, identity: Identity) -> bool:
        """From the feed. True: what may be heard is to be found out again."""
        now = asyncio.get_running_loop().time
        look, sent = now() + AGAIN, now()
        while True:
            # Looked at together: while we send, there comes more.
            frames, position, stale, lost = listener.take(), listener.position, listener.stale, listener.lost
            if lost:
                log.info("events.listener_lost", why=lost)
                return False
            if frames:
                await self._send(frames)
                sent = now()
            self._cursor = position
            if stale:
                return True
            if now() >= look:
                if not await self._rights.same(identity):
                    return True
                look = now() + AGAIN
            if now() >= sent + KEEP_ALIVE:
                await self._send(self._mark())
                sent = now()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(look, sent + KEEP_ALIVE)):
                    await listener.woken.wait()
            listener.woken.clear()

    def _mark(self) -> bytes:
        """How far the log was read, although nothing in it was for this listener: so nobody reads that again."""
        return f":\nid: {self._epoch}:{self._cursor}\n\n".encode()

    async def _send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._response.write(data)
