"""Who may say and hear what on the bus: each service and each pool exactly its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import nats as nats_py
import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NoAnswer
from nats.js.api import ConsumerConfig

from hubbub import bus as buses
from hubbub.bus import STREAMS, Bus
from hubbub.relay import Relay
from hubbub.rpc import LogTail, Word
from hubbub.subjects import permissions
from hubbub.testing.nats import NatsServer
from hubbub.watch_messages import Lease, Leased

Enter = Callable[[str], Awaitable["Seat"]]


class Seat:
    """A connection as one user, which notes what it was forbidden."""

    def __init__(self, client: Client, errors: list[str]) -> None:
        self.client = client
        self._errors = errors

    async def may_publish(self, subject: str) -> bool:
        return await self._allowed(self.client.publish(subject, b"{}"))

    async def may_subscribe(self, subject: str) -> bool:
        return await self._allowed(self.client.subscribe(subject))

    async def _allowed(self, attempt: Awaitable[object]) -> bool:
        self._errors.clear()
        await attempt
        await Bus(self.client).arrived()
        return not any("permissions violation" in error.lower() for error in self._errors)


@pytest.fixture
async def enter(nats: NatsServer) -> AsyncIterator[Enter]:
    async with AsyncExitStack() as stack:

        async def seat(user: str) -> Seat:
            errors: list[str] = []

            async def note(error: Exception) -> None:
                errors.append(str(error))

            client = await nats_py.connect(nats.url(user), error_cb=note, allow_reconnect=False)
            stack.push_async_callback(client.close)
            return Seat(client, errors)

        yield seat


PUBLISH = {
    "api": (
        ["hub.event.server.s1", "hub.ticket.pool.gpu", "hub.holder.w1", "hub.form.gpu", "hub.forget.gpu",
         "hub.heartbeat.log", "hub.missed", "hub.compare",
         "_INBOX_pool-gpu.x.y", "_INBOX_poller.x.y", "_INBOX_proxy-sync.x.y"],
        ["hub.rpc.claim.gpu.w1", "hub.progress.s1.1", "hub.logs.s1.l1", "hub.liveness.x.y", "$SYS.REQ.SERVER.PING"],
    ),
    "pool-default": (
        ["hub.rpc.claim.default.w1", "hub.rpc.report.default.w1", "hub.progress.s1.1", "hub.logs.s1.l1",
         "hub.heartbeat.spawner-worker.w1", "$JS.API.CONSUMER.MSG.NEXT.TICKETS.pool-default", "_INBOX_api.x.y"],
        ["hub.rpc.claim.gpu.w1", "hub.rpc.report.gpu.w1", "hub.rpc.lease.poller.p1", "hub.rpc.routed.proxy.p1",
         "hub.event.server.s1", "hub.ticket.pool.default", "hub.holder.w1", "hub.form.default", "hub.forget.default",
         "hub.liveness.spawner-worker.w2", "hub.heartbeat.log", "hub.heartbeat.poller.p1", "hub.activity",
         "hub.rpc.moved.proxy.p1", "hub.missed", "hub.compare", "hub.compared.p1",
         "_INBOX_pool-gpu.x.y", "_INBOX_poller.x.y", "$JS.API.CONSUMER.MSG.NEXT.TICKETS.pool-gpu",
         "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.PURGE.TICKETS", "$JS.API.STREAM.MSG.GET.EVENTS",
         "$JS.API.CONSUMER.CREATE.EVENTS", "$JS.API.STREAM.NAMES", "$JS.ACK.TICKETS.pool-gpu.1.1.1.1.1"],
    ),
    "proxy-sync": (
        ["hub.rpc.routes.proxy.p1", "hub.rpc.routed.proxy.p1", "hub.rpc.moved.proxy.p1", "hub.compared.p1",
         "hub.activity", "hub.heartbeat.proxy-sync.p1"],
        ["hub.missed", "hub.compare", "hub.rpc.claim.default.w1", "hub.rpc.lease.poller.p1", "hub.event.server.s1",
         "hub.heartbeat.log",
         "hub.heartbeat.poller.p1", "hub.holder.w1", "hub.ticket.pool.default", "_INBOX_api.x.y",
         "$JS.API.STREAM.DELETE.EVENTS"],
    ),
    "poller": (
        ["hub.rpc.lease.poller.p1", "hub.rpc.sweep.poller.p1", "hub.liveness.spawner-worker.w1",
         "hub.heartbeat.poller.p1"],
        ["hub.rpc.claim.default.w1", "hub.rpc.routed.proxy.p1", "hub.event.server.s1", "hub.activity",
         "hub.heartbeat.spawner-worker.w1", "hub.ticket.pool.default", "_INBOX_api.x.y", "$JS.API.STREAM.NAMES"],
    ),
}  # fmt: skip
SUBSCRIBE = {
    "api": (
        ["hub.rpc.*.*.*", "hub.progress.s1.1", "hub.logs.s1.l1", "hub.heartbeat.>", "hub.liveness.>",
         "hub.compared.*", "_INBOX_api.>"],
        [">", "_INBOX_pool-default.>", "_INBOX_poller.>", "_INBOX.>", "hub.ticket.>", "$SYS.>"],
    ),
    "pool-default": (
        ["hub.holder.w1", "hub.form.default", "hub.forget.default", "_INBOX_pool-default.>"],
        [">", "*.>", "hub.>", "hub.rpc.>", "hub.event.>", "hub.ticket.>", "hub.progress.>", "hub.logs.>",
         "hub.form.gpu", "hub.form.*", "hub.forget.gpu", "hub.forget.*", "hub.heartbeat.>", "_INBOX_pool-gpu.>",
         "_INBOX_api.>", "_INBOX.>", "$JS.>", "$SYS.>"],
    ),
    "proxy-sync": (
        ["hub.event.>", "hub.event.server.*", "hub.heartbeat.log", "hub.missed", "hub.compare", "_INBOX_proxy-sync.>"],
        [">", "hub.rpc.>", "hub.ticket.>", "hub.progress.>", "hub.holder.*", "_INBOX_api.>", "_INBOX_poller.>"],
    ),
    "poller": (
        ["hub.heartbeat.>", "hub.activity", "_INBOX_poller.>"],
        [">", "hub.rpc.>", "hub.event.>", "hub.ticket.>", "hub.holder.*", "_INBOX_api.>", "_INBOX_proxy-sync.>"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("user", PUBLISH)
async def test_who_may_say_what(enter: Enter, user: str) -> None:
    seat = await enter(user)
    allowed, forbidden = PUBLISH[user]
    assert [subject for subject in allowed if not await seat.may_publish(subject)] == []
    assert [subject for subject in forbidden if await seat.may_publish(subject)] == []


@pytest.mark.parametrize("user", SUBSCRIBE)
async def test_who_may_hear_what(enter: Enter, user: str) -> None:
    seat = await enter(user)
    allowed, forbidden = SUBSCRIBE[user]
    assert [subject for subject in allowed if not await seat.may_subscribe(subject)] == []
    assert [subject for subject in forbidden if await seat.may_subscribe(subject)] == []


def test_every_user_is_in_these_tables() -> None:
    users = {user for user in permissions(["default", "gpu"]) if user != "pool-gpu"}
    assert users == PUBLISH.keys() == SUBSCRIBE.keys()


async def test_a_wrong_password_is_said_and_not_let_in(nats: NatsServer) -> None:
    with pytest.raises(Exception, match="Authorization Violation"):
        await nats_py.connect(nats.url("poller").replace("password-of", "guess-of"), allow_reconnect=False)


async def test_a_worker_takes_tickets_of_its_own_pool_alone(nats: NatsServer) -> None:
    async with (
        buses.connect(nats.url("api"), "api-1") as api,
        buses.connect(nats.url("pool-gpu"), "w1") as worker,
        buses.connect(nats.url("pool-default"), "w2") as other,
    ):
        await api.ensure_streams(STREAMS)
        await Relay("", api, ["default", "gpu"])._ensure_consumers()
        await api.js.publish("hub.ticket.pool.gpu", b"{}")
        theirs = await other.js.pull_subscribe_bind(consumer="pool-gpu", stream="TICKETS")
        with pytest.raises(NoAnswer):
            await theirs.fetch(1, timeout=0.1)
        mine = await worker.js.pull_subscribe_bind(consumer="pool-gpu", stream="TICKETS")
        [ticket] = await mine.fetch(1, timeout=5)
        await ticket.ack_sync()
        info = await api.js.consumer_info("TICKETS", "pool-gpu")
        assert (info.num_pending, info.num_ack_pending) == (0, 0)


async def test_tickets_are_tried_for_ever_and_however_many_are_out(nats: NatsServer) -> None:
    """`max_deliver` would hide messages, `max_ack_pending` would hold them back."""
    async with buses.connect(nats.url("api"), "api-1") as api:
        await api.ensure_streams(STREAMS)
        await Relay("", api, ["gpu"])._ensure_consumers()
        config: ConsumerConfig = (await api.js.consumer_info("TICKETS", "pool-gpu")).config
        assert config.max_deliver == -1
        assert config.max_ack_pending == -1


async def test_who_asks_the_api_gets_its_answer_in_an_inbox_of_its_own(nats: NatsServer) -> None:

    async def yes(subject: str, payload: bytes) -> Leased:
        return Leased(granted=True)

    async with buses.connect(nats.url("api"), "api-1") as api:
        await api.answer("hub.rpc.lease.*.*", yes)
        await api.arrived()
        for user, subject in (
            ("pool-gpu", "hub.rpc.lease.gpu.w1"),
            ("proxy-sync", "hub.rpc.lease.proxy.p1"),
            ("poller", "hub.rpc.lease.poller.p1"),
        ):
            async with buses.connect(nats.url(user), user) as asking:
                assert await asking.ask(subject, Lease(name="x", seconds=1), Leased) == Leased(granted=True)
                prefix = asking.client._inbox_prefix.decode()
                assert prefix == f"_INBOX_{user}"


async def test_a_worker_answers_the_api(nats: NatsServer) -> None:

    async def tail(subject: str, payload: bytes) -> LogTail:
        return LogTail(text="hello")

    async with buses.connect(nats.url("api"), "api-1") as api, buses.connect(nats.url("pool-gpu"), "w1") as worker:
        await worker.answer("hub.holder.w1", tail)
        await worker.arrived()
        assert await api.ask("hub.holder.w1", Word(server="s1", attempt=1, verb="log"), LogTail) == LogTail(
            text="hello"
        )
