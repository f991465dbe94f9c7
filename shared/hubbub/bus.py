"""NATS, reduced to what the house does with it: ask, answer, signal, send tickets and take them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from hubbub import telemetry

log = structlog.get_logger()
M = TypeVar("M")

#: Larger payloads go in pages (see `hubbub.route_messages.Routes.next`).
LARGEST_PAYLOAD = 256 * 1024

TICKETS = StreamConfig(
    name="TICKETS",
    subjects=["hub.ticket.>"],
    retention=RetentionPolicy.WORK_QUEUE,
    discard=DiscardPolicy.OLD,
    max_msgs_per_subject=10_000,
    max_age=600,
)
EVENTS = StreamConfig(name="EVENTS", subjects=["hub.event.>"], max_age=7 * 86_400, duplicate_window=120)
PROGRESS = StreamConfig(
    name="PROGRESS", subjects=["hub.progress.>"], storage=StorageType.MEMORY, max_age=3600, max_msgs_per_subject=500
)
STREAMS = (TICKETS, EVENTS, PROGRESS)


class BusUnavailable(Exception):
    """Nobody answered; whether anything happened is not known."""


class BusClosed(Exception):
    """The server has thrown us out for good; only a new process may try again."""


class Remote(Exception):
    """The other side failed; nothing is known to have happened, and asking again is right."""


class Bus:
    """One connection. `reconnected` is set anew whenever the server was away: what was open is deaf."""

    def __init__(self, client: Client) -> None:
        self.client = client
        # A short timeout: a publish in flight when the server dies is never answered.
        self.js: JetStreamContext = client.jetstream(timeout=1)
        self.reconnected = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self.client.is_connected

    async def ask(self, subject: str, message: msgspec.Struct, reply: type[M], *, timeout: float = 5.0) -> M:
        """Request and reply. Raises BusUnavailable (nobody there, or no answer in time) or Remote."""
        headers = {"traceparent": telemetry.traceparent()}
        try:
            answer = await self.client.request(subject, _pack(message), timeout=timeout, headers=headers)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"{subject}: {type(error).__name__}") from None
        # Python 3.11's wait_for, which the client uses, loses a cancellation that comes together with the answer.
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError
        if answer.headers and (failure := answer.headers.get("error")):
            raise Remote(failure)
        try:
            return msgspec.json.decode(answer.data, type=reply)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Remote(f"unreadable answer: {error}") from None

    async def ask_until_answered(
        self, subject: str, message: msgspec.Struct, reply: type[M], *, timeout: float = 5.0, pause: float = 0.1
    ) -> M:
        """`ask`, again and again with growing pauses (2 s at most) until there is an answer."""
        while True:
            try:
                return await self.ask(subject, message, reply, timeout=timeout)
            except (BusUnavailable, Remote) as error:
                log.warning("bus.retry", subject=subject, error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def answer(
        self, subject: str, handler: Callable[[str, bytes], Awaitable[msgspec.Struct | None]], *, queue: str = ""
    ) -> None:
        """Answer requests on *subject* with what `handler(subject, payload)` returns.

        A payload that does not decode, or a handler that fails, is answered with an `error` header.
        """

        async def attend(message: Msg) -> None:
            parent = (message.headers or {}).get("traceparent", "")
            try:
                with telemetry.span(f"bus {subject}", parent=parent):
                    reply = await handler(message.subject, message.data)
            except (msgspec.MsgspecError, ValueError, UnicodeDecodeError) as error:
                log.warning("bus.unreadable", subject=message.subject, error=str(error))
                await self._reply(message, b"", {"error": f"unreadable: {error}"})
            except Exception as error:
                log.exception("bus.failed", subject=message.subject)
                await self._reply(message, b"", {"error": f"{type(error).__name__}: {error}"})
            else:
                if reply is not None:
                    await self._reply(message, _pack(reply), None)

        tasks: set[asyncio.Task[None]] = set()

        async def spawn(message: Msg) -> None:
            task = asyncio.create_task(attend(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        await self.client.subscribe(subject, queue=queue, cb=spawn)

    async def _reply(self, message: Msg, data: bytes, headers: dict[str, str] | None) -> None:
        if message.reply:
            one_line = {key: value.replace("\n", " ")[:500] for key, value in (headers or {}).items()}
            await self.client.publish(message.reply, data, headers=one_line or None)

    async def signal(self, subject: str, message: msgspec.Struct) -> None:
        """Tell whoever listens now; nobody may, and nothing keeps it."""
        try:
            await self.client.publish(subject, _pack(message), headers={"traceparent": telemetry.traceparent()})
        except (nats.errors.Error, OSError) as error:
            log.debug("bus.signal_lost", subject=subject, error=str(error))

    async def listen(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        """Call *callback* with every message on *subject* from now on (see `arrived`), one after the other."""

        async def guard(message: Msg) -> None:
            try:
                await callback(message)
            except Exception:
                log.exception("bus.callback_failed", subject=message.subject)

        await self.client.subscribe(subject, cb=guard)

    async def arrived(self) -> None:
        """Return when the server has everything that was sent, subscriptions too.

        One flush does not do it: nats-py writes its ping past what is still waiting to be written.
        """
        await self.client.flush()
        await self.client.flush()

    async def ensure_streams(self, streams: Sequence[StreamConfig] = STREAMS) -> None:
        for stream in streams:
            await self.js.add_stream(stream)


@asynccontextmanager
async def connect(url: str, name: str) -> AsyncIterator[Bus]:
    """A connection that never gives up on its server. *url*: nats://user:password@host:port, or several
    separated by commas, with the same credentials.

    If the server ends it for good (a user was removed, say), the client would stay closed for ever: then the
    task that is inside this is cancelled, and BusClosed raised.
    """
    urls = [part.strip() for part in url.split(",")]
    first = urlsplit(urls[0])
    servers = [f"nats://{urlsplit(part).hostname}:{urlsplit(part).port or 4222}" for part in urls]
    bus: Bus | None = None
    last = ""

    async def disconnected() -> None:
        log.warning("bus.disconnected")

    async def reconnected() -> None:
        log.info("bus.reconnected")
        if bus is not None:
            bus.reconnected.set()

    async def failed(error: Exception) -> None:
        nonlocal last
        text = str(error) or type(error).__name__
        # What is forbidden, or a wrong password, is otherwise seen only as silence. Tried for ever, but said once.
        if "violation" in text.lower() and text != last:
            log.error("bus.forbidden", error=text)
        else:
            log.debug("bus.error", error=text)
        last = text

    owner = asyncio.current_task()
    leaving = thrown_out = False

    async def closed() -> None:
        nonlocal thrown_out
        if not leaving and owner is not None:
            thrown_out = True
            owner.cancel()

    options: dict[str, Any] = {}
    if first.username:
        options = {"user": unquote(first.username), "password": unquote(first.password or "")}
    client = await nats.connect(
        servers,
        name=name,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        ping_interval=10,
        inbox_prefix=f"_INBOX_{first.username or 'any'}".encode(),
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
        error_cb=failed,
        closed_cb=closed,
        **options,
    )
    bus = Bus(client)
    try:
        yield bus
    except asyncio.CancelledError:
        if thrown_out:
            raise BusClosed from None
        raise
    finally:
        leaving = True
        # While the server is away there may be words waiting, and nobody to take them.
        with suppress(nats.errors.Error, OSError, RuntimeError):
            await client.close()


def _pack(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message)
