"""A worker that drains: it leaves what it gets no part of to its colleagues, and works again when it is told to."""

import msgspec

from hubbub.domain.server_states import Running
from hubbub.testing.eventually import eventually
from hubbub.watch_messages import Heartbeat


async def tickets(api):
    """How many hints nobody has taken."""
    consumer = await api.bus.js.consumer_info("TICKETS", f"pool-{api.pool}")
    return consumer.num_pending


async def test_hints_are_left_to_others(api, hire):
    w1 = (await hire("w1")).worker
    api.draining.add("w1")
    await api.start("s1", ticket=False)
    await eventually(lambda: w1.claims.draining)
    assert w1.free() == 0
    made = w1.claims.made
    # Whatever it had asked for before is over when it has asked once more.
    await eventually(lambda: w1.claims.made > made + 1)
    await api.ticket(b"")
    made = w1.claims.made
    await eventually(lambda: w1.claims.made > made + 1)
    assert await tickets(api) == 1
    assert api.waiting() == ["s1"]
    await hire("w2")
    await api.until_is("s1", Running)
    assert api.holder("s1") == "w2"
    await eventually(lambda: _none(api))


async def _none(api):
    return await tickets(api) == 0


async def test_one_that_is_undrained_takes_what_waits(api, hire):
    w1 = (await hire("w1")).worker
    api.draining.add("w1")
    await eventually(lambda: w1.claims.draining)
    await api.start("s1")
    api.draining.clear()
    await api.until_is("s1", Running)
    assert (api.holder("s1"), w1.claims.draining) == ("w1", False)
    await api.start("s2", user="bob")
    await api.until_is("s2", Running)


async def test_what_it_has_runs_on_and_is_looked_after(api, hire):
    w1 = (await hire("w1")).worker
    await api.start("s1")
    await api.until_is("s1", Running)
    api.draining.add("w1")
    await eventually(lambda: w1.claims.draining)
    assert isinstance(api.states["s1"], Running)
    await api.stop("s1")
    await api.until(lambda: not isinstance(api.states["s1"], Running))
    await eventually(lambda: not w1.files())


async def test_its_heart_says_what_it_can_take(api, hire, connection):
    heard = []

    async def hear(message):
        heard.append(message)

    await connection.listen("hub.heartbeat.spawner-worker.w1", hear)
    await connection.arrived()
    await hire("w1", starts=7, capacity=9)
    await eventually(lambda: heard)
    beat = msgspec.json.decode(heard[0].data, type=Heartbeat)
    assert (beat.name, beat.pool, beat.starts, beat.capacity, beat.holds) == ("w1", api.pool, 7, 9, 0)
    assert beat.machine
    assert beat.version
    assert beat.began
