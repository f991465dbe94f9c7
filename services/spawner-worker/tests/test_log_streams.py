"""Following a log: every line once, in order, for as long as somebody listens, and never more than the bus can bear."""

import asyncio
import os

import msgspec
import pytest

from hubbub.rpc import LogLines, Word
from hubbub_spawner_worker import log_streams
from hubbub_spawner_worker.log_streams import LogStreams, added
from hubbub_spawner_worker.logs import Logs, NoLog

PATIENCE = 10
MB = 1024 * 1024


class Heard:
    """What was published, by listener."""

    def __init__(self):
        self.messages = []
        self._more = asyncio.Event()

    async def publish(self, subject, data):
        self.messages.append((subject, msgspec.json.decode(data, type=LogLines), len(data)))
        self._more.set()

    def lines(self, listener="l1"):
        return [line for subject, sent, _ in self.messages if subject.endswith(f".{listener}") for line in sent.lines]

    async def until(self, lines, listener="l1"):
        await self._until(lambda: self.lines(listener) == lines)

    async def until_last(self, line):
        await self._until(lambda: self.lines()[-1:] == [line])

    async def _until(self, true):
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._more.clear()
                await self._more.wait()

    @property
    def cursor(self):
        return self.messages[-1][1].cursor


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path)


@pytest.fixture
async def streams(logs, heard):
    made = LogStreams(logs, heard.publish)
    yield made
    await made.close()


@pytest.fixture
def write(logs):
    def append(text, server="s1"):
        file = logs.open(server)
        os.write(file, text.encode())
        os.close(file)

    return append


def follow(lines=10, listener="l1", since="", server="s1"):
    return Word(server=server, attempt=1, verb="follow", lines=lines, listener=listener, since=since)


def unfollow(listener="l1"):
    return Word(server="s1", attempt=1, verb="unfollow", listener=listener)


async def test_the_end_comes_first_and_then_every_line_as_it_is_written(streams, write, heard):
    write("one\ntwo\nthree\n")
    assert (await streams.hear(follow(2))).error == ""
    await heard.until(["two", "three"])
    write("four\nfi")
    await heard.until(["two", "three", "four"])
    write("ve\n")
    await heard.until(["two", "three", "four", "five"])
    assert {subject for subject, *_ in heard.messages} == {"hub.logs.s1.l1"}


async def test_several_may_listen(streams, write, heard):
    write("one\n")
    await streams.hear(follow(5, "l1"))
    await streams.hear(follow(0, "l2"))
    write("two\n")
    await heard.until(["one", "two"], "l1")
    await heard.until(["two"], "l2")


async def test_all_that_was_written_is_sent_before_the_end_is_confirmed(streams, write, heard):
    write("one\n")
    await streams.hear(follow())
    write("two\nno end")
    await streams.hear(unfollow())
    assert heard.lines() == ["one", "two", "no end"]
    assert not streams._listeners


async def test_whoever_comes_back_goes_on_where_they_were(streams, write, heard, logs):
    write("one\n")
    await streams.hear(follow())
    await streams.hear(unfollow())
    write("two\n")
    another = LogStreams(logs, heard.publish)
    await another.hear(follow(since=heard.cursor))
    await heard.until(["one", "two"])
    await another.close()


@pytest.mark.parametrize("cursor", ["nonsense", "12.34:5", "backend", ":", "1:99999999999999999999999"])
async def test_a_cursor_of_nonsense_is_as_good_as_none(streams, write, heard, cursor):
    write("one\ntwo\n")
    await streams.hear(follow(1, since=cursor))
    await heard.until(["two"])


async def test_a_log_that_was_cut_goes_on_from_its_start(streams, write, heard, tmp_path):
    small = LogStreams(Logs(tmp_path, limit=10), heard.publish)
    write("long enough to be cut\n")
    await small.hear(follow())
    await heard.until(["long enough to be cut"])
    small._logs.rotate(["s1"])
    write("after\n")
    await heard.until(["long enough to be cut", "after"])
    await small.close()


async def test_nobody_is_sent_anything_who_does_not_say_that_they_listen(streams, write, heard, monkeypatch):
    monkeypatch.setattr(log_streams, "FOLLOWED_FOR", 0.3)
    write("one\n")
    await streams.hear(follow(listener="gone"))
    (listener,) = streams._listeners.values()
    async with asyncio.timeout(PATIENCE):
        await listener.task
    assert not streams._listeners


async def test_who_renews_is_sent_nothing_twice(streams, write, heard):
    write("one\n")
    await streams.hear(follow())
    await heard.until(["one"])
    await streams.hear(follow(since=heard.cursor))
    write("two\n")
    await heard.until(["one", "two"])
    assert len(streams._listeners) == 1


async def test_messages_fit_the_bus_and_what_comes_too_fast_is_left_out(streams, write, heard):
    write("start\n")
    await streams.hear(follow(0))
    write("\x01" * 200_000 + "\n" + "last\n")
    await heard.until_last("last")
    assert max(size for *_, size in heard.messages) < 256 * 1024
    assert "".join(heard.lines()[:-1]) == "\x01" * 200_000
    write("x" * 100 + "\n" + ("y" * 99 + "\n") * 30_000 + "end\n")
    await heard.until_last("end")
    assert any("bytes are left out here" in line for line in heard.lines())
    assert sum(size for *_, size in heard.messages) < 4 * MB


async def test_there_is_nothing_to_follow_where_there_is_no_log(streams):
    assert "no log" in (await streams.hear(follow())).error
    assert "no id" in (await streams.hear(follow(server="../x"))).error


async def test_a_backend_is_asked_instead_of_the_files(logs, heard, monkeypatch, write):
    monkeypatch.setattr(log_streams, "_PAUSE_OF_BACKENDS", 0.01)
    written = ["a", "b", "c"]

    async def backend(lines):
        return "\n".join(written[-lines:]) + "\n"

    streams = LogStreams(logs, heard.publish, lambda server: backend if server == "s1" else None)
    assert (await streams.hear(Word(server="s1", attempt=1, verb="log", lines=2))).text == "b\nc\n"
    await streams.hear(follow(2))
    await heard.until(["b", "c"])
    written += ["c", "d"]
    await heard.until(["b", "c", "c", "d"])
    await streams.hear(unfollow())
    written.append("e")
    await streams.hear(follow(listener="l2", since=heard.cursor))
    await heard.until(["e"], "l2")
    await streams.close()


@pytest.mark.parametrize("failure", [NoLog("it keeps none"), ValueError("it keeps none")])
async def test_a_backend_that_fails_is_a_sentence(logs, heard, failure):
    async def backend(lines):
        raise failure

    streams = LogStreams(logs, heard.publish, lambda _: backend)
    assert "it keeps none" in (await streams.hear(Word(server="s1", attempt=1, verb="log"))).error


async def test_a_backend_that_hangs_does_not_hang_us(logs, heard, monkeypatch):
    monkeypatch.setattr(log_streams, "_PATIENCE_WITH_BACKENDS", 0.01)

    async def backend(lines):
        await asyncio.Event().wait()

    streams = LogStreams(logs, heard.publish, lambda _: backend)
    assert "in time" in (await streams.hear(Word(server="s1", attempt=1, verb="log"))).error


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ([], ["a"], ["a"]),
        (["a"], ["a"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b"], ["b", "c"], ["c"]),
        (["a", "b"], ["x", "y"], ["x", "y"]),
        (["a", "a"], ["a", "a", "a"], ["a"]),
        (["a", "b"], [], []),
    ],
)
def test_what_is_new_is_what_follows_what_was_seen(before, now, new):
    assert added(before, now) == new
