"""Sends the committed log to the bus, in order: every api runs one, one of them leads.

The bus may lose everything at any moment. What it should hold follows from the log and the views, and is
sent again.
"""

import asyncio
from contextlib import suppress

import asyncpg
import msgspec
import nats
import structlog
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import APIError, NotFoundError

from hubbub import database, faults, releases, telemetry
from hubbub.away import AWAY
from hubbub.bus import EVENTS, STREAMS, Bus
from hubbub.eventlog import Recorded, read_since
from hubbub.subjects import token
from hubbub.watch_messages import Head

log = structlog.get_logger()

#: Advisory lock of the one that leads. Held by a session, so it ends with the process; without a
#: word from a machine that is gone, soon after (`database.NOTICED`).
LEADERSHIP = 7422

EMPTY = b"{}"


_MARK = """
    insert into bookmarks (reader, position, about) values ('relay', $1, $2)
    on conflict (reader) do update set position = excluded.position, about = excluded.about
"""


#: What gives a pool's workers something to do: a start, something to take over, or to end.
_WORK = frozenset({"SpawnRequested", "HolderLost", "OrphanFound", "OrphanRemoved", "OrphanAdopted"})


#: How often in a row the stream may refuse before it is made anew; once, when another has led meanwhile.
PATIENCE = 5
#: The server's code while the nodes of a cluster agree on who leads.
_ELECTING = 10008
#: How many times, each at most a second, is told what happens before the streams are tried again.
_AGAIN = 20


class _Pool(msgspec.Struct):
    pool: str = ""


_POOL = msgspec.json.Decoder(_Pool)


def _pool_of(record: Recorded) -> str:
    """Who should hear of it; "" for nobody, also if this release cannot read it: workers ask by themselves too."""
    try:
        return _POOL.decode(record.data).pool if record.type in _WORK else ""
    except msgspec.MsgspecError:
        return ""


class StreamRefused(Exception):
    """Somebody else has written to the stream, or it takes nothing any more."""


class Relay:
    """Run `run` as a task. `woken` is set by whoever sees the log grow (see `hubbub.follow`)."""

    def __init__(self, dsn: str, bus: Bus, pools: list[str], *, replicas: int = 1) -> None:
        self._dsn = dsn
        self._replicas = replicas
        self._bus = bus
        self._pools = pools
        self.woken = asyncio.Event()
        self.leads = False
        self.sent = 0
        self._last_id = ""
        self._stream = ""
        self._marked = -1
        self._refused = 0

    async def run(self) -> None:
        while True:
            try:
                await self._lead()
            except StreamRefused as refusal:
                log.warning("relay.refused", error=str(refusal)[:300])
                await self._renew()
            except (asyncpg.PostgresError, nats.errors.Error, *AWAY) as error:
                log.warning("relay.interrupted", error=f"{type(error).__name__}: {error}"[:300])
            self.leads = False
            await asyncio.sleep(0.2)

    async def _renew(self) -> None:
        """A stream that could not be written once, as its disk was full, takes nothing more until it is made anew,
        whatever room there is by then. Nothing is lost with it: what is owed follows from the views.
        """
        self._refused += 1
        if self._refused >= PATIENCE:
            self._refused = 0
            log.error("relay.stream_anew", stream=EVENTS.name, why="it takes no messages: is the disk of NATS full?")
            with suppress(nats.errors.Error, TimeoutError, OSError):
                await self._bus.js.delete_stream(str(EVENTS.name))

    async def _lead(self) -> None:
        connection = await database.connect(
            self._dsn, timeout=5, server_settings={"application_name": releases.named("hubbub-relay")}
        )
        try:
            while not await connection.fetchval("select pg_try_advisory_lock($1)", LEADERSHIP):
                await asyncio.sleep(0.5)
            await self._send_everything(connection)
        finally:
            connection.terminate()

    async def _send_everything(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        epoch = await connection.fetchval("select epoch from log_head")
        try:
            await self._bus.ensure_streams(STREAMS, replicas=self._replicas)
            await self._ensure_consumers()
        except APIError as refusal:
            log.error("relay.keeps_nothing", error=str(refusal)[:300])
            return await self._pass_on(connection, epoch)
        self.sent = await self._resume(connection, epoch)
        if (gone := await connection.fetchval("select oldest - 1 from log_head")) > self.sent:
            # Whoever counts positions sees that they miss something, and compares everything.
            log.error("relay.archived", sent=self.sent, archived=gone)
            self.sent = gone
        self.leads = True
        log.info("relay.leads", position=self.sent)
        await self._send_owed(connection)
        beating = asyncio.create_task(self._beat(connection, epoch))
        try:
            while not beating.done():
                self.woken.clear()
                while records := await read_since(connection, self.sent, 200):
                    await self._publish(records, epoch)
                    self.sent, self._refused = records[-1].position, 0
                try:
                    await asyncio.wait_for(self.woken.wait(), 1)
                except TimeoutError:
                    await self._mark(connection)
            beating.result()
        finally:
            beating.cancel()

    async def _pass_on(self, connection: "asyncpg.Connection[asyncpg.Record]", epoch: str) -> None:
        """What happens is told to whoever hears it now, as nothing can be kept; then all is tried again."""
        position = self.sent or await connection.fetchval("select position from log_head")
        for _ in range(_AGAIN):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.woken.wait(), 1)
            self.woken.clear()
            while records := await read_since(connection, position, 200):
                for record in records:
                    await self._bus.client.publish(*self._message(record, epoch))
                position = records[-1].position
            await self._bus.signal("hub.heartbeat.log", Head(epoch=epoch, position=position))
        self.sent = position

    async def _beat(self, connection: "asyncpg.Connection[asyncpg.Record]", epoch: str) -> None:
        """Say how far the log was sent; notice that the bus lost its streams, although nobody uses them."""
        while True:
            await self._bus.signal("hub.heartbeat.log", Head(epoch=epoch, position=self.sent))
            await asyncio.sleep(1)
            if self._bus.connected:
                for stream in STREAMS:  # the one in memory is gone after any restart
                    await self._bus.js.stream_info(str(stream.name))

    async def _ensure_consumers(self) -> None:
        for pool in self._pools:
            name = f"pool-{pool}"
            config = ConsumerConfig(
                durable_name=name,
                filter_subject=f"hub.ticket.pool.{token(pool)}",
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=10,
                max_ack_pending=-1,
            )
            await self._bus.js.add_consumer("TICKETS", config)

    async def _resume(self, connection: "asyncpg.Connection[asyncpg.Record]", epoch: str) -> int:
        """The position of the last event in the stream, or of the bookmark if the stream is empty (nothing was
        sent yet, or all of it has expired); the head of the log if it is another stream than the bookmark's.
        """
        info = await self._bus.js.stream_info("EVENTS")
        self._last_id, self._stream = "", f"{epoch} {info.created}"
        sent = await connection.fetchval(
            "select position from bookmarks where reader = 'relay' and about = $1", self._stream
        )
        if info.state.messages:
            with suppress(NotFoundError):  # it has expired at this very moment
                last = await self._bus.js.get_msg("EVENTS", info.state.last_seq)
                self._last_id = (last.headers or {}).get("Nats-Msg-Id", "")
                of, _, position = self._last_id.partition(":")
                if of == epoch and position.isdigit():
                    sent = int(position)
        self.sent = await connection.fetchval("select position from log_head") if sent is None else sent
        self._marked = -1
        await self._mark(connection)
        return self.sent

    async def _mark(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Remember how far this stream was sent, for when there is nothing in it to tell."""
        if self._marked != self.sent:
            await connection.execute(_MARK, self.sent, self._stream)
            self._marked = self.sent

    async def _publish(self, records: list[Recorded], epoch: str) -> None:
        """Each message names the one before it: so a leader who was replaced cannot mix in, and the
        acknowledgement of the last one vouches for all of them.
        """
        parent = records[0].context.traceparent
        with telemetry.span("relay.publish", parent=parent, kind="producer", events=len(records)):
            pools = {pool for record in records if (pool := _pool_of(record))}
            faults.point("relay.before_publish")
            for record in records[:-1]:
                await self._bus.client.publish(*self._message(record, epoch))
            # One hint is enough for any number of attempts: a worker claims until nothing waits.
            for pool in pools:
                await self._bus.client.publish(f"hub.ticket.pool.{token(pool)}", EMPTY)
            subject, data, _, headers = self._message(records[-1], epoch)
            try:
                await self._bus.js.publish(subject, data, headers=headers, timeout=2)
            except APIError as error:
                if error.err_code == _ELECTING:
                    raise  # that is no fault of the stream's, and passes
                raise StreamRefused(str(error)) from error
            faults.point("relay.published")

    def _message(self, record: Recorded, epoch: str) -> tuple[str, bytes, str, dict[str, str]]:
        """Subject, payload, reply and headers of an event."""
        id = f"{epoch}:{record.position}"
        headers = {"Nats-Msg-Id": id, "type": record.type, "traceparent": record.context.traceparent}
        if self._last_id:
            headers["Nats-Expected-Last-Msg-Id"] = self._last_id
        self._last_id = id
        return f"hub.event.{record.kind}.{record.id}", record.data.encode(), "", headers

    async def _send_owed(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """After the bus lost its memory: what waits for a worker needs tickets. Stops reach their holders by
        the workers' own asking, and so do leftovers.
        """
        waiting = await connection.fetch(
            "select distinct pool from servers where kind <> 'Stopped' and holder is null and pool is not null"
        )
        for row in waiting:
            await self._bus.js.publish(f"hub.ticket.pool.{token(row['pool'])}", EMPTY, timeout=2)
