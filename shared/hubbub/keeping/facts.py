"""What a database has besides the log and what follows from it: which of it is kept, as rows of JSON."""

from collections.abc import AsyncIterator, Collection, Sequence

import asyncpg
import msgspec

from hubbub import history
from hubbub.keeping.snapshot import Connection
from hubbub.views import VIEWS

#: Not in a backup. The log and what is made of it; what is of processes that run, or of the last minutes; what is asked
#: for again if it is not there.
LEFT_OUT = frozenset({
    "migrations", "log_head", "events", "subjects", "counts", "archives", "snapshot", "remains",
    "leases", "instances", "turns", "sign_ups", "answers", "vouched", "culls", "hearing", "tellers",
    *(view.table for view in VIEWS.values()),
})  # fmt: skip

#: Those that say of the whole log how far something has come with it: good for that very end of it alone.
OF_THE_END = frozenset({"settled", "tallies"})


async def tables(connection: Connection) -> list[str]:
    """The names of those that are kept: also of tables that came after this was written."""
    rows = await connection.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname"
    )
    return [row["relname"] for row in rows if row["relname"] not in LEFT_OUT]


async def rows_of(connection: Connection, query: str) -> AsyncIterator[list[msgspec.Raw]]:
    """The rows of *query*, in the transaction that *connection* has open, some thousand at a time."""
    found: list[msgspec.Raw] = []
    async for row in connection.cursor(f"select to_jsonb(t)::text from ({query}) t", prefetch=2000):
        found.append(msgspec.Raw(row[0].encode()))
        if len(found) == 2000:
            yield found
            found = []
    yield found


async def put(connection: Connection, table: str, rows: Sequence[object]) -> None:
    """Insert *rows*, decoded JSON, some thousand at most; columns that they do not have get what is usual."""
    if not rows:
        return
    first = rows[0]
    assert isinstance(first, dict)
    names = ", ".join(await _columns(connection, table, first))
    await connection.execute(
        f"insert into {table} ({names}) select {names} from jsonb_populate_recordset(null::{table}, $1::jsonb)",
        msgspec.json.encode(rows).decode(),
    )


async def _columns(connection: Connection, table: str, known: Collection[str]) -> list[str]:
    rows = await connection.fetch(
        "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped "
        "and attgenerated = '' order by attnum",
        table,
    )
    return [f'"{row["attname"]}"' for row in rows if row["attname"] in known]


# Histories from before the horizon ---------------------------------------------------------


def earlier(table: str) -> str:
    """The rows of a history that had begun before it is replayed, which are in no log any more."""
    return f"select * from {table} where began < (select at from history.beginning)"


HISTORIES = [f"history.{view.table}" for view in history.KEPT]
COUNTS = "history.counts"


async def put_earlier(connection: Connection, table: str, rows: Sequence[object]) -> None:
    """What was over stays as it was; what goes on has begun earlier."""
    await connection.execute(f"create temporary table earlier (like {table}) on commit drop")
    try:
        await put(connection, "earlier", rows)
        names = ", ".join(await _columns(connection, table, await _all(connection, table)))
        beginning = "(select at from history.beginning)"
        await connection.execute(
            f"insert into {table} ({names}) select {names} from earlier where ended <= {beginning} "
            "on conflict do nothing"
        )
        await connection.execute(
            f"update {table} h set began = e.began from earlier e "
            f"where e.ended > {beginning} and h.id = e.id and h.began = {beginning}"
        )
    finally:
        await connection.execute("drop table earlier")


async def _all(connection: Connection, table: str) -> list[str]:
    rows = await connection.fetch(
        "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0", table
    )
    return [row["attname"] for row in rows]


async def is_empty(connection: Connection) -> bool:
    """Whether this database has no log yet."""
    try:
        return bool(await connection.fetchval("select position = 0 from log_head"))
    except asyncpg.UndefinedTableError:
        return True
