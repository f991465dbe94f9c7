"""Times and durations as people type them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hubbub_local.client.times import ago, duration, moment, short

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 10, 30, 15, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("10m", 600),
        ("1h30m", 5400),
        ("1 h, 30 min", 5400),
        ("2 days 1s", 172_801),
        ("1 week", 604_800),
        ("90 SECONDS", 90),
        ("0.5h", 1800),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "m", "10x", "10 minutos", "-5", "1h30", "1h x", "101 years", "9999999d", "1e9"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text!r} is"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-21T10:30:15+01:00"),
        ("10:30", "2026-11-21T10:30:00+01:00"),
        ("9:05:07", "2026-11-21T09:05:07+01:00"),
        ("10:31", "2026-11-20T10:31:00+01:00"),
        ("today 23:00", "2026-11-21T23:00:00+01:00"),
        ("yesterday 10:31", "2026-11-20T10:31:00+01:00"),
        ("Yesterday", "2026-11-20T00:00:00+01:00"),
        ("2h ago", "2026-11-21T08:30:15+01:00"),
        ("1 day 30 min ago", "2026-11-20T10:00:15+01:00"),
        ("2h", "2026-11-21T08:30:15+01:00"),
        ("in 10m", "2026-11-21T10:40:15+01:00"),
        ("2026-07-01 12:00", "2026-07-01T12:00:00+02:00"),
        ("2026-07-01", "2026-07-01T00:00:00+02:00"),
        ("  2026-11-21   08:00:00 ", "2026-11-21T08:00:00+01:00"),
        ("2026-11-21T10:30:00Z", "2026-11-21T10:30:00+00:00"),
        ("2026-11-21T10:30:00.123456-05:00", "2026-11-21T10:30:00.123456-05:00"),
    ],
)
def test_times(text: str, expected: str) -> None:
    assert moment(text, NOW, zone=ZONE).isoformat() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:31", "2026-11-21T10:31:00+01:00"),
        ("10:30", "2026-11-22T10:30:00+01:00"),
        ("tomorrow 9:00", "2026-11-22T09:00:00+01:00"),
        ("45m", "2026-11-21T11:15:15+01:00"),
        ("2h ago", "2026-11-21T08:30:15+01:00"),
    ],
)
def test_times_that_are_to_come(text: str, expected: str) -> None:
    assert moment(text, NOW, ahead=True, zone=ZONE).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    ["", "noon", "25:00", "10:60", "yesterday noon", "ago", "x ago", "2026-13-01", "2026-11-21T10:30:00X", "in", "in x",
     "yesterday 10:30 or so", "100 years ago"],
)  # fmt: skip
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no time like"):
        moment(text, NOW, zone=ZONE)


def test_without_a_zone_it_is_this_machines() -> None:
    now = datetime(2026, 11, 21, 10, 30, tzinfo=UTC).astimezone()
    found = moment("2026-11-21 08:00", now)
    assert found == datetime(2026, 11, 21, 8).astimezone()
    assert found.utcoffset() is not None


def test_a_day_that_the_clocks_change_on_has_the_time_they_show() -> None:
    now = datetime(2026, 3, 29, 12, 0, tzinfo=ZONE)
    assert moment("1:30", now, zone=ZONE).utcoffset() == timedelta(hours=1)
    assert moment("3:30", now, zone=ZONE).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "now"),
        (1.26, "1.3 s ago"),
        (12.4, "12 s ago"),
        (180, "3 min ago"),
        (7300, "2 h ago"),
        (5 * 86_400, "5 d ago"),
        (-180, "in 3 min"),
    ],
)
def test_ages(seconds: float, said: str) -> None:
    assert ago(seconds) == said


def test_short_spans_keep_their_digits() -> None:
    assert [short(0.0001), short(0.35), short(9.96), short(10)] == ["0.0001 s", "0.35 s", "10 s", "10 s"]
