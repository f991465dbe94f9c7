"""The bus over a real nats-server: asking, answering, and what happens when it is away."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
from nats.aio.msg import Msg

from hubbub import bus as buses
from hubbub import telemetry
from hubbub.bus import Bus, BusUnavailable, Remote
from hubbub.rpc import Done, Refusal
from hubbub.subjects import token
from hubbub.testing.eventually import eventually
from hubbub.testing.nats import NatsServer
from hubbub.watch_messages import Heartbeat, Lease, Leased, Liveness

LEASE = "hub.rpc.lease.poller.poller-1"
ASKED = Lease(name="sweep", seconds=1)

Answer = Callable[[str, bytes], Awaitable[Leased | Done | None]]


@pytest.fixture
async def api(nats: NatsServer) -> AsyncIterator[Bus]:
    async with buses.connect(nats.url("api"), "api-1") as bus:
        yield bus


@pytest.fixture
async def poller(nats: NatsServer) -> AsyncIterator[Bus]:
    async with buses.connect(nats.url("poller"), "poller-1") as bus:
        yield bus


async def yes(subject: str, payload: bytes) -> Leased:
    return Leased(granted=True)


async def test_who_asks_is_answered(api: Bus, poller: Bus) -> None:
    heard = []

    async def answer(subject: str, payload: bytes) -> Leased:
        heard.append((subject, payload, telemetry.trace_id()))
        return Leased(granted=True)

    await api.answer("hub.rpc.lease.*.*", answer, queue="api")
    await api.arrived()
    with telemetry.span("test"):
        trace = telemetry.trace_id()
        assert await poller.ask(LEASE, ASKED, Leased) == Leased(granted=True)
    assert heard == [(LEASE, b'{"name":"sweep","seconds":1}', trace)]


async def test_of_many_that_answer_one_does(nats: NatsServer, api: Bus, poller: Bus) -> None:
    counts = [0, 0]

    def counting(place: int) -> Answer:
        async def answer(subject: str, payload: bytes) -> Leased:
            counts[place] += 1
            return Leased(granted=True)

        return answer

    async with buses.connect(nats.url("api"), "api-2") as other:
        for place, each in enumerate((api, other)):
            await each.answer("hub.rpc.lease.*.*", counting(place), queue="api")
            await each.arrived()
        await asyncio.gather(*(poller.ask(LEASE, ASKED, Leased) for _ in range(50)))
    assert sum(counts) == 50
    assert all(counts)


async def test_an_answer_does_not_wait_for_another(api: Bus, poller: Bus) -> None:
    release = asyncio.Event()

    async def answer(subject: str, payload: bytes) -> Leased:
        if payload == b'{"name":"slow","seconds":1}':
            await release.wait()
        return Leased(granted=True)

    await api.answer("hub.rpc.lease.*.*", answer)
    await api.arrived()
    slow = asyncio.create_task(poller.ask(LEASE, Lease(name="slow", seconds=1), Leased))
    await poller.ask(LEASE, ASKED, Leased)
    assert not slow.done()
    release.set()
    assert await slow == Leased(granted=True)


async def test_a_question_that_cannot_be_read_is_answered_with_an_error(api: Bus, poller: Bus) -> None:
    async def answer(subject: str, payload: bytes) -> Leased:
        msgspec.json.decode(payload, type=Lease)
        return Leased(granted=True)

    await api.answer("hub.rpc.lease.*.*", answer)
    await api.arrived()
    for nonsense in (b"", b"nonsense", b"\xff\xfe", b'{"name":1}', b"[" * 1000):
        reply = await poller.client.request(LEASE, nonsense, timeout=5)
        assert "unreadable" in (reply.headers or {})["error"]
    with pytest.raises(Remote, match="unreadable"):
        await poller.ask(LEASE, Liveness(alive=True), Leased)


@pytest.mark.parametrize("text", ["no", "", "two\nlines\r\nand: more", "Größe \u2028 ünï", "x" * 5000])
async def test_a_handler_that_fails_is_answered_for(api: Bus, poller: Bus, text: str) -> None:
    """Whatever its error says: it must fit into a header."""

    async def answer(subject: str, payload: bytes) -> None:
        raise RuntimeError(text)

    await api.answer("hub.rpc.lease.*.*", answer)
    await api.arrived()
    with pytest.raises(Remote, match=r"^RuntimeError:"):
        await poller.ask(LEASE, ASKED, Leased)


async def test_an_answer_that_cannot_be_read_is_the_others_failure(api: Bus, poller: Bus) -> None:
    async def answer(subject: str, payload: bytes) -> Done:
        return Done(refused=Refusal(kind="Busy", message="x"))

    await api.answer("hub.rpc.lease.*.*", answer)
    await api.arrived()
    with pytest.raises(Remote, match="unreadable answer"):
        await poller.ask(LEASE, ASKED, Leased)


async def test_where_nobody_is_nobody_answers(poller: Bus) -> None:
    """And that is known at once."""
    with pytest.raises(BusUnavailable, match="NoRespondersError"):
        await poller.ask(LEASE, ASKED, Leased, timeout=60)


async def test_an_answer_that_takes_too_long_is_none(api: Bus, poller: Bus) -> None:
    async def never(subject: str, payload: bytes) -> None:
        await asyncio.Event().wait()

    await api.answer("hub.rpc.lease.*.*", never)
    await api.arrived()
    with pytest.raises(BusUnavailable, match="TimeoutError"):
        await poller.ask(LEASE, ASKED, Leased, timeout=0.05)


async def test_what_is_asked_until_answered_survives_the_server(nats: NatsServer, api: Bus, poller: Bus) -> None:
    await api.answer("hub.rpc.lease.*.*", yes)
    await api.arrived()
    nats.kill()
    asked = asyncio.create_task(poller.ask_until_answered(LEASE, ASKED, Leased, timeout=0.2))
    await eventually(lambda: not poller.connected)
    nats.start()
    assert await asyncio.wait_for(asked, 10) == Leased(granted=True)


async def test_what_was_open_is_open_again_after_the_server_was_away(nats: NatsServer, api: Bus, poller: Bus) -> None:
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    await poller.listen("hub.heartbeat.log", heard.put)
    await poller.arrived()
    assert not poller.reconnected.is_set()
    nats.kill()
    await eventually(lambda: not poller.connected and not api.connected)
    nats.start()
    await asyncio.wait_for(asyncio.gather(poller.reconnected.wait(), api.reconnected.wait()), 10)
    await poller.arrived()
    await api.signal("hub.heartbeat.log", Done())
    assert (await asyncio.wait_for(heard.get(), 5)).subject == "hub.heartbeat.log"


async def test_a_client_tries_for_ever(nats: NatsServer, poller: Bus) -> None:
    """By default it would give up after 60 tries, and stay closed."""
    poller.client.options["reconnect_time_wait"] = 0.001
    nats.kill()
    [server] = poller.client._server_pool
    await eventually(lambda: server.reconnects > 70)
    assert not poller.client.is_closed
    nats.start()
    await eventually(lambda: poller.connected)


async def test_a_client_that_is_thrown_out_ends_what_it_was_for(nats: NatsServer) -> None:
    """It would stay closed, and its process wait for ever."""
    process = nats._process
    assert process is not None

    async def work() -> None:
        async with buses.connect(nats.url("poller"), "poller-1"), buses.connect(nats.url("poller"), "poller-2"):
            limited = {**json.loads(nats._config.read_text()), "max_connections": 1}
            nats._config.write_text(json.dumps(limited))
            process.send_signal(signal.SIGHUP)
            await asyncio.Event().wait()

    with pytest.raises(buses.BusClosed):
        await asyncio.wait_for(work(), 10)


async def test_a_cancelled_task_stays_cancelled(nats: NatsServer) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with buses.connect(nats.url("poller"), "poller-1"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_signal_is_told_to_who_listens_and_lost_on_others(nats: NatsServer, api: Bus, poller: Bus) -> None:
    heard = []

    async def listen(message: Msg) -> None:
        heard.append(message.data)
        if len(heard) == 1:
            raise RuntimeError("a listener that fails goes on listening")

    await api.listen("hub.heartbeat.>", listen)
    await api.arrived()
    beat = Heartbeat(service="poller", name="poller-1")
    for _ in range(2):
        await poller.signal("hub.heartbeat.poller.poller-1", beat)
    await eventually(lambda: len(heard) == 2)
    nats.kill()
    await eventually(lambda: not poller.connected)
    await poller.signal("hub.heartbeat.poller.poller-1", beat)


def test_any_text_is_one_token_of_a_subject_and_no_two_are_the_same() -> None:
    texts = ["", "a", "a.b", "a%2eb", "*", ">", " ", "a b", "ü", "%", "%%", "\u0149", "\x149", "x-1_y", "a\nb"]
    tokens = [token(text) for text in texts]
    assert len(set(tokens)) == len(texts)
    assert all(each and not set(each) & set(".*> \n\t") and each.isascii() for each in tokens)
    assert token("worker-1_x") == "worker-1_x"
