"""What is left of attempts that are over: one worker at a time ends it, and nothing is started that it could be."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hubbub.domain.server_messages import CancelSpawn, ReportExit, ReportOrphan, ReportOrphanRemoved, StopServer
from hubbub.domain.server_states import Spawning, Stopped
from hubbub_api.expiry import expire
from hubbub_api.testing import LATER


async def half_started(worker, name: str = "") -> str:
    """A server whose start was lost when its spawner had just begun: the next attempt waits."""
    server = await worker.asks("ada", name)
    await worker.claims()
    await worker.remembers(server, container="c1")
    await worker.is_lost(server)
    return server


def removed(attempt: int = 1, host: str = "h1") -> ReportOrphanRemoved:
    return ReportOrphanRemoved(attempt=attempt, host=host)


async def tokens(worker, server: str) -> int:
    return int(await worker.house.pool.fetchval("select count(*) from tokens where server = $1", server))


async def test_the_next_attempt_begins_when_nothing_is_left_that_it_could_be_taken_for(crew, opened):
    w1, w2 = crew("w1"), crew("w2", host="h2")
    server = await half_started(w1)
    assert await w1.vault() == {f"state:{server}:1"}
    claimed = await w2.takes(starts=1)
    assert claimed.specs == ()
    [job] = claimed.leftovers
    assert (job.server, job.attempt, job.reach, job.prefix) == (server, 1, "pool", "/user/ada/")
    assert opened(job)["state"] == {"container": "c1"}
    assert (await w2.reports(server, removed())).refused is None
    assert await w1.vault() == set()
    [next_one] = (await w1.takes(starts=1)).specs
    assert (next_one.attempt, opened(next_one)["state"]) == (2, {})


@pytest.mark.parametrize(("host", "starts"), [("h1", 0), ("h2", 1)])
async def test_what_lives_on_another_host_is_no_hindrance(crew, host, starts):
    server = await half_started(crew("w1", reach="host"))
    worker = crew("w2", host=host, reach="host")
    claimed = await worker.takes(starts=1)
    assert len(claimed.specs) == starts
    assert [job.server for job in claimed.leftovers] == ([server] if host == "h1" else [])


async def test_it_is_ended_on_its_host_while_the_server_runs_on_another(crew):
    server = await half_started(crew("w1", reach="host"))
    [spec] = (await crew("w2", host="h2", reach="host").takes(starts=1)).specs
    there = crew("w3", host="h1", reach="host")
    [job] = (await there.takes()).leftovers
    assert (spec.attempt, job.attempt) == (2, 1)
    await there.reports(server, removed())
    assert (await there.state(server)).leftovers == ()


async def test_a_process_is_no_hindrance_and_is_looked_for_on_its_host(crew):
    server = await half_started(crew("w1", reach="process"))
    elsewhere, there = crew("w2", host="h2", reach="process"), crew("w3", host="h1", reach="process")
    claimed = await elsewhere.takes(starts=1)
    assert ([spec.attempt for spec in claimed.specs], claimed.leftovers) == ([2], ())
    [job] = (await there.takes()).leftovers
    assert (job.server, job.attempt, job.reach) == (server, 1, "process")
    await there.reports(server, removed())
    assert (await there.takes()).leftovers == ()
    assert (await there.events(server))[-1] == "OrphanRemoved"


async def test_one_worker_at_a_time_ends_it(crew):
    workers = [crew(f"w{n}") for n in range(1, 5)]
    server = await half_started(workers[0])
    claimed = await asyncio.gather(*(worker.takes(id=worker.name) for worker in workers))
    [winner] = [worker for worker, got in zip(workers, claimed, strict=True) if got.leftovers]
    for worker in workers:
        assert (await worker.takes()).leftovers == ()
    assert [job.server for job in (await winner.takes(id=winner.name)).leftovers] == [server]


async def test_who_could_not_end_it_says_so_and_somebody_tries_again(crew, opened, sealed):
    w1, w2 = crew("w1"), crew("w2")
    server = await half_started(w1)
    await w1.takes()
    state = sealed({"container": "c2"})
    failed = ReportOrphan(attempt=1, host="h1", pool="default", reach="pool", reason="no daemon", sealed=state)
    await w1.reports(server, failed)
    until = await w1.house.pool.fetchval("select until from leases where name = $1", f"leftover:{server}:1")
    assert until < datetime.now(UTC) + timedelta(seconds=15)
    assert (await w2.takes()).leftovers == ()
    await w1.house.pool.execute("update leases set until = now()")
    [job] = (await w2.takes()).leftovers
    assert opened(job)["state"] == {"container": "c2"}


@pytest.mark.parametrize("how", ["begins anew", "is lost"])
async def test_who_is_gone_ends_nothing(crew, how):
    w1, w2 = crew("w1"), crew("w2")
    server = await half_started(w1)
    await w1.takes()
    await (w1.hello() if how == "begins anew" else w2.sweep(lost=("w1",)))
    assert [job.server for job in (await w2.takes()).leftovers] == [server]


async def test_nobody_has_more_to_end_than_it_can(crew, monkeypatch):
    monkeypatch.setattr("hubbub_api.leftovers.MOST", 2)
    w1 = crew("w1")
    servers = [await half_started(w1, name) for name in ("", "a", "b")]
    await w1.hello()
    assert len((await w1.takes()).leftovers) == 2
    assert (await w1.takes()).leftovers == ()
    await w1.reports(servers[0], removed())
    assert [job.server for job in (await w1.takes()).leftovers] == servers[2:]


async def test_its_token_is_good_until_it_is_gone(crew):
    w1 = crew("w1")
    server = await half_started(w1)
    assert await expire(w1.house.pool, w1.house.committer) == 0
    assert await tokens(w1, server) == 1
    await w1.takes()
    await w1.reports(server, removed())
    assert await tokens(w1, server) == 0


async def test_a_later_start_ends_the_tokens_of_what_is_gone_alone(crew):
    w1, w2 = crew("w1", reach="host"), crew("w2", host="h2", reach="host")
    server = await half_started(w1)
    await w2.claims()
    await w2.started(server)
    assert await tokens(w1, server) == 2
    await expire(w1.house.pool, w1.house.committer)
    assert await tokens(w1, server) == 2
    await w2.stops(server, resumes=False)
    assert await tokens(w1, server) == 1
    assert (await w1.state(server)).leftovers[0].token
    assert await w1.vault() == {f"state:{server}:1"}


async def test_a_stop_that_hangs_is_over_for_its_owner_and_goes_on(crew, opened):
    w1, w2 = crew("w1"), crew("w2")
    server, _ = await w1.runs("ada")
    await w1.remembers(server, container="c1")
    await w1.wish(server, StopServer(deadline=datetime.now(UTC) - timedelta(seconds=1)))
    await w1.sweep()
    state = await w1.state(server)
    assert isinstance(state, Stopped)
    assert [left.reason for left in state.leftovers] == ["The server did not stop in time"]
    [job] = (await w2.takes()).leftovers
    assert opened(job)["state"] == {"container": "c1"}
    # The one that was about to stop it has not given up either.
    exited = ReportExit(attempt=1, worker="?", status="0", deadline=LATER)
    assert (await w1.reports(server, exited)).refused is None
    assert (await w1.state(server)).leftovers == ()
    assert await w1.vault() == set()
    assert await w1.house.pool.fetchval("select count(*) from leases where name like 'leftover:%'") == 0
    assert (await w2.reports(server, removed())).refused is None


async def test_what_is_found_of_an_attempt_that_nobody_remembers_is_listed_with_its_state(crew, opened, sealed):
    w1 = crew("w1")
    server, _ = await w1.runs("ada")
    await w1.stops(server, resumes=False)
    found = ReportOrphan(
        attempt=1, host="h1", pool="default", reach="pool", reason="still there", sealed=sealed({"pod": "p"})
    )
    for _ in range(2):
        assert (await w1.reports(server, found)).refused is None
    assert (await w1.events(server)).count("OrphanFound") == 1
    assert await w1.vault() == {f"state:{server}:1"}
    await w1.house.pool.execute("update leases set until = now()")
    [job] = (await w1.takes()).leftovers
    assert opened(job)["state"] == {"pod": "p"}


async def test_what_is_said_of_the_attempt_that_counts_changes_nothing(crew, sealed):
    w1 = crew("w1")
    server, _ = await w1.runs("ada")
    await w1.remembers(server, container="c1")
    events = await w1.events(server)
    await w1.reports(server, ReportOrphan(attempt=1, host="h1", sealed=sealed({})))
    await w1.reports(server, removed())
    assert await w1.events(server) == events
    assert await w1.vault() == {f"state:{server}"}


async def test_a_start_that_nobody_has_taken_leaves_nothing(crew):
    w1 = crew("w1")
    server = await w1.asks("ada")
    await w1.wish(server, CancelSpawn(deadline=LATER))
    assert (await w1.state(server)).leftovers == ()
    assert not isinstance(await w1.state(server), Spawning)


async def test_a_server_is_not_forgotten_before_what_is_left_of_it(crew, root):
    w1 = crew("w1")
    server = await half_started(w1, "lab")
    await w1.wish(server, CancelSpawn(deadline=LATER))
    answer = await root("DELETE", "/users/ada/servers/lab", {"remove": True})
    assert answer.status == 400
    assert "removed first" in (await answer.json())["message"]
    assert (await root("DELETE", "/users/ada")).status == 400
    await w1.reports(server, removed())
    assert (await root("DELETE", "/users/ada/servers/lab", {"remove": True})).status == 204
