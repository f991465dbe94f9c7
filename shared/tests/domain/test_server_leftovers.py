"""Servers that outlive their holder, and what is left of attempts that are over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hubbub.domain.message import Busy, NotFound, Rejected, StaleAttempt
from hubbub.domain.server import decider
from hubbub.domain.server_events import (
    AttemptClaimed,
    AttemptLost,
    HolderLost,
    OrphanAdopted,
    OrphanFound,
    OrphanRemoved,
    ServerAdopted,
    ServerCrashed,
    ServerCreated,
    ServerEvent,
    ServerResponded,
    ServerStarted,
    ServerStopped,
    SpawnRequested,
    StopRequested,
)
from hubbub.domain.server_messages import (
    AdoptOrphan,
    ClaimAttempt,
    DeleteServer,
    Failure,
    ForceStop,
    ForgetOrphan,
    GiveUp,
    LoseAttempt,
    Reach,
    RenameServer,
    ReportExit,
    ReportFound,
    ReportOrphan,
    ReportOrphanRemoved,
    ReportStarted,
    ServerCommand,
    StartServer,
    StopServer,
)
from hubbub.domain.server_states import Leftover, Running, Server, Spawning, Started, Stopped, Stopping, react
from hubbub.testing.given import Given, after
from hubbub.testing.given import given as given_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOON, LATER = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)
URL = "http://10.0.0.5:8888"
HUNG = Failure(reason="timeout", message="hung")

created = ServerCreated(user="u1", name="lab")
requested = SpawnRequested(user="u1", at=NOW, attempt=1, pool="p", prefix="/lab/", deadline=SOON, retries=1)
again = SpawnRequested(user="u1", at=NOW, attempt=2, pool="p", prefix="/lab/", deadline=LATER, retries=0)
started = ServerStarted(attempt=1, url=URL, deadline=SOON)
responded = ServerResponded(attempt=1, version="6.1", deadline=SOON)
stopping = StopRequested(attempt=1, deadline=SOON, reason="asked")
lost = HolderLost(attempt=1, reason="gone", deadline=LATER, pool="p")


def claimed(reach: Reach = "pool") -> AttemptClaimed:
    return AttemptClaimed(attempt=1, worker="w1", host="h1", token="t1", deadline=SOON, reach=reach)


def left(reason: str, url: str = URL, reach: Reach = "pool") -> OrphanFound:
    return OrphanFound(attempt=1, host="h1", pool="p", reach=reach, reason=reason, url=url, token="t1")


def running(reach: Reach = "pool") -> tuple[ServerEvent, ...]:
    return (requested, claimed(reach), started, responded)


def given(*history: ServerEvent) -> Given[ServerCommand, ServerEvent, Server]:
    return given_of(decider, created, *history)


def claim(worker: str = "w2", host: str = "h2", reach: Reach = "pool", attempt: int = 1) -> ClaimAttempt:
    return ClaimAttempt(attempt=attempt, worker=worker, host=host, token="t2", deadline=LATER, reach=reach)


LOSE = LoseAttempt(attempt=1, worker="w1", reason="gone", deadline=LATER)
ADOPT = AdoptOrphan(at=LATER, attempt=1, prefix="/lab/", deadline=LATER)
START = StartServer(at=NOW, pool="p", prefix="/lab/", deadline=LATER, retries=0)


@pytest.mark.parametrize("reach", ["host", "pool"])
def test_what_others_can_get_at_runs_on_and_waits_for_one_of_them(reach: Reach) -> None:
    state = given(*running(reach)).when(LOSE).then(lost)
    assert isinstance(state, Running)
    assert (state.holder, state.token, state.deadline, react(state)) == (None, "t1", LATER, None)


def test_a_start_that_has_lost_its_holder_begins_again_and_is_not_forgotten() -> None:
    """Nobody else knows how far it had come."""
    state = (
        given(requested, claimed()).when(LOSE).then(AttemptLost(attempt=1, reason="gone"), left("gone", url=""), again)
    )
    assert isinstance(state, Spawning)
    assert state.leftovers == (Leftover(attempt=1, host="h1", pool="p", reach="pool", reason="gone", token="t1"),)


@pytest.mark.parametrize("worker", ["w1", "w2"])
@pytest.mark.parametrize(("history", "shape"), [((), Running), ((stopping,), Stopping)], ids=["running", "stopping"])
def test_whoever_claims_first_has_it_with_a_deadline_of_its_own(history: Any, shape: type, worker: str) -> None:
    """The one that was thought lost like any other."""
    adopted = ServerAdopted(attempt=1, worker=worker, host="h2", deadline=LATER)
    state = given(*running(), *history, lost).when(claim(worker)).then(adopted)
    assert isinstance(state, shape)
    assert (state.holder, state.host, state.token, state.deadline) == (worker, "h2", "t1", LATER)  # type: ignore[attr-defined]
    given(*running(), *history, lost, adopted).when(claim("w3")).then_rejected(StaleAttempt, f"held by {worker}")
    given(*running(), *history, lost, adopted).when(claim(worker)).then_nothing()


def test_what_lives_on_one_host_is_taken_there() -> None:
    given(*running("host"), lost).when(claim(host="h2")).then_rejected(StaleAttempt, "only h1")
    adopted = ServerAdopted(attempt=1, worker="w2", host="h1", deadline=LATER)
    given(*running("host"), lost).when(claim(host="h1")).then(adopted)


def test_who_has_it_before_them_takes_it_back_but_never_from_another() -> None:
    found = ReportFound(attempt=1, worker="w1", host="h1", deadline=LATER)
    given(*running(), lost).when(found).then(ServerAdopted(attempt=1, worker="w1", host="h1", deadline=LATER))
    taken = ServerAdopted(attempt=1, worker="w2", host="h2", deadline=LATER)
    given(*running(), lost, taken).when(found).then_rejected(StaleAttempt, "held by w2")


def test_whoever_lost_it_has_nothing_more_to_say() -> None:
    given(*running(), lost).when(ReportExit(attempt=1, worker="w1", status="0", deadline=SOON)).then_rejected(
        StaleAttempt, "held by nobody"
    )
    given(*running(), lost).when(LOSE).then_rejected(StaleAttempt)


def test_a_stop_that_is_asked_for_meanwhile_waits_for_whoever_comes() -> None:
    state = (
        given(*running(), lost)
        .when(StopServer(deadline=LATER))
        .then(StopRequested(attempt=1, deadline=LATER, reason="asked"))
    )
    assert isinstance(state, Stopping)
    assert react(state) is None
    assert react(after(decider, decider.decide(state, claim()), state)) is not None


def test_what_nobody_took_in_time_is_a_leftover() -> None:
    state = (
        given(*running(), lost)
        .when(GiveUp(attempt=1, failure=HUNG, deadline=LATER))
        .then(ServerCrashed(attempt=1, status=None), left("hung"))
    )
    assert isinstance(state, Stopped)
    assert state.leftovers[0].token == "t1"


def test_a_stop_that_an_admin_does_not_wait_for_is_a_leftover() -> None:
    state = (
        given(*running(), stopping)
        .when(ForceStop())
        .then(ServerStopped(attempt=1, status=None), left("an admin would not wait"))
    )
    assert [each.attempt for each in state.leftovers] == [1]  # type: ignore[union-attr]
    given(*running()).when(ForceStop()).then_rejected(Busy, "not stopping")


def test_a_worker_that_goes_on_waiting_for_the_end_says_that_it_has_come() -> None:
    history = (*running(), stopping, ServerStopped(attempt=1, status=None), left("hung"))
    exit = ReportExit(attempt=1, worker="w1", status="0", deadline=SOON)
    state = given(*history).when(exit).then(OrphanRemoved(attempt=1, host="h1"))
    assert state.leftovers == ()  # type: ignore[union-attr]
    given(*history, OrphanRemoved(attempt=1, host="h1")).when(exit).then_nothing()


CRASHED = (*running(), ServerCrashed(attempt=1, status=None), left("gone"))


def test_a_leftover_is_there_until_it_is_seen_gone() -> None:
    given(*CRASHED).when(START).then(
        SpawnRequested(user="u1", at=NOW, attempt=2, pool="p", prefix="/lab/", deadline=LATER, retries=0)
    )
    removed = ReportOrphanRemoved(attempt=1, host="h1")
    state = given(*CRASHED, again).when(removed).then(OrphanRemoved(attempt=1, host="h1", pool="p"))
    assert isinstance(state, Spawning)
    assert state.leftovers == ()


def test_what_is_said_of_the_attempt_that_counts_is_late() -> None:
    """Adopted meanwhile, or taken by somebody else: it is asked about, and its holder will see."""
    given(*running(), lost).when(ReportOrphanRemoved(attempt=1, host="h1")).then_nothing()
    given(*running(), lost).when(ReportOrphan(attempt=1, host="h1")).then_nothing()


def test_a_leftover_that_cannot_be_removed_is_listed_once() -> None:
    found = ReportOrphan(attempt=1, host="h1", pool="p", reach="host", reason="the daemon is away")
    history = (*running(), ServerCrashed(attempt=1, status="1"))
    known = OrphanFound(attempt=1, host="h1", pool="p", reach="host", reason="the daemon is away")
    given(*history).when(found).then(known)
    given(*history, known).when(found).then_nothing()


def test_a_leftover_is_forgotten_if_an_admin_says_so() -> None:
    forced = OrphanRemoved(attempt=1, host="h1", forced=True)
    given(*CRASHED).when(ForgetOrphan(attempt=1)).then(forced)
    given(*CRASHED, forced).when(ForgetOrphan(attempt=1)).then_nothing()


def test_a_leftover_that_had_started_can_count_again() -> None:
    adopted = OrphanAdopted(user="u1", at=LATER, attempt=1, prefix="/lab/", deadline=LATER, pool="p")
    state = given(*CRASHED).when(ADOPT).then(adopted)
    assert state == Started(
        user="u1", name="lab", attempt=1, since=LATER, pool="p", prefix="/lab/", deadline=LATER, host="h1", token="t1",
        reach="pool", url=URL,
    )  # fmt: skip
    given(*CRASHED, adopted).when(claim()).then(ServerAdopted(attempt=1, worker="w2", host="h2", deadline=LATER))
    exit = ReportExit(attempt=1, worker="w2", status="0", deadline=SOON)
    given(*CRASHED, adopted).when(exit).then_rejected(StaleAttempt, "held by nobody")


def test_nothing_else_can_count_again() -> None:
    given(*CRASHED, again).when(ADOPT).then_rejected(Busy, "a later start counts")
    given(*running(), ServerCrashed(attempt=1, status=None)).when(ADOPT).then_rejected(NotFound)
    crashed = ServerCrashed(attempt=1, status=None)
    for gone in (left("gone", url=""), left("gone", reach="process")):
        given(*running(), crashed, gone).when(ADOPT).then_rejected(Rejected, "cannot be adopted")


@pytest.mark.parametrize("command", [DeleteServer(), RenameServer(name="den", display_name="")])
def test_a_server_keeps_its_name_while_something_is_left_that_goes_by_it(command: ServerCommand) -> None:
    given(*CRASHED).when(command).then_rejected(Busy, "has to be removed first")
    process = left("gone", reach="process")
    assert given(*running("process"), ServerCrashed(attempt=1, status=None), process).when(command).decide()


def test_a_workload_that_only_sleeps_keeps_its_token() -> None:
    exit = ReportExit(attempt=1, worker="w1", status="0", deadline=SOON, resumes=True)
    stopped = ServerStopped(attempt=1, status="0", resumes=True)
    state = given(*running(), stopping).when(exit).then(stopped)
    assert isinstance(state, Stopped)
    assert state.token == "t1"
    woken = ReportStarted(attempt=2, worker="w1", url=URL, deadline=SOON, token="t1")
    fresh = AttemptClaimed(attempt=2, worker="w1", host="h1", token="t2", deadline=SOON, reach="pool")
    awake = (
        given(*running(), stopping, stopped, again, fresh)
        .when(woken)
        .then(ServerStarted(attempt=2, url=URL, deadline=SOON, token="t1"))
    )
    assert awake.token == "t1"  # type: ignore[union-attr]


def test_a_process_that_ended_with_its_holder_leaves_nothing() -> None:
    command = LoseAttempt(attempt=1, worker="w1", reason="gone", deadline=LATER, ended=True)
    given(*running("process")).when(command).then(ServerCrashed(attempt=1, status=None))
    given(*running("pool")).when(command).then(lost)


def test_a_process_of_a_stopped_server_is_a_leftover() -> None:
    history = (*running("process"), stopping, ServerStopped(attempt=1, status=None))
    found = ReportFound(attempt=1, worker="w1", host="h1", deadline=SOON)
    given(*history).when(found).then_rejected(StaleAttempt)
