"""What is asked in every request is asked once before the first: Postgres plans it then, not in somebody's wait."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg

from hubbub.access import Access
from hubbub.config import Options
from hubbub.vault import Vault
from hubbub_api.views import Views

#: Connections that are there from the start (`hubbub.eventlog.pool`).
AT_ONCE = 2


async def warm(pool: "asyncpg.Pool[asyncpg.Record]", options: Options, vault: Vault) -> None:
    """Nobody has these names, so nothing is found."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(pool.acquire()) for _ in range(AT_ONCE)]
        await asyncio.gather(*(_ask(connection, options, vault) for connection in connections))


async def _ask(connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", options: Options, vault: Vault) -> None:
    access, views = Access(connection, options), Views(connection, vault)
    await access.by_token("")
    await access.by_session("")
    await views.user("")
    await views.person("", stopped=False)
    await views.server("", "")
    await views.server_by_id("")
    await views.active("")
