"""The house: pauses, the banner, workers that are drained."""

from datetime import UTC, datetime, timedelta

import pytest

from hubbub.domain.house import (
    LONGEST,
    Banner,
    BannerPut,
    BannerTaken,
    Drain,
    DrainWorker,
    Open,
    Paused,
    PauseStarts,
    PutBanner,
    ResumeStarts,
    StartsPaused,
    StartsResumed,
    TakeBanner,
    UndrainWorker,
    WorkerDrained,
    WorkerUndrained,
    decider,
)
from hubbub.domain.message import Command, Event, Invalid, NotFound
from hubbub.testing.given import after, given

THEN = datetime(2026, 1, 1, tzinfo=UTC)
LATER = THEN + timedelta(hours=1)

paused = StartsPaused(at=THEN, reason="disks")
put = BannerPut(at=THEN, text="Noon", kind="info", until=LATER)
drained = WorkerDrained(at=THEN, worker="w1", deadline=LATER, message="bye")


def pause(reason: str = "disks", at: datetime = THEN) -> PauseStarts:
    return PauseStarts(at=at, reason=reason)


def put_up(text: str = "Noon", until: datetime | None = LATER) -> PutBanner:
    return PutBanner(at=THEN, text=text, kind="info", until=until)


def drain(worker: str = "w1", deadline: datetime | None = LATER, message: str = "bye") -> DrainWorker:
    return DrainWorker(at=THEN, worker=worker, deadline=deadline, message=message)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], pause(), [paused]),
        ([paused], pause(at=LATER), []),
        ([paused], pause("more disks", LATER), [StartsPaused(at=LATER, reason="more disks")]),
        ([paused], ResumeStarts(), [StartsResumed()]),
        ([], ResumeStarts(), []),
        ([], put_up(), [put]),
        ([put], put_up(), []),
        ([put], put_up("One o'clock"), [BannerPut(at=THEN, text="One o'clock", kind="info", until=LATER)]),
        ([put], TakeBanner(), [BannerTaken()]),
        ([], TakeBanner(), []),
        ([], drain(), [drained]),
        ([drained], drain(), []),
        ([drained], drain(deadline=None), [WorkerDrained(at=THEN, worker="w1", deadline=None, message="bye")]),
        ([drained], UndrainWorker(worker="w1"), [WorkerUndrained(worker="w1")]),
    ],
)
def test_what_is_so_already_is_not_said_again(history: list[Event], command: Command, events: list[Event]) -> None:
    given(decider, *history).when(command).then(*events)


def test_nobody_calls_off_what_was_not_begun() -> None:
    given(decider, drained).when(UndrainWorker(worker="w2")).then_rejected(NotFound, "w2 is not draining")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (pause("x" * (LONGEST + 1)), "reason: it has 1001 characters"),
        (put_up("a\tb"), "cannot be shown"),
        (put_up("a\x00b"), "cannot be shown"),
        (put_up(" \n "), "there is nothing in it"),
        (drain(message="\u202egnp.exe"), "message: .* cannot be shown"),
    ],
)
def test_what_people_are_told_can_be_read(command: Command, why: str) -> None:
    given(decider).when(command).then_rejected(Invalid, why)


def test_a_pause_another_reason_is_given_for_is_the_same_pause() -> None:
    state = after(decider, [paused, StartsPaused(at=LATER, reason="more disks")])
    assert state == Paused(since=THEN, reason="more disks")


def test_each_goes_on_whatever_happens_to_the_others() -> None:
    state = after(decider, [put, drained, paused])
    assert isinstance(state, Paused)
    assert (state.banner, state.draining) == (
        Banner(text="Noon", kind="info", since=THEN, until=LATER),
        (Drain(worker="w1", since=THEN, deadline=LATER, message="bye"),),
    )
    assert after(decider, [StartsResumed(), BannerTaken(), WorkerUndrained(worker="w1")], state) == Open()


def test_workers_drain_beside_one_another_and_a_new_deadline_is_no_new_beginning() -> None:
    second = WorkerDrained(at=LATER, worker="w2", deadline=None, message="")
    sooner = WorkerDrained(at=LATER, worker="w1", deadline=None, message="now")
    state = after(decider, [drained, second, sooner])
    assert [(each.worker, each.since, each.message) for each in state.draining] == [
        ("w1", THEN, "now"),
        ("w2", LATER, ""),
    ]
    assert state.drain_of("w2") == Drain(worker="w2", since=LATER)
    assert state.drain_of("w3") is None


def test_a_banner_goes_by_itself() -> None:
    state = after(decider, [put])
    assert state.banner_at(LATER - timedelta(seconds=1)) == state.banner
    assert state.banner_at(LATER) is None
    assert after(decider, [BannerPut(at=THEN, text="x", kind="info", until=None)]).banner_at(LATER) is not None
