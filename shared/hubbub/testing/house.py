"""The write side of a house with as many relays as a test asks for, over a real Postgres and a real bus."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import nats
from cryptography.fernet import Fernet

from hubbub import bus as buses
from hubbub.bus import Bus
from hubbub.domain.proxy import JoinProxy
from hubbub.domain.server_messages import ClaimAttempt, CreateServer, LoseAttempt, ReportStarted, StartServer
from hubbub.eventlog import Context
from hubbub.follow import Follower
from hubbub.handle import Committer
from hubbub.relay import Relay
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.nats import NatsServer
from hubbub.testing.postgres import Database
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.views import PROXIES, SERVERS

ME = Context.of("me")


class House:
    """A committer, and as many relays as a test starts, each with a bus and a follower of its own, as in an api."""

    def __init__(self, stack: AsyncExitStack, database: Database, server: NatsServer) -> None:
        self._stack = stack
        self.database = database
        self.nats = server
        self.committer = Committer(database.api_dsn, Vault(Fernet.generate_key().decode()))
        self._run(self.committer.run())

    def _run(self, work: Any) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._stack.push_async_callback(end, task)
        return task

    async def bus(self, user: str = "api") -> Bus:
        return await self._stack.enter_async_context(buses.connect(self.nats.url(user), f"{user}-1"))

    async def relay(self, *, leads: bool = True) -> tuple[Relay, "asyncio.Task[None]"]:
        relay = Relay(self.database.api_dsn, await self.bus(), ["default", "gpu"])
        follower = Follower(self.database.api_dsn)
        follower.tell(lambda _: relay.woken.set())
        self._run(follower.run())
        task = self._run(relay.run())
        if leads:
            await eventually(lambda: relay.leads)
        return relay, task

    async def commit(self, count: int, name: str = "p") -> None:
        joins = [(f"{name}{n}", JoinProxy(proxy=f"{name}{n}")) for n in range(count)]
        await asyncio.gather(*(self.committer.execute(PROXIES, id, join, ME.follow()) for id, join in joins))

    async def start_server(self, id: str, pool: str = "default") -> None:
        async def body(tx: Transaction) -> None:
            soon = tx.now + timedelta(seconds=9)
            tx.welcome(id)
            await tx.act(SERVERS, id, CreateServer(user=id, name=""))
            await tx.act(SERVERS, id, StartServer(at=tx.now, pool=pool, prefix="/", deadline=soon))

        await self.committer.submit(body, ME.follow())

    async def lose_server(self, id: str) -> None:
        """It has started, its holder is lost, and any worker of its pool may take it over."""
        common: dict[str, Any] = {"attempt": 1, "worker": "w1", "deadline": datetime.now(UTC) + timedelta(seconds=9)}
        for command in (
            ClaimAttempt(**common, host="h", token="", reach="pool"),
            ReportStarted(**common, url="http://127.0.0.1:1"),
            LoseAttempt(**common, reason="gone"),
        ):
            await self.committer.execute(SERVERS, id, command, ME.follow())

    async def query(self, query: str) -> Any:
        connection = await asyncpg.connect(self.database.owner_dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()


async def sent(bus: Bus) -> list[int]:
    """The positions of the events in the stream, in its order."""
    info = await bus.js.stream_info("EVENTS")
    found = []
    for seq in range(info.state.first_seq, info.state.last_seq + 1):
        message = await bus.js.get_msg("EVENTS", seq)
        found.append(int((message.headers or {})["Nats-Msg-Id"].partition(":")[2]))
    return found


async def count(bus: Bus, stream: str) -> int:
    return int((await bus.js.stream_info(stream)).state.messages)


def reaches(bus: Bus, number: int) -> Callable[[], Any]:
    async def look() -> bool:
        try:
            return await count(bus, "EVENTS") >= number
        except nats.errors.Error:
            return False

    return look
