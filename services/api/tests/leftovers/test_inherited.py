"""Servers whose holder is lost, and which others can get at: they run on, and somebody has them soon."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hubbub.domain.server_messages import ReportExit, ReportState, StopServer
from hubbub.domain.server_states import Running, Spawning, Stopped, Stopping
from hubbub_api.expiry import expire
from hubbub_api.testing import LATER

AGO = datetime.now(UTC) - timedelta(seconds=1)


def ids(claimed) -> list[str]:
    return [each.spec.server for each in claimed.inherited]


async def test_a_colleague_has_it_with_its_state_and_its_token(crew, opened):
    w1, w2 = crew("w1"), crew("w2", host="h2")
    server, _ = await w1.runs("ada")
    await w1.remembers(server, container="c1")
    before = await w1.state(server)
    await w1.sweep(lost=("w1",))
    assert (await w1.state(server)).holder is None
    [found] = (await w2.takes()).inherited
    assert found.spec.server == server
    assert opened(found.spec)["state"] == {"container": "c1"}
    assert isinstance(found.state, Running)
    assert (found.state.holder, found.state.host, found.state.token) == ("w2", "h2", before.token)
    assert found.state.deadline > datetime.now(UTC)
    assert found.spec.reach == "pool"
    assert await expire(w1.house.pool, w1.house.committer) == 0


async def test_whoever_lost_it_is_told_so_and_may_have_it_again(crew):
    w1 = crew("w1")
    server, _ = await w1.runs("ada")
    await w1.is_lost(server)
    attempt = (await w1.state(server)).attempt
    refused = (await w1.reports(server, ReportState(attempt=attempt, worker="?"))).refused
    assert refused
    assert (refused.kind, refused.message) == ("StaleAttempt", "held by nobody")
    assert ids(await w1.takes()) == [server]
    await w1.remembers(server, container="c2")


async def test_of_two_who_ask_at_once_one_has_it(crew):
    workers = [crew(f"w{n}", host=f"h{n}") for n in range(1, 5)]
    server, _ = await workers[0].runs("ada")
    await workers[0].is_lost(server)
    claimed = await asyncio.gather(*(worker.takes() for worker in workers))
    [winner] = [worker.name for worker, got in zip(workers, claimed, strict=True) if got.inherited]
    assert (await workers[0].state(server)).holder == winner
    assert (await workers[0].events(server)).count("ServerAdopted") == 1


async def test_a_claim_that_is_sent_again_gets_the_same(crew):
    """Its answer may have been lost, and what it got would be nobody's."""
    w1, w2 = crew("w1"), crew("w2")
    server, _ = await w1.runs("ada")
    await w1.is_lost(server)
    first = await w2.takes(id="claim-1")
    again = await w2.takes(id="claim-1", again=True)
    assert ids(first) == ids(again) == [server]
    assert ids(await w2.takes(id="claim-2")) == []
    await w1.is_lost(server)
    await w1.takes()
    assert ids(await w2.takes(id="claim-1", again=True)) == []


async def test_who_has_no_room_or_another_pool_or_spawner_takes_nothing(crew):
    w1, process, host = crew("w1"), crew("w2", reach="process"), crew("w3", reach="host")
    server, _ = await w1.runs("ada")
    await w1.is_lost(server)
    for claim in (w1.takes(room=0), w1.takes(pool="gpu"), process.takes(), host.takes()):
        assert ids(await claim) == []
    assert ids(await w1.takes(room=1)) == [server]


async def test_what_lives_on_a_host_is_taken_there(crew):
    w1, there, elsewhere = (
        crew(name, host=host, reach="host") for name, host in (("w1", "h1"), ("w2", "h1"), ("w3", "h2"))
    )
    server, _ = await w1.runs("ada")
    await w1.is_lost(server)
    assert ids(await elsewhere.takes()) == []
    assert ids(await there.takes()) == [server]


async def test_as_many_as_there_is_room_for_and_starts_take_room_too(crew):
    w1, w2 = crew("w1"), crew("w2")
    servers = [(await w1.runs("ada", name))[0] for name in ("", "a", "b")]
    for server in servers:
        await w1.is_lost(server)
    await w1.asks("ada", "c")
    first = await w2.takes(room=2, starts=2)
    assert (len(first.inherited), len(first.specs), first.waiting) == (2, 0, 1)
    second = await w2.takes(room=2, starts=2)
    assert (len(second.inherited), len(second.specs), second.waiting) == (1, 1, 0)


async def test_a_worker_that_begins_anew_has_its_servers_again_at_once(crew):
    w1 = crew("w1")
    server, _ = await w1.runs("ada")
    await w1.hello()
    assert (await w1.events(server))[-1] == "HolderLost"
    assert ids(await w1.takes()) == [server]


@pytest.mark.parametrize(("host", "left"), [("h1", 0), ("h2", 1)])
async def test_a_process_that_is_not_found_has_ended_if_it_was_looked_for_where_it_was(crew, host, left):
    w1 = crew("w1", reach="process")
    server, _ = await w1.runs("ada")
    await w1.hello(host)
    state = await w1.state(server)
    assert isinstance(state, Stopped)
    assert len(state.leftovers) == left


async def test_a_stop_waits_for_somebody_to_do_it(crew):
    w1, w2 = crew("w1"), crew("w2")
    server, _ = await w1.runs("ada")
    await w1.is_lost(server)
    await w1.wish(server, StopServer(deadline=LATER))
    [found] = (await w2.takes()).inherited
    assert isinstance(found.state, Stopping)
    exited = ReportExit(attempt=found.state.attempt, worker="?", status="0", deadline=LATER)
    assert isinstance((await w2.reports(server, exited)).state, Stopped)


async def test_what_nobody_takes_in_time_is_a_leftover(crew, opened):
    w1, w2 = crew("w1"), crew("w2")
    server, _ = await w1.runs("ada")
    await w1.remembers(server, container="c1")
    await w1.is_lost(server, deadline=AGO)
    await w1.house.route(server)  # it is ready, as far as anybody can see
    await w1.sweep()
    state = await w1.state(server)
    assert isinstance(state, Stopped)
    assert [left.reason for left in state.leftovers] == ["No worker of the pool took it over in time"]
    assert await w1.vault() == {f"state:{server}:1"}
    [job] = (await w2.takes()).leftovers
    assert opened(job)["state"] == {"container": "c1"}


async def test_the_lost_and_the_gone(crew):
    """Only what nobody else can get at waits for a worker that may come back."""
    pooled, local = crew("w1"), crew("w2", reach="process")
    server, _ = await pooled.runs("ada", "a")
    process, _ = await local.runs("ada", "b")
    await local.asks("ada", "c")
    [claimed] = await local.claims()
    starting = claimed.spec.server
    await pooled.sweep(lost=("w1", "w2"))
    assert (await pooled.state(server)).holder is None
    assert (await pooled.state(process)).holder == "w2"
    again = await pooled.state(starting)
    assert isinstance(again, Spawning)
    assert (again.attempt, again.holder, len(again.leftovers)) == (2, None, 1)
    await pooled.sweep(lost=("w1", "w2"), gone=("w1", "w2"))
    assert isinstance(await pooled.state(process), Stopped)
    assert (await pooled.state(server)).holder is None
