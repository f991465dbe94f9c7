"""Of the proxies' suite: connections that stay open: event streams, WebSockets, and those where nothing happens."""

import asyncio
import statistics
import time
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

import raw
from proxy_stage import Stage
from stack import eventually

MEGABYTE = 2**20
#: Seconds from the sending of an event to its arrival; a proxy that waits for more to come takes longer.
PROMPT = 0.2
#: Seconds without a byte. Proxies that have a limit have one of 30 s or less, or of minutes.
STILL = 31


def socket(stage: Stage, whose: str, **kwargs: Any) -> connect:
    place = stage.hub.url.replace("http", "ws", 1).rstrip("/") + stage.places[whose]
    return connect(f"{place}_ws", max_size=None, open_timeout=20, **kwargs)


async def echoes(opened: ClientConnection, *messages: str | bytes) -> None:
    for message in messages:
        await opened.send(message)
        async with asyncio.timeout(20):
            assert await opened.recv() == message


async def keep_silence(stage: Stage) -> None:
    """For long enough, on a connection of each kind; then something comes through each."""

    async def stream(target: str) -> None:
        async with raw.line(stage.hub.url) as line:
            await line.send(raw.request(target))
            await line.reader.readuntil(b"data: ")

    async with socket(stage, "ada", ping_interval=None) as opened:
        place, asked = stage.places["ada"], f"number=1&still={STILL}"
        await asyncio.gather(stream(f"{place}_events?{asked}"), stream(f"{place}_think?{asked}"))
        await echoes(opened, "still there")


class Streams:
    async def test_each_event_of_a_stream_arrives_at_once(self, stage: Stage):
        """Most of them, as the machine may be busy; what is held back is held back every time."""
        late = []
        async with raw.line(stage.hub.url) as line:
            await line.send(raw.request(f"{stage.places['ada']}_events?number=30", "Accept: text/event-stream"))
            await line.reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(30):
                for _ in range(30):
                    sent = (await line.reader.readuntil(b"data: ")) and await line.reader.readuntil(b"\n")
                    late.append(time.time() - float(sent))
        assert statistics.median(late) < PROMPT / 2, late
        assert statistics.quantiles(late, n=5)[-1] < PROMPT, late

    # WebSockets -----------------------------------------------------------------------------

    async def test_messages_of_a_web_socket_come_back_as_they_were(self, stage: Stage):
        for whose in ("ada", "ada/lab", "jürgen", "two words", "service", "extra"):
            async with socket(stage, whose) as opened:
                await echoes(opened, "a word", "ünïcödé 日本", b"\x00\xff", "")
                await asyncio.wait_for(await opened.ping(), 10)
        async with socket(stage, "ada") as opened:
            await echoes(opened, "x" * MEGABYTE, bytes(range(256)) * (MEGABYTE // 256))

    async def test_a_web_socket_ends_with_the_code_that_was_given(self, stage: Stage):
        async with socket(stage, "ada") as opened:
            await opened.send("close 4001 enough of it")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(opened.recv(), 10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough of it")

    async def test_a_web_socket_speaks_the_protocol_that_both_know(self, stage: Stage):
        kernel = "v1.kernel.websocket.jupyter.org"
        async with socket(stage, "ada", subprotocols=["unknown", kernel]) as opened:
            assert opened.subprotocol == kernel
            await echoes(opened, "understood")
        async with socket(stage, "ada") as opened:
            assert opened.subprotocol is None

    async def test_a_web_socket_is_opened_with_the_path_as_it_was(self, stage: Stage):
        """At the servers whose names have to be quoted, by each spelling of them."""
        url = stage.hub.url.replace("http", "ws", 1).rstrip("/")
        for spelled in (
            "/user/j%C3%BCrgen/_ws",
            "/user/%6a%c3%bcrgen/_ws?next=%2Fuser%2Fbob",
            "/user/a;b/_ws",
            "/user/a%2Bb/_ws",
        ):
            async with connect(url + spelled, open_timeout=20) as opened:
                await echoes(opened, spelled)
        with pytest.raises(websockets.InvalidStatus):
            async with connect(f"{url}/user/carl/_ws", open_timeout=20):
                pass

    async def test_open_connections_live_while_routes_come_and_go(self, stage: Stage):
        names = [f"guest-{number:02}" for number in range(50)]
        target = (await stage.routes())[stage.places["service"]]["target"]
        async with socket(stage, "ada") as hers, socket(stage, "service") as its, raw.line(stage.hub.url) as line:
            await line.send(raw.request(f"{stage.places['bob']}_endless?id=route-changes"))
            for verb, wanted in (("POST", (201,)), ("DELETE", (200, 204))):
                changes = [stage.hub.api(verb, f"/services/{name}", _service(target, verb)) for name in names]
                answers = await asyncio.gather(*changes)
                assert all(status in wanted for status, _ in answers), answers
                await eventually(
                    lambda verb=verb: _are_routed(stage, names, verb == "POST"), 20, f"routes after {verb}"
                )
                await echoes(hers, verb)
                await echoes(its, verb)
                await asyncio.wait_for(line.reader.readuntil(b"more"), 10)

    async def test_what_is_silent_for_long_is_not_cut(self, stage: Stage, silence: asyncio.Task[None]):
        """A kernel that thinks, a stream without events, a WebSocket without pings, a request that is not answered."""
        async with asyncio.timeout(STILL + 20):
            await silence


def _service(url: str, verb: str) -> dict[str, str] | None:
    return {"url": url} if verb == "POST" else None


async def _are_routed(stage: Stage, names: list[str], wanted: bool) -> bool:
    """Whether the proxy leads to all, or to none, of these services."""
    answers = await raw.ask_all(stage.hub.url, [f"/services/{name}/_seen" for name in names])
    return all(bool(answer.header("X-Standin")) == wanted for answer in answers)
