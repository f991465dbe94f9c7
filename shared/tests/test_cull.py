"""`c.Hubbub.cull`: which rule counts, when a server is stopped, why, and when that is not known well enough."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.cull import REPORTED, Cull, Terms, ends, is_known, span

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = 3600

RULES = {
    "idle": HOUR,
    "longest": 12 * HOUR,
    "rules": [
        {"users": ["Ada"], "profiles": ["gpu"], "idle": 600, "warn": 60},
        {"groups": ["staff", "guests"], "idle": 0},
        {"profiles": ["gpu"], "longest": 2 * HOUR},
        {"servers": [""], "longest": 0},
    ],
}


def said(cull: Any) -> Cull:
    return Options(Config({"Hubbub": {"cull": cull}})).cull


def seconds(many: float) -> timedelta:
    return timedelta(seconds=many)


@pytest.mark.parametrize(
    ("user", "groups", "profile", "server", "terms"),
    [
        ("ada", [], "gpu", "", Terms(idle=600, longest=12 * HOUR, warn=60, rule=0)),
        ("ada", ["staff"], "cpu", "", Terms(idle=0, longest=12 * HOUR, warn=600, rule=1)),
        ("bob", ["music", "guests"], "gpu", "x", Terms(idle=0, longest=12 * HOUR, warn=600, rule=1)),
        ("bob", [], "gpu", "x", Terms(idle=HOUR, longest=2 * HOUR, warn=600, rule=2)),
        ("bob", [], "", "", Terms(idle=HOUR, longest=0, warn=600, rule=3)),
        ("bob", [], "", "x", Terms(idle=HOUR, longest=12 * HOUR, warn=600)),
    ],
)
def test_the_first_rule_that_is_about_a_server_counts(
    user: str, groups: list[str], profile: str, server: str, terms: Terms
) -> None:
    assert terms == said(RULES).terms(user, groups, profile, server)


def test_without_any_nothing_is_ever_stopped() -> None:
    assert not said({}).is_on
    assert not said({"idle": 0, "rules": [{"users": ["ada"], "warn": 5}]}).is_on
    assert said({"rules": [{"users": ["ada"], "longest": 5}]}).is_on
    assert ends(said({}).terms("ada", [], "", ""), NOON, None) == ()


@pytest.mark.parametrize(
    ("cull", "words"),
    [
        ({"idel": 5}, "c.Hubbub.cull: Object contains unknown field `idel`"),
        ({"idle": -1}, "c.Hubbub.cull: Expected `float` >= 0"),
        ({"idle": "1h"}, "c.Hubbub.cull: Expected `float`"),
        ({"rules": {}}, "c.Hubbub.cull['rules']: a list of rules"),
        ({"rules": [{"groups": ["a"], "idle": 5}, {"group": ["a"]}]}, "c.Hubbub.cull['rules'][1]: Object contains"),
        ({"rules": [{"groups": "staff", "idle": 5}]}, "c.Hubbub.cull['rules'][0]: Expected `array | null`"),
        ({"rules": [{"groups": ["staff"]}]}, "c.Hubbub.cull['rules'][0]: it says neither idle, longest nor warn"),
        (5, "c.Hubbub.cull: Expected `object`"),
    ],
)
def test_what_cannot_be_meant_is_named(cull: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        said(cull)
    assert words in str(refused.value)


def test_the_earlier_of_both_comes_first_and_says_why() -> None:
    terms = Terms(idle=2 * HOUR, longest=3 * HOUR, warn=600)
    idle, longest = ends(terms, NOON, None)
    assert (idle.at, idle.reason) == (NOON + seconds(2 * HOUR), "idle for 2 h")
    assert (longest.at, longest.reason) == (NOON + seconds(3 * HOUR), "has run for 3 h")
    assert idle.told_from == idle.at - seconds(600)
    first, _ = ends(terms, NOON, NOON + seconds(1.5 * HOUR))
    assert first.why == "longest"


def test_what_was_heard_before_the_start_is_of_an_earlier_one() -> None:
    [end] = ends(Terms(idle=60), NOON, NOON - seconds(HOUR))
    assert end.at == NOON + seconds(60)


def test_a_warning_does_not_begin_with_the_start() -> None:
    [end] = ends(Terms(idle=60, warn=600), NOON, None)
    assert end.told_from == NOON + seconds(30)


@pytest.mark.parametrize(
    ("told", "listening", "known"),
    [
        (0, 2 * HOUR, True),
        (-1, 2 * HOUR, False),  # a proxy has not said yet what it heard in the last second
        (None, 2 * HOUR, False),
        (0, REPORTED, True),
        (0, REPORTED - 1, False),  # a server that is at work would not have had to say so yet
    ],
)
def test_idle_is_only_what_would_have_been_heard(told: float | None, listening: float, known: bool) -> None:
    idle, _ = ends(Terms(idle=HOUR, longest=HOUR), NOON, None)
    now = idle.at + seconds(5)
    until = None if told is None else idle.at + seconds(told)
    assert known == is_known(idle, told=until, hearing=now - seconds(listening), now=now)


def test_the_longest_life_is_known_whatever_was_heard() -> None:
    [longest] = ends(Terms(longest=HOUR), NOON, None)
    assert is_known(longest, told=None, hearing=NOON + seconds(HOUR), now=NOON + seconds(HOUR))


@pytest.mark.parametrize(
    ("many", "words"),
    [(5, "5 s"), (90, "90 s"), (1.5, "1.5 s"), (5400, "90 min"), (7200, "2 h"), (5000, "83 min"), (172800, "2 days")],
)
def test_spans_are_said_as_people_do(many: float, words: str) -> None:
    assert span(many) == words


some = st.floats(0, 1e6)
times = st.none() | some.map(lambda many: NOON + seconds(many))


@given(some, some, some, times, times)
def test_being_there_never_brings_an_end_nearer(
    idle: float, longest: float, warn: float, heard: datetime | None, later: datetime | None
) -> None:
    terms = Terms(idle=idle, longest=longest, warn=warn)
    now = ends(terms, NOON, heard)
    then = ends(terms, NOON, max(filter(None, (heard, later)), default=None))
    assert [end.why for end in sorted(now, key=lambda end: end.why)] == [
        end.why for end in sorted(then, key=lambda end: end.why)
    ]
    assert all(new.at >= old.at for old, new in zip(now, then, strict=True))
    assert all(NOON <= end.told_from <= end.at for end in then)
