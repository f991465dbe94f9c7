"""Accounts with a password of the hub's own, as far as auth and the operator's command line have to do the same."""

import secrets
from datetime import timedelta
from uuid import uuid4

from hubbub import sessions
from hubbub.domain.account import ApproveAccount, GiveLink, MakeAccount
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.views import ACCOUNTS


def vault_key(account: str) -> str:
    """Where the hash of its password is kept."""
    return f"password:{account}"


async def invite(tx: Transaction, name: str, *, hours: float) -> str:
    """What stands in a link by which the password of *name* can be chosen; nobody needs to approve any more.

    Whatever password there was is no good, and whoever had logged in by it is logged out.
    """
    secret = secrets.token_urlsafe(24)
    rows = await tx.fetch("select id from accounts where name = $1", name)
    account = rows[0]["id"] if rows else uuid4().hex
    if rows:
        await tx.act(ACCOUNTS, account, ApproveAccount())
    else:
        tx.welcome(account)
        await tx.act(ACCOUNTS, account, MakeAccount(user=account, name=name))
    until = tx.now + timedelta(hours=hours)
    await tx.act(ACCOUNTS, account, GiveLink(hash=token_hash(secret), expires_at=until))
    await shut_out(tx, account, name, "password reset")
    return f"{account}.{secret}"


async def shut_out(tx: Transaction, account: str, name: str, reason: str) -> None:
    """The password is no good from now on, and no login by it either."""
    tx.later("delete from vault where key = $1", vault_key(account))
    for row in await tx.fetch("select id from users where name = $1", name):
        await sessions.close_all(tx, row["id"], reason=reason)
