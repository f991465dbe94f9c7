"""Quotas: which of them count for whom, when they begin anew, when they are used up and free again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets.config import Config

from hubbub import quotas
from hubbub.config import Options
from hubbub.quotas import Period, Quota, ends_at, free_at
from hubbub.sections import ConfigError

NOW = datetime(2026, 11, 21, 21, 30, tzinfo=UTC)  # a Saturday
HOUR = timedelta(hours=1)


def quota(hours: float, per: str | float = "week", **more: Any) -> Quota:
    return Quota(servers=0, hours=hours, per=per, **more)


# What counts for whom ---------------------------------------------------------------------

CLASS = {
    "servers": 2,
    "hours": 20,
    "per": "week",
    "rules": [
        {"users": ["Ada"], "servers": 0, "hours": 0},
        {"groups": ["staff"], "hours": 100},
        {"groups": ["guests"], "servers": 1, "hours": 2, "per": "day"},
    ],
    "together": {"lab": {"hours": 500, "per": "month"}, "room": {"servers": 30}},
}


@pytest.mark.parametrize(
    ("user", "groups", "expected"),
    [
        ("ben", [], [(2, 20, "week", "")]),
        ("ben", ["staff"], [(2, 100, "week", "")]),
        ("ben", ["guests", "staff"], [(2, 100, "week", "")]),  # the first that is about them
        ("ben", ["guests"], [(1, 2, "day", "")]),
        ("ada", ["guests"], []),
        ("ada", ["lab"], [(0, 500, "month", "lab")]),
        ("ben", ["room", "lab"], [(2, 20, "week", ""), (0, 500, "month", "lab"), (30, 0, "week", "room")]),
    ],
)
def test_what_counts_for_whom(user: str, groups: list[str], expected: Any) -> None:
    found = quotas.read(CLASS).of(user, groups)
    assert [(each.servers, each.hours, each.per, each.group) for each in found] == expected


@pytest.mark.parametrize(
    ("said", "servers", "hours"),
    [
        ({}, False, False),
        ({"servers": 1}, True, False),
        ({"hours": 1}, False, True),
        ({"rules": [{"users": ["ada"], "hours": 0}]}, False, False),
        ({"rules": [{"users": ["ada"], "hours": 3}]}, False, True),
        ({"together": {"lab": {"servers": 3}}}, True, False),
    ],
)
def test_nothing_is_counted_that_limits_nobody(said: Any, servers: bool, hours: bool) -> None:
    found = quotas.read(said)
    assert (found.counts_servers, found.counts_hours, found.is_on) == (servers, hours, servers or hours)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"server": 1}, "c.Hubbub.quotas: Object contains unknown field `server`"),
        ({"hours": -1}, "c.Hubbub.quotas: Expected `float` >= 0"),
        ({"per": "year"}, "c.Hubbub.quotas: "),
        ({"per": 5}, "c.Hubbub.quotas: Expected `float` >= 60"),
        ({"zone": "Mars/Olympus"}, "c.Hubbub.quotas['zone']: there is no time zone 'Mars/Olympus'"),
        ({"zone": "../etc"}, "c.Hubbub.quotas['zone']: "),
        ({"rules": {}}, "c.Hubbub.quotas['rules']: a list of rules"),
        ({"rules": [{"hours": 1}]}, "c.Hubbub.quotas['rules'][0]: it says neither users nor groups"),
        ({"rules": [{"users": ["a"]}]}, "c.Hubbub.quotas['rules'][0]: it says neither servers nor hours"),
        ({"rules": [{"users": ["a"], "hour": 1}]}, "c.Hubbub.quotas['rules'][0]: Object contains unknown field `hour`"),
        ({"together": []}, "c.Hubbub.quotas['together']: limits by the name of a group"),
        ({"together": {"lab": {}}}, "c.Hubbub.quotas['together']['lab']: it says neither servers nor hours"),
        ({"together": {"lab": {"users": ["a"], "hours": 1}}}, "c.Hubbub.quotas['together']['lab']: "),
    ],
)
def test_what_cannot_be_meant_is_named(said: Any, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Options(Config({"Hubbub": {"quotas": said}}))
    assert str(refused.value).startswith(words)


# Periods ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per", "zone", "since", "until"),
    [
        ("day", "UTC", "2026-11-21T00:00Z", "2026-11-22T00:00Z"),
        ("week", "UTC", "2026-11-16T00:00Z", "2026-11-23T00:00Z"),
        ("month", "UTC", "2026-11-01T00:00Z", "2026-12-01T00:00Z"),
        ("day", "Asia/Tokyo", "2026-11-21T15:00Z", "2026-11-22T15:00Z"),
        ("month", "America/New_York", "2026-11-01T04:00Z", "2026-12-01T05:00Z"),  # the clocks went back that day
        (3600.0, "UTC", "2026-11-21T20:30Z", None),
    ],
)
def test_periods(per: Any, zone: str, since: str, until: str | None) -> None:
    found = quotas.read({"hours": 1, "per": per, "zone": zone}).period(quota(1, per), NOW)
    assert found == Period(
        since=datetime.fromisoformat(since), until=datetime.fromisoformat(until) if until is not None else None
    )


@given(st.integers(0, 20 * 366 * 86_400), st.sampled_from(["day", "week", "month"]))
def test_one_period_follows_the_other(seconds: int, per: Any) -> None:
    read = quotas.read({"hours": 1, "zone": "Europe/Berlin"})
    now = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    this = read.period(quota(1, per), now)
    assert this.until is not None and this.since <= now < this.until
    assert read.period(quota(1, per), this.until).since == this.until


# When it is over, and free again ----------------------------------------------------------


def test_when_it_will_be_used_up() -> None:
    week = quotas.read({"hours": 20, "per": "week"}).period(quota(20), NOW)
    assert ends_at(quota(20), week, 10 * HOUR, 1, NOW) == NOW + 10 * HOUR
    assert ends_at(quota(20), week, 10 * HOUR, 4, NOW) == NOW + 2.5 * HOUR
    assert ends_at(quota(20), week, 21 * HOUR, 1, NOW) == NOW
    assert ends_at(quota(20), week, 10 * HOUR, 0, NOW) is None
    assert ends_at(quota(200), week, 10 * HOUR, 1, NOW) is None  # a new week has begun by then
    assert ends_at(quota(0), week, 10 * HOUR, 1, NOW) is None


LENGTH = 100
#: Some minutes ago: when it began and how long it was.
PARTS = st.lists(st.tuples(st.integers(0, 150), st.integers(1, 60)), max_size=6)


@given(PARTS, st.integers(1, 120))
def test_it_is_free_again_as_soon_as_there_is_enough(said: list[tuple[int, int]], allowed: int) -> None:
    """Found by trying each minute."""
    minute, limited = timedelta(minutes=1), quota(allowed / 60, LENGTH * 60.0)
    parts = [(NOW - ago * minute, min(NOW, NOW - ago * minute + length * minute)) for ago, length in said]
    period = Period(since=NOW - LENGTH * minute, until=None)

    def left(at: datetime) -> timedelta:
        since = at - LENGTH * minute
        return limited.time - sum((max(timedelta(), end - max(begin, since)) for begin, end in parts), timedelta())

    found = free_at(limited, period, parts, NOW)
    assert found is not None
    assert left(found) >= limited.worthwhile - timedelta(milliseconds=1)
    if found > NOW:
        assert left(found - timedelta(milliseconds=1)) < limited.worthwhile
    assert found == NOW or left(NOW) < limited.worthwhile


def test_of_the_calendar_it_is_free_again_with_the_next_period() -> None:
    week = quotas.read({"hours": 20, "per": "week"}).period(quota(20), NOW)
    assert free_at(quota(20), week, [], NOW) == week.until


@pytest.mark.parametrize(
    ("per", "words"),
    [("week", "20 h a week"), (86400.0, "20 h within a day"), (172800.0, "20 h within 2 days"),
     (7200.0, "20 h within 2 h"), (90.0, "20 h within 1.5 min")],
)  # fmt: skip
def test_words(per: Any, words: str) -> None:
    assert quota(20, per).words == words
