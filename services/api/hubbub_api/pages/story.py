"""Events as pages tell them: by day, each a sentence with its time, and what else is known of it to unfold."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any

import msgspec
from aiohttp import web
from yarl import URL

from hubbub.access import Identity
from hubbub.domain.names import escape
from hubbub.eventlog import COLUMNS, recorded
from hubbub.vault import FORGOTTEN
from hubbub_api.answers import stamp
from hubbub_api.event_models import EventModel, WhichServer
from hubbub_api.keys import EVENTS, VIEWS
from hubbub_api.pages.asking import prefix_of

#: Events by which one gets to the waterfall of a start.
_OF_STARTS = frozenset(["SpawnRequested", "ServerResponded", "SpawnFailed", "AttemptLost"])
_BAD = frozenset(["SpawnFailed", "AttemptLost", "ServerCrashed", "HolderLost", "OrphanFound", "ProxyLost"])
_GOOD = frozenset(["ServerResponded", "ProxyJoined"])
_LARGEST = 2**53

#: The trace of an event, as its index has it.
TRACE = """substring(meta from '"traceparent":"00-([0-9a-f]{32})')"""
_FIRST = f"""
    select e.* from unnest($1::text[]) as t (trace) cross join lateral (
        select {COLUMNS} from events where {TRACE} = t.trace order by position limit 1
    ) e
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """An event. `tone`: good, bad or "". `by_another`: somebody else than who looks did it. `start`: where its start's
    waterfall is. `cause`: what its trace began with.
    """

    event: EventModel
    cause: EventModel | None
    clock: str
    tone: str
    by_another: bool
    start: str

    @property
    def id(self) -> str:
        return f"e{self.event.position}"

    @property
    def details(self) -> list[tuple[str, str]]:
        event = self.event
        by = event.actor.name if event.actor.kind == "system" else f"{event.actor.kind} {event.actor.name}"
        return [
            ("Event", f"{event.type}, {event.aggregate} {event.subject}, number {event.version}"),
            ("Position in the log", str(event.position)),
            ("Exact time", event.at),
            ("Done by", by),
            *([("It began with", f"{self.cause.text} (event {self.cause.position})")] if self.cause else []),
            *([("Trace", event.trace)] if event.trace else []),
        ]

    @property
    def data(self) -> str:
        """Its own fields, as JSON to be read."""
        fields = {name: value for name, value in self.event.data.items() if value not in ("", None, [], {})}
        return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode() if fields else ""


@dataclass(frozen=True, kw_only=True)
class Day:
    title: str
    lines: list[Line]


async def days(
    request: web.Request, viewer: Identity, events: Sequence[EventModel], seen: Collection[str] | None
) -> list[Day]:
    """*events*: in order, newest or oldest first. *seen*: subjects whose events *viewer* may see; None: all."""
    ids = {each.server.id for each in events if each.server and each.type in _OF_STARTS}
    rows = await request.app[VIEWS].fetch("select id from servers where id = any($1)", sorted(ids)) if ids else []
    there = {row["id"] for row in rows}
    causes = await _causes(request, events, seen)
    base = f"{prefix_of(request)}activity/"
    lines = [_line(each, viewer, base, there, causes.get(each.trace)) for each in events]
    return [
        Day(title=title, lines=list(those))
        for title, those in groupby(lines, lambda line: _moment(line.event).strftime("%A, %-d %B %Y"))
    ]


async def _causes(
    request: web.Request, events: Sequence[EventModel], seen: Collection[str] | None
) -> dict[str, EventModel]:
    """What the traces of *events* began with, as far as that may be seen."""
    traces = {each.trace for each in events if each.trace}
    rows = await request.app[VIEWS].fetch(_FIRST, sorted(traces)) if traces else []
    records = [recorded(row) for row in rows]
    may = [each for each in records if seen is None or not set(seen).isdisjoint(each.about)]
    return {each.trace: each for each in await request.app[EVENTS].models(may)}


def _line(event: EventModel, viewer: Identity, base: str, there: Collection[str], cause: EventModel | None) -> Line:
    by_another = event.actor.kind in ("user", "service") and event.actor.id != viewer.id
    return Line(
        event=event,
        cause=cause if cause and cause.position < event.position else None,
        clock=_moment(event).strftime("%H:%M:%S"),
        tone="bad" if event.type in _BAD else "good" if event.type in _GOOD else "",
        by_another=by_another and event.user is not None and event.user.id == viewer.id,
        start=_start(event, base, there),
    )


def _start(event: EventModel, base: str, there: Collection[str]) -> str:
    server, attempt = event.server, event.data.get("attempt")
    if event.type not in _OF_STARTS or server is None or server.id not in there or not isinstance(attempt, int):
        return ""
    return f"{base}{place(server.user, server.name)}/{attempt}" if server.user not in ("", FORGOTTEN) else ""


def place(owner: str, name: str) -> str:
    """Of a server, in addresses of pages: `ada` or `ada/lab`, quoted."""
    return f"{escape(owner)}/{escape(name)}" if name else escape(owner)


def called(server: WhichServer) -> str:
    """`ada` for a default server, `ada/lab`."""
    return f"{server.user}/{server.name}" if server.name else server.user


def _moment(event: EventModel) -> datetime:
    return datetime.fromisoformat(event.at).astimezone(UTC)


# What pages are asked for: what makes no sense is as if it was not there ----------------------


def number(text: str) -> int | None:
    """A position."""
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text or "0") < _LARGEST else None


def day(text: str, *, end: bool = False) -> datetime | None:
    """Midnight before a day (`2026-11-21`), or after it."""
    try:
        found = date.fromisoformat(text) + timedelta(days=end)
    except (ValueError, OverflowError):
        return None
    return datetime.combine(found, time(), UTC)


def moment(text: str) -> datetime | None:
    """`2026-11-21T10:38`, or with seconds, in UTC unless it has a zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


async def horizon(request: web.Request) -> str:
    """When the log begins, if what was before is in an archive; else ""."""
    return stamp((await request.app[EVENTS].span()).horizon) or ""


def query(**given: Any) -> str:
    """The query of an address, with all that is given."""
    return str(URL.build(query={name: str(value) for name, value in given.items() if value not in ("", None)}))
