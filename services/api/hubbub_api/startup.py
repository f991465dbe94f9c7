"""Settles at start what the configuration says must exist: administrators, and users that roles name."""

from uuid import uuid4

import asyncpg

from hubbub.config import Options
from hubbub.domain.message import AlreadyExists
from hubbub.domain.names import normalize_user_name
from hubbub.domain.user import CreateUser, SetAdmin
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.transaction import Transaction
from hubbub.views import USERS


async def settle_configuration(pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, options: Options) -> None:
    """Safe to run from several processes at once: each user is made under the log's lock."""
    admins = {normalize_user_name(name) for name in options.admin_users}
    for role in options.hub.load_roles:
        if role.get("name") == "admin":
            admins |= {normalize_user_name(name) for name in role.get("users", ())}
    named = {normalize_user_name(name) for role in options.hub.load_roles for name in role.get("users", ())} | admins
    known = {
        row["name"]: row
        for row in await pool.fetch("select id, name, admin from users where name = any($1)", list(named))
    }
    for name in sorted(named):
        row = known.get(name)
        if row is None:
            await _create(committer, name, admin=name in admins)
        elif name in admins and not row["admin"]:
            await committer.execute(USERS, row["id"], SetAdmin(admin=True), Context.of("configuration"))


async def _create(committer: Committer, name: str, *, admin: bool) -> None:
    id = uuid4().hex

    async def body(tx: Transaction) -> None:
        tx.welcome(id)
        await tx.act(USERS, id, CreateUser(user=id, name=name, admin=admin))

    try:
        await committer.submit(body, Context.of("configuration"), [(USERS, id)])
    except AlreadyExists:
        return  # another process was faster
