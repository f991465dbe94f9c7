"""What is left to do when somebody who is deleted is to be forgotten: in the database, from outside of the services."""

from dataclasses import dataclass

import asyncpg

from hubbub import accounts
from hubbub.domain.account import NoAccount, RemoveAccount
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.transaction import Transaction
from hubbub.views import ACCOUNTS

WHY = "forgotten"

# By their name of now; by what they are called since they were deleted, or the number in that; by an account alone.
_PERSON = """
    select id, name, true as there from users where name = $1
    union all
    select id, name, false from history.users h where not exists (select from users u where u.id = h.id)
        and (h.name = $1 and h.name like 'forgotten-%' or 'forgotten-' || $1 = h.name)
    union all
    select '', name, false from accounts where name = $1
    limit 1
"""
_SERVERS = "select id from history.server_ids where user_id = $1"
# What they were called before, too, unless somebody else is called so now.
_NAMES = """
    select distinct name from history.users h where id = $1 and not exists (
        select from users u where u.name = h.name and u.id <> $1)
"""


@dataclass(frozen=True, kw_only=True)
class Person:
    """`id`: empty for somebody who never was a user, and has an account alone. `there`: whether they are a user now.
    `names`: those that their account may have. `servers`: ids of all that they ever had.
    """

    id: str
    name: str
    there: bool
    names: tuple[str, ...]
    servers: tuple[str, ...]


async def find(connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> Person | None:
    """*name*: of a user or an account; `forgotten-12`, or `12`, of somebody who was deleted."""
    row = await connection.fetchrow(_PERSON, name)
    if row is None:
        return None
    servers = await connection.fetch(_SERVERS, row["id"]) if row["id"] else []
    names = await connection.fetch(_NAMES, row["id"]) if row["id"] else []
    return Person(
        id=row["id"],
        name=row["name"],
        there=row["there"],
        names=tuple({row["name"], *(each["name"] for each in names)}),
        servers=tuple(each["id"] for each in servers),
    )


async def finish(committer: Committer, person: Person) -> None:
    """Of somebody who is no user any more: whatever of them a deletion may have left. Safe to do again."""

    async def body(tx: Transaction) -> None:
        if person.id:
            if await tx.fetch("select 1 from users where id = $1", person.id):
                raise ValueError(f"{person.name} is a user")
            tx.forget(person.id)
        for row in await tx.fetch("select id, name from accounts where name = any($1)", list(person.names)):
            await _remove_account(tx, row["id"], row["name"])

    await committer.submit(body, Context.of("operator"))


async def _remove_account(tx: Transaction, account: str, name: str) -> None:
    await tx.know(account)
    if not isinstance(await tx.state(ACCOUNTS, account), NoAccount):
        await tx.act(ACCOUNTS, account, RemoveAccount(reason=WHY))
    await accounts.shut_out(tx, account, name, WHY)
    tx.destroy_key(account)


#: Tables whose rows had something of them: what was written over is still on the disk until these are cleared up.
CLEARED = (
    "users",
    "servers",
    "tokens",
    "codes",
    "sessions",
    "accounts",
    "routes",
    "login_attempts",
    "vault",
    "person_keys",
    "answers",
    "history.users",
    "history.servers",
    "history.routes",
    "history.members",
    "history.grants",
)


async def clear_up(connection: "asyncpg.Connection[asyncpg.Record]", *, rewrite: bool) -> None:
    """As the owner of the database: what is not true any more may be written over. *rewrite*: it is, one table after
    the other, each of which nobody can use meanwhile.
    """
    for table in CLEARED:
        await connection.execute(f"vacuum {'(full)' if rewrite else ''} {table}")
    try:
        await connection.execute("checkpoint")
    except asyncpg.InsufficientPrivilegeError:
        return  # Postgres does it by itself, a little later
