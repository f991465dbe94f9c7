"""The roles that logins give, and define, for an authenticator that manages them (`manage_roles`).

What the configuration says of a role counts for more: a login may give such a role, but not change what it means.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from hubbub.domain.grant import GrantRole, Kind, WithdrawRole, grant_id
from hubbub.domain.message import Invalid
from hubbub.domain.role import DefineRole, DropRole, Role
from hubbub.domain.scope_tree import check_role
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.roles import Roles
from hubbub.transaction import Transaction
from hubbub.views import GRANTS, ROLES

log = structlog.get_logger()

SOURCE = "login"
#: Everybody has the one; who has the other is said of each user by itself.
BUILT_IN = ("user", "admin")

_KINDS: Mapping[Kind, str] = {"user": "users", "group": "groups"}

Said = Mapping[str, Any]


class BadRoles(Invalid):
    """The authenticator names a role that there cannot be."""


def check(said: Any, known: Roles) -> list[dict[str, Any]]:
    """The roles of a login, or of `load_managed_roles`, as in `load_roles`. Raises `BadRoles`."""
    if not isinstance(said, list | tuple):
        raise BadRoles("`roles` of a login is a list of dictionaries, each with a name")
    for role in said:
        try:
            check_role(role, known.tree)
        except ValueError as error:
            raise BadRoles(str(error)) from None
        if role.get("services"):
            log.warning("roles.of_services_ignored", role=role["name"], why="services have theirs from load_roles")
    return [dict(role) for role in said]


async def settle(tx: Transaction, user: str, roles: Sequence[Said], known: Roles) -> None:
    """*user* (an id) holds exactly *roles*; those that nobody holds any more are gone."""
    await _define(tx, roles, known, declared=False)
    wanted = {role["name"] for role in roles} - {*BUILT_IN}
    held = {row["role"] for row in await tx.fetch(_HELD, user)}
    await _grant(tx, {(role, "user", user) for role in wanted - held})
    await _withdraw(tx, [grant_id(role, "user", user) for role in held - wanted])
    for role in roles:
        await _settle_holders(tx, role, keeping=user)
    await _drop_unused(tx, held - wanted)


async def settle_declared(committer: Committer, roles: Sequence[Said], known: Roles, *, reset: bool) -> None:
    """What `load_managed_roles` names. Once for each content of it, whichever auth is first.

    *reset*: roles and grants of logins that it does not name are taken away (`reset_managed_roles_on_startup`).
    """
    digest = hashlib.sha256(msgspec.json.encode((roles, reset), order="sorted", enc_hook=_plain)).hexdigest()

    async def body(tx: Transaction) -> bool:
        if await tx.fetch("select from settled where section = 'managed_roles' and hash = $1", digest):
            return False
        await _define(tx, roles, known, declared=True)
        for role in roles:
            await _settle_holders(tx, role)
        if reset:
            await _reset(tx, roles)
        tx.later(_SETTLED, digest)
        return True

    if await committer.submit(body, Context.of(SOURCE)):
        log.info("roles.settled", roles=[role["name"] for role in roles], reset=reset)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


async def _define(tx: Transaction, roles: Iterable[Said], known: Roles, *, declared: bool) -> None:
    own = [role for role in roles if role["name"] not in known]
    await tx.load([(ROLES, role["name"]) for role in own])
    for role in own:
        name, state = role["name"], await tx.state(ROLES, role["name"])
        before = state if isinstance(state, Role) else Role(scopes=())
        define = DefineRole(
            scopes=tuple(role.get("scopes", before.scopes)),
            description=role.get("description") or before.description,
            declared=declared or before.declared,
        )
        await tx.act(ROLES, name, define)


async def _settle_holders(tx: Transaction, role: Said, *, keeping: str = "") -> None:
    """The users and groups that *role* lists hold it, and no others; a kind that it does not list stays as it is."""
    if role["name"] in BUILT_IN:
        return
    for kind, table in _KINDS.items():  # JupyterHub's key for them has the table's name
        if table not in role:
            continue
        rows = await tx.fetch(f"select id, name from {table} where name = any($1)", list(role[table]))
        if missing := set(role[table]) - {row["name"] for row in rows}:
            log.warning("roles.holders_unknown", role=role["name"], kind=kind, missing=len(missing))
        wanted = {row["id"] for row in rows} | ({keeping} if kind == "user" and keeping else set())
        held = {row["holder"] for row in await tx.fetch(_HOLDERS, role["name"], kind)}
        await _grant(tx, {(role["name"], kind, holder) for holder in wanted - held})
        await _withdraw(tx, [grant_id(role["name"], kind, holder) for holder in held - wanted])


async def _grant(tx: Transaction, wanted: Collection[tuple[str, Kind, str]]) -> None:
    await tx.load([(GRANTS, grant_id(*each)) for each in wanted])
    for role, kind, holder in sorted(wanted):
        grant = GrantRole(role=role, kind=kind, holder=holder, source=SOURCE)
        await tx.act(GRANTS, grant_id(role, kind, holder), grant)


async def _withdraw(tx: Transaction, ids: Sequence[str]) -> None:
    await tx.load([(GRANTS, id) for id in ids])
    for id in sorted(ids):
        await tx.act(GRANTS, id, WithdrawRole(reason=SOURCE))


async def _drop_unused(tx: Transaction, names: Collection[str]) -> None:
    """Those that only logins have brought, and that nobody has any more."""
    if not names:
        return
    for row in await tx.fetch(_UNUSED, sorted(names)):
        state = await tx.state(ROLES, row["id"])
        if isinstance(state, Role) and not state.declared:
            await tx.act(ROLES, row["id"], DropRole(reason=SOURCE))


async def _reset(tx: Transaction, roles: Sequence[Said]) -> None:
    """As JupyterHub: users of a role stay if it does not list any; groups are those that it lists."""
    named = {role["name"]: role for role in roles}
    for row in await tx.fetch("select id from roles where id <> all($1)", list(named)):
        await tx.act(ROLES, row["id"], DropRole(reason="reset"))
    stale = [
        row["id"]
        for row in await tx.fetch("select id, role, kind from grants where source = $1", SOURCE)
        if row["role"] not in named or (row["kind"] == "group" and "groups" not in named[row["role"]])
    ]
    await _withdraw(tx, stale)


_HELD = "select role from grants where holder = $1 and kind = 'user' and role not in ('user', 'admin')"
_HOLDERS = "select holder from grants where role = $1 and kind = $2"
_UNUSED = "select id from roles r where id = any($1) and not exists (select from grants where role = r.id)"
_SETTLED = """
    insert into settled (section, hash) values ('managed_roles', $1)
    on conflict (section) do update set hash = excluded.hash
"""
