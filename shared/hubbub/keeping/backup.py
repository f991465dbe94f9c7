"""Writes a backup of a hub at one position, while it runs: events, the vault as it is sealed, facts worth keeping."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from hubbub import faults
from hubbub.eventlog import COLUMNS, read_since, recorded
from hubbub.keeping import facts, files, plugins, signing, snapshot
from hubbub.keeping.files import Manifest, Mark, Table
from hubbub.keeping.refused import Refused
from hubbub.keeping.snapshot import Connection, Snapshot
from hubbub.vault import Vault

#: Ids of those who are forgotten, for backups that still know them.
FORGOTTEN = "forgotten"
#: The hub's own files, if somebody wants them to be in it.
SECRETS = "secrets"


async def backup(
    dsn: str, vault_key: str, folder: Path, since: Path | None = None, *, secrets: Mapping[str, str] | None = None
) -> Manifest:
    """Back up what the owner's *dsn* leads to, into a *folder* that has no backup yet.

    *since*: an earlier backup, whose events are left out here. *secrets*: files that go along, by their names. Raises
    `Refused`, `hubbub.keeping.files.Damaged`.
    """
    if files.is_whole(folder):
        raise Refused(f"{folder} has a backup already")
    files.make(folder)
    vault = Vault(vault_key)
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            key = await signing.key_of(connection, vault)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = await connection.fetchrow("select epoch, position, hash from log_head")
            assert head is not None
            begun = await snapshot.read(connection)
            horizon = Mark(begun.horizon.position, begun.horizon.hash, begun.horizon.at) if begun else Mark()
            begins = await _begins(connection, horizon, since, signing.public(key))
            segments = files.Segments(folder, begins)
            while records := await read_since(connection, segments.ends.position, 5000):
                segments.write(records)
            segments.end()
            if (segments.ends.position, segments.ends.hash) != (head["position"], head["hash"].hex()):
                raise Refused(f"the log ends at {segments.ends.position}, its head says {head['position']}")
            faults.point("backup.events_written")
            manifest = Manifest(
                kind="backup",
                epoch=head["epoch"],
                made_at=datetime.now(UTC),
                begins=begins,
                ends=segments.ends,
                segments=segments.written,
                tables=[table async for table in _tables(connection, folder, begun, secrets or {})],
                key=signing.public(key),
                migration=await connection.fetchval("select max(number) from migrations"),
                horizon=horizon,
            )
    finally:
        await connection.close()
    files.write_manifest(folder, manifest, key)
    return manifest


async def _begins(connection: Connection, horizon: Mark, since: Path | None, key: str) -> Mark:
    """What the first event of this backup follows."""
    if since is None:
        return horizon
    there = files.read_manifest(since, key).ends
    if (there.position, there.hash) == (horizon.position, horizon.hash):
        return there
    hash = await connection.fetchval("select hash from events where position = $1", there.position)
    if there.position < horizon.position or hash is None or hash.hex() != there.hash:
        raise Refused(f"{since} ends with event {there.position}, after which the log here does not go on")
    return there


async def _tables(
    connection: Connection, folder: Path, begun: Snapshot | None, secrets: Mapping[str, str]
) -> AsyncIterator[Table]:
    if secrets:
        yield files.write_table(folder, SECRETS, [{"name": name, "text": text} for name, text in secrets.items()])
    for name in await facts.tables(connection):
        yield await _table(connection, folder, name, f"select * from {name}")
    yield await _table(
        connection, folder, FORGOTTEN, "select substr(stream, 6) as id from events where type = 'UserDeleted'"
    )
    yield files.write_table(folder, plugins.TABLE, await plugins.read(connection))
    if begun is not None:
        yield files.write_table(folder, "signed", [begun.signed])
        yield files.write_table(folder, "snapshot", begun.rows)
        yield files.write_table(folder, "remains", begun.remains)
        rows = await connection.fetch(
            f"select {COLUMNS} from events where position in (select position from remains) order by position"
        )
        yield files.write_table(folder, "remaining", map(recorded, rows))
        for name in (*facts.HISTORIES, facts.COUNTS):
            yield await _table(connection, folder, name, facts.earlier(name))


async def _table(connection: Connection, folder: Path, name: str, query: str) -> Table:
    lines = files.Lines(folder / f"{name}.jsonl.gz")
    async for rows in facts.rows_of(connection, query):
        lines.write(rows)
    return lines.table(name)
