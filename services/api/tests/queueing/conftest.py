"""A house whose starts are asked for, taken and answered by hand: servers are called as their owners are."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet, MultiFernet
from msgspec import json as wire
from traitlets.config import Config

from hubbub import eventlog
from hubbub.config import Options
from hubbub.domain.server_messages import (
    CreateServer,
    ReportResponded,
    ReportStarted,
    StartServer,
)
from hubbub.domain.user import CreateUser
from hubbub.eventlog import Context, Recorded
from hubbub.follow import Follower
from hubbub.handle import Committer
from hubbub.roles import Roles
from hubbub.rpc import Claim, Claimed
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.postgres import Database
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.views import SERVERS, USERS
from hubbub_api.claims import Claims
from hubbub_api.colleagues import Colleagues
from hubbub_api.specs import Specs

KEY = Fernet.generate_key().decode()
BY_TEST = Context.of("test")
SOON = datetime.now(UTC) + timedelta(minutes=5)


class House:
    """One api. Servers are called as their owners are."""

    def __init__(self, pool: Any, committer: Committer, vault: Vault, options: Options, database: Database) -> None:
        self.pool = pool
        self.committer = committer
        self.options = options
        self.database = database
        specs = Specs(pool, vault, MultiFernet([Fernet(KEY)]), options, Roles(options), {})
        self.colleagues = Colleagues(60)
        self.claims = Claims(pool, committer, specs, options, self.colleagues)

    async def wish(self, *names: str, asker: str = "", pool: str = "default", deadline: datetime = SOON) -> None:
        """A server of each, asked for by *asker*, or by themselves, in this order."""
        for name in names:
            wish = partial(self._wish, name=name, asker=asker or name, pool=pool, deadline=deadline)
            await self.committer.submit(wish, BY_TEST)

    async def _wish(self, tx: Transaction, name: str, asker: str, pool: str, deadline: datetime) -> None:
        if not await tx.fetch("select 1 from users where id = $1", name):
            tx.welcome(name)
            await tx.act(USERS, name, CreateUser(user=name, name=name))
            await tx.act(SERVERS, name, CreateServer(user=name, name=""))
        await tx.know(name)
        start = StartServer(at=tx.now, pool=pool, prefix=f"/user/{name}/", deadline=deadline, asker=asker)
        await tx.act(SERVERS, name, start)

    async def claim(self, most: int = 1, worker: str = "w1", pool: str = "default", host: str = "h") -> list[str]:
        return [spec.server for spec in (await self.claimed(most, worker, pool, host)).specs]

    async def claimed(self, most: int = 1, worker: str = "w1", pool: str = "default", host: str = "h") -> Claimed:
        claim = Claim(host=host, hashes=tuple(uuid4().hex for _ in range(most)))
        return await self.claims.claim(f"hub.rpc.claim.{pool}.{worker}", wire.encode(claim))

    async def runs(self, name: str, worker: str = "w1") -> None:
        url = "http://127.0.0.1:1"
        for report in (
            ReportStarted(attempt=1, worker=worker, url=url, deadline=SOON),
            ReportResponded(attempt=1, worker=worker, deadline=SOON),
        ):
            await self.committer.execute(SERVERS, name, report, BY_TEST)

    @asynccontextmanager
    async def following(self, reader: Callable[[Recorded], None]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """The log is told to *reader* meanwhile; what is yielded waits until all of it was."""
        follower = Follower(self.database.api_dsn)
        follower.tell(reader)
        task = asyncio.create_task(follower.run())
        await eventually(lambda: follower.position >= 0)

        async def told() -> None:
            head = await self.pool.fetchval("select position from log_head")
            await eventually(lambda: follower.position >= head)

        yield told
        await end(task)


async def made(stack: AsyncExitStack, database: Database, options: Options) -> House:
    pool = await stack.enter_async_context(eventlog.pool(database.api_dsn))
    vault = Vault(KEY)
    committer = Committer(database.api_dsn, vault)
    stack.push_async_callback(end, asyncio.create_task(committer.run()))
    return House(pool, committer, vault, options, database)


@pytest.fixture
def options(request: pytest.FixtureRequest) -> Options:
    return Options(Config(getattr(request, "param", {})))


@pytest.fixture
async def house(database: Database, options: Options) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield await made(stack, database, options)


class Tickets:
    """The bus, as far as it carries hints."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[str] = asyncio.Queue()

    async def signal(self, subject: str, _: object) -> None:
        await self.sent.put(subject)


@pytest.fixture
def tickets() -> Tickets:
    return Tickets()
