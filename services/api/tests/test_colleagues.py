"""Who shares a pool's work."""

import json
from types import SimpleNamespace

from hubbub_api.colleagues import Colleagues


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


async def say(colleagues, worker, pool="default", data=None):
    beat = {"service": "spawner-worker", "name": worker, "pool": pool}
    data = json.dumps(beat).encode() if data is None else data
    await colleagues.hear(SimpleNamespace(subject=f"hub.heartbeat.spawner-worker.{worker}", data=data))


async def test_those_of_the_pool_are_counted_once_each():
    colleagues = Colleagues(10)
    for worker in ("w1", "w2", "w1"):
        await say(colleagues, worker)
    await say(colleagues, "w3", "gpu")
    assert colleagues.of("default") == 2
    assert colleagues.of("gpu") == 1


async def test_whoever_asks_is_there():
    assert Colleagues(10).of("default") == 1


async def test_the_silent_are_not_counted():
    clock = Clock()
    colleagues = Colleagues(10, clock=clock)
    await say(colleagues, "w1")
    clock.now += 6
    await say(colleagues, "w2")
    assert colleagues.of("default") == 2
    clock.now += 6
    assert colleagues.of("default") == 1


async def test_nonsense_is_passed_over():
    colleagues = Colleagues(10)
    for data in (b"", b"\xff", b"[]", b"{}", b'{"name": 3}'):
        await say(colleagues, "w1", data=data)
    assert colleagues.of("default") == 1


async def test_those_who_take_nothing_are_left_out():
    colleagues = Colleagues(10)
    for worker in ("w1", "w2", "w3"):
        await say(colleagues, worker)
    assert colleagues.of("default", but={"w1", "w9"}) == 2
    assert colleagues.alive("default", but={"w1", "w2", "w3"}) == 0
    assert colleagues.of("default", but={"w1", "w2", "w3"}) == 1


async def test_the_silent_are_remembered_for_a_while():
    clock = Clock()
    colleagues = Colleagues(10, clock=clock)
    await say(colleagues, "w1")
    clock.now += 60
    await say(colleagues, "w2")
    known = colleagues.known()
    assert [(name, heard.alive, heard.ago) for name, heard in known.items()] == [("w1", False, 60), ("w2", True, 0)]
    clock.now += 3570
    assert list(colleagues.known()) == ["w2"]


async def test_there_is_room_for_the_living_however_many_were_there_before(monkeypatch):
    monkeypatch.setattr("hubbub_api.colleagues.MOST", 3)
    clock = Clock()
    colleagues = Colleagues(10, clock=clock)
    for worker in ("w1", "w2", "w3"):
        await say(colleagues, worker)
    await say(colleagues, "w4")
    assert "w4" not in colleagues.known()
    clock.now += 20
    await say(colleagues, "w4")
    assert list(colleagues.known()) == ["w4"]
