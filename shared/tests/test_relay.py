"""The relay over a real Postgres and a real bus: every event once and in order, whoever leads and whoever dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest
from nats.aio.msg import Msg
from nats.js.api import PubAck
from nats.js.errors import BadRequestError, NotFoundError, ServiceUnavailableError

from hubbub import faults
from hubbub.eventlog import read_since
from hubbub.relay import PATIENCE, Relay, StreamRefused
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.house import House, reaches, sent
from hubbub.testing.nats import NatsServer
from hubbub.testing.postgres import Database
from hubbub.watch_messages import Head


@pytest.fixture
async def house(database: Database, nats: NatsServer) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(stack, database, nats)


async def test_every_event_is_sent_once_and_in_order(house: House) -> None:
    relay, _ = await house.relay()
    listener = await house.bus("proxy-sync")
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    await listener.listen("hub.event.>", hear)
    await listener.arrived()
    await house.commit(450)
    bus = await house.bus()
    await eventually(reaches(bus, 450))
    assert await sent(bus) == list(range(1, 451))
    # Those who only listen hear the same.
    await eventually(lambda: len(heard) == 450)
    epoch = await house.query("select epoch from log_head")
    assert [message.headers["Nats-Msg-Id"] for message in heard if message.headers] == [
        f"{epoch}:{n}" for n in range(1, 451)
    ]
    first = heard[0]
    assert first.subject.startswith("hub.event.proxy.p")
    assert msgspec.json.decode(first.data)["type"] == "ProxyJoined"
    assert first.headers is not None
    assert first.headers["type"] == "ProxyJoined"
    await eventually(lambda: relay.sent == 450)


async def test_an_attempt_that_waits_has_a_ticket_in_its_pool(house: House) -> None:
    await house.relay()
    await house.start_server("s1", "gpu")
    worker = await house.bus("pool-gpu")
    tickets = await worker.js.pull_subscribe_bind(consumer="pool-gpu", stream="TICKETS")
    [ticket] = await tickets.fetch(1, timeout=5)
    assert ticket.subject == "hub.ticket.pool.gpu"


async def test_how_far_it_is_is_said(house: House) -> None:
    await house.relay()
    listener = await house.bus("proxy-sync")
    heads: list[Head] = []

    async def hear(message: Msg) -> None:
        heads.append(msgspec.json.decode(message.data, type=Head))

    await listener.listen("hub.heartbeat.log", hear)
    await listener.arrived()
    await house.commit(3)
    await eventually(lambda: heads and heads[-1].position == 3)
    assert heads[-1].epoch == await house.query("select epoch from log_head")


@pytest.mark.parametrize("point", ["relay.before_publish", "relay.published", "in between"])
async def test_who_comes_after_one_that_died_goes_on_where_it_was(
    house: House, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Cut before anything of a batch was sent, after all of it but unremembered, and within."""
    relay, task = await house.relay()
    await house.commit(5)
    await eventually(lambda: relay.sent == 5)

    def die(_: Any = None) -> None:
        task.cancel()
        raise asyncio.CancelledError

    publish, published = relay._bus.client.publish, iter(range(1000))

    async def publish_some(subject: str, *args: Any, **kwargs: Any) -> None:
        if subject.startswith("hub.event") and next(published) == 7:
            die()
        await publish(subject, *args, **kwargs)

    if point == "in between":
        monkeypatch.setattr(relay._bus.client, "publish", publish_some)
    else:
        monkeypatch.setattr(faults, "point", lambda name: die() if name == point else None)
    await house.commit(20, "q")
    await asyncio.wait({task}, timeout=10)
    assert task.done()
    monkeypatch.undo()
    await house.commit(20, "r")
    await house.relay()
    bus = await house.bus()
    await eventually(reaches(bus, 45))
    assert await sent(bus) == list(range(1, 46))


async def test_one_leads_and_the_next_takes_over(house: House) -> None:
    first, task = await house.relay()
    second, _ = await house.relay(leads=False)
    await house.commit(10)
    await eventually(lambda: first.sent == 10)
    assert not second.leads
    await end(task)
    await house.commit(10, "q")
    await eventually(lambda: second.leads)
    bus = await house.bus()
    await eventually(reaches(bus, 20))
    assert await sent(bus) == list(range(1, 21))


async def test_a_leader_that_lost_its_lock_is_followed_by_another(house: House) -> None:
    await house.relay()
    await house.relay(leads=False)
    bus = await house.bus()
    for number in range(1, 4):
        await house.query(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity "
            "where application_name like 'hubbub-relay%' and datname = current_database()"
        )
        await house.commit(10, f"p{number}-")
        await eventually(reaches(bus, 10 * number))
    assert await sent(bus) == list(range(1, 31))


async def test_a_leader_that_was_replaced_cannot_mix_in(house: House) -> None:
    """It was asleep while the next one sent what it was about to send, and more."""
    relay, _ = await house.relay()
    await house.commit(5)
    await eventually(lambda: relay.sent == 5)
    stale = Relay(house.database.api_dsn, await house.bus(), ["default"])
    epoch = await house.query("select epoch from log_head")
    connection = await asyncpg.connect(house.database.api_dsn)
    records = await read_since(connection, 0)
    await connection.close()
    # What is there already adds nothing ...
    stale._last_id = f"{epoch}:2"
    await stale._publish(records[2:], epoch)
    # ... and what nobody has sent is refused, but from the end on.
    stale._last_id = f"{epoch}:3"
    with pytest.raises(StreamRefused, match="wrong last msg ID"):
        await stale._publish([replace(record, position=record.position + 90) for record in records], epoch)
    bus = await house.bus()
    assert await sent(bus) == [1, 2, 3, 4, 5]
    await house.commit(5, "q")
    await eventually(reaches(bus, 10))
    assert await sent(bus) == list(range(1, 11))


async def test_a_stream_that_takes_nothing_any_more_is_made_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of which a write has failed, when the disk was full."""
    relay, _ = await house.relay()
    await house.commit(2)
    await eventually(lambda: relay.sent == 2)
    bus = await house.bus()
    before = (await bus.js.stream_info("EVENTS")).created
    refusals = iter(range(PATIENCE))
    publish = relay._bus.js.publish

    async def broken(*args: Any, **kwargs: Any) -> PubAck:
        if next(refusals, None) is not None:
            raise BadRequestError(code=400, description="insufficient resources", err_code=10023, stream=None, seq=None)
        return await publish(*args, **kwargs)

    monkeypatch.setattr(relay._bus.js, "publish", broken)
    await house.commit(1, "q")

    async def anew() -> bool:
        try:
            return (await bus.js.stream_info("EVENTS")).created != before
        except NotFoundError:
            return False

    await eventually(anew)
    await eventually(lambda: relay.leads and relay.sent == 3)
    await house.commit(1, "r")
    await eventually(reaches(bus, 1))
    assert await sent(bus) == [4]


async def test_a_stream_whose_nodes_elect_a_leader_is_left_as_it_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, _ = await house.relay()
    await house.commit(2)
    await eventually(lambda: relay.sent == 2)
    bus = await house.bus()
    before = (await bus.js.stream_info("EVENTS")).created
    tries = iter(range(2 * PATIENCE))
    publish = relay._bus.js.publish

    async def electing(*args: Any, **kwargs: Any) -> PubAck:
        if next(tries, None) is not None:
            raise ServiceUnavailableError(code=503, description="temporarily unavailable", err_code=10008)
        return await publish(*args, **kwargs)

    monkeypatch.setattr(relay._bus.js, "publish", electing)
    await house.commit(1, "q")
    await eventually(reaches(bus, 3))
    assert await sent(bus) == [1, 2, 3]
    assert (await bus.js.stream_info("EVENTS")).created == before


async def test_what_waits_for_another_worker_has_a_ticket_too(house: House) -> None:
    """So has what is left of an attempt; and again when the bus has forgotten everything."""
    relay, running = await house.relay()
    await house.start_server("s1", "gpu")
    worker = await house.bus("pool-gpu")
    tickets = await worker.js.pull_subscribe_bind(consumer="pool-gpu", stream="TICKETS")
    [ticket] = await tickets.fetch(1, timeout=5)
    await ticket.ack()
    await house.lose_server("s1")
    [ticket] = await tickets.fetch(1, timeout=5)
    await ticket.ack()
    assert relay.leads
    await end(running)
    await house.relay()
    [ticket] = await tickets.fetch(1, timeout=5)
    assert ticket.subject == "hub.ticket.pool.gpu"
