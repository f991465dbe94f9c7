"""Times as people say them: `12 s`, `5 min`, `3 h`."""

from datetime import UTC, datetime

_UNITS = ((2 * 86_400, 86_400, "d"), (2 * 3600, 3600, "h"), (120, 60, "min"))


def span(seconds: float) -> str:
    """About how long that is; nothing is negative."""
    seconds = max(0.0, seconds)
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"


def moment(time: datetime | str | None) -> datetime | None:
    """A stamp of ours as a time."""
    return datetime.fromisoformat(time) if isinstance(time, str) else time


def ago(time: datetime | str | None) -> str:
    """How long ago that was; "" for null."""
    then = moment(time)
    return "" if then is None else span((datetime.now(UTC) - then).total_seconds())


def clock(time: datetime | str | None) -> str:
    """`21 Nov, 10:38` in UTC; "" for null."""
    then = moment(time)
    return "" if then is None else then.astimezone(UTC).strftime("%-d %b, %H:%M")
