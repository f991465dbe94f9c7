"""Sharing a server: with a person, a group, or whoever has a link; who may use it now, and the end of that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.names import escape
from hubbub.domain.scope import filters, held_at_all
from hubbub.domain.scope_tree import Tree
from hubbub.views import SHARE_CODES
from hubbub.web.pages import render
from hubbub.web.request import GATE, ApiError, require
from hubbub_api import share_models
from hubbub_api.answers import Page
from hubbub_api.keys import VIEWS
from hubbub_api.pages.asking import hears, logged_in, owner_of
from hubbub_api.pages.card import card, when
from hubbub_api.share_models import Share, ShareCode

#: Shares, links, and uses of links on one page: who has more may ask the API.
MOST = 200
#: What one may let others do, by the words for it: each brings those before it.
WISHES = (
    ("open it and work in it", ("access:servers",)),
    ("start and stop it, too", ("access:servers", "servers")),
)
#: How long a link can be opened, in seconds, and in words.
LIVES = ((3600, "1 hour"), (86_400, "1 day"), (7 * 86_400, "1 week"), (30 * 86_400, "30 days"))
_WORDS = {
    "access:servers": "open it and work in it",
    "servers": "start and stop it",
    "start:servers": "start it",
    "delete:servers": "stop it",
    "read:servers": "see whether it runs",
}
_USES = f"""
    select c.number, u.name, e.recorded_at as at from share_codes c
    join events e on e.stream = '{SHARE_CODES.stream("")}' || c.id and e.type = 'ShareCodeUsed'
    left join users u on u.id = e.data::json ->> 'user'
    where c.server = $1 and c.expires_at > now() order by e.position desc limit {MOST}
"""


@dataclass(frozen=True, kw_only=True)
class Given:
    """A share. `body`: what `PATCH /shares` is told to end it."""

    who: str
    kind: str
    may: list[str]
    since: datetime
    body: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Code:
    """A link. `uses`: who has opened it, and when, the latest first."""

    id: str
    may: list[str]
    created: datetime
    expires: datetime
    count: int
    uses: Sequence[asyncpg.Record]


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}sharing/{{owner}}", show), web.get(f"{prefix}sharing/{{owner}}/{{name}}", show)]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    name = request.match_info.get("name", "")
    require(identity, "shares", "read:shares", user=request.match_info["owner"], server=name)
    owner = await owner_of(request, identity)
    row = await request.app[VIEWS].server(owner.name, name)
    if row is None and name:
        raise ApiError(404, f"{owner.name} has no such server {name}")
    gives = identity.may("shares", user=owner.name, server=name)
    place = f"{escape(owner.name)}/{escape(name)}"
    return render(
        request,
        "sharing.html",
        identity,
        server=card(row, owner.name, name, request.app[GATE].options, viewer=identity.name),
        given=await _given(request, row.id) if row else [],
        codes=await _codes(request, row.id) if row else [],
        wishes=_wishes(identity, owner.name, name) if gives else [],
        lives=LIVES,
        usual=7 * 86_400,
        gives=gives,
        names_people=_knows_people(identity),
        names_groups=held_at_all(identity.scopes, "read:groups:name"),
        shares_path=f"shares/{place}",
        codes_path=f"share-codes/{place}",
        hears=hears(identity, owner.name),
        when=when,
    )


def _wishes(identity: Identity, owner: str, name: str) -> list[tuple[str, tuple[str, ...]]]:
    """What *identity* can let others do: nobody gives what they do not have."""
    return [
        (words, scopes)
        for words, scopes in WISHES
        if all(identity.may(each, user=owner, server=name) for each in scopes)
    ]


def _knows_people(identity: Identity) -> bool:
    """Whether they may know of anybody but themselves."""
    known = filters(identity.scopes, "read:users:name")
    return known is None or bool(known.get("group") or known.get("user", set()) - {identity.name})


async def _given(request: web.Request, server: str) -> list[Given]:
    views, options = request.app[VIEWS], request.app[GATE].options
    found, _ = await share_models.shares(views, options, share_models.OF_SERVER, server, Page(0, MOST, wrapped=True))
    tree = request.app[GATE].access.roles.tree
    return [_share(each, tree) for each in found]


def _share(share: Share, tree: Tree) -> Given:
    named = share.user or share.group
    who = named.name if named else ""
    return Given(
        who=who,
        kind=share.kind,
        may=in_words(share.scopes, tree),
        since=datetime.fromisoformat(share.created_at),
        body={share.kind: who},
    )


async def _codes(request: web.Request, server: str) -> list[Code]:
    views, options = request.app[VIEWS], request.app[GATE].options
    found: list[ShareCode]
    page = Page(0, MOST, wrapped=True)
    found, _ = await share_models.codes(views, options, share_models.CODES_OF_SERVER, server, page)
    uses: dict[str, list[asyncpg.Record]] = {each.id: [] for each in found}
    for use in await views.fetch(_USES, server) if any(each.exchange_count for each in found) else []:
        uses.get(f"sc_{use['number']}", []).append(use)
    tree = request.app[GATE].access.roles.tree
    return [
        Code(
            id=each.id,
            may=in_words(each.scopes, tree),
            created=datetime.fromisoformat(each.created_at),
            expires=datetime.fromisoformat(each.expires_at),
            count=each.exchange_count,
            uses=uses[each.id],
        )
        for each in found
    ]


def in_words(scopes: Sequence[str], tree: Tree) -> list[str]:
    """What *scopes* of a share, with a filter or without, let one do; those that others bring left out."""
    bases = [scope.partition("!")[0] for scope in scopes]
    brought = {each for base in bases for each in tree.children(base) if each != base}
    return [_WORDS.get(base) or tree.describe(base) for base in bases if base not in brought]
