"""What goes when something goes: nothing is left that a new one of the same name could come into."""

from hubbub import sessions
from hubbub.domain.code import ExpireCode
from hubbub.domain.grant import WithdrawRole
from hubbub.domain.group import DeleteGroup
from hubbub.domain.member import RemoveMember
from hubbub.domain.message import Command
from hubbub.domain.server_messages import DeleteServer
from hubbub.domain.service import RemoveService
from hubbub.domain.share import RevokeShare
from hubbub.domain.share_code import RevokeShareCode
from hubbub.domain.token import RevokeToken
from hubbub.domain.user import DeleteUser
from hubbub.transaction import Transaction
from hubbub.views import (
    CODES,
    GRANTS,
    GROUPS,
    MEMBERS,
    SERVERS,
    SERVICES,
    SHARE_CODES,
    SHARES,
    TOKENS,
    USERS,
    View,
)


async def remove_user(tx: Transaction, user: str) -> None:
    """A user (by id) whose servers are stopped, with all they own and hold, and the key of their personal data."""
    await tx.act(USERS, user, DeleteUser())
    for row in await tx.fetch("select id from servers where user_id = $1", user):
        await remove_server(tx, row["id"])
    why = "user deleted"
    await end_all(tx, MEMBERS, "user_id", user, RemoveMember(reason=why))
    await end_all(tx, GRANTS, "holder", user, WithdrawRole(reason=why))
    await end_all(tx, SHARES, "user_id", user, RevokeShare(reason=why))
    await end_all(tx, TOKENS, "user_id", user, RevokeToken(reason=why))
    await sessions.close_all(tx, user, reason=why)
    tx.later("delete from login_attempts where user_id = $1", user)
    for kind in ("auth_state", "user_info"):
        tx.later("delete from vault where key = $1", f"{kind}:{user}")
    tx.later("delete from vouched where user_id = $1", user)
    tx.later("delete from origins where subject = $1", f"user:{user}")
    tx.forget(user)


async def remove_server(tx: Transaction, server: str) -> None:
    """A stopped server (by id), with its options, its state, and what it was shared by."""
    await tx.act(SERVERS, server, DeleteServer())
    await end_all(tx, SHARES, "server", server, RevokeShare(reason="server deleted"))
    await end_all(tx, SHARE_CODES, "server", server, RevokeShareCode(reason="server deleted"))
    await end_all(tx, TOKENS, "server", server, RevokeToken(reason="server deleted"))  # of one that only sleeps
    for kind in ("options", "state", "request"):
        tx.later("delete from vault where key = $1", f"{kind}:{server}")


async def remove_group(tx: Transaction, group: str, reason: str = "asked") -> None:
    """A group (by id), and all that its members had by it."""
    await tx.act(GROUPS, group, DeleteGroup(reason=reason))
    await end_all(tx, MEMBERS, "group_id", group, RemoveMember(reason="group deleted"))
    await end_all(tx, GRANTS, "holder", group, WithdrawRole(reason="group deleted"))
    await end_all(tx, SHARES, "group_id", group, RevokeShare(reason="group deleted"))


async def remove_service(tx: Transaction, name: str, reason: str = "asked") -> bool:
    """A service that was registered while the hub runs, and what it was trusted with. False: there is none."""
    rows = await tx.fetch("select id, client from services where name = $1", name)
    for row in rows:
        await tx.act(SERVICES, row["id"], RemoveService(reason=reason))
        await distrust(tx, name, row["client"])
    return bool(rows)


async def distrust(tx: Transaction, service: str, client: str) -> None:
    """End the tokens of a service that is no more, and what people have given to its OAuth client."""
    why = "service removed"
    await end_all(tx, TOKENS, "service", service, RevokeToken(reason=why))
    if client:
        await end_all(tx, TOKENS, "client", client, RevokeToken(reason=why))
        await end_all(tx, CODES, "state::jsonb ->> 'client'", client, ExpireCode())


async def end_all(tx: Transaction, view: View, column: str, value: str, command: Command) -> None:
    """*command* for every row of *view* whose *column* is *value*."""
    rows = await tx.fetch(f"select id from {view.table} where {column} = $1", value)
    await tx.load([(view, row["id"]) for row in rows])
    for row in rows:
        await tx.act(view, row["id"], command)
