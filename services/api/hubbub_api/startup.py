"""Settles at start what the configuration says: administrators, who holds which role, groups with who is in them, and
who is blocked.

Once for each configuration, not at each start: what people change later through the API stays until the operator
changes that part of the file. JupyterHub's rules otherwise (contract, 3.3): a kind of holder that a role lists is
set exactly, one that it leaves out is emptied; groups are made and added to, and nobody is put out of them. Who is
blocked loses all of it, whatever else says so, and with it every way in: sessions, tokens, servers that run.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from hubbub.config import Options
from hubbub.declared import DeclaredGroup, user_names
from hubbub.domain.grant import GrantRole, Kind, WithdrawRole, grant_id
from hubbub.domain.group import CreateGroup, SetProperties
from hubbub.domain.member import AddMember, member_id
from hubbub.domain.scope_tree import ROLES
from hubbub.domain.user import CreateUser, SetAdmin
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.transaction import Transaction
from hubbub.views import GRANTS, GROUPS, MEMBERS, USERS
from hubbub_api.blocking import block

log = structlog.get_logger()

SOURCE = "configuration"
#: Part of what is hashed: a release that settles differently counts it up, and so settles anew.
RULES = 1


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Names throughout. `only_admins`: nobody else is one. `holders`: the roles of users and groups, sorted.

    `listed`: the roles of the configuration; `known`: those that there are at all.
    """

    users: list[str]
    admins: list[str]
    only_admins: bool
    holders: list[tuple[str, Kind, str]]
    listed: list[str]
    known: list[str]

    @classmethod
    def by(cls, options: Options) -> "Declared":
        blocked = options.blocked_users
        admins, only_admins = set(options.admin_users), False
        users = set(user_names(options.hub.api_tokens.values())) | (options.allowed_users - blocked)
        holders: set[tuple[str, Kind, str]] = set()
        for role in options.hub.load_roles:
            name, named = role["name"], user_names(role.get("users", ()))
            holders |= {(name, "group", group) for group in role.get("groups", ())}
            users.update(named)
            if name == "admin":
                # As in JupyterHub, `admin_users` are a list of this role's users too.
                only_admins = "users" in role or bool(options.admin_users)
                admins.update(named)
            elif name != "user":  # everybody's
                holders |= {(name, "user", user) for user in named}
        listed = sorted(role["name"] for role in options.hub.load_roles)
        return cls(
            users=sorted(users | admins),
            admins=sorted(admins - blocked),
            only_admins=only_admins,
            holders=sorted(each for each in holders if each[1] != "user" or each[2] not in blocked),
            listed=listed,
            known=sorted({*ROLES, *listed}),
        )


async def settle_configuration(pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, options: Options) -> None:
    """Safe to run from several processes at once. One query if there is nothing to do."""
    declared, groups = Declared.by(options), _without(options.groups, options.blocked_users)
    hashes = {
        "roles": _hash(asdict(declared)),
        "groups": _hash({name: (group.users, group.properties) for name, group in groups.items()}),
        "blocked": _hash(sorted(options.blocked_users)),
    }

    async def body(tx: Transaction) -> list[str]:
        settled = {row["section"]: row["hash"] for row in await tx.fetch(_SETTLED)}
        stale = [section for section in hashes if settled.get(section) != hashes[section]]
        if "roles" in stale:
            await _settle_roles(tx, declared)
        if "groups" in stale:
            await _settle_groups(tx, groups)
        if "blocked" in stale:
            await block(tx, options.blocked_users)
        for section in stale:
            tx.later(_SETTLE, section, hashes[section])
        return stale

    settled = {row["section"]: row["hash"] for row in await pool.fetch(_SETTLED)}
    if any(settled.get(section) != hash for section, hash in hashes.items()):
        stale = await committer.submit(body, Context.of(SOURCE))
        log.info("configuration.settled", sections=stale)


def _without(groups: dict[str, DeclaredGroup], blocked: Collection[str]) -> dict[str, DeclaredGroup]:
    return {
        name: msgspec.structs.replace(group, users=[user for user in group.users if user not in blocked])
        for name, group in groups.items()
    }


_SETTLED = "select section, hash from settled"
_SETTLE = "insert into settled (section, hash) values ($1, $2) on conflict (section) do update set hash = excluded.hash"


def _hash(what: object) -> str:
    return hashlib.sha256(msgspec.json.encode((RULES, what), order="sorted")).hexdigest()


async def _settle_roles(tx: Transaction, declared: Declared) -> None:
    users = await _users(tx, declared.users, admins=declared.admins)
    await _settle_admins(tx, [users[name] for name in declared.admins], only=declared.only_admins)
    groups = await _groups(tx, [name for _, kind, name in declared.holders if kind == "group"])
    wanted = {
        grant_id(role, kind, holder): GrantRole(role=role, kind=kind, holder=holder, source=SOURCE)
        for role, kind, name in declared.holders
        for holder in [users[name] if kind == "user" else groups[name]]
    }
    gone = [
        row["id"]
        for row in await tx.fetch("select id, role, source from grants")
        if row["id"] not in wanted
        and (row["role"] in declared.listed or row["role"] not in declared.known or row["source"] == SOURCE)
    ]
    await tx.load([(GRANTS, id) for id in (*wanted, *gone)])
    for id, command in wanted.items():
        await tx.act(GRANTS, id, command)
    for id in gone:
        await tx.act(GRANTS, id, WithdrawRole(reason=SOURCE))


async def _settle_admins(tx: Transaction, admins: Collection[str], *, only: bool) -> None:
    """By ids. Administrators of whom the configuration says nothing stay, unless it lists them all (*only*)."""
    wrong = await tx.fetch(
        "select id from users where case when id = any($1) then not admin else admin and $2 end", list(admins), only
    )
    await tx.load([(USERS, row["id"]) for row in wrong])
    for row in wrong:
        await tx.act(USERS, row["id"], SetAdmin(admin=row["id"] in admins))


async def _settle_groups(tx: Transaction, declared: dict[str, DeclaredGroup]) -> None:
    users = await _users(tx, {name for group in declared.values() for name in group.users})
    groups = await _groups(tx, declared)
    places = [(groups[name], users[user]) for name, group in declared.items() for user in group.users]
    await tx.load([(GROUPS, id) for id in groups.values()])
    await tx.load([(MEMBERS, member_id(group, user)) for group, user in places])
    for name, group in declared.items():
        if group.properties is not None:
            await tx.act(GROUPS, groups[name], SetProperties(properties=group.properties))
    for id, user in places:
        await tx.act(MEMBERS, member_id(id, user), AddMember(group=id, user=user, source=SOURCE))


async def _users(tx: Transaction, names: Iterable[str], *, admins: Collection[str] = ()) -> dict[str, str]:
    """The ids of users by name. Those who are unknown are made."""
    wanted = sorted(set(names))
    ids = {row["name"]: row["id"] for row in await tx.fetch("select name, id from users where name = any($1)", wanted)}
    new = {name: uuid4().hex for name in wanted if name not in ids}
    await tx.load([(USERS, id) for id in new.values()])
    for name, id in new.items():
        tx.welcome(id)
        await tx.act(USERS, id, CreateUser(user=id, name=name, admin=name in admins))
    return ids | new


async def _groups(tx: Transaction, names: Iterable[str]) -> dict[str, str]:
    """The ids of groups by name. Those who are unknown are made."""
    wanted = sorted(set(names))
    ids = {row["name"]: row["id"] for row in await tx.fetch("select name, id from groups where name = any($1)", wanted)}
    new = {name: uuid4().hex for name in wanted if name not in ids}
    await tx.load([(GROUPS, id) for id in new.values()])
    for name, id in new.items():
        await tx.act(GROUPS, id, CreateGroup(name=name))
    return ids | new
