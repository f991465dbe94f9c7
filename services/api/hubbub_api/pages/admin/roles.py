"""`/hub/admin/roles`: what each role may do, in words, who holds it, and which of them lets somebody do what."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain import scope
from hubbub.domain.names import escape
from hubbub.domain.scope_tree import BUILT_IN
from hubbub.roles import Roles
from hubbub.web.request import GATE, ApiError
from hubbub_api import role_book
from hubbub_api.keys import VIEWS
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.pages.admin.turning import start_of, turned
from hubbub_api.role_book import Count, Entry

#: Holders on a page, of each kind.
PAGE = 100

SOURCES = {"built-in": "built in", "configuration": "from the configuration", "login": "brought by logins"}
GIVEN = {"configuration": "by the configuration", "login": "by their login", "administrator": "as an administrator"}
#: Who can hold a role, one and many.
KINDS = {"users": ("person", "people"), "groups": ("group", "groups"), "services": ("service", "services")}
_NEEDED = ("read:roles:users", "read:roles:groups", "read:roles:services")


@dataclass(frozen=True, kw_only=True)
class Row:
    """`held`: by how many of each kind; `whom`: whom the scope that is asked for counts for. Both in words."""

    entry: Entry
    url: str
    words: list[str]
    held: list[str]
    whom: list[str]


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}admin/roles", listing), web.get(f"{prefix}admin/roles/{{role}}", show)]


def _require(identity: Identity) -> None:
    if not any(scope.held_at_all(identity.scopes, base) for base in _NEEDED):
        raise ApiError(403, f"Roles are for those who hold one of {', '.join(_NEEDED)}")


@operator
async def listing(request: web.Request, identity: Identity) -> web.StreamResponse:
    _require(identity)
    gate, views = request.app[GATE], request.app[VIEWS]
    roles, asked = gate.access.roles, request.query.get("scope", "")
    if asked and asked not in roles.tree:
        raise ApiError(400, f"There is no such scope: {asked[:100]}")
    others = request.query.get("others") == "1"
    entries = await role_book.entries(views, gate.options, roles)
    counts = await role_book.counts(views, gate.options, roles)
    may = [kind for kind in KINDS if identity.may(f"read:roles:{kind}")]  # numbers are for those who may see them all
    rows = [_row(gate.options, roles, each, _held(counts.get(each.name, Count()), may), asked) for each in entries]
    return page(
        request,
        identity,
        "roles.html",
        "/roles",
        rows=[each for each in rows if not asked or _concerns(each, others=others)],
        asked=asked,
        others=others,
        scopes=_scopes(gate.options, roles),
        words=roles.tree.describe(asked) if asked else "",
        sources=SOURCES,
    )


def _concerns(row: Row, *, others: bool) -> bool:
    own = {"themselves", "the server itself", "itself"}
    return bool(set(row.whom) - own) if others else bool(row.whom)


def _held(count: Count, kinds: Collection[str]) -> list[str]:
    numbers = {"users": count.users, "groups": count.groups, "services": len(count.services)}
    return [f"{numbers[kind]:,} {KINDS[kind][numbers[kind] != 1]}" for kind in KINDS if kind in kinds and numbers[kind]]


def _row(options: Options, roles: Roles, entry: Entry, held: list[str], asked: str) -> Row:
    return Row(
        entry=entry,
        url=f"{options.hub_prefix}admin/roles/{escape(entry.name)}",
        words=role_book.in_words(roles, entry.scopes),
        held=held,
        whom=role_book.brings(roles, entry, asked) if asked else [],
    )


def _scopes(options: Options, roles: Roles) -> list[tuple[str, str]]:
    """All that can be asked for, by what they are called in words."""
    return sorted(((name, roles.tree.describe(name)) for name in (*BUILT_IN, *options.hub.custom_scopes)), key=_words)


def _words(pair: tuple[str, str]) -> str:
    return pair[1].lower()


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    _require(identity)
    gate, views, name = request.app[GATE], request.app[VIEWS], request.match_info["role"]
    roles = gate.access.roles
    entries = {each.name: each for each in await role_book.entries(views, gate.options, roles)}
    if name not in entries:
        raise ApiError(404, f"No such role: {name[:255]}")
    services = (await role_book.services_of(views, gate.options, roles)).get(name, ())
    return page(
        request,
        identity,
        "role.html",
        "/roles",
        entry=entries[name],
        words=[(each, roles.tree.describe(each)) for each in entries[name].scopes],
        sources=SOURCES,
        given=GIVEN,
        users=None if name == "user" else await _holders(request, identity, name, "user"),
        groups=await _holders(request, identity, name, "group"),
        services=[each for each in services if identity.may("read:roles:services", service=each)]
        if scope.held_at_all(identity.scopes, "read:roles:services")
        else None,
        escape=escape,
    )


async def _holders(request: web.Request, identity: Identity, role: str, kind: str) -> dict[str, Any] | None:
    """Those that the asker may know of; None if there can be none. Who may see some only is not told how many."""
    base = f"read:roles:{kind}s"
    if not scope.held_at_all(identity.scopes, base):
        return None
    start = start_of(request, PAGE, kind)
    found, total = await role_book.holders(request.app[VIEWS], role, kind, offset=start, limit=PAGE)
    mine = [(name, source) for name, source in found if identity.may(base, **{kind: name})]
    return {
        "who": mine,
        "total": total if identity.may(base) else None,
        "turned": turned(request, start, PAGE, total, kind),
    }
