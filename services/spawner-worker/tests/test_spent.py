"""A worker tells how long each step of a start took, and which one it failed in."""

import asyncio
from types import SimpleNamespace

import pytest

from hubbub.domain.server_messages import ReportFailed, ReportStarted
from hubbub.domain.server_states import Running, Stopped
from hubbub_spawner_worker import spent
from hubbub_spawner_worker.spawners import SpawnException
from hubbub_spawner_worker.spent import Spent


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(spent, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_each_step_ends_where_the_next_begins(clock):
    watch = Spent()
    for step, seconds in [("making", 1.0), ("groups", 0.0), ("start", 2.5)]:
        watch.now(step)
        clock.now += seconds
    watch.now("")
    clock.now += 9
    assert watch.told() == {"making": 1.0, "start": 2.5}
    assert list(watch.told()) == ["making", "start"]


def test_the_last_is_the_one_that_goes_on_even_if_it_took_no_time(clock):
    watch = Spent()
    watch.now("making")
    clock.now += 1
    watch.now("pre_spawn_hook")
    assert list(watch.told().items()) == [("making", 1.0), ("pre_spawn_hook", 0.0)]
    clock.now += 0.5
    assert watch.told()["pre_spawn_hook"] == 0.5


def test_a_step_that_is_taken_up_again_is_one(clock):
    watch = Spent()
    for step in ("scopes", "telling", "scopes"):
        watch.now(step)
        clock.now += 1
    watch.now("")
    assert watch.told() == {"scopes": 2.0, "telling": 1.0}


async def slow(_):
    await asyncio.sleep(0.2)


async def test_a_slow_hook_is_named(api, hire):
    await hire(pre_spawn_hook=slow)
    await api.start("s1")
    await api.until_is("s1", Running)
    [started] = api.reported(ReportStarted)
    assert started.spent["pre_spawn_hook"] >= 0.2
    assert started.spent["start"] > 0


async def refuse(spawner):
    await slow(spawner)
    raise SpawnException("No.")


async def test_the_step_that_failed_is_the_last_one(api, hire):
    await hire(pre_spawn_hook=refuse)
    await api.start("s1")
    await api.until_is("s1", Stopped)
    [failed] = api.reported(ReportFailed)
    assert list(failed.spent)[-1] == "pre_spawn_hook"
    assert failed.spent["pre_spawn_hook"] >= 0.2
    assert "start" not in failed.spent


async def test_without_hooks_there_is_little_to_tell(api, hire):
    await hire()
    await api.start("s1")
    await api.until_is("s1", Running)
    [started] = api.reported(ReportStarted)
    assert set(started.spent) <= {"making", "telling", "start"}
