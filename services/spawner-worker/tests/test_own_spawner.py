"""A Spawner that somebody has derived from ours, which knows where its server writes."""

import pytest

from hubbub.domain.server_states import Running, Stopped
from hubbub_spawner_worker.spawners import Spawner


class Pretends(Spawner):
    """Starts nothing: it needs no backend but this test."""

    lines = ("one", "two", "three")
    runs = False

    async def start(self):
        self.runs = True
        return "http://127.0.0.1:9"

    async def poll(self):
        return None if self.runs else 0

    async def stop(self, now=False):
        self.runs = False

    async def read_log(self, lines):
        return "\n".join(self.lines[-lines:]) if self.lines else None


class SaysNothing(Pretends):
    lines = ()


@pytest.fixture
async def log_of(api, hire, answers):
    async def ask(kind):
        await hire("w1", kind)
        await api.start("s1")
        await api.until_is("s1", Running)
        said = await api.log_of("w1", "s1", 2)
        await api.stop("s1")
        await api.until_is("s1", Stopped)
        return said

    return ask


@pytest.fixture
def answers(monkeypatch):
    async def at_once(*_):
        return ""

    monkeypatch.setattr("hubbub_spawner_worker.response.version_of", at_once)


async def test_the_log_is_what_the_spawner_reads(log_of):
    assert (await log_of(Pretends)).text == "two\nthree"


async def test_a_spawner_may_have_none(log_of):
    assert "keeps no log" in (await log_of(SaysNothing)).error
