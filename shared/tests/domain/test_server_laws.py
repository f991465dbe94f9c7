"""What is true of a server whatever people, workers and the sweep do to it."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hubbub.domain.message import Rejected, StaleAttempt
from hubbub.domain.server import decider
from hubbub.domain.server_events import (
    AttemptClaimed,
    HolderLost,
    OrphanFound,
    OrphanRemoved,
    ServerAdopted,
    ServerEvent,
    SpawnRequested,
)
from hubbub.domain.server_messages import (
    AdoptOrphan,
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    Failure,
    ForceStop,
    ForgetOrphan,
    GiveUp,
    LoseAttempt,
    Reach,
    RenameServer,
    ReportDelay,
    ReportExit,
    ReportFailed,
    ReportFound,
    ReportMoved,
    ReportOrphan,
    ReportOrphanRemoved,
    ReportResponded,
    ReportStarted,
    ReportState,
    ServerCommand,
    StartServer,
    StopServer,
)
from hubbub.domain.server_states import (
    Absent,
    AwaitResponse,
    Held,
    Known,
    Running,
    Server,
    Spawning,
    StartProcess,
    Stopped,
    Stopping,
    StopProcess,
    react,
)
from hubbub.testing.given import after

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)
WHY = Failure(reason="no", message="no")
CREATE = CreateServer(user="u1", name="lab")

workers = st.sampled_from(["w1", "w1", "w2"])
#: Most news is of the attempt that counts; this is how far off it is.
offsets = st.sampled_from([0, 0, 0, 0, -1, 1])
starts = st.builds(
    StartServer,
    at=st.just(NOW),
    pool=st.just("p"),
    prefix=st.just("/"),
    deadline=st.just(SOON),
    retries=st.integers(0, 2),
)
wishes = st.one_of(
    starts,
    st.builds(StopServer, deadline=st.just(SOON)),
    st.builds(CancelSpawn, deadline=st.just(SOON)),
    st.builds(RenameServer, name=st.sampled_from("ab"), display_name=st.just("")),
    st.builds(GiveUp, attempt=offsets, failure=st.just(WHY), deadline=st.just(SOON)),
    st.builds(ForceStop),
    st.builds(AdoptOrphan, at=st.just(NOW), attempt=offsets, prefix=st.just("/"), deadline=st.just(SOON)),
    st.builds(ForgetOrphan, attempt=offsets),
)
hosts = st.sampled_from(["h", "h", "elsewhere"])
reaches = st.sampled_from(get_args(Reach))
common: dict[str, Any] = {"attempt": offsets, "worker": workers}
timed: dict[str, Any] = {**common, "deadline": st.just(SOON)}
reports = st.one_of(
    st.builds(ClaimAttempt, **timed, host=hosts, token=st.sampled_from(["t1", "t2"]), reach=reaches),
    st.builds(ReportState, **common),
    st.builds(ReportStarted, **timed, url=st.sampled_from(["http://a", "http://b"])),
    st.builds(ReportResponded, **timed),
    st.builds(ReportFailed, **timed, failure=st.just(WHY)),
    st.builds(ReportDelay, **timed),
    st.builds(ReportMoved, **common, url=st.sampled_from(["http://a", "http://b"])),
    st.builds(ReportExit, **timed, status=st.sampled_from([None, "0", "137"]), resumes=st.booleans()),
    st.builds(ReportFound, **timed, host=hosts, url=st.sampled_from(["", "http://a"])),
    st.builds(LoseAttempt, **timed, reason=st.just("gone"), ended=st.booleans()),
)
rumours = st.one_of(
    st.builds(ReportOrphan, attempt=offsets, host=hosts, reach=reaches),
    st.builds(ReportOrphanRemoved, attempt=offsets, host=hosts),
)
stories = st.lists(wishes | reports | rumours, max_size=30)
Step = tuple[Server, ServerCommand, list[ServerEvent], Server]


def walk(story: list[ServerCommand]) -> list[Step]:
    """Each accepted step of *story*, from a server that was just made: before, command, events, after."""
    state: Server = after(decider, decider.decide(Absent(), CREATE))
    steps = []
    for told in story:
        command = _of_now(told, state)
        try:
            events = list(decider.decide(state, command))
        except Rejected:
            continue
        later = after(decider, events, state)
        steps.append((state, command, events, later))
        state = later
    return steps


def end(story: list[ServerCommand]) -> Server:
    steps = walk(story)
    return steps[-1][-1] if steps else after(decider, decider.decide(Absent(), CREATE))


def _of_now(command: ServerCommand, state: Server) -> ServerCommand:
    if not hasattr(command, "attempt"):
        return command
    assert isinstance(state, Known)
    return msgspec.structs.replace(command, attempt=max(0, state.attempt + command.attempt))


@given(stories)
def test_no_attempt_ever_has_two_holders(story: list[ServerCommand]) -> None:
    """A claim is given once; after that only somebody who has the workload itself may take it over."""
    claimed: set[int] = set()
    for before, command, events, later in walk(story):
        for event in events:
            if isinstance(event, AttemptClaimed):
                assert event.attempt not in claimed
                claimed.add(event.attempt)
        if isinstance(before, Held) and isinstance(later, Held) and before.attempt == later.attempt and before.holder:
            found = isinstance(command, ReportFound) and before.reach == "process"
            assert found or later.holder == before.holder or any(isinstance(event, HolderLost) for event in events)
            assert later.token == before.token


@given(stories)
def test_no_attempt_that_was_taken_is_forgotten(story: list[ServerCommand]) -> None:
    """Until somebody has seen its end, or an admin does not want to know: it counts, or it is a leftover."""
    at_large: set[int] = set()
    for before, command, events, later in walk(story):
        assert isinstance(before, Known)
        at_large |= {event.attempt for event in events if isinstance(event, AttemptClaimed | OrphanFound)}
        at_large -= {event.attempt for event in events if isinstance(event, OrphanRemoved)}
        if isinstance(command, ReportExit) and isinstance(later, Stopped):
            at_large.discard(command.attempt)
        if (
            isinstance(command, LoseAttempt)
            and command.ended
            and isinstance(before, Held)
            and before.reach == "process"
        ):
            at_large.discard(command.attempt)
        assert isinstance(later, Known)
        counts = {later.attempt} if isinstance(later, Held) else set()
        leftovers = [left.attempt for left in later.leftovers]
        assert at_large <= counts | set(leftovers)
        assert len(leftovers) == len(set(leftovers))
        assert not counts & set(leftovers)


@given(stories)
def test_only_what_others_can_get_at_waits_for_them(story: list[ServerCommand]) -> None:
    for before, _, events, later in walk(story):
        if isinstance(later, Held) and not later.holder and not isinstance(later, Spawning):
            assert later.reach != "process"
        if any(isinstance(event, ServerAdopted) for event in events):
            assert isinstance(before, Held)
            assert isinstance(later, Held)
            assert before.reach != "host" or later.host == before.host


@given(stories)
def test_what_was_held_ends_by_way_of_stopping(story: list[ServerCommand]) -> None:
    """A process may exist: only who knows that it does not may say that it has stopped."""
    for before, command, _, later in walk(story):
        held = isinstance(before, Held) and before.holder and not isinstance(before, Stopping)
        if held and isinstance(later, Stopped):
            died = isinstance(before, Running) and isinstance(command, ReportExit)
            assert died or isinstance(command, LoseAttempt)


@given(stories)
def test_attempts_are_counted_upwards_one_by_one(story: list[ServerCommand]) -> None:
    newest = 0
    for before, _, events, later in walk(story):
        for event in events:
            if isinstance(event, SpawnRequested):
                newest += 1
                assert event.attempt == newest
        assert isinstance(before, Known)
        assert isinstance(later, Known)
        assert before.attempt <= later.attempt == newest


@given(stories, reports)
def test_stale_news_changes_nothing(story: list[ServerCommand], report: Any) -> None:
    """Of another attempt, or by somebody else than its holder."""
    state = end(story)
    assert isinstance(state, Known)
    news = _of_now(report, state)
    foreign = (
        isinstance(state, Held) and state.holder != news.worker and not isinstance(news, ReportFound | ClaimAttempt)
    )
    if news.attempt != state.attempt or foreign:
        try:
            events = decider.decide(state, news)
        except StaleAttempt:
            return
        assert events == []


@given(stories)
def test_a_report_sent_again_is_answered_and_changes_nothing(story: list[ServerCommand]) -> None:
    """But an exit while it starts is told twice: first the start has failed, then there is nothing to stop."""
    for before, command, events, state in walk(story):
        later = state
        if isinstance(command, LoseAttempt) or not hasattr(command, "worker") or not events:
            continue
        if isinstance(command, ReportExit) and not isinstance(before, Running | Stopping):
            later = after(decider, decider.decide(state, command), state)
            assert isinstance(later, Stopped)
        assert decider.decide(later, command) == []


@given(stories)
def test_every_report_makes_progress(story: list[ServerCommand]) -> None:
    """Or the worker's loop would never end: what it reports of an effect changes what it owes."""
    state = end(story)
    effect = react(state)
    if effect is None:
        return
    assert isinstance(state, Held)
    holder: dict[str, Any] = {"attempt": state.attempt, "worker": state.holder, "deadline": SOON}
    outcomes: dict[type, list[ServerCommand]] = {
        StartProcess: [ReportStarted(**holder, url="http://a"), ReportFailed(**holder, failure=WHY)],
        AwaitResponse: [ReportResponded(**holder), ReportFailed(**holder, failure=WHY)],
        StopProcess: [ReportExit(**holder, status="0"), ReportExit(**holder, status=None)],
    }
    for report in [*outcomes[type(effect)], ReportExit(**holder, status="9"), LoseAttempt(**holder, reason="gone")]:
        assert react(after(decider, decider.decide(state, report), state)) != effect


@given(stories)
def test_who_owes_something_is_its_holder_and_its_time_is_limited(story: list[ServerCommand]) -> None:
    """No state may lack a timer, and nothing is owed by nobody."""
    state = end(story)
    if isinstance(state, Held):
        assert state.deadline
        assert state.holder or react(state) is None


@given(stories)
def test_giving_up_always_comes_to_an_end(story: list[ServerCommand]) -> None:
    """Whatever happened, and though no worker ever speaks again, the sweep gets it stopped."""
    state = end(story)
    for _ in range(2):
        assert isinstance(state, Known)
        command = GiveUp(attempt=state.attempt, failure=WHY, deadline=SOON)
        state = after(decider, decider.decide(state, command), state)
    assert isinstance(state, Stopped)
