"""NATS, reduced to what the house does with it: ask, answer, signal, send tickets and take them."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError

from hubbub import nkey, telemetry
from hubbub.settings import Settings
from hubbub.subjects import WORKERS_INBOX, token

log = structlog.get_logger()
M = TypeVar("M")

#: Larger payloads go in pages (see `hubbub.route_messages.Routes.next`).
LARGEST_PAYLOAD = 256 * 1024

#: Seconds between two tries to reach the server, and once it has refused us: a revoked worker tries for ever.
PAUSE, PAUSE_REFUSED = 0.1, 2.0

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
#: The server's code for a stream that is there with other settings.
_NAME_IN_USE = 10058


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
        self._answers: list[Subscription] = []
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        return self.client.is_connected

    async def ask(self, subject: str, message: msgspec.Struct, reply: type[M], *, timeout: float = 5.0) -> M:
        """Request and reply. Raises BusUnavailable (nobody there, or no answer in time) or Remote."""
        try:
            with telemetry.span(f"ask {_kind(subject)}", kind="client") as trace:
                headers = {"traceparent": trace}
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
                with telemetry.span(f"answer {_kind(subject)}", parent=parent, kind="server"):
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

        async def spawn(message: Msg) -> None:
            task = asyncio.create_task(attend(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

        self._answers.append(await self.client.subscribe(subject, queue=queue, cb=spawn))

    async def retire(self, seconds: float) -> None:
        """Take no more questions, and answer those that were taken: whoever asks from now on is sent to others."""
        with suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                drains = [answers.drain() for answers in self._answers]  # type: ignore[no-untyped-call]
                await asyncio.gather(*drains)
                while self._answering:
                    await asyncio.wait(self._answering)
                await self.client.flush()

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

    async def ensure_streams(self, streams: Sequence[StreamConfig] = STREAMS, *, replicas: int = 1) -> None:
        """*replicas*: on how many nodes of a cluster each is; one that is there already is changed to that."""
        for stream in streams:
            wanted = replace(stream, num_replicas=replicas)
            try:
                await self.js.add_stream(wanted)
            except BadRequestError as error:
                if error.err_code != _NAME_IN_USE:
                    raise
                log.info("bus.stream_changed", stream=stream.name, replicas=replicas)
                await self.js.update_stream(wanted)


def connected(settings: Settings) -> AbstractAsyncContextManager[Bus]:
    """`connect` as the environment says."""
    return connect(settings.nats_url, settings.instance, seed=settings.nats_seed, ca=settings.nats_ca)


@asynccontextmanager
async def connect(url: str, name: str, *, seed: str = "", ca: str = "") -> AsyncIterator[Bus]:
    """A connection that never gives up on its server. *url*: nats://user:password@host:port, or several
    separated by commas, with the same credentials; or tls://host:port, for who is known by *seed* (`hubbub.nkey`).
    *ca*: PEM; without a certificate that this authority has signed nobody is taken for the server.

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
        client.options["reconnect_time_wait"] = PAUSE
        if bus is not None:
            bus.reconnected.set()

    async def failed(error: Exception) -> None:
        nonlocal last
        text = str(error) or type(error).__name__
        if "authorization violation" in text.lower():
            client.options["reconnect_time_wait"] = PAUSE_REFUSED
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

    client = Client()
    options = {**(_tls(ca) if ca else {}), **_identity(client, first, seed)}
    await client.connect(
        servers,
        name=name,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=PAUSE,  # type: ignore[arg-type]
        ping_interval=10,
        inbox_prefix=_inbox(unquote(first.username or ""), name if seed else "").encode(),
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


def _identity(client: Client, url: SplitResult, seed: str) -> dict[str, Any]:
    if seed:
        identity = nkey.Identity(seed)
        client._public_nkey = identity.public  # noqa: SLF001 - else it wants a package of its own for seeds
        return {"signature_cb": identity.sign}
    if url.username:
        user, password = unquote(url.username), unquote(url.password or "")
        return {"user": _by_tls(client, user) if url.scheme == "tls" else user, "password": password}
    return {}


def _by_tls(client: Client, user: str) -> Callable[[], str]:
    """Asked for when it is sent: not to a server that has not asked for TLS before."""

    def told() -> str:
        if not client._server_info.get("tls_required") and not client.options.get("tls"):  # noqa: SLF001
            raise nats.errors.Error("the URL says tls://, and the server speaks no TLS")
        return user

    return told


def _tls(ca: str) -> dict[str, Any]:
    """TLS before the first word: nats-py would otherwise leave it to the server, or who poses as it, to ask for it."""
    context = ssl.create_default_context(cadata=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # asyncio says for each connection that ends that nats-py's streams do not know TLS's end of file; nor need they.
    logging.getLogger("asyncio").addFilter(_not_about_the_end)
    return {"tls": context, "tls_handshake_first": True}


def _not_about_the_end(record: logging.LogRecord) -> bool:
    return "eof_received" not in str(record.msg)


def _inbox(user: str, worker: str) -> str:
    """Where answers come: to users of the same kind below the same, also while their password changes (`api~2`)."""
    return f"{WORKERS_INBOX}.{token(worker)}" if worker else f"_INBOX_{user.partition('~')[0] or 'any'}"


def _kind(subject: str) -> str:
    """Its words without whose it is: spans of one kind have one name."""
    words = subject.split(".")
    return ".".join(words[: 3 if words[1:2] == ["rpc"] else 2])


def _pack(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message)
