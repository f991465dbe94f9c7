"""Proves that the views are what the log says, and that nobody has touched the log."""

from typing import Any

import asyncpg
import msgspec

from hubbub import eventlog
from hubbub.domain.message import Unknown
from hubbub.eventlog import read_since
from hubbub.vault import Vault
from hubbub.views import VIEWS, View, view_of


async def verify(dsn: str, vault_key: str) -> list[str]:
    """What is wrong, a sentence each; empty if all is well. Reads one snapshot, changes nothing.

    Replays from zero into shadow tables and compares every view with its shadow, row by row; checks that
    positions have no gap and that every hash is that of the stored bytes and the one before.
    """
    vault = Vault(vault_key)
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            problems, streams = await _replay(connection, vault)
            for view in VIEWS.values():
                problems += await _compare(connection, view, streams)
        return problems
    finally:
        await connection.close()


async def rebuild(dsn: str, vault_key: str) -> list[str]:
    """Drop every row of every view and make it anew from the log, in one transaction; what is wrong with the log.

    Nothing is changed if anything is. The log is locked meanwhile, so it may be done while the hub runs.
    """
    vault = Vault(vault_key)
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("select 1 from log_head for update")
            problems, streams = await _replay(connection, vault)
            if problems:
                return problems
            for view in VIEWS.values():
                parked = [id for (of, id), stream in streams.items() if of == view.table and stream.parked]
                await connection.execute(f"delete from {view.table} where id <> all($1)", parked)
                await _write(connection, view, view.table, streams)
        return []
    finally:
        await connection.close()


class _Stream:
    __slots__ = ("number", "parked", "position", "state", "version")

    def __init__(self, state: Any, number: int) -> None:
        self.state = state
        self.number = number
        self.version = 0
        self.position = 0
        self.parked = False


Streams = dict[tuple[str, str], _Stream]


async def _replay(connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault) -> tuple[list[str], Streams]:
    problems: list[str] = []
    streams: Streams = {}
    position, previous = 0, b""
    head = await connection.fetchrow("select position, hash from log_head")
    assert head is not None
    while records := await read_since(connection, position, 5000):
        await vault.load(connection, eventlog.people_in(records))
        for record in records:
            if record.position != position + 1:
                problems.append(f"the log has a gap: {record.position} follows {position}")
            if record.digest(previous) != record.hash:
                problems.append(
                    f"event {record.position} ({record.stream} {record.type}) was changed after it was written"
                )
            position, previous = record.position, record.hash
            view = view_of(record.stream)
            if view is None:
                continue
            stream = streams.setdefault((view.table, record.id), _Stream(view.decider.initial, record.position))
            event = eventlog.decode(record, vault)
            if stream.parked or isinstance(event, Unknown):
                stream.parked = True
                continue
            if record.version != stream.version + 1:
                problems.append(f"{record.stream} goes from version {stream.version} to {record.version}")
            try:
                stream.state = view.decider.evolve(stream.state, event)
            except (AssertionError, AttributeError, TypeError) as error:
                problems.append(f"event {record.position} does not fit {record.stream}: {error!r}")
                stream.parked = True
            stream.version, stream.position = record.version, record.position
    if (position, previous) != (head["position"], head["hash"]):
        problems.append(f"the log ends at {position}, its head says {head['position']}, or their hashes differ")
    return problems, streams


async def _compare(connection: "asyncpg.Connection[asyncpg.Record]", view: View, streams: Streams) -> list[str]:
    shadow = f"shadow_{view.table}"
    await connection.execute(f"create temporary table {shadow} (like {view.table} including all) on commit drop")
    await _write(connection, view, shadow, streams)
    parked = [id for (table, id), stream in streams.items() if table == view.table and stream.parked]
    names = (
        "id, number, version, position, state, " + ", ".join(view.columns)
        if view.columns
        else "id, number, version, position, state"
    )
    different = await connection.fetch(
        f"""
        (select 'has' as what, id from (select {names} from {view.table} except select {names} from {shadow}) a)
        union all
        (select 'lacks' as what, id from (select {names} from {shadow} except select {names} from {view.table}) b)
        """
    )
    return sorted({f"{view.table} differs from the log at {row['id']}" for row in different if row["id"] not in parked})


async def _write(connection: "asyncpg.Connection[asyncpg.Record]", view: View, table: str, streams: Streams) -> None:
    """The rows of *view*, as replayed, into *table*."""
    rows = []
    for (of, id), stream in streams.items():
        columns = None if of != view.table or stream.parked else view.row(stream.state)
        if columns is not None:
            state = msgspec.json.encode(stream.state).decode()
            rows.append((id, stream.number, stream.version, stream.position, state, *columns))
    if rows:
        await connection.execute(view.upsert(table), *map(list, zip(*rows, strict=True)))
