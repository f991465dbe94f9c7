"""Takes everything away from people who are blocked (`blocked_users`), as JupyterHub does when it starts."""

from collections.abc import Collection
from datetime import timedelta

import structlog

from hubbub import sessions
from hubbub.domain.grant import WithdrawRole
from hubbub.domain.member import RemoveMember
from hubbub.domain.server_messages import StopServer
from hubbub.domain.token import RevokeToken
from hubbub.domain.user import SetAdmin
from hubbub.transaction import Transaction
from hubbub.views import GRANTS, MEMBERS, TOKENS, USERS
from hubbub_api import remains
from hubbub_api.patience import STOP_SECONDS
from hubbub_api.removal import end_all

log = structlog.get_logger()

WHY = "blocked"


async def block(tx: Transaction, names: Collection[str]) -> None:
    """Those of *names* who are in the hub. Their holders learn of servers that are to stop when they next ask.

    JupyterHub leaves their tokens, which may do nothing then; here everybody has the role `user`, so they are revoked.
    """
    if not names:
        return
    for row in await tx.fetch("select id from users where name = any($1) order by number", list(names)):
        await _block(tx, row["id"])


async def _block(tx: Transaction, user: str) -> None:
    await tx.act(USERS, user, SetAdmin(admin=False))
    await end_all(tx, GRANTS, "holder", user, WithdrawRole(reason=WHY))
    await end_all(tx, MEMBERS, "user_id", user, RemoveMember(reason=WHY))
    await sessions.close_all(tx, user, reason=WHY)
    for row in await tx.fetch("select id from servers where user_id = $1 and kind <> 'Stopped'", user):
        stop = StopServer(deadline=tx.now + timedelta(seconds=STOP_SECONDS), reason=WHY)
        await remains.act(tx, row["id"], stop)
    await end_all(tx, TOKENS, "user_id", user, RevokeToken(reason=WHY))
    log.info("user.blocked", user=user)
