"""Where the time of a start went, told from the log alone: synthetic logs of everything that can happen to one."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from hubbub.domain.message import Event
from hubbub.domain.proxy import ProxyJoined, ProxyLost
from hubbub.domain.route import RouteAdded
from hubbub.domain.server_events import (
    AttemptClaimed,
    AttemptLost,
    HolderLost,
    OrphanFound,
    OrphanRemoved,
    ServerAdopted,
    ServerCrashed,
    ServerResponded,
    ServerStarted,
    ServerStopped,
    SpawnFailed,
    SpawnRequested,
    StartExtended,
    StopRequested,
)
from hubbub.domain.server_messages import Failure
from hubbub.eventlog import Recorded
from hubbub_api.start_words import PHASES, summary
from hubbub_api.waterfall import Story, Told, stories

BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = BEGAN + timedelta(days=1)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def told(*events: tuple[float, Event], first: int = 1, stream: str = "server-s") -> list[Told]:
    """Each event with the second it was committed in."""
    return [
        (
            Recorded(
                position=first + place,
                stream=f"route-{event.proxy}.s" if isinstance(event, RouteAdded) else stream,
                version=place,
                type=type(event).__name__,
                data="{}",
                meta="{}",
                command_id="",
                recorded_at=at(seconds),
            ),
            event,
        )
        for place, (seconds, event) in enumerate(events)
    ]


def joined(*events: tuple[float, str, str]) -> list[Told]:
    """Seconds, name of the proxy, and why it was lost, if it was."""
    return [
        record
        for place, (seconds, name, reason) in enumerate(events)
        for record in told(
            (seconds, ProxyLost(reason=reason) if reason else ProxyJoined(proxy=name)),
            first=1000 + place,
            stream=f"proxy-{name}",
        )
    ]


def asked(attempt: int = 1, wished: float = 0, **more: Any) -> SpawnRequested:
    return SpawnRequested(
        user="u", at=at(wished), attempt=attempt, pool="gpu", prefix="/user/ada/", deadline=LATER, retries=2, **more
    )


def claimed(attempt: int = 1, worker: str = "w1") -> AttemptClaimed:
    return AttemptClaimed(attempt=attempt, worker=worker, host="h", token="t", deadline=LATER)


def started(attempt: int = 1, **spent: float) -> ServerStarted:
    return ServerStarted(attempt=attempt, url="http://127.0.0.1:1", deadline=LATER, spent=spent)


def responded(attempt: int = 1) -> ServerResponded:
    return ServerResponded(attempt=attempt, version="6", deadline=LATER)


def routed(proxy: str = "chp", attempt: int = 1) -> RouteAdded:
    return RouteAdded(proxy=proxy, server="s", attempt=attempt, target="http://127.0.0.1:1", reason="")


def failed(reason: str = "error", attempt: int = 1, **spent: float) -> SpawnFailed:
    failure = Failure(reason=reason, message="No room")
    return SpawnFailed(attempt=attempt, failure=failure, deadline=LATER, spent=spent)


def lines(story: Story) -> list[tuple[str, float, float | None, str]]:
    return [(phase.name, phase.begin, phase.end, phase.ended) for phase in story.phases]


def seconds(story: Story) -> float:
    assert story.over is not None
    return (story.over - story.asked).total_seconds()


CHP = joined((-100, "chp", ""))

QUICK = [
    (0.0, asked()),
    (2.0, claimed()),
    (25.0, started(making=0.5, pre_spawn_hook=21.0, start=1.0)),
    (26.0, responded()),
    (26.5, routed()),
]


def test_each_phase_follows_the_one_before_it() -> None:
    [story] = stories(told(*QUICK), CHP)  # type: ignore[arg-type]
    assert lines(story) == [
        ("line", 0.0, 2.0, "done"),
        ("handover", 2.0, 2.5, "done"),
        ("making", 2.5, 3.0, "done"),
        ("pre_spawn_hook", 3.0, 24.0, "done"),
        ("start", 24.0, 25.0, "done"),
        ("answer", 25.0, 26.0, "done"),
        ("route", 26.0, 26.5, "done"),
    ]
    assert (story.outcome, seconds(story), story.worker, story.pool) == ("ready", 26.5, "w1", "gpu")
    longest = story.longest
    assert longest is not None
    assert summary("ready", 26.5, (longest.name, longest.seconds)) == (
        "It could be reached after 26 s. Most of that, 21 s, went into the operator's pre_spawn_hook."
    )


def test_the_request_itself_is_in_it() -> None:
    [story] = stories(told((0, asked(took=0.75)), (1, claimed())))
    assert lines(story)[:2] == [("request", 0.0, 0.75, "done"), ("line", 0.75, 1.75, "done")]


def test_an_old_log_does_not_tell_hooks_and_start_apart() -> None:
    [story] = stories(told((0, asked()), (1, claimed()), (9, started()), (10, responded()), (11, routed())), CHP)
    assert ("spawner", 1.0, 9.0, "done") in lines(story)


def test_what_a_worker_says_never_reaches_beyond_what_the_log_says() -> None:
    """Clocks differ, and workers may be wrong."""
    [story] = stories(told((0, asked()), (1, claimed()), (3, started(making=100.0, start=300.0)), (4, responded())))
    assert lines(story)[1:3] == [("making", 1.0, 1.5, "done"), ("start", 1.5, 3.0, "done")]


@pytest.mark.parametrize("step", ["pre_spawn_hook", "start"])
def test_a_failure_is_of_the_last_step(step: str) -> None:
    [story] = stories(told((0, asked()), (1, claimed()), (5, failed(making=1.0, **{step: 3.0})), (9, routed())), CHP)
    assert lines(story)[-1] == (step, 2.0, 5.0, "failed")
    assert (story.outcome, seconds(story), story.message) == ("failed", 5.0, "No room")


def test_a_failure_before_the_first_answer() -> None:
    [story] = stories(told((0, asked()), (1, claimed()), (2, started(start=1.0)), (32, failed("timeout"))), CHP)
    assert lines(story)[-1] == ("answer", 2.0, 32.0, "failed")


def test_cancelled_in_line() -> None:
    [story] = stories(told((0, asked()), (4, failed("cancelled"))))
    assert (story.outcome, lines(story)) == ("cancelled", [("line", 0.0, 4.0, "failed")])


def test_under_way() -> None:
    [waiting] = stories(told((0, asked())))
    assert (waiting.outcome, waiting.over, lines(waiting)) == ("waiting", None, [("line", 0.0, None, "open")])
    [starting] = stories(told((0, asked()), (1, claimed()), (2, StartExtended(attempt=1, deadline=LATER))))
    assert (starting.outcome, lines(starting)[-1]) == ("starting", ("spawner", 1.0, None, "open"))


def test_a_lost_attempt_and_the_one_that_repeats_it() -> None:
    """Both are told: the second goes on with the wish of the first."""
    log = told(
        (0, asked()),
        (1, claimed()),
        (13, AttemptLost(attempt=1, reason="w1 is silent")),
        (13, OrphanFound(attempt=1, host="h")),
        (13, asked(2)),
        (15, OrphanRemoved(attempt=1, host="h")),
        (16, claimed(2, "w2")),
        (17, started(2, start=1.0)),
        (18, responded(2)),
        (19, routed(attempt=2)),
    )
    first, second = stories(log, CHP)
    assert (first.outcome, first.message, first.later, seconds(first)) == ("lost", "w1 is silent", 2, 13.0)
    assert lines(first)[-1] == ("spawner", 1.0, 13.0, "failed")
    assert (second.outcome, second.earlier, seconds(second), second.worker) == ("ready", 1, 19.0, "w2")
    assert lines(second) == [
        ("earlier", 0.0, 13.0, "done"),
        ("leftover", 13.0, 15.0, "done"),
        ("line", 15.0, 16.0, "done"),
        ("start", 16.0, 17.0, "done"),
        ("answer", 17.0, 18.0, "done"),
        ("route", 18.0, 19.0, "done"),
    ]
    assert "w1 is silent" in second.phases[0].why


def test_the_next_wish_is_not_the_same_one() -> None:
    first, second = stories(told((0, asked()), (1, failed()), (60, asked(2, wished=60))))
    assert (first.later, second.earlier, second.asked) == (None, None, at(60))


def test_a_holder_lost_while_it_was_to_answer() -> None:
    log = told(
        (0, asked()),
        (1, claimed()),
        (2, started(start=1.0)),
        (5, HolderLost(attempt=1, reason="silent", deadline=LATER)),
        (8, ServerAdopted(attempt=1, worker="w2", host="h2")),
        (9, responded()),
        (9.5, routed()),
    )
    [story] = stories(log, CHP)
    assert lines(story)[-4:] == [
        ("answer", 2.0, 5.0, "done"),
        ("adoption", 5.0, 8.0, "done"),
        ("answer", 8.0, 9.0, "done"),
        ("route", 9.0, 9.5, "done"),
    ]
    assert (story.worker, story.host) == ("w2", "h2")


def test_taken_over_by_a_worker_that_found_it() -> None:
    """The successor of a dead worker finds the process, and that it listens."""
    found = ServerAdopted(attempt=1, worker="w2", host="h")
    [story] = stories(told((0, asked()), (1, claimed()), (4, found), (4, started()), (5, responded())), CHP)
    assert lines(story)[1:3] == [("spawner", 1.0, 4.0, "done"), ("answer", 4.0, 5.0, "done")]


def test_every_proxy_that_has_joined_counts() -> None:
    proxies = joined((-9, "a", ""), (-8, "b", ""), (-7, "c", ""), (-6, "c", "silent"))
    log = [*QUICK[:4], (26.2, routed("a")), (30.0, routed("b")), (5000.0, routed("late"))]
    [story] = stories(told(*log), proxies)  # type: ignore[arg-type]
    assert [line[1:] for line in lines(story) if line[0] == "route"] == [(26.0, 26.2, "done"), (26.0, 30.0, "done")]
    assert [phase.proxy for phase in story.phases if phase.name == "route"] == ["a", "b"]
    assert (story.outcome, seconds(story)) == ("ready", 30.0)
    assert story.until == 6, "what comes an hour later is no part of it"


def test_a_proxy_that_was_lost_is_waited_for_no_longer() -> None:
    proxies = joined((-9, "a", ""), (-8, "b", ""), (28, "b", "it is too slow"))
    [story] = stories(told(*QUICK[:4], (26.2, routed("a"))), proxies)  # type: ignore[arg-type]
    assert lines(story)[-1] == ("route", 26.0, 28.0, "failed")
    assert (story.outcome, seconds(story)) == ("ready", 28.0)


def test_a_proxy_that_has_not_routed_yet_is_waited_for() -> None:
    proxies = joined((-9, "a", ""), (-8, "b", ""))
    [story] = stories(told(*QUICK[:4], (26.2, routed("a"))), proxies)  # type: ignore[arg-type]
    assert (story.outcome, lines(story)[-1]) == ("starting", ("route", 26.0, None, "open"))


def test_without_word_of_proxies_the_routes_that_came_soon_count() -> None:
    [story] = stories(told(*QUICK[:4], (26.2, routed("a")), (27, routed("b")), (90, routed("c"))))  # type: ignore[arg-type]
    assert (story.outcome, seconds(story)) == ("ready", 27.0)


@pytest.mark.parametrize(
    "end",
    [
        StopRequested(attempt=1, deadline=LATER, reason="asked"),
        ServerCrashed(attempt=1, status="1"),
        ServerStopped(attempt=1, status="0"),
    ],
)
def test_over_before_it_could_be_reached_and_after(end: Event) -> None:
    [before] = stories(told(*QUICK[:4], (27, end), (40, routed())), CHP)  # type: ignore[arg-type]
    assert (before.outcome, seconds(before)) == ("stopped", 27.0)
    [after] = stories(told(*QUICK, (4000, end)), CHP)  # type: ignore[arg-type]
    assert (after.outcome, seconds(after), after.until) == ("ready", 26.5, 5)


def test_phases_follow_each_other_without_a_gap_whatever_happens() -> None:
    """Of all the stories above that go through many phases, cut short anywhere."""
    log = [
        (0.0, asked(took=0.1)),
        (1.0, OrphanRemoved(attempt=0, host="h")),
        (2.0, claimed()),
        (7.0, started(making=0.1, groups=0.2, pre_spawn_hook=1.5, start=2.0)),
        (8.0, HolderLost(attempt=1, reason="silent", deadline=LATER)),
        (9.0, ServerAdopted(attempt=1, worker="w2", host="h")),
        (11.0, responded()),
        (12.0, routed()),
        (13.0, StopRequested(attempt=1, deadline=LATER, reason="asked")),
    ]
    for length in range(1, len(log) + 1):
        [story] = stories(told(*log[:length]), CHP)
        phases = [phase for phase in story.phases if phase.name != "route"]
        assert phases[0].begin == 0
        for one, next in pairwise(phases):
            assert one.end == pytest.approx(next.begin, abs=1e-3), (length, lines(story))
        for phase in story.phases:
            assert phase.name in PHASES
            assert phase.title
            assert phase.why
        assert msgspec.json.encode(story.phases)


@pytest.mark.parametrize(
    ("outcome", "seconds", "longest", "expected"),
    [
        ("ready", 0.04, ("line", 0.03), "It could be reached after 0.04 s."),
        ("ready", 3.2, ("answer", 1.4), "The longest part, 1.4 s, was waiting for the server's first answer."),
        (
            "failed",
            125,
            ("start", 120.0),
            "It failed after 2 min 5 s. Most of that, 2 min 0 s, went into the spawner's",
        ),
        ("waiting", 12, None, "It has been waiting for 12 s."),
        ("cancelled", 7300, ("line", 7300.0), "It was called off after 2 h 1 min."),
        ("failed", 5, ("line", 5.0), "It failed after 5.0 s. Most of that"),
        ("ready", 3, ("something new", 2.0), "Most of that, 2.0 s, went into a step called something new."),
    ],
)
def test_one_sentence_says_it(outcome: str, seconds: float, longest: tuple[str, float] | None, expected: str) -> None:
    assert expected in summary(outcome, seconds, longest)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("pre_spawn_hook", "It failed after 9.0 s, in the operator's pre_spawn_hook."),
        ("answer", "It failed after 9.0 s, while waiting for the server's first answer."),
        ("start", "It failed after 9.0 s, in the spawner's own start. Most of that, 8.0 s, went into the operator's"),
    ],
)
def test_a_failure_is_said_to_be_where_it_was(last: str, expected: str) -> None:
    longest = (last, 9.0) if last != "start" else ("pre_spawn_hook", 8.0)
    assert expected in summary("failed", 9.0, longest, last)
