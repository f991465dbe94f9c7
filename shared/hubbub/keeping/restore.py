"""Makes a hub anew from backups and archives, as it was at any position, in a database that has none."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
from cryptography.fernet import InvalidToken

from hubbub import eventlog, faults, schema
from hubbub.eventlog import Recorded
from hubbub.keeping import backup, facts, files, plugins, signing, snapshot
from hubbub.keeping.chain import Chain, Piece
from hubbub.keeping.files import Damaged, Mark
from hubbub.keeping.refused import Refused
from hubbub.keeping.snapshot import Connection, Kept, Remaining, Signed, Snapshot
from hubbub.keeping.vaulted import fitting
from hubbub.vault import Vault
from hubbub.verify import SAID_BEFORE, remake

_EVENT_COLUMNS = eventlog.COLUMNS.split(", ")


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """`position`, `at`: of the newest event that there is now. `left_out`: events of the backup that came after it.

    `forgotten`: users of then who are forgotten by now: the next api to start deletes them.
    """

    position: int
    at: datetime | None
    left_out: int
    forgotten: int


async def restore(
    dsn: str,
    vault_key: str,
    folders: Sequence[Path],
    to: datetime | int | None = None,
    *,
    forgotten: Collection[str] = (),
    key: str = "",
) -> Restored:
    """Into the owner's *dsn*, which has no log yet: all or nothing.

    *folders*: backups and archives of one log; the newest backup gives vault and facts. *to*: a time, or a position,
    with which all of its commit comes. *forgotten*: ids of users who are forgotten whatever the backup says. *key*: who
    must have signed. Raises `Refused`, `hubbub.keeping.files.Damaged`.
    """
    chain = Chain.of([Piece(folder, files.read_manifest(folder, key)) for folder in folders])
    await schema.migrate(dsn, {})
    vault = Vault(vault_key)
    connection = await asyncpg.connect(dsn)
    try:
        if chain.newest.manifest.migration > schema.NEWEST:
            raise Refused("that was made by a newer release than this one")
        async with connection.transaction():
            await connection.execute("select 1 from log_head for update")
            if not await facts.is_empty(connection):
                raise Refused("that database has a log already: take an empty one")
            return await _Restoring(connection, chain, vault).run(to, forgotten)
    except InvalidToken:
        raise Refused("that vault key does not open this backup: take the one that the hub had") from None
    finally:
        await connection.close()


class _Restoring:
    def __init__(self, connection: Connection, chain: Chain, vault: Vault) -> None:
        self._connection = connection
        self._chain = chain
        self._vault = vault
        #: Whose keys are needed for what was restored, and the streams of which more is in the backup.
        self._people: set[str] = set()
        self._later: set[str] = set()
        self._left_out = 0

    async def run(self, to: datetime | int | None, forgotten: Collection[str]) -> Restored:
        ends = await self._events(to)
        faults.point("restore.events_written")
        epoch = uuid4().hex
        await self._connection.execute(
            "update log_head set epoch = $1, position = $2, hash = $3, at = coalesce($4::timestamptz, '-infinity')",
            epoch,
            ends.position,
            bytes.fromhex(ends.hash),
            ends.at,
        )
        unknown = {*forgotten, *(row["id"] for row in self._rows(backup.FORGOTTEN))}
        await self._keys(unknown)
        replayed = await remake(self._connection, self._vault)
        if replayed.problems:
            raise Damaged(replayed.problems[0])
        await self._earlier()
        await self._facts(epoch, ends)
        gone = await self._connection.fetch(_GONE)
        return Restored(position=ends.position, at=ends.at, left_out=self._left_out, forgotten=len(gone))

    # The log ----------------------------------------------------------------------------

    async def _events(self, to: datetime | int | None) -> Mark:
        """All events up to *to*; the last of them."""
        begins = self._chain.begins
        if isinstance(to, int) and to < begins.position:
            raise Refused(f"these begin with event {begins.position + 1}: name the archive, too, that has those before")
        if isinstance(to, datetime) and begins.at is not None and to < begins.at:
            raise Refused(f"these begin with {begins.at.isoformat()}: name the archive, too, that has what was before")
        if begins.position:
            await self._horizon()
        mark = begins
        for records in self._chain.events():
            wanted = _until(mark, records, to)
            await self._write(wanted)
            mark = files.follow(mark, wanted)
            rest = records[len(wanted) :]
            self._left_out += len(rest)
            self._later.update(record.stream for record in rest)
            if rest:
                to = mark.position  # what comes now is later
        if isinstance(to, int) and to > mark.position:
            raise Refused(f"these end with event {mark.position}")
        return mark

    async def _write(self, records: Sequence[Recorded]) -> None:
        if not records:
            return
        self._people |= eventlog.people_in(records)
        rows = [tuple(getattr(record, name) for name in _EVENT_COLUMNS) for record in records]
        await self._connection.copy_records_to_table("events", records=rows, columns=_EVENT_COLUMNS)
        subjects = ((each, record.position, record.type) for record in records for each in record.about)
        await self._connection.copy_records_to_table("subjects", records=subjects)

    async def _horizon(self) -> None:
        """What the backup's log begins with, as it was archived."""
        [signed] = [msgspec.convert(row, Signed) for row in self._rows("signed")]
        kept = [msgspec.convert(row, Kept) for row in self._rows("snapshot")]
        remains = [msgspec.convert(row, Remaining) for row in self._rows("remains")]
        self._people |= {row.person for row in kept if row.person}
        await self._write([msgspec.convert(row, Recorded) for row in self._rows("remaining")])
        await snapshot.write(self._connection, Snapshot(signed=signed, rows=kept, remains=remains), "restored")

    # What else there is -----------------------------------------------------------------

    async def _keys(self, forgotten: Collection[str]) -> None:
        """Of those whom the log knows by now, but for those who are forgotten; and of what is no person."""
        rows = [
            row
            for row in self._rows("person_keys")
            if (row["person"] in self._people or ":" in row["person"]) and row["person"] not in forgotten
        ]
        await facts.put(self._connection, "person_keys", rows)
        # By which the snapshot is proved, if there is one.
        ours = [row for row in self._rows("vault") if row["key"] == signing.KEEPER]
        await facts.put(self._connection, "vault", ours)

    async def _facts(self, epoch: str, ends: Mark) -> None:
        names = [table.name for table in self._chain.newest.manifest.tables]
        ours = [name for name in await facts.tables(self._connection) if name in names]
        for name in ours:
            if name == "person_keys" or (self._left_out and name in facts.OF_THE_END):
                continue
            await self._connection.execute(f"delete from {name}")
            for rows in self._some(name):
                good = await fitting(self._connection, self._later, rows) if name == "vault" else rows
                await facts.put(self._connection, name, good)
        await self._connection.execute(_TOO_FAR, ends.position, bool(self._left_out))
        await self._connection.execute(_BOOKMARKS, epoch, ends.position)
        made = [msgspec.convert(row, plugins.Made) for row in self._rows(plugins.TABLE)]
        await plugins.write(self._connection, made)

    async def _earlier(self) -> None:
        if not self._chain.begins.position:
            return
        for name in facts.HISTORIES:
            await facts.put_earlier(self._connection, name, self._rows(name))
        await self._connection.execute(f"delete from {facts.COUNTS} where began < (select at from history.beginning)")
        await facts.put(self._connection, facts.COUNTS, self._rows(facts.COUNTS))
        await self._connection.execute(SAID_BEFORE)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return [row for rows in self._some(name) for row in rows]

    def _some(self, name: str) -> Iterator[list[dict[str, Any]]]:
        piece = self._chain.newest
        if (table := piece.manifest.table(name)) is not None:
            yield from files.read_table(piece.folder, table)


def _until(mark: Mark, records: Sequence[Recorded], to: datetime | int | None) -> Sequence[Recorded]:
    """Those of *records*, which follow *mark*, that are not after *to*: of a commit all or none."""
    if to is None:
        return records
    if isinstance(to, datetime):
        count = next((n for n, record in enumerate(records) if record.recorded_at > to), len(records))
        return records[:count]
    at = mark.at
    for number, record in enumerate(records):
        if record.position > to and record.recorded_at != at:
            return records[:number]
        at = record.recorded_at
    return records


#: Whoever was told of the log goes on where they were, or at its end if that was later.
_BOOKMARKS = """
    update bookmarks set position = least(position, $2), about = case when position < $2 then
        ((about::jsonb - 'until') || jsonb_build_object('epoch', $1::text))::text
        else json_build_object('epoch', $1::text)::text end
    where reader like 'webhook:%'
"""
#: The bus begins anew; what was counted of more than there is now is counted again.
_TOO_FAR = """
    delete from bookmarks where reader = 'relay' or reader not like 'webhook:%' and position > $1
        or reader like 'routes:%' and $2
"""
#: An api deletes them, with all that they own, as it does with those whom the authenticator will not have any more.
_GONE = """
    insert into refused (user_id) select u.id from users u
    where not exists (select from person_keys k where k.person = u.id) on conflict do nothing returning user_id
"""
