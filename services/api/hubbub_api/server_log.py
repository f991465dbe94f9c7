"""GET /users/{user}/server/log: the end of what a server has printed, or all that it prints from now on."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import nats
import structlog
from aiohttp import web
from nats.aio.msg import Msg

from hubbub import subjects
from hubbub.access import Identity
from hubbub.away import AWAY
from hubbub.bus import BusUnavailable, Remote
from hubbub.rpc import FOLLOWED_FOR, LogLines, LogTail, Word
from hubbub.web.request import HEADERS, ApiError, by_cookie, by_token, identify, require
from hubbub_api import servers
from hubbub_api.answers import query_of
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import BUS, FOLLOWER, VIEWS
from hubbub_api.rows import ServerRow
from hubbub_api.user_servers import DEFAULT, NAMED, find, target

log = structlog.get_logger()

routes = Endpoints("servers")

MOST_LINES = 5000
KEEP_ALIVE = 8.0
RENEW = FOLLOWED_FOR / 3
WAITING = 64
"""Messages that a listener may be behind, before we part."""
#: Seconds: for an answer in all; for one, since a question that was under way when the bus died has none; between two.
_PATIENCE, ASKED, _AGAIN = 6.0, 2.0, 0.2
_NOTHING = b":\n\n"
_PLAIN, _EVENTS = "text/plain", "text/event-stream"
_SCOPE = "admin:server_state"

STREAMS: "web.AppKey[set[asyncio.Task[None]]]" = web.AppKey("log_streams", set)


class LogQuery(msgspec.Struct, kw_only=True):
    """How many of the last lines, 5000 at most; and whether to go on with what comes after them."""

    lines: int = 200
    follow: bool = False


@routes.get(f"{DEFAULT}/log", scopes=(_SCOPE,), query=LogQuery, content=_PLAIN, answers={200: str})
@routes.get(f"{NAMED}/log", scopes=(_SCOPE,), query=LogQuery, content=_PLAIN, answers={200: str})
async def log_of(request: web.Request) -> web.StreamResponse:
    """Shows the end of what a server has printed, to administrators and to its owner, who needs `read:servers` alone.
    JupyterHub has no such thing.

    With `follow` the lines that come after them, too, as they are written, until the server stops. Each is an event
    `data: ...` of a stream (`text/event-stream`), the last one is an `event: end`, and `Last-Event-ID` goes on after
    that event; or, with `Accept: text/plain`, a line of text.
    """
    owner, name = target(request)
    check_reader(await identify(request), owner, name)
    query = query_of(request, LogQuery)
    server = await find(request, owner, name)
    holder = server.holder or await servers.last_holder(request, server)
    if holder is None:
        raise ApiError(404, "It has not been started yet")
    lines = min(max(query.lines, 0), MOST_LINES)
    if query.follow:
        return await _follow(request, server, holder, lines)
    tail = await _ask(request, holder, Word(server=server.id, attempt=server.attempt, verb="log", lines=lines))
    return web.Response(text=tail.text, content_type=_PLAIN)


def check_reader(identity: Identity | None, owner: str, name: str) -> None:
    """Raises ApiError. Those whom the server is shared with may use it, which is not to read what it prints."""
    is_owner = identity is not None and (identity.kind, identity.name) == ("user", owner)
    enough = (_SCOPE, "read:servers") if is_owner else (_SCOPE,)
    require(identity, *enough, user=owner, server=name)


async def _ask(request: web.Request, holder: str, word: Word, patience: float = _PATIENCE) -> LogTail:
    """Raises ApiError. A worker that is being restarted is there again within *patience* (seconds)."""
    ends = time.monotonic() + patience
    while True:
        try:
            tail = await request.app[BUS].ask(f"hub.holder.{holder}", word, LogTail, timeout=ASKED)
        except (BusUnavailable, Remote):
            if time.monotonic() >= ends:
                raise ApiError(503, "The worker that holds the server does not answer") from None
            await asyncio.sleep(_AGAIN)
            continue
        if tail.error:
            raise ApiError(404, tail.error)
        return tail


async def end_all(app: web.Application) -> None:
    """The api ends: whoever follows a log asks another one."""
    streams = app[STREAMS]
    for stream in tuple(streams):
        stream.cancel()


async def _follow(request: web.Request, server: ServerRow, holder: str, lines: int) -> web.StreamResponse:
    """Refused while that can still be said with a status."""
    events = _PLAIN not in request.headers.get("Accept", "")
    kind = _EVENTS if events else f"{_PLAIN}; charset=utf-8"
    response = web.StreamResponse(headers={"Content-Type": kind, "Cache-Control": "no-cache"})
    response.headers.update(request[HEADERS])
    since = request.headers.get("Last-Event-ID", "")[:100]
    async with _listening(_Stream(request, server, holder, lines, since)) as stream:
        await stream.renew()
        await response.prepare(request)
        with suppress(ConnectionError):  # the listener has gone
            if await stream.run(response, events=events):
                await response.write_eof()
            elif request.transport is not None:
                request.transport.abort()
    return response


@asynccontextmanager
async def _listening(stream: "_Stream") -> AsyncIterator["_Stream"]:
    """Heard from the first line on."""
    bus = stream.request.app[BUS]
    try:
        subscription = await bus.client.subscribe(stream.subject, cb=stream.hear)
        await bus.arrived()
    except (nats.errors.Error, TimeoutError, OSError):
        raise ApiError(503, "The bus cannot be reached") from None
    try:
        yield stream
    finally:
        with suppress(nats.errors.Error, OSError):
            await subscription.unsubscribe()
        await bus.signal(f"hub.holder.{stream.holder}", stream.word("unfollow"))


class _Stream:
    """One listener. `holder`: whom we have asked last; `cursor`: how far the log was heard."""

    def __init__(self, request: web.Request, server: ServerRow, holder: str, lines: int, since: str) -> None:
        self.request = request
        self.holder = holder
        self.cursor = since
        self._server = server
        self._lines = lines
        self._id = uuid4().hex
        self._heard: asyncio.Queue[LogLines | None] = asyncio.Queue(WAITING)
        self._too_slow = asyncio.Event()

    @property
    def subject(self) -> str:
        return f"hub.logs.{subjects.token(self._server.id)}.{self._id}"

    def word(self, verb: str) -> Word:
        return Word(
            server=self._server.id,
            attempt=self._server.attempt,
            verb=verb,
            lines=self._lines,
            listener=self._id,
            since=self.cursor,
        )

    async def renew(self) -> None:
        """Begin, or go on. Raises ApiError."""
        await _ask(self.request, self.holder, self.word("follow"))

    async def hear(self, message: Msg) -> None:
        with suppress(msgspec.MsgspecError):
            lines = msgspec.json.decode(message.data, type=LogLines)
            self.cursor = lines.cursor
            try:
                self._heard.put_nowait(lines)
            except asyncio.QueueFull:
                self._too_slow.set()

    async def run(self, response: web.StreamResponse, *, events: bool) -> bool:
        """Until the server has stopped, or nobody listens: whether it ended as it should."""
        writing = asyncio.create_task(self._write(response, events=events))
        keeping = asyncio.create_task(self._keep())
        slow = asyncio.create_task(self._notice_slowness())
        tasks: list[asyncio.Task[Any]] = [writing, keeping, slow]
        streams = self.request.app[STREAMS]
        streams.add(writing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done() and keeping.result():
                await asyncio.wait({writing, slow}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
            return writing.done() and not writing.cancelled() and writing.exception() is None
        finally:
            streams.discard(writing)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, response: web.StreamResponse, *, events: bool) -> None:
        if events:
            await response.write(_NOTHING)  # with the headers alone a proxy may wait for more
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    lines = await self._heard.get()
            except TimeoutError:
                if events:
                    await response.write(_NOTHING)
                continue
            if lines is None:
                if events:
                    await response.write(b"event: end\ndata: the server has stopped\n\n")
                return
            await response.write(_events(lines) if events else "".join(f"{each}\n" for each in lines.lines).encode())

    async def _keep(self) -> bool:
        """Say again and again that somebody listens, to whoever holds the server. True: it has stopped, and all is
        heard; False: nobody listens any more, or nobody can be asked.
        """
        try:
            return await self._keep_on()
        except (asyncpg.PostgresError, *AWAY) as error:
            log.warning("log.stream_broken", server=self._server.id, error=str(error) or type(error).__name__)
            return False

    async def _keep_on(self) -> bool:
        with self.request.app[FOLLOWER].watch(self._server.id) as changed:
            changed.set()
            while True:
                if changed.is_set():
                    changed.clear()
                    server = await self.request.app[VIEWS].server_by_id(self._server.id)
                    if server is None or not server.active:
                        await self._finish()
                        return True
                    await self._is_at(server)
                if not await self._may_go_on():
                    return False
                with suppress(ApiError):  # it may be that nobody holds it just now
                    await self.renew()
                with suppress(TimeoutError):
                    async with asyncio.timeout(RENEW):
                        await changed.wait()

    async def _is_at(self, server: ServerRow) -> None:
        """Whoever has held it until now need not send any more, if they can still be told."""
        before, self.holder, self._server = self.holder, server.holder or self.holder, server
        if self.holder != before:
            await self.request.app[BUS].signal(f"hub.holder.{before}", self.word("unfollow"))

    async def _finish(self) -> None:
        """All that was sent before the answer to this has come when the answer comes."""
        with suppress(ApiError):
            await _ask(self.request, self.holder, self.word("unfollow"), patience=0)
        await self._heard.put(None)

    async def _may_go_on(self) -> bool:
        """Somebody is there, and may still read it: what is revoked ends here, too."""
        if self.request.transport is None or self.request.transport.is_closing():
            return False
        identity = await by_token(self.request) or await by_cookie(self.request)
        try:
            check_reader(identity, *target(self.request))
        except ApiError:
            return False
        return True

    async def _notice_slowness(self) -> None:
        await self._too_slow.wait()
        log.info("log.listener_too_slow", server=self._server.id)


def _events(lines: LogLines) -> bytes:
    """The last one says how far the log was read, for whoever comes back."""
    # A carriage return would end a line of the stream: of a progress bar each state becomes a line of its event.
    events = ["\n".join(f"data: {part}" for part in line.rstrip("\r").split("\r")) for line in lines.lines]
    return "".join([*(f"{event}\n\n" for event in events[:-1]), f"id: {lines.cursor}\n{events[-1]}\n\n"]).encode()
