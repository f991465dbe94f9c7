"""Times and durations as people type them: `10:30`, `yesterday 10:30`, `2h ago`, RFC 3339; `90`, `10m`, `1h30m`."""

import re
from datetime import datetime, time, timedelta, tzinfo

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(
    r"(\d+(?:\.\d+)?)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?![a-z])[\s,]*"
)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
#: Nobody means more.
_LONGEST = 36_500 * 86_400


def duration(text: str) -> timedelta:
    """Seconds if it is a bare number. ValueError with a sentence if it is nothing of the kind."""
    words = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", words):
        return _bounded(text, float(words))
    seconds, at = 0.0, 0
    while found := _PART.match(words, at):
        seconds += float(found[1]) * _UNITS[found[2][0]]
        at = found.end()
    if not words or at != len(words):
        raise ValueError(f"{text!r} is no duration like 90, 10m or 1h30m")
    return _bounded(text, seconds)


def _bounded(text: str, seconds: float) -> timedelta:
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is more than a hundred years")
    return timedelta(seconds=seconds)


def moment(text: str, now: datetime, *, ahead: bool = False, zone: tzinfo | None = None) -> datetime:
    """A time with its zone; one without is in *zone*, null for this machine's, which *now* is in, too.

    A bare clock time is the last one that was, or with *ahead* the next one that will be; and `2h` is so long ago, or
    ahead. ValueError with a sentence if
    nobody could say what is meant.
    """
    written = " ".join(text.split())
    words = written.lower()
    day, _, rest = words.partition(" ")
    try:
        if words == "now":
            return now
        if words.endswith(" ago"):
            return now - duration(words.removesuffix(" ago"))
        if day == "in":
            return now + duration(rest)
        if day in _DAYS:
            return _on(now, _DAYS[day], _clock(rest or "0:00"), zone)
        if _CLOCK.fullmatch(words):
            return _nearest(now, _clock(words), zone, ahead=ahead)
        if _PART.match(words):
            return now + duration(words) if ahead else now - duration(words)
        found = datetime.fromisoformat(written)
        return found if found.tzinfo else _placed(found, zone)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time like 10:30, 'yesterday 10:30', '2h ago', '2026-11-21 10:30' or 2026-11-21T10:30:00Z"
        ) from None


def _nearest(now: datetime, clock: time, zone: tzinfo | None, *, ahead: bool) -> datetime:
    """Today, unless that is in the wrong direction."""
    found = _on(now, 0, clock, zone)
    if ahead and found < now:
        return _on(now, 1, clock, zone)
    return _on(now, -1, clock, zone) if not ahead and found > now else found


def _on(now: datetime, days: int, clock: time, zone: tzinfo | None) -> datetime:
    return _placed(datetime.combine(now.date() + timedelta(days=days), clock), zone)


def _clock(words: str) -> time:
    found = _CLOCK.fullmatch(words)
    if not found:
        raise ValueError(words)
    return time(int(found[1]), int(found[2]), int(found[3] or 0))


def _placed(naive: datetime, zone: tzinfo | None) -> datetime:
    """As the clocks show it there on that day."""
    return naive.replace(tzinfo=zone) if zone else naive.astimezone()


def ago(seconds: float) -> str:
    """`3 min ago`."""
    return "now" if abs(seconds) < 0.5 else f"{short(seconds)} ago" if seconds > 0 else f"in {short(-seconds)}"


def short(seconds: float) -> str:
    """`0.35 s`, `12 s`, `3 min`, `5 h`, `2 d`."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / 86_400)} d"
