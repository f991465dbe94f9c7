"""What an operator does at the command line, directly on the log: tokens, events, verification, stopping all."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from hubbub import eventlog
from hubbub.domain.message import NotFound, Rejected
from hubbub.domain.names import check_user_name, normalize_user_name
from hubbub.domain.server_messages import StopServer
from hubbub.domain.token import IssueToken
from hubbub.domain.user import CreateUser
from hubbub.eventlog import Context, Recorded, read_since
from hubbub.handle import Committer
from hubbub.tokens import new_token, token_hash
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.verify import rebuild, verify
from hubbub.views import SERVERS, TOKENS, USERS

log = structlog.get_logger()
Tell = Callable[[str, str, int], Awaitable[None]]


@asynccontextmanager
async def _committing(dsn: str, vault: Vault) -> AsyncIterator[Committer]:
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
        rows = await tx.fetch("select id from users where name = $1", name)
        id = rows[0]["id"] if rows else uuid4().hex
        if not rows:
            if name not in admin_users:
                raise NotFound(f"there is no user {name}")
            tx.welcome(id)
            await tx.act(USERS, id, CreateUser(user=id, name=name, admin=True))
        await tx.know(id)
        await tx.act(TOKENS, uuid4().hex, IssueToken(user=id, hash=token_hash(token), note="hubbub token"))

    async with _committing(dsn, vault) as committer:
        await committer.submit(body, Context.of("operator"))
    return token


async def print_events(dsn: str, vault_key: str, *, follow: bool = False) -> None:
    """The whole log, a line an event; with *follow* whatever comes, as it comes."""
    vault = Vault(vault_key)
    connection = await asyncpg.connect(dsn)
    grown = asyncio.Event()
    await connection.add_listener("log", lambda *_: grown.set())
    try:
        position = 0
        while True:
            grown.clear()
            while records := await read_since(connection, position):
                await vault.load(connection, eventlog.people_in(records))
                for record in records:
                    print(line_of(record, vault))
                position = records[-1].position
            sys.stdout.flush()
            if not follow:
                return
            await grown.wait()
    finally:
        await connection.close()


def line_of(record: Recorded, vault: Vault) -> str:
    event = eventlog.decode(record, vault)
    fields = msgspec.to_builtins(event)
    fields.pop("type", None)
    said = " ".join(f"{name}={value}" for name, value in fields.items() if value not in ("", None))
    time_ = record.recorded_at.isoformat(timespec="milliseconds")
    return f"{record.position:>7} {time_} {record.stream} {record.type} {said} by {record.context.actor}"


async def stop_all_servers(dsn: str, vault_key: str, timeout: float = 90.0) -> int:
    """See `stop_all`; with connections of its own."""
    vault = Vault(vault_key)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool, _committing(dsn, vault) as committer:
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


__all__ = ["issue_token", "print_events", "rebuild", "stop_all", "stop_all_servers", "verify"]
