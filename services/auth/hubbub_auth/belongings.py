"""The groups and roles that a login brings, for an authenticator that manages them."""

from typing import Any
from uuid import uuid4

from hubbub.domain.group import CreateGroup
from hubbub.domain.member import AddMember, RemoveMember, member_id
from hubbub.domain.message import Invalid
from hubbub.domain.names import check_group_name
from hubbub.roles import Roles
from hubbub.transaction import Transaction
from hubbub.views import GROUPS, MEMBERS
from hubbub_auth import managed_roles
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.hosted import Hosted

SOURCE = "login"


class BadBelongings(Invalid):
    """The authenticator names a group or role that there cannot be."""


def check(facts: Model, hosted: Hosted, roles: Roles) -> None:
    """Raises `BadBelongings`. Groups and roles of an authenticator that does not manage them are not looked at."""
    for kind in ("groups", "roles"):
        if not hosted.wants(f"manage_{kind}"):
            facts.pop(kind, None)
    groups = facts.get("groups")
    if groups is not None:
        if isinstance(groups, str):
            raise BadBelongings("`groups` of a login is a list of names")
        facts["groups"] = sorted({_checked(name) for name in groups})
    if facts.get("roles") is not None:
        try:
            facts["roles"] = managed_roles.check(facts["roles"], roles)
        except managed_roles.BadRoles as error:
            raise BadBelongings(str(error)) from None
        facts["admin"] = bool(facts.get("admin")) or any(role["name"] == "admin" for role in facts["roles"])


def _checked(name: Any) -> str:
    if not isinstance(name, str):
        raise BadBelongings(f"`groups` of a login is a list of names, not of {type(name).__name__}")
    check_group_name(name)
    return name


async def settle(tx: Transaction, user: str, facts: Model, roles: Roles) -> None:
    """Groups and roles: exactly those that are named; None, or nothing, leaves them as they are."""
    if (groups := facts.get("groups")) is not None:
        await _settle_groups(tx, user, groups)
    if (given := facts.get("roles")) is not None:
        await managed_roles.settle(tx, user, given, roles)


async def _settle_groups(tx: Transaction, user: str, names: list[str]) -> None:
    rows = await tx.fetch(
        "select g.id, g.name, m.id is not null as is_in from groups g "
        "left join members m on m.group_id = g.id and m.user_id = $1 where g.name = any($2) or m.id is not null",
        user,
        names,
    )
    known = {row["name"]: row["id"] for row in rows}
    inside = {row["name"] for row in rows if row["is_in"]}
    new = {name: uuid4().hex for name in names if name not in known}
    joined, left = [name for name in names if name not in inside], inside - set(names)
    ids = known | new
    await tx.load([(GROUPS, id) for id in new.values()])
    await tx.load([(MEMBERS, member_id(ids[name], user)) for name in (*joined, *left)])
    for name, id in new.items():
        await tx.act(GROUPS, id, CreateGroup(name=name))
    for name in joined:
        await tx.act(MEMBERS, member_id(ids[name], user), AddMember(group=ids[name], user=user, source=SOURCE))
    for name in left:
        await tx.act(MEMBERS, member_id(ids[name], user), RemoveMember(reason=SOURCE))
