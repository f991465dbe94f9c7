"""A server's life, told as given / when / then."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hubbub.domain.message import Busy, Rejected, StaleAttempt
from hubbub.domain.server import decider
from hubbub.domain.server_events import (
    AttemptClaimed,
    AttemptLost,
    OrphanFound,
    ServerAdopted,
    ServerCrashed,
    ServerCreated,
    ServerDeleted,
    ServerEvent,
    ServerRenamed,
    ServerResponded,
    ServerStarted,
    ServerStopped,
    SpawnFailed,
    SpawnRequested,
    StopRequested,
)
from hubbub.domain.server_messages import (
    CancelSpawn,
    ClaimAttempt,
    Failure,
    GiveUp,
    LoseAttempt,
    RenameServer,
    ReportExit,
    ReportFailed,
    ReportFound,
    ReportResponded,
    ReportStarted,
    ServerCommand,
    StartServer,
    StopServer,
)
from hubbub.domain.server_states import (
    Absent,
    AwaitResponse,
    Effect,
    Running,
    Server,
    Spawning,
    StartProcess,
    Stopped,
    Stopping,
    StopProcess,
    react,
)
from hubbub.testing.given import Given, after
from hubbub.testing.given import given as given_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)
LATER = NOW + timedelta(minutes=2)
URL = "http://10.0.0.5:8888"
BY_W1: dict[str, Any] = {"attempt": 1, "worker": "w1"}
TOO_SLOW = Failure(reason="timeout", message="too slow")

created = ServerCreated(user="u1", name="lab", display_name="My lab")
requested = SpawnRequested(user="u1", at=NOW, attempt=1, pool="p", prefix="/user/ada/lab/", deadline=SOON, retries=1)
claimed = AttemptClaimed(attempt=1, worker="w1", host="h1", token="t1", deadline=SOON)
started = ServerStarted(attempt=1, url=URL, deadline=SOON)
responded = ServerResponded(attempt=1, version="6.1", deadline=SOON)
stop_requested = StopRequested(attempt=1, deadline=SOON, reason="asked")
adopted = ServerAdopted(attempt=1, worker="w2", host="h1")
failed = SpawnFailed(attempt=1, failure=TOO_SLOW, deadline=SOON)
start = StartServer(at=LATER, pool="p", prefix="/user/ada/lab/", deadline=LATER, retries=1)


def given(*history: ServerEvent) -> Given[ServerCommand, ServerEvent, Server]:
    return given_of(decider, created, *history)


def now(*history: ServerEvent) -> Server:
    return after(decider, [created, *history])


def test_a_start_is_a_wish_with_a_number_and_a_deadline() -> None:
    command = StartServer(at=NOW, pool="p", prefix="/user/ada/lab/", deadline=SOON, retries=1)
    given().when(command).then(requested)


def test_starting_twice_is_one_start() -> None:
    given(requested).when(start).then_nothing()
    given(requested, claimed, started).when(start).then_nothing()


def test_a_running_server_cannot_be_started() -> None:
    given(requested, claimed, started, responded).when(start).then_rejected(Rejected, "already running")


def test_a_stopping_server_must_have_stopped_before_it_can_be_started() -> None:
    given(requested, claimed, started, responded, stop_requested).when(start).then_rejected(Busy, "pending stop")


def test_the_next_start_has_the_next_number() -> None:
    given(requested, claimed, failed, ServerStopped(attempt=1, status="0")).when(start).then(
        SpawnRequested(user="u1", at=LATER, attempt=2, pool="p", prefix="/user/ada/lab/", deadline=LATER, retries=1)
    )


def test_a_claim_makes_a_holder() -> None:
    command = ClaimAttempt(**BY_W1, host="h1", token="t1", deadline=SOON)
    state = given(requested).when(command).then(claimed)
    assert isinstance(state, Spawning)
    assert (state.holder, state.host, state.token) == ("w1", "h1", "t1")


def test_a_claim_sent_again_is_answered_with_what_is_so() -> None:
    given(requested, claimed).when(ClaimAttempt(**BY_W1, host="h1", token="t2", deadline=LATER)).then_nothing()


def test_nobody_claims_what_is_held() -> None:
    command = ClaimAttempt(attempt=1, worker="w2", host="h2", token="t2", deadline=SOON)
    given(requested, claimed).when(command).then_rejected(StaleAttempt, "somebody else")


def test_a_server_that_runs_knows_where_and_what() -> None:
    assert now(requested, claimed, started, responded) == Running(
        user="u1", name="lab", display_name="My lab", attempt=1, since=NOW, pool="p", prefix="/user/ada/lab/",
        deadline=SOON, retries=1, holder="w1", host="h1", token="t1", url=URL, version="6.1",
    )  # fmt: skip


def test_a_start_that_nobody_took_is_simply_over_when_cancelled() -> None:
    cancelled = SpawnFailed(attempt=1, failure=Failure(reason="cancelled", message="Spawn cancelled"), deadline=LATER)
    state = given(requested).when(CancelSpawn(deadline=LATER)).then(cancelled)
    assert isinstance(state, Stopped)


@pytest.mark.parametrize("command", [CancelSpawn(deadline=LATER), StopServer(deadline=LATER)])
@pytest.mark.parametrize("history", [(requested, claimed), (requested, claimed, started)])
def test_a_start_that_is_held_is_stopped_when_cancelled(history: Any, command: ServerCommand) -> None:
    """A process may exist."""
    cancelled = SpawnFailed(attempt=1, failure=Failure(reason="cancelled", message="Spawn cancelled"), deadline=LATER)
    state = given(*history).when(command).then(cancelled)
    assert isinstance(state, Stopping)
    assert state.deadline == LATER
    assert react(state) == StopProcess(attempt=1)


def test_a_server_that_never_answers_is_stopped_not_leaked() -> None:
    command = ReportFailed(**BY_W1, failure=TOO_SLOW, deadline=SOON)
    state = given(requested, claimed, started).when(command).then(failed)
    assert react(state) == StopProcess(attempt=1)


def test_why_a_start_failed_is_still_known_when_it_has_stopped() -> None:
    state = now(requested, claimed, failed, ServerStopped(attempt=1, status="0"))
    assert isinstance(state, Stopped)
    assert state.failure == TOO_SLOW


def test_a_process_that_dies_while_it_starts_is_a_failed_start_that_says_so() -> None:
    decided = given(requested, claimed).when(ReportExit(**BY_W1, status="127", deadline=LATER)).decide()
    [event] = decided
    assert isinstance(event, SpawnFailed)
    assert event.failure.reason == "exited"
    assert "status=127" in event.failure.message


def test_a_process_that_dies_while_running_is_a_crash() -> None:
    command = ReportExit(**BY_W1, status="137", deadline=SOON)
    crash = ServerCrashed(attempt=1, status="137")
    state = given(requested, claimed, started, responded).when(command).then(crash)
    assert isinstance(state, Stopped)
    assert state.crashed == "137"


def test_a_process_that_dies_when_asked_is_a_stop() -> None:
    history = (requested, claimed, started, responded, stop_requested)
    command = ReportExit(**BY_W1, status="0", deadline=SOON)
    state = given(*history).when(command).then(ServerStopped(attempt=1, status="0"))
    assert isinstance(state, Stopped)
    assert state.crashed is None


def test_a_report_of_a_start_that_was_given_up_meanwhile_changes_nothing() -> None:
    """Its holder reads in the answer that it owes a stop."""
    command = ReportStarted(**BY_W1, url=URL, deadline=SOON)
    given(requested, claimed, failed).when(command).then_nothing()
    given(requested, claimed, started, failed).when(ReportResponded(**BY_W1, deadline=SOON)).then_nothing()


def test_an_attempt_whose_holder_is_lost_is_followed_by_another() -> None:
    command = LoseAttempt(**BY_W1, reason="gone", deadline=LATER)
    lost = AttemptLost(attempt=1, reason="gone")
    again = SpawnRequested(
        user="u1", at=NOW, attempt=2, pool="p", prefix="/user/ada/lab/", deadline=LATER, retries=0
    )  # the wish is as old as it was
    state = given(requested, claimed).when(command).then(lost, left_of(1, "gone"), again)
    assert isinstance(state, Spawning)
    assert state.holder is None
    assert state.token is None
    assert [left.attempt for left in state.leftovers] == [1]


def test_an_attempt_that_is_lost_when_no_retry_is_left_is_the_last() -> None:
    history = (*_lost_once(), AttemptClaimed(attempt=2, worker="w2", host="h2", token="t2", deadline=SOON))
    command = LoseAttempt(attempt=2, worker="w2", reason="gone", deadline=LATER)
    lost = AttemptLost(attempt=2, reason="gone")
    left = OrphanFound(attempt=2, host="h2", pool="p", reason="gone", token="t2")
    state = given(*history).when(command).then(lost, left)
    assert isinstance(state, Stopped)
    assert state.failure == Failure(reason="lost", message="gone")


def test_who_was_thought_lost_has_lost() -> None:
    for command in (
        ReportStarted(**BY_W1, url=URL, deadline=SOON),
        ReportFound(**BY_W1, host="h1", deadline=SOON),
        ReportExit(**BY_W1, status="0", deadline=SOON),
    ):
        given(*_lost_once()).when(command).then_rejected(StaleAttempt, "attempt 1 is over; 2 counts")


def test_a_running_server_whose_host_is_gone_has_crashed() -> None:
    command = LoseAttempt(**BY_W1, reason="gone", deadline=LATER)
    crashed = ServerCrashed(attempt=1, status=None)
    given(requested, claimed, started, responded).when(command).then(crashed, left_of(1, "gone", url=URL))


def test_a_workload_that_is_found_is_adopted_and_keeps_its_token() -> None:
    command = ReportFound(attempt=1, worker="w2", host="h1", deadline=SOON)
    state = given(requested, claimed, started, responded).when(command).then(adopted)
    assert isinstance(state, Running)
    assert (state.holder, state.token) == ("w2", "t1")


def test_a_workload_that_is_found_where_nobody_knew_that_it_had_started_has_started() -> None:
    command = ReportFound(**BY_W1, host="h1", url=URL, deadline=SOON)
    given(requested, claimed).when(command).then(started)


def test_a_workload_of_an_attempt_that_nobody_claimed_is_nobodys() -> None:
    command = ReportFound(**BY_W1, host="h1", deadline=SOON)
    given(requested).when(command).then_rejected(StaleAttempt, "nobody claimed it")


def test_a_stop_that_takes_too_long_is_over() -> None:
    history = (requested, claimed, started, responded, stop_requested)
    command = GiveUp(attempt=1, failure=TOO_SLOW, deadline=LATER)
    given(*history).when(command).then(ServerStopped(attempt=1, status=None), left_of(1, "too slow", url=URL))


def test_a_running_server_that_cannot_be_routed_is_stopped() -> None:
    command = GiveUp(attempt=1, failure=TOO_SLOW, deadline=LATER)
    given(requested, claimed, started, responded).when(command).then(
        StopRequested(attempt=1, deadline=LATER, reason="too slow")
    )


def test_a_rename_changes_names_alone() -> None:
    renamed = ServerRenamed(name="den", display_name="My den")
    state = given().when(RenameServer(name="den", display_name="My den")).then(renamed)
    assert state == Stopped(user="u1", name="den", display_name="My den")
    given().when(RenameServer(name="lab", display_name="My lab")).then_nothing()


def test_a_deleted_server_is_absent() -> None:
    assert now(ServerDeleted()) == Absent()


@pytest.mark.parametrize(
    ("history", "effect"),
    [
        ((), None),
        ((requested,), None),
        ((requested, claimed), StartProcess(attempt=1)),
        ((requested, claimed, started), AwaitResponse(attempt=1, url=URL)),
        ((requested, claimed, started, responded), None),
        ((requested, claimed, started, responded, stop_requested), StopProcess(attempt=1)),
        ((requested, claimed, failed), StopProcess(attempt=1)),
        ((requested, claimed, started, responded, ServerCrashed(attempt=1, status="1")), None),
        ((requested, claimed, started, adopted), AwaitResponse(attempt=1, url=URL)),
    ],
)
def test_what_is_owed_follows_from_the_log_alone(history: tuple[ServerEvent, ...], effect: Effect | None) -> None:
    assert effect == react(now(*history))


def left_of(attempt: int, reason: str, url: str = "") -> OrphanFound:
    """What may be left of what w1 held."""
    return OrphanFound(attempt=attempt, host="h1", pool="p", reason=reason, url=url, token="t1")


def _lost_once() -> tuple[ServerEvent, ...]:
    again = SpawnRequested(user="u1", at=NOW, attempt=2, pool="p", prefix="/user/ada/lab/", deadline=SOON, retries=0)
    return (requested, claimed, AttemptLost(attempt=1, reason="gone"), again)
