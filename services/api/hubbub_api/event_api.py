"""GET /events: what has happened, a page of it, or all from some position on as it happens."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.house import HOUSE
from hubbub.web.request import NOT_FOUND, ApiError, by_cookie, by_token, identify, require
from hubbub_api import event_stream
from hubbub_api.answers import LARGEST_NUMBER, answer, query_of
from hubbub_api.endpoint import Endpoints
from hubbub_api.event_models import EventModel
from hubbub_api.event_rights import SCOPE, Asked, seeing, subjects
from hubbub_api.events import Filter, Span, types_of
from hubbub_api.keys import EVENTS, VIEWS

routes = Endpoints("events")

_STREAM = "text/event-stream"
LONGEST_PAGE = 1000


Position = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]


class EventsQuery(msgspec.Struct, kw_only=True):
    """Which events. Of `user`, `server`, `group` and `about` at most one; several types or aggregates with commas.

    `server` is `owner/name`; `about` an id; `actor` a `user:<name>`, `service:<name>`, `worker:<name>` or part of the
    system. `after`, `before`: positions; `since`, `until`: times. `limit`: 100 unless asked, 1000 at most.
    """

    user: str = ""
    server: str = ""
    group: str = ""
    about: str = ""
    type: str = ""
    aggregate: str = ""
    actor: str = ""
    after: Position | None = None
    before: Position | None = None
    since: str = ""
    until: str = ""
    limit: Annotated[int, Meta(ge=1)] = 100
    order: Literal["newest", "oldest"] = "newest"


class EventPage(msgspec.Struct):
    """`head`: the position of the newest event there is. `more`: the position to go on `before` (or `after`); null if
    there is no more. `oldest`: the position of the oldest event there is; those before it were archived.
    """

    items: list[EventModel]
    head: int
    more: int | None
    oldest: int


@dataclass(frozen=True)
class _Wish:
    """A query that makes sense. Whose events are meant is in names, since these may come to mean others."""

    whose: Asked
    types: tuple[str, ...]
    aggregates: tuple[str, ...]
    actor: str
    since: datetime | None
    until: datetime | None

    async def filter(self, request: web.Request, identity: Identity | None) -> Filter:
        about = await subjects(request, identity, self.whose)
        return Filter.of(about, self.types, self.aggregates, await _actor(request, identity, self.actor))


@routes.get("/events", scopes=(SCOPE,), query=EventsQuery, answers={200: EventPage, 410: None})
async def events(request: web.Request) -> web.StreamResponse:
    """Shows what has happened, newest first, or, with `Accept: text/event-stream`, all of it as it happens. JupyterHub
    has no such thing.

    A stream begins after `after`, at `since` or now, and goes on for ever. Each event of it is `id: <epoch>:<position>`
    and `data: {...}`; whoever sends the last id as `Last-Event-ID` goes on after that, without a gap. 410: there is
    no such place in this log, or what comes next was archived. A browser needs no scope for what is about its user and
    their servers; in its streams it hears of pauses and banners besides, which are on every page.
    """
    identity = await identify(request)
    query = query_of(request, EventsQuery)
    wish = _wish(query)
    if _STREAM in request.headers.get("Accept", ""):
        return await _stream(request, identity, query, wish)
    wanted = await wish.filter(request, identity)
    limit, reads = min(query.limit, LONGEST_PAGE), request.app[EVENTS]
    newest_first = query.order == "newest"
    span = await reads.span()
    _check(span, after=query.after, before=query.before, since=wish.since)
    records = await reads.filtered(
        wanted, query.before, query.after, wish.since, wish.until, limit, newest_first=newest_first
    )
    more = records[-1].position if len(records) == limit else None
    return answer(EventPage(await reads.models(records), span.head, more, span.oldest))


async def _stream(
    request: web.Request, identity: Identity | None, query: EventsQuery, wish: _Wish
) -> web.StreamResponse:
    who = seeing(identity)
    await wish.filter(request, who)  # refused while that can be said with a status

    return await event_stream.stream(request, who, _Rights(request, wish), await _cursor(request, query, wish))


@dataclass(frozen=True)
class _Rights:
    """Of whoever has sent *request*, which has been a while."""

    request: web.Request
    wish: _Wish

    async def _who(self) -> Identity:
        return seeing(await by_token(self.request) or await by_cookie(self.request))

    async def now(self) -> tuple[Identity, Filter]:
        who = await self._who()
        wanted = await self.wish.filter(self.request, who)
        return who, with_house(wanted) if who.by_cookie else wanted

    async def same(self, identity: Identity) -> bool:
        who = await self._who()
        return (who.scopes, who.members) == (identity.scopes, identity.members)


def with_house(wanted: Filter) -> Filter:
    """*wanted*, and that something has happened to the house: what everybody is told on every page may be other now."""
    types = None if wanted.types is None else wanted.types | frozenset(types_of("house"))
    return replace(wanted, types=types, besides=frozenset({HOUSE}))


async def _cursor(request: web.Request, query: EventsQuery, wish: _Wish) -> int:
    """The position to begin after."""
    reads = request.app[EVENTS]
    epoch, span = await reads.epoch(), await reads.span()
    head = span.head
    if last := request.headers.get("Last-Event-ID", "").strip():
        of, _, position = last.partition(":")
        if of != epoch or not position.isdecimal() or int(position) > head:
            raise ApiError(410, f"{last[:100]!r} is no place in this log, which is {epoch}, and ends at {head}")
        _check(span, after=int(position))
        return int(position)
    _check(span, after=query.after, since=wish.since)
    if query.after is not None:
        return min(query.after, head)
    return head if wish.since is None else await reads.position_before(wish.since)


def _check(span: Span, *, after: int | None = None, before: int | None = None, since: datetime | None = None) -> None:
    """Nothing begins in the middle without a word."""
    if not span.has(after=after, before=before, since=since):
        raise ApiError(410, span.sentence[0].upper() + span.sentence[1:])


def _wish(query: EventsQuery) -> _Wish:
    aggregates = _several(query.aggregate)
    if unknown := [each for each in aggregates if not types_of(each)]:
        raise ApiError(400, f"Invalid aggregate: there are no events of {unknown[0][:50]!r}")
    return _Wish(
        Asked(user=query.user, server=query.server, group=query.group, about=query.about),
        _several(query.type),
        aggregates,
        query.actor,
        _time(query.since, "since"),
        _time(query.until, "until"),
    )


def _several(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for each in text.split(",") if (part := each.strip())))


def _time(text: str, name: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(400, f"Invalid {name}: {text[:50]!r} is not a time") from None
    raise ApiError(400, f"Invalid {name}: {text[:50]!r} has no time zone")


async def _actor(request: web.Request, identity: Identity | None, said: str) -> str:
    """As contexts have it: users by id. Whoever may see what is about some people alone learns of nobody else by it."""
    kind, _, name = said.partition(":")
    if kind != "user":
        return said
    who = seeing(identity)
    if scope.filters(who.scopes, SCOPE) is not None:
        require(who, SCOPE, user=name)
    found = await request.app[VIEWS].row("select id from users where name = $1", name)
    if found is None:
        raise ApiError(404, NOT_FOUND)
    return f"user:{found['id']}"
