"""Connections to Postgres, also while the password of our role changes: its URL may be said twice then (ADR 26)."""

from typing import Any

import asyncpg

from hubbub import telemetry

#: By which Postgres notices within some 11 s that our machine is gone, or cut off, and gives back what we have locked:
#: who leads, before all. By itself it waits for two hours. Milliseconds for the last one, seconds for the others.
NOTICED = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_REFUSED = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)


async def connect(dsn: str | None = None, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    """`asyncpg.connect` by the first of the URLs in *dsn*, with spaces between, whose password is right."""
    *firsts, last = (dsn or "").split() or [""]
    for url in firsts:
        try:
            return await _connect(url, options)
        except _REFUSED:
            continue
    return await _connect(last, options)


async def _connect(url: str, options: dict[str, Any]) -> "asyncpg.Connection[asyncpg.Record]":
    options = {**options, "server_settings": {**NOTICED, **options.get("server_settings", {})}}
    made: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url, **options)
    telemetry.watch(made)
    return made
