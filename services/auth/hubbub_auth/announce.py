"""Tells every api where this process can be reached, and which of the hub's paths it answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec
import structlog

from hubbub.away import AWAY

log = structlog.get_logger()

PATHS = ("login", "logout", "api/oauth2/authorize", "api/oauth2/token")
SERVICE = "auth"
EVERY_SECONDS = 2.0


class About(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    paths: tuple[str, ...] = PATHS


@asynccontextmanager
async def announced(
    pool: "asyncpg.Pool[asyncpg.Record]", instance: str, url: str, *, every: float = EVERY_SECONDS
) -> AsyncIterator[None]:
    """Reachable for as long as the block lasts, and taken back when it ends."""
    about = msgspec.json.encode(About(url=url)).decode()
    await _say(pool, instance, about)
    task = asyncio.ensure_future(_repeat(pool, instance, about, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(asyncpg.PostgresError, *AWAY):
            await pool.execute("delete from instances where name = $1 and about = $2", instance, about)
            await pool.execute("notify instances")


async def _repeat(pool: "asyncpg.Pool[asyncpg.Record]", instance: str, about: str, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await _say(pool, instance, about)
        except (asyncpg.PostgresError, *AWAY) as error:
            log.warning("auth.not_announced", error=str(error) or type(error).__name__)


async def _say(pool: "asyncpg.Pool[asyncpg.Record]", instance: str, about: str) -> None:
    await pool.execute(_SAY, instance, SERVICE, about)
    await pool.execute("notify instances")


_SAY = """
    insert into instances (name, service, about, seen_at) values ($1, $2, $3, now())
    on conflict (name) do update set service = excluded.service, about = excluded.about, seen_at = now()
"""
