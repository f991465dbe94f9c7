"""Tokens: making one, what each may do and when it was used, and the applications that have been let in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import asyncpg
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.names import escape, full_name, prefix
from hubbub.domain.token import Token
from hubbub.web.pages import render
from hubbub.web.request import GATE
from hubbub_api.keys import ACTIVITIES, VIEWS
from hubbub_api.pages.asking import logged_in
from hubbub_api.pages.card import when
from hubbub_api.pages.scope_choices import about_oneself, beyond, in_words, only_servers
from hubbub_api.token_models import ROWS, STATE, client_in_words

_DAY = 24 * 3600
#: How long a token may last, in seconds, and in words.
_LIVES = (
    (3600, "1 hour"),
    (_DAY, "1 day"),
    (7 * _DAY, "1 week"),
    (30 * _DAY, "30 days"),
    (90 * _DAY, "90 days"),
    (365 * _DAY, "1 year"),
)
USUAL = 30 * _DAY


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A token. `may`: in words; empty: all that its owner may do. `path`: below the API."""

    id: str
    note: str
    may: list[str]
    created: datetime
    used: datetime | None
    expires: datetime | None
    path: str


@dataclass(frozen=True, kw_only=True)
class Application:
    """A service or a server that was let in, in so many browsers. `path`: of one of its tokens; with it go all."""

    title: str
    may: list[str]
    since: datetime
    used: datetime | None
    times: int
    path: str


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}token", show)]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    tree, options = request.app[GATE].access.roles.tree, request.app[GATE].options
    rows = [(row, _state(row)) for row in await request.app[VIEWS].fetch(f"{ROWS} order by t.number desc", identity.id)]
    longest = options.hub.token_expires_in_max_seconds
    return render(
        request,
        "token.html",
        identity,
        path=f"users/{escape(identity.name)}/tokens",
        lives=lives(longest),
        usual=min(USUAL, longest) if longest else USUAL,
        own=about_oneself(identity, tree),
        more=beyond(identity, tree),
        only_servers=only_servers(identity),
        tokens=[_shown(request, identity, *each) for each in rows if each[1].client == "jupyterhub"],
        applications=_applications(request, identity, rows),
        servers=[
            (prefix(options.base_url, row["owner"], row["server"]), row["created"])
            for row, _ in rows
            if row["in_server"]
        ],
        when=when,
    )


def _state(row: asyncpg.Record) -> Token:
    state = STATE.decode(row["state"])
    assert isinstance(state, Token)
    return state


def lives(longest: int) -> list[tuple[str, str]]:
    """Choices: seconds ("": for ever), and words. *longest*: what the operator allows, in seconds; 0: anything."""
    found = [(str(seconds), words) for seconds, words in _LIVES if not longest or seconds <= longest]
    if not longest:
        return [*found, ("", "Until it is revoked")]
    if str(longest) not in dict(found):
        found.append((str(longest), f"{_length(longest)}, the longest that is allowed here"))
    return found


def _length(seconds: int) -> str:
    for unit, word in ((_DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= unit:
            count = seconds // unit
            return f"{count} {word}{'s' if count > 1 else ''}"
    return "0 seconds"


def _shown(request: web.Request, identity: Identity, row: asyncpg.Record, state: Token) -> Shown:
    return Shown(
        id=f"a{row['number']}",
        note=state.note,
        may=_may(request, identity, [(row, state)]),
        created=row["created"],
        used=_used(request, row),
        expires=state.expires_at,
        path=_path(identity, row),
    )


def _applications(
    request: web.Request, identity: Identity, rows: Iterable[tuple[asyncpg.Record, Token]]
) -> list[Application]:
    """What was let in by OAuth: a token a browser. The servers' own tokens are none of these."""
    given = [each for each in rows if each[1].client != "jupyterhub" and not each[0]["in_server"]]
    by_client = groupby(sorted(given, key=lambda each: each[1].client), key=lambda each: each[1].client)
    found = [_application(request, identity, client, list(theirs)) for client, theirs in by_client]
    return sorted(found, key=lambda each: each.since, reverse=True)


def _application(
    request: web.Request, identity: Identity, client: str, theirs: Sequence[tuple[asyncpg.Record, Token]]
) -> Application:
    used = [time for row, _ in theirs if (time := _used(request, row))]
    return Application(
        title=client_in_words(request, theirs[0][0], client),
        may=_may(request, identity, theirs),
        since=min(row["created"] for row, _ in theirs),
        used=max(used, default=None),
        times=len(theirs),
        path=_path(identity, theirs[0][0]),
    )


def _may(request: web.Request, identity: Identity, theirs: Iterable[tuple[asyncpg.Record, Token]]) -> list[str]:
    servers = [full_name(row["owner"], row["server"]) if row["owner"] else "" for row, _ in theirs]
    scopes = {
        name
        for (_, state), server in zip(theirs, servers, strict=True)
        for name in scope.named(state.scopes, server=server)
    }
    if "inherit" in scopes:
        return []
    return in_words(scopes, request.app[GATE].access.roles.tree, identity.name) or ["Know who you are"]


def _used(request: web.Request, row: asyncpg.Record) -> datetime | None:
    return request.app[ACTIVITIES].newer(f"token:{row['id']}", row["last_activity"])


def _path(identity: Identity, row: asyncpg.Record) -> str:
    return f"users/{escape(identity.name)}/tokens/a{row['number']}"
