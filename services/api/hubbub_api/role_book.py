"""The roles there are, what each may do in words, and who holds it, for people to read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from hubbub.config import Options
from hubbub.domain import scope_words
from hubbub.domain.role import Role as RoleState
from hubbub.domain.role import RoleState as AnyRole
from hubbub.domain.scope_tree import ROLES
from hubbub.roles import Roles
from hubbub_api import registry
from hubbub_api.views import Views

_STATE = msgspec.json.Decoder(AnyRole)

BUILT_IN = {
    "user": "What everybody may do with what is their own.",
    "admin": "Everything there is to do. Administrators have it.",
    "server": "What the token of every server may do.",
    "token": "What a token may do that was made without saying what it is for.",
}
#: Stands for whoever holds a role, where it is not said who that is. No name has such characters.
HOLDER = "\x1fholder"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """`source`: built-in, configuration or login: who says what it may do."""

    name: str
    description: str
    scopes: tuple[str, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class Held:
    """A role that a user has. `group`: by which; empty: by themselves. `source`: who gave it."""

    role: str
    source: str
    group: str = ""


@dataclass(frozen=True)
class Count:
    users: int = 0
    groups: int = 0
    services: tuple[str, ...] = ()


async def entries(views: Views, options: Options, roles: Roles) -> list[Entry]:
    """Built-in ones, then those of the configuration in its order, then those that logins have brought."""
    said = {role["name"]: role.get("description") or "" for role in options.hub.load_roles}
    found = [
        Entry(
            name=name,
            description=said.get(name) or BUILT_IN.get(name, ""),
            scopes=roles[name],
            source="built-in" if name in BUILT_IN else "configuration",
        )
        for name in dict.fromkeys([*ROLES, *said])
    ]
    for row in await views.fetch("select id, state from roles order by number"):
        state = _STATE.decode(row["state"])
        if isinstance(state, RoleState) and row["id"] not in roles:
            found.append(Entry(name=row["id"], description=state.description, scopes=state.scopes, source="login"))
    return found


async def counts(views: Views, options: Options, roles: Roles) -> dict[str, Count]:
    """How many hold each role; a role that nobody holds is left out. `user` has everybody, `admin` administrators."""
    numbers: dict[str, dict[str, int]] = {}
    for row in await views.fetch(_COUNTS):
        numbers.setdefault(row["role"], {})[row["kind"]] = row["number"]
    services = await services_of(views, options, roles)
    return {
        name: Count(
            users=numbers.get(name, {}).get("user", 0),
            groups=numbers.get(name, {}).get("group", 0),
            services=services.get(name, ()),
        )
        for name in {*numbers, *services}
    }


async def services_of(views: Views, options: Options, roles: Roles) -> dict[str, tuple[str, ...]]:
    """The names of the services that hold each role."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in await registry.everything(views, options):
        for role in roles.of_service(entry.spec.name, admin=entry.spec.admin):
            found[role] = (*found.get(role, ()), entry.spec.name)
    return found


async def holders(views: Views, role: str, kind: str, *, offset: int, limit: int) -> tuple[list[tuple[str, str]], int]:
    """Names of users or groups (*kind*) that hold *role* themselves, and who gave it to them; how many there are."""
    query = _ADMINS if (role, kind) == ("admin", "user") else _HOLDERS[kind]
    rows = await views.fetch(query, role, limit, offset)
    return [(row["name"], row["source"]) for row in rows], rows[0]["total"] if rows else 0


async def held_by(views: Views, user: str, *, admin: bool) -> list[Held]:
    """The roles of a user (by id), each as often as there is a reason for it."""
    own = [Held(role="user", source="everybody"), *([Held(role="admin", source="administrator")] if admin else [])]
    rows = await views.fetch(_HELD, user)
    return own + [
        Held(role=row["role"], source=row["source"], group=row["group"] or "")
        for row in rows
        if row["group"] or row["role"] not in ("user", "admin")
    ]


# In words ----------------------------------------------------------------------------------


def in_words(roles: Roles, scopes: Iterable[str]) -> list[str]:
    return [roles.tree.describe(scope) for scope in scopes]


def brings(roles: Roles, entry: Entry, base: str) -> list[str]:
    """For whom *entry* lets somebody do *base*: in words; empty if it does not, `everybody` if there is no filter."""
    expanded = roles.tree.expand(_own(entry.scopes), user=HOLDER, server=f"{HOLDER}/", service=HOLDER)
    if base in expanded:
        return ["everybody"]
    filters = sorted(scope.partition("!")[2] for scope in expanded if scope.startswith(f"{base}!"))
    own = {f"user={HOLDER}": "themselves", f"server={HOLDER}/": "the server itself", f"service={HOLDER}": "itself"}
    return [own.get(each) or scope_words.filter_in_words(each).removeprefix("for ") for each in filters]


def _own(scopes: Sequence[str]) -> tuple[str, ...]:
    return tuple(scope for scope in scopes if scope not in ("inherit", "no_scope"))


_COUNTS = """
    select role, kind, count(*) as number from grants where (role, kind) not in (('admin', 'user'), ('user', 'user'))
    group by role, kind
    union all select 'admin', 'user', count(*) from users where admin
    union all select 'user', 'user', number from counts where what = 'users'
"""
_HELD = """
    select r.role, r.source, null as "group" from grants r where r.holder = $1 and r.kind = 'user' union all
    select r.role, r.source, g.name from members m join groups g on g.id = m.group_id
    join grants r on r.holder = m.group_id and r.kind = 'group' where m.user_id = $1
    order by 1, 3 nulls first
"""
_HOLDERS = {
    kind: f"""
        select {kind}s.name, r.source, count(*) over () as total from grants r join {kind}s on {kind}s.id = r.holder
        where r.role = $1 and r.kind = '{kind}' order by {kind}s.name limit $2 offset $3
    """
    for kind in ("user", "group")
}
_ADMINS = """
    select name, 'administrator' as source, count(*) over () as total from users
    where admin and $1::text <> '' order by name limit $2 offset $3
"""
