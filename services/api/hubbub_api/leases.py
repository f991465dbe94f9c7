"""Leases: of several who could do a thing, the one who does it for now. They are counted by Postgres's clock."""

from datetime import timedelta

import asyncpg

_LEASE = """
    insert into leases (name, holder, until) values ($1, $2, now() + $3)
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
    where leases.holder = excluded.holder or leases.until < now()
    returning holder
"""


async def take(pool: "asyncpg.Pool[asyncpg.Record]", name: str, holder: str, seconds: float) -> bool:
    """Take or renew it; False while somebody else has it."""
    return await pool.fetchval(_LEASE, name, holder, timedelta(seconds=seconds)) is not None
