"""The log of a server over HTTP: for whom, what comes of it when it is followed, and when that ends."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import ClientError

from hubbub import bus
from hubbub.domain.server_messages import ClaimAttempt, ReportExit, ReportResponded, ReportStarted, StartServer
from hubbub.eventlog import Context
from hubbub.rpc import LogLines, LogTail, Word
from hubbub.testing.nats import NatsServer
from hubbub.views import SERVERS
from hubbub_api import keys, server_log

PATIENCE = 20
SOON = datetime.now(UTC) + timedelta(hours=1)
PLAIN = {"Accept": "text/plain"}


class Worker:
    """What holds the server, as the bus knows it: `written` is the log, `listeners` who was not told to go."""

    def __init__(self, connection: bus.Bus) -> None:
        self.bus = connection
        self.written = ["one", "two"]
        self.words: list[Word] = []
        self.listeners: dict[str, int] = {}
        self.fails = ""
        self.deaf = 0  # to so many words from now on
        self._heard = asyncio.Event()

    async def hear(self, _: str, data: bytes) -> LogTail | None:
        if self.deaf:
            self.deaf -= 1
            return None
        word = msgspec.json.decode(data, type=Word)
        self.words.append(word)
        self._heard.set()
        if self.fails:
            return LogTail(error=self.fails)
        if word.verb == "log":
            return LogTail(text="\n".join(self.written[-word.lines :]))
        if word.verb == "follow" and word.listener not in self.listeners:
            self.listeners[word.listener] = int(word.since or max(0, len(self.written) - word.lines))
            await self._send(word)
        if word.verb == "unfollow" and word.listener in self.listeners:
            await self._send(word)
            del self.listeners[word.listener]
        return LogTail()

    async def write(self, *lines: str) -> None:
        self.written += lines
        for word in {word.listener: word for word in self.words if word.listener in self.listeners}.values():
            await self._send(word)

    async def _send(self, word: Word) -> None:
        new, end = tuple(self.written[self.listeners[word.listener] :]), len(self.written)
        self.listeners[word.listener] = end
        if new:
            await self.bus.signal(f"hub.logs.{word.server}.{word.listener}", LogLines(lines=new, cursor=str(end)))

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._heard.clear()
                await self._heard.wait()


@pytest.fixture(scope="module")
def nats(tmp_path_factory):
    server = NatsServer(tmp_path_factory.mktemp("nats"), ["default"])
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def worker(house, nats):
    """It holds ada's server, which runs; it is shared with bob, but not with cleo. The api is on the bus."""
    for name in ("ada", "bob", "cleo"):
        await house.person(name)
    await house.person("root", admin=True)
    house.id = await house.server("ada", "lab", *running())
    shared = {"user": "bob", "scopes": [f"{base}:servers!server=ada/lab" for base in ("access", "read")]}
    assert (await asked(house, "POST", "/shares/ada/lab", json=shared)).status == 200
    async with bus.connect(nats.url("api"), "api") as ours, bus.connect(nats.url("pool-default"), "w1") as theirs:
        made = Worker(theirs)
        await theirs.answer("hub.holder.w1", made.hear)
        await theirs.arrived()
        house.client.server.app._state[keys.BUS] = ours  # the application is frozen by now
        following = asyncio.create_task(house.client.server.app[keys.FOLLOWER].run())
        yield made
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def running():
    start = StartServer(pool="default", prefix="/user/ada/lab/", at=SOON, deadline=SOON, retries=0)
    claim = ClaimAttempt(attempt=1, worker="w1", host="h", token="t", deadline=SOON)
    started = ReportStarted(attempt=1, worker="w1", url="http://127.0.0.1:1", deadline=SOON)
    return start, claim, started, ReportResponded(attempt=1, worker="w1", deadline=SOON, version="1")


async def end(house):
    report = ReportExit(attempt=1, worker="w1", status="0", deadline=SOON)
    await house.committer.execute(SERVERS, house.id, report, Context.of("test"))


async def asked(house, method, path, **more):
    """By the administrator."""
    return await house.ask(f"/hub/api{path}", "", method, await house.token("root"), **more)


async def read(answer, lines):
    """Its next *lines*."""
    async with asyncio.timeout(PATIENCE):
        return [(await answer.content.readline()).decode().rstrip("\n") for _ in range(lines)]


async def events(answer, lines):
    """What follows the comment that begins every stream of events."""
    assert await read(answer, 2) == [":", ""]
    return await read(answer, lines)


async def rest(answer):
    async with asyncio.timeout(PATIENCE):
        return (await answer.content.read()).decode()


def log(house, who, path="", **more):
    return house.ask(f"/hub/api/users/ada/servers/lab/log{path}", who, **more)


async def test_the_end_of_it_is_text(house, worker):
    answer = await log(house, "ada", "?lines=1")
    assert (answer.status, answer.content_type, await answer.text()) == (200, "text/plain", "two")


@pytest.mark.parametrize(("who", "status"), [("ada", 200), ("root", 200), ("bob", 403), ("cleo", 403)])
@pytest.mark.parametrize("path", ["", "?follow=true"])
async def test_it_is_for_its_owner_and_administrators(house, worker, who, status, path):
    answer = await log(house, who, path)
    assert answer.status == status
    answer.close()


@pytest.mark.parametrize(
    ("owner", "scope", "status"),
    [
        ("ada", "read:servers!server=ada/lab", 200),
        ("ada", "access:servers!user=ada", 403),
        ("root", "admin:server_state!user=ada", 200),
        ("root", "admin:server_state!user=bob", 404),
        ("root", "read:servers", 403),
    ],
)
async def test_a_token_needs_the_scope(house, worker, owner, scope, status):
    assert (await log(house, "", token=await house.token(owner, scope))).status == status


async def test_lines_come_as_events_while_they_are_written(house, worker):
    answer = await log(house, "ada", "?follow=true&lines=1")
    assert answer.content_type == "text/event-stream"
    assert await events(answer, 3) == ["id: 2", "data: two", ""]
    await worker.write("10%\r20%", "", "three")
    assert await read(answer, 8) == ["data: 10%", "data: 20%", "", "data: ", "", "id: 5", "data: three", ""]
    answer.close()


async def test_or_as_plain_lines(house, worker):
    answer = await log(house, "ada", "?follow=true", headers=PLAIN)
    assert answer.content_type == "text/plain"
    assert await read(answer, 2) == ["one", "two"]
    await worker.write("thr\u00e9e")
    assert await read(answer, 1) == ["thr\u00e9e"]
    answer.close()


async def test_whoever_comes_back_says_how_far_they_were(house, worker):
    answer = await log(house, "ada", "?follow=1", headers={"Last-Event-ID": "1"})
    assert await events(answer, 3) == ["id: 2", "data: two", ""]
    answer.close()


async def test_when_the_server_stops_all_that_it_wrote_has_come(house, worker):
    answers = [await log(house, "ada", "?follow=true&lines=0", headers=headers) for headers in (PLAIN, {})]
    await worker.until(lambda: len(worker.listeners) == 2)
    worker.written.append("bye")  # told to nobody: the listeners are asked for at the end
    await end(house)
    assert await rest(answers[0]) == "bye\n"
    assert await rest(answers[1]) == ":\n\nid: 3\ndata: bye\n\nevent: end\ndata: the server has stopped\n\n"
    assert worker.listeners == {}


async def test_of_a_stopped_server_there_is_what_it_wrote(house, worker):
    await end(house)
    assert await rest(await log(house, "ada", "?follow=true", headers=PLAIN)) == "one\ntwo\n"


async def test_who_goes_away_is_sent_nothing_more(house, worker, monkeypatch):
    monkeypatch.setattr(server_log, "RENEW", 0.05)
    answer = await log(house, "ada", "?follow=true")
    await worker.until(lambda: worker.listeners)
    answer.close()
    await worker.until(lambda: not worker.listeners)


async def test_whoever_listens_says_so_again_and_again(house, worker, monkeypatch):
    monkeypatch.setattr(server_log, "RENEW", 0.05)
    answer = await log(house, "ada", "?follow=true", headers=PLAIN)
    assert await read(answer, 2) == ["one", "two"]
    worker.listeners.clear()  # as a worker that was started again
    worker.written.append("three")
    assert await read(answer, 1) == ["three"]
    assert "2" in {word.since for word in worker.words}
    answer.close()


async def test_who_may_read_it_no_longer_is_cut_off(house, worker, monkeypatch):
    monkeypatch.setattr(server_log, "RENEW", 0.05)
    token = await house.token("ada", "read:servers")
    answer = await log(house, "", "?follow=true", token=token, headers=PLAIN)
    assert await read(answer, 2) == ["one", "two"]
    number = await house.pool.fetchval("select max(number) from tokens")
    assert (await asked(house, "DELETE", f"/users/ada/tokens/a{number}")).status == 204
    with pytest.raises(ClientError):
        await rest(answer)
    await worker.until(lambda: not worker.listeners)


async def test_who_does_not_read_is_cut_off(house, worker, monkeypatch):
    monkeypatch.setattr(server_log, "WAITING", 2)
    answer = await log(house, "ada", "?follow=true", headers=PLAIN)
    await worker.until(lambda: worker.listeners)
    async with asyncio.timeout(PATIENCE):
        while worker.listeners:
            await worker.write("x" * 100_000)
            await worker.bus.arrived()
    answer.close()


async def test_a_worker_that_has_no_log_says_why(house, worker):
    worker.fails = "it has written no log on this host"
    for path in ("", "?follow=true"):
        answer = await log(house, "ada", path)
        assert (answer.status, (await answer.json())["message"]) == (404, worker.fails)


async def test_a_question_that_is_lost_is_asked_again(house, worker, monkeypatch):
    """As when the bus is restarted just then."""
    monkeypatch.setattr(server_log, "ASKED", 0.2)
    worker.deaf = 2
    answer = await log(house, "ada")
    assert (answer.status, await answer.text()) == (200, "one\ntwo")


async def test_a_server_that_was_never_started_has_none(house, worker):
    assert (await asked(house, "PUT", "/users/bob/servers/new")).status == 201
    answer = await asked(house, "GET", "/users/bob/servers/new/log?follow=true")
    assert (answer.status, (await answer.json())["message"]) == (404, "It has not been started yet")


async def test_an_api_that_ends_lets_nobody_hang(house, worker):
    answer = await log(house, "ada", "?follow=true", headers=PLAIN)
    assert await read(answer, 2) == ["one", "two"]
    await server_log.end_all(house.client.server.app)
    with pytest.raises(ClientError):
        await rest(answer)
    await worker.until(lambda: not worker.listeners)
