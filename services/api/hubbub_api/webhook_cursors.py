"""How far each webhook was delivered: a bookmark in the log, which operators may move."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import asyncpg
import msgspec

from hubbub.eventlog import Pool

#: Told to whoever delivers that somebody has changed a cursor.
CHANNEL = "webhooks"


class Cursor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the log `epoch` everything up to `position` was delivered.

    `until`: how far the delivery that is under way goes, 0 if there is none; `attempts`: how often that was tried,
    `error` what came of it last. `delivered_at`, `failed_at`: the newest of each.
    """

    epoch: str
    position: int = 0
    until: int = 0
    paused: bool = False
    attempts: int = 0
    error: str = ""
    failed_at: datetime | None = None
    delivered_at: datetime | None = None


_DECODE = msgspec.json.Decoder(Cursor).decode


def _about(cursor: Cursor) -> str:
    """What is kept beside the position."""
    return msgspec.json.encode(msgspec.structs.replace(cursor, position=0)).decode()


def _of(row: asyncpg.Record) -> Cursor:
    return msgspec.structs.replace(_DECODE(row["about"]), position=row["position"])


async def all_of(pool: Pool, names: Iterable[str]) -> Mapping[str, Cursor]:
    """By name; a webhook that nobody has delivered to yet is left out."""
    readers = {f"webhook:{name}": name for name in names}
    rows = await pool.fetch("select reader, position, about from bookmarks where reader = any($1)", list(readers))
    return {readers[row["reader"]]: _of(row) for row in rows}


async def begin(pool: Pool, name: str) -> Cursor:
    """Where it is; a new one, or one of another log, begins at its end."""
    row = await pool.fetchrow(_BEGIN, f"webhook:{name}")
    assert row is not None
    return _of(row)


async def move(pool: Pool, name: str, before: Cursor, after: Cursor) -> bool:
    """False if it is not *before* any more: somebody else has moved it."""
    moved = await pool.fetchval(
        "update bookmarks set position = $4, about = $5 "
        "where reader = $1 and position = $2 and about::jsonb = $3::jsonb returning 1",
        f"webhook:{name}",
        before.position,
        _about(before),
        after.position,
        _about(after),
    )
    return moved is not None


async def tell(pool: Pool) -> None:
    """Whoever delivers looks again."""
    await pool.execute(f"notify {CHANNEL}")


_BEGIN = """
    insert into bookmarks as b (reader, position, about)
    select $1, h.position, json_build_object('epoch', h.epoch)::text from log_head h
    on conflict (reader) do update set
        position = case when b.about::jsonb ->> 'epoch' = excluded.about::jsonb ->> 'epoch' then b.position
                        else excluded.position end,
        about = case when b.about::jsonb ->> 'epoch' = excluded.about::jsonb ->> 'epoch' then b.about
                     else excluded.about end
    returning position, about
"""
