"""What an operator does at the command line, directly on the log: tokens, events, verification, stopping all."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from getpass import getuser
from uuid import uuid4

import asyncpg
import structlog

from hubbub import accounts
from hubbub.domain.account import account_name
from hubbub.domain.message import NotFound, Rejected
from hubbub.domain.names import check_user_name, normalize_user_name
from hubbub.domain.server_messages import StopServer
from hubbub.domain.token import IssueToken, RevokeToken
from hubbub.domain.user import CreateUser
from hubbub.eventlog import Context
from hubbub.handle import Committer, LogUnavailable
from hubbub.tokens import new_token, token_hash
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.verify import rebuild, verify
from hubbub.views import SERVERS, TOKENS, USERS

log = structlog.get_logger()
#: The longest that a token is lent for.
LENT = timedelta(days=1)
Tell = Callable[[str, str, int], Awaitable[None]]


@asynccontextmanager
async def committing(dsn: str, vault: Vault) -> AsyncIterator[Committer]:
    committer = Committer(dsn, vault)
    running = asyncio.create_task(committer.run())
    try:
        yield committer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def issue_token(dsn: str, vault_key: str, name: str, admin_users: frozenset[str] = frozenset()) -> str:
    """A new token with all that the user may do. A user who does not exist is made if the configuration
    names them an administrator; else `NotFound`.
    """
    name = normalize_user_name(name)
    check_user_name(name)
    vault = Vault(vault_key)
    token = new_token()

    async def body(tx: Transaction) -> None:
        id = await _somebody(tx, name, sorted(admin_users))
        await tx.know(id)
        await tx.act(TOKENS, uuid4().hex, IssueToken(user=id, hash=token_hash(token), note="hubbub token"))

    async with committing(dsn, vault) as committer:
        await committer.submit(body, Context.of("operator"))
    return token


@asynccontextmanager
async def lent_token(dsn: str, vault_key: str, name: str, admin_users: Sequence[str]) -> AsyncIterator[str]:
    """A token of the user *name* for as long as the block lasts; if it is empty, of an administrator: whoever runs this
    if they are one, else the oldest, else the first of *admin_users*, whom the configuration names. `NotFound`: there
    is nobody.
    """
    vault, token, id = Vault(vault_key), new_token(), uuid4().hex

    async def issue(tx: Transaction) -> None:
        user = await _somebody(tx, normalize_user_name(name), admin_users)
        expires = tx.now + LENT
        await tx.know(user)
        lent = IssueToken(user=user, hash=token_hash(token), note="hubbub, for a moment", expires_at=expires)
        await tx.act(TOKENS, id, lent)

    async with committing(dsn, vault) as committer:
        await committer.submit(issue, Context.of("operator"))
        try:
            yield token
        finally:
            with suppress(Rejected, LogUnavailable):  # the hub may be gone; then it ends by itself
                await committer.execute(TOKENS, id, RevokeToken(reason="given back"), Context.of("operator"))


async def _somebody(tx: Transaction, name: str, admin_users: Sequence[str]) -> str:
    """The id of a user."""
    if name:
        rows = await tx.fetch("select id from users where name = $1", name)
        if not rows and name not in admin_users:
            raise NotFound(f"there is no user {name}")
    else:
        rows = await tx.fetch("select id from users where admin order by name <> $1, number limit 1", _who_runs_this())
    if rows:
        return str(rows[0]["id"])
    if not (new := name or next(iter(admin_users), "")):
        raise NotFound("there is no administrator yet: name one in c.Authenticator.admin_users, or as whom with --as")
    id = uuid4().hex
    tx.welcome(id)
    await tx.act(USERS, id, CreateUser(user=id, name=new, admin=True))
    return id


def _who_runs_this() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # nobody whom this machine has a name for
        return ""


async def password_link(dsn: str, vault_key: str, name: str, *, hours: float) -> str:
    """What stands in a link by which a password for *name* can be chosen (see `hubbub.accounts.invite`).

    There need not be a user or an account of that name yet. Raises `Invalid` if there cannot be.
    """
    name = account_name(name.strip())
    check_user_name(name)

    async def body(tx: Transaction) -> str:
        return await accounts.invite(tx, name, hours=hours)

    async with committing(dsn, Vault(vault_key)) as committer:
        return await committer.submit(body, Context.of("operator"))


async def stop_all_servers(dsn: str, vault_key: str, timeout: float = 90.0) -> int:
    """See `stop_all`; with connections of its own."""
    vault = Vault(vault_key)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool, committing(dsn, vault) as committer:
        return await stop_all(pool, committer, "operator", timeout)


async def stop_all(
    pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, actor: str, seconds: float, tell: Tell | None = None
) -> int:
    """Ask every active server to stop, *tell* their holders, and wait until none is left.

    How many are left after *seconds*. Managed services stay down until the next api starts.
    """

    async def services_stay_down(tx: Transaction) -> None:
        tx.later("delete from settled where section like $1", "managed:%")  # see `hubbub_api.managed`

    await committer.submit(services_stay_down, Context.of(actor))
    rows = await pool.fetch("select id, holder, attempt from servers where kind <> 'Stopped'")

    async def one(row: asyncpg.Record) -> None:
        async def body(tx: Transaction) -> None:
            command = StopServer(deadline=tx.now + timedelta(seconds=seconds), reason="shutdown")
            await tx.act(SERVERS, row["id"], command)

        try:
            await committer.submit(body, Context.of(actor), [(SERVERS, row["id"])])
        except Rejected as refusal:
            log.info("shutdown.refused", server=row["id"], why=str(refusal))
        if tell is not None and row["holder"]:
            await tell(row["holder"], row["id"], row["attempt"])

    await asyncio.gather(*(one(row) for row in rows))
    ends = time.monotonic() + seconds
    while left := await pool.fetchval("select count(*) from servers where kind <> 'Stopped'"):
        if time.monotonic() > ends:
            break
        await asyncio.sleep(0.1)
    return int(left)


__all__ = ["issue_token", "lent_token", "password_link", "rebuild", "stop_all", "stop_all_servers", "verify"]
