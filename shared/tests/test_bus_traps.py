"""What JetStream was measured to do when it is killed, and that we live with it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from hubbub import bus as buses
from hubbub.bus import STREAMS, Bus
from hubbub.relay import Relay
from hubbub.testing.eventually import eventually
from hubbub.testing.nats import NatsServer

EVENT = "hub.event.server.s1"
TICKET = "hub.ticket.pool.gpu"


@pytest.fixture
async def api(nats: NatsServer) -> AsyncIterator[Bus]:
    """The api's bus, with streams and the consumers of two pools."""
    async with buses.connect(nats.url("api"), "api-1") as bus:
        await bus.ensure_streams(STREAMS)
        await Relay("", bus, ["default", "gpu"])._ensure_consumers()
        yield bus


async def messages(bus: Bus, stream: str) -> int:
    return (await bus.js.stream_info(stream)).state.messages


async def kill(nats: NatsServer, *clients: Bus) -> None:
    """Kill the server; return when its clients know."""
    nats.kill()
    await eventually(lambda: not any(bus.connected for bus in clients))


async def start(nats: NatsServer, *clients: Bus) -> None:
    """Start it again; return when its clients are back."""
    nats.start()
    for bus in clients:
        await eventually(lambda bus=bus: bus.connected)
        await bus.arrived()


async def test_a_publish_that_times_out_may_be_sent_later(nats: NatsServer, api: Bus) -> None:
    """So it is unknown, not failed; and sent again under its id it is there once."""
    await kill(nats, api)
    with pytest.raises((NatsError, TimeoutError)):
        await api.js.publish(EVENT, b"{}", headers={"Nats-Msg-Id": "e:1"}, timeout=0.05)
    await start(nats, api)
    assert await eventually(lambda: messages(api, "EVENTS")) == 1
    again = await api.js.publish(EVENT, b"{}", headers={"Nats-Msg-Id": "e:1"})
    assert again.duplicate
    assert await messages(api, "EVENTS") == 1


async def test_what_was_sent_under_its_id_is_known_after_a_restart(nats: NatsServer, api: Bus) -> None:
    first = await api.js.publish(EVENT, b"{}", headers={"Nats-Msg-Id": "e:1"})
    await kill(nats, api)
    await start(nats, api)
    again = await api.js.publish(EVENT, b"{}", headers={"Nats-Msg-Id": "e:1"})
    assert (again.seq, again.duplicate) == (first.seq, True)
    # And who names what was last is let on.
    headers = {"Nats-Msg-Id": "e:2", "Nats-Expected-Last-Msg-Id": "e:1"}
    assert (await api.js.publish(EVENT, b"{}", headers=headers)).seq == first.seq + 1


async def test_a_ticket_that_was_taken_may_be_sent_again_after_a_restart(nats: NatsServer, api: Bus) -> None:
    """The server forgets the ids of consumed messages: so a ticket is a hint, and a claim decides."""
    headers = {"Nats-Msg-Id": "e:1"}
    await api.js.publish(TICKET, b"{}", headers=headers)
    async with buses.connect(nats.url("pool-gpu"), "w1") as worker:
        tickets = await worker.js.pull_subscribe_bind(consumer="pool-gpu", stream="TICKETS")
        [ticket] = await tickets.fetch(1, timeout=5)
        await ticket.ack_sync()
        assert (await api.js.publish(TICKET, b"{}", headers=headers)).duplicate
        await kill(nats, api, worker)
        await start(nats, api, worker)
        assert not (await api.js.publish(TICKET, b"{}", headers=headers)).duplicate
        assert await eventually(lambda: tickets.fetch(1, timeout=0.5))


async def test_a_fetch_is_opened_anew_when_the_server_was_away(nats: NatsServer, api: Bus) -> None:
    """The old one is deaf until its own timeout, which is why `reconnected` is there."""
    async with buses.connect(nats.url("pool-gpu"), "w1") as worker:
        tickets = await worker.js.pull_subscribe_bind(consumer="pool-gpu", stream="TICKETS")
        deaf = asyncio.create_task(tickets.fetch(1, timeout=60))
        await worker.arrived()
        await kill(nats, api, worker)
        await start(nats, api, worker)
        assert worker.reconnected.is_set()
        deaf.cancel()
        await asyncio.gather(deaf, return_exceptions=True)
        await api.js.publish(TICKET, b"{}")
        fresh = await worker.js.pull_subscribe_bind(consumer="pool-gpu", stream="TICKETS")
        assert len(await fresh.fetch(1, timeout=5)) == 1


async def test_streams_are_made_once_and_anew_when_their_folder_is_gone(
    nats: NatsServer, api: Bus, jetstream_folder: Path
) -> None:
    await api.js.publish(EVENT, b"{}")
    await api.ensure_streams(STREAMS)
    assert await messages(api, "EVENTS") == 1
    await kill(nats, api)
    shutil.rmtree(jetstream_folder)
    await start(nats, api)
    with pytest.raises(NotFoundError):
        await api.js.stream_info("EVENTS")
    await api.ensure_streams(STREAMS)
    for stream in STREAMS:
        assert stream.name is not None
        assert await messages(api, stream.name) == 0


async def test_progress_is_kept_for_late_listeners_until_the_bus_dies(nats: NatsServer, api: Bus) -> None:
    async with buses.connect(nats.url("pool-gpu"), "w1") as worker:
        await worker.client.publish("hub.progress.s1.1", b"{}")
        assert await eventually(lambda: messages(api, "PROGRESS")) == 1
    await kill(nats, api)
    await start(nats, api)
    with pytest.raises(NotFoundError):  # what is in memory alone is not even remembered to have been
        await api.js.stream_info("PROGRESS")
