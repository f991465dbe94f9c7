"""GET /users/{user}/server/starts and /users/{user}/servers/{name}/starts: how each start went, by the log."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from hubbub.eventlog import Recorded, decode, people_in
from hubbub.web.request import ApiError, identify
from hubbub_api import event_rights
from hubbub_api.answers import answer, query_of, stamp
from hubbub_api.endpoint import Endpoints
from hubbub_api.event_rights import Asked
from hubbub_api.keys import EVENTS, POOL, VAULT
from hubbub_api.start_models import Start, Starts, Waterfall
from hubbub_api.start_words import summary
from hubbub_api.user_servers import DEFAULT, NAMED, target
from hubbub_api.waterfall import KINDS, Story, Told, stories

routes = Endpoints("servers")
H = TypeVar("H", bound=Callable[[web.Request], Awaitable[web.StreamResponse]])

PAGE, LARGEST_PAGE = 20, 100
#: Events of a start that are read: more only if its holders are lost again and again.
MOST_EVENTS = 200
MOST_OF_PAGE = 40
#: Of all proxies, when they came and went: before a start, and while it lasted.
MOST_OF_PROXIES = 200

#: What happened just before a start: that the one before it was lost is in the same commit.
_BEFORE = 6

_JOINS = ("ProxyJoined", "ProxyLost")
# Of those that are not in an archive.
_NTH = """
    with first as materialized (
        select (e.data::json ->> 'attempt')::int as attempt from subjects j join events e on e.position = j.position
        where j.subject = $1 and j.type = 'SpawnRequested' and j.position >= (select oldest from log_head)
        order by j.position limit 1
    )
    select position from subjects
    where subject = $1 and type = 'SpawnRequested' and position >= (select oldest from log_head)
        and (select attempt from first) <= $2
    order by position offset (select greatest(0, $2 - attempt) from first) limit 2
"""
_NEWEST = """
    select position from subjects where subject = $1 and type = 'SpawnRequested' order by position desc limit 1
"""


class StartsAsked(msgspec.Struct, kw_only=True):
    """Which of them: `before`, as the page before this one has it."""

    before: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    limit: Annotated[int, Meta(ge=1, le=LARGEST_PAGE)] = PAGE


def _both(path: str, **about: Any) -> Callable[[H], H]:
    def register(handler: H) -> H:
        routes.get(f"{DEFAULT}/starts{path}", scopes=("read:events",), **about)(handler)
        routes.get(f"{NAMED}/starts{path}", scopes=("read:events",), **about)(handler)
        return handler

    return register


@_both("", query=StartsAsked, answers={200: Starts})
async def index(request: web.Request) -> web.Response:
    """Lists the starts of a server, the newest first. In a browser everybody may ask this of their own servers."""
    asked = query_of(request, StartsAsked)
    server = await _server(request, *target(request))
    return answer(await starts_of(request, server, before=asked.before, limit=asked.limit))


@_both("/{attempt}", answers={200: Waterfall})
async def show(request: web.Request) -> web.Response:
    """Shows where the time of one start went; `newest` in place of its number is the newest one."""
    owner, name = target(request)
    server = await _server(request, owner, name)
    return answer(await waterfall_of(request, server, owner, name, request.match_info["attempt"]))


async def _server(request: web.Request, owner: str, name: str) -> str:
    """The id of a server whose events the asker may see. Raises ApiError."""
    found = await event_rights.subjects(request, await identify(request), Asked(server=f"{owner}/{name}"))
    assert found is not None
    [server] = found
    return server


async def starts_of(request: web.Request, server: str, *, before: int | None = None, limit: int = PAGE) -> Starts:
    """A page of the starts of *server* (an id). *before*: a position."""
    events = request.app[EVENTS]
    wished = await events.page(about=[server], types=["SpawnRequested"], before=before, limit=limit + 1)
    shown = wished[:limit]
    if not shown:
        return Starts(items=[], before=None)
    first, most = shown[-1].position - _BEFORE, MOST_OF_PAGE * len(shown)
    # Those of the newest start may go on after it; what went before the first is that one's alone.
    records = await events.page(about=[server], types=KINDS, after=first, before=before, limit=most)
    proxies = await events.page(types=_JOINS, before=before, limit=MOST_OF_PROXIES)
    told = await _read(request, [*records, *proxies])
    found = {story.request.position: story for story in stories(_of(told, records), _of(told, proxies))}
    models = await events.models(shown)
    items = [_start(found[model.position], model.actor) for model in models if model.position in found]
    return Starts(items=items, before=shown[-1].position if len(wished) > limit else None)


async def waterfall_of(request: web.Request, server: str, owner: str, name: str, attempt: str) -> Waterfall:
    """*server*: its id; *attempt*: a number, or `newest`. 404 if there was no such start."""
    first, following = await _place(request, server, attempt)
    events = request.app[EVENTS]
    until = None if following is None else following + 1  # it may be the same wish's
    records = await events.page(
        about=[server], types=KINDS, after=first - _BEFORE, before=until, limit=MOST_EVENTS, newest_first=False
    )
    told = await _read(request, records)
    found = [story for story in stories(told) if story.request.position == first]
    if not found or (attempt != "newest" and found[0].attempt != int(attempt)):
        raise ApiError(404)
    story = found[0]
    if story.responded is not None:
        story = await _with_proxies(request, told, story)
    [model] = await events.models([story.request])
    start = _start(story, model.actor)
    longest = story.longest
    return Waterfall(
        **msgspec.structs.asdict(start),
        user=owner,
        server=name,
        summary=summary(
            story.outcome,
            start.seconds,
            (longest.name, longest.seconds) if longest else None,
            story.phases[-1].name if story.phases else "",
        ),
        pool=story.pool,
        worker=story.worker,
        host=story.host,
        trace=model.trace,
        from_position=story.request.position,
        to_position=story.until,
        earlier=story.earlier,
        later=story.later,
        phases=story.phases,
    )


async def _place(request: web.Request, server: str, attempt: str) -> tuple[int, int | None]:
    """The positions of the request for that start, and of the one for the next. Each start has the number after that of
    the one before.
    """
    pool = request.app[POOL]
    if attempt == "newest":
        rows = await pool.fetch(_NEWEST, server)
    elif attempt.isascii() and attempt.isdecimal() and 0 < len(attempt) < 10 and int(attempt) > 0:
        rows = await pool.fetch(_NTH, server, int(attempt))
    else:
        rows = []
    if not rows:
        raise ApiError(404)
    return rows[0]["position"], rows[1]["position"] if len(rows) > 1 else None


async def _with_proxies(request: web.Request, told: Sequence[Told], story: Story) -> Story:
    """Which proxies counted is known by what they did before it answered, and until it could be reached."""
    assert story.responded is not None
    events = request.app[EVENTS]
    before = await events.page(types=_JOINS, before=story.responded, limit=MOST_OF_PROXIES)
    after = await events.page(types=_JOINS, after=story.responded, limit=MOST_OF_PROXIES, newest_first=False)
    proxies = await _read(request, [*before, *after])
    return next(each for each in stories(told, proxies) if each.request.position == story.request.position)


async def _read(request: web.Request, records: Sequence[Recorded]) -> list[Told]:
    """In the order of the log."""
    vault = request.app[VAULT]
    await vault.load(request.app[POOL], people_in(records))
    return [(each, decode(each, vault)) for each in sorted(records, key=lambda each: each.position)]


def _of(told: Sequence[Told], records: Sequence[Recorded]) -> list[Told]:
    positions = {record.position for record in records}
    return [each for each in told if each[0].position in positions]


def _start(story: Story, by: Any) -> Start:
    ends = story.over or max(datetime.now(UTC), story.asked)
    return Start(
        attempt=story.attempt,
        asked=stamp(story.asked) or "",
        by=by,
        outcome=story.outcome,
        seconds=round((ends - story.asked).total_seconds(), 3),
        message=story.message,
    )


def moment_of(stamp: str) -> datetime:
    """The other way round from `answers.stamp`."""
    return datetime.fromisoformat(stamp).astimezone(UTC)
