"""Puts the old part of the log into files, and takes it out of the database once it is known to be safe there.

Whatever it dies of, running it again goes on: files come first and are read again; then one commit says that the log
begins after the horizon, with a snapshot of what was so there; only then events are deleted, some thousand at a time.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hubbub import faults, releases
from hubbub.domain.message import State
from hubbub.domain.server_states import Stopped
from hubbub.eventlog import read_since
from hubbub.keeping import files, signing, snapshot
from hubbub.keeping.files import Manifest, Mark
from hubbub.keeping.refused import Refused
from hubbub.keeping.snapshot import Connection, Kept, Remaining, Signed, Snapshot
from hubbub.replay import Replayed, Stream, replay
from hubbub.vault import Vault
from hubbub.views import SERVERS, USERS, VIEWS, View

#: Events that are deleted in one transaction.
AT_ONCE = 10_000
#: Their streams never go on once they have ended: ids are made up for each.
ONCE = frozenset({"token", "session", "code", "share_code"})
#: The first release whose services know that a log may begin elsewhere than at 1.
KNOWN_SINCE = "0.2.0"

Say = Callable[[str], None]


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """`horizon`: the last position in the archive. `written`: events that were put there now; `deleted`: from here."""

    horizon: int
    written: int
    deleted: int


async def archive(
    dsn: str, vault_key: str, folder: Path, before: datetime | int, *, unread: bool = False, say: Say = print
) -> Archived:
    """Archive what was before a time or position into *folder*, which may have earlier archives of this log.

    *dsn*: the owner's. *unread*: also what a webhook or another reader of the log has not read yet. Raises `Refused`,
    `hubbub.keeping.files.Damaged`.
    """
    vault = Vault(vault_key)
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("select pg_try_advisory_lock(7432)"):
            raise Refused("another one is at it already")
        await _check_releases(connection)
        written = await _move_horizon(connection, vault, folder, before, unread=unread, say=say)
        deleted = await _delete(connection)
        horizon: int = await connection.fetchval("select oldest - 1 from log_head")
        return Archived(horizon=horizon, written=written, deleted=deleted)
    finally:
        await connection.close()


async def _check_releases(connection: Connection) -> None:
    oldest = min(await releases.living(connection), key=releases.number, default=KNOWN_SINCE)
    if releases.number(oldest) < releases.number(KNOWN_SINCE):
        raise Refused(f"there is still an api or auth of release {oldest}, which does not know archives")


async def _move_horizon(
    connection: Connection, vault: Vault, folder: Path, before: datetime | int, *, unread: bool, say: Say
) -> int:
    """How many events were written to the archive."""
    files.make(folder)
    async with connection.transaction():
        key = await signing.key_of(connection, vault)
    known = files.read_manifest(folder, signing.public(key)) if files.is_whole(folder) else None
    async with connection.transaction(isolation="repeatable_read"):
        begins = await _begins(connection, known)
        horizon = max(await _horizon(connection, before), begins.position)
        oldest: int = await connection.fetchval("select oldest from log_head")
        if horizon < oldest:
            return 0
        if not unread:
            await _check_readers(connection, horizon)
        replayed = await replay(connection, vault, until=horizon, bare=True)
        made = await _snapshot(connection, vault, key, replayed)
        written = await _write_events(connection, folder, begins, horizon)
        migration = await connection.fetchval("select max(number) from migrations")
        epoch = await connection.fetchval("select epoch from log_head")
    faults.point("archive.events_written")
    first = known or Manifest(
        kind="archive", epoch=epoch, made_at=datetime.now(UTC), begins=begins, ends=begins, segments=[], tables=[],
        key=signing.public(key), migration=migration,
    )  # fmt: skip
    _write_manifest(folder, first, written, made, key)
    faults.point("archive.manifest_written")
    files.check(folder, signing.public(key), after=oldest - 1)
    say(f"events up to {horizon} are in {folder}, and were read there again")
    async with connection.transaction():
        await snapshot.write(connection, made, str(folder))
    faults.point("archive.horizon_moved")
    return written.ends.position - begins.position


async def _begins(connection: Connection, known: Manifest | None) -> Mark:
    """What the first event to be written follows: what is in the folder, or was archived somewhere else."""
    begun = await snapshot.read(connection)
    ours = Mark(begun.horizon.position, begun.horizon.hash, begun.horizon.at) if begun else Mark()
    if known is None:
        return ours
    there = known.ends
    if known.kind != "archive":
        raise Refused("that folder has a backup: take another one")
    if there.position < ours.position:
        raise Refused(
            f"that folder ends with event {there.position}, and events up to {ours.position} are in another one: "
            "take that, or an empty folder"
        )
    if there.position > ours.position:  # written, when it ended before the horizon had moved
        hash = await connection.fetchval("select hash from events where position = $1", there.position)
        if hash is None or hash.hex() != there.hash:
            raise Refused("that folder has events of another log")
    elif there.hash != ours.hash:
        raise Refused("that folder has events of another log")
    return there


async def _horizon(connection: Connection, before: datetime | int) -> int:
    """The last position of the last commit that is wholly before that; 0 if there is none."""
    if isinstance(before, int):
        head: int = await connection.fetchval("select position from log_head")
        before = min(before, head + 1)
        at = await connection.fetchval("select recorded_at from events where position = $1", before)
        if at is None:
            return before - 1 if before == head + 1 else 0
    else:
        at = before
    found = await connection.fetchval(
        "select position from events where recorded_at < $1 order by recorded_at desc, position desc limit 1", at
    )
    return int(found or 0)


async def _check_readers(connection: Connection, horizon: int) -> None:
    """What counts from the first event on keeps what it has counted; but it must have come so far."""
    rows = await connection.fetch(
        "select reader, position from bookmarks where position < $1 and reader not like 'routes:%' order by reader",
        horizon,
    )
    if rows:
        behind = ", ".join(f"{row['reader']} (at {row['position']})" for row in rows)
        hint = "; `durations` and `events` read when somebody asks for /hub/metrics"
        raise Refused(f"not all of it was read yet, by {behind}: they would never have the rest (see --unread){hint}")


# What is so at the horizon ----------------------------------------------------------------


async def _snapshot(connection: Connection, vault: Vault, key: Ed25519PrivateKey, replayed: Replayed) -> Snapshot:
    if replayed.problems:
        raise Refused(f"the log is not whole: {replayed.problems[0]} (see `hubbub verify`)")
    rows: list[Kept] = []
    busy: list[str] = []
    views = {view.table: view for view in VIEWS.values()}
    for (table, id), stream in replayed.streams.items():
        view = views[table]
        if stream.parked:
            raise Refused(f"{view.stream(id)} has events that this release cannot read")
        goes_on = stream.state != view.decider.initial
        if goes_on or view.decider.name not in ONCE:
            rows.append(_kept(view, id, stream, vault))
            if goes_on and not _is_quiet(view, stream.state):
                busy.append(view.stream(id))
    rows.sort(key=lambda row: row.stream)
    remains = await _remains(connection, replayed, [row.stream for row in rows], busy)
    assert replayed.at is not None
    statement = snapshot.stated(replayed.position, replayed.hash, replayed.at, rows, remains)
    return Snapshot(signed=Signed.by(key, statement), rows=rows, remains=remains)


def _kept(view: View, id: str, stream: Stream, vault: Vault) -> Kept:
    sealed = None
    if stream.person and vault.knows(stream.person) and stream.state != stream.bare:
        sealed = vault.seal_bytes(stream.person, msgspec.json.encode(stream.state))
    state = msgspec.json.encode(stream.bare).decode()
    return Kept(
        stream=view.stream(id), number=stream.number, version=stream.version, position=stream.position, state=state,
        person=stream.person if sealed else "", sealed=sealed,
    )  # fmt: skip


def _is_quiet(view: View, state: State) -> bool:
    """Whether nothing is told of it but when it came and what was last."""
    return view is USERS or (view is SERVERS and isinstance(state, Stopped) and not state.leftovers)


async def _remains(connection: Connection, replayed: Replayed, streams: list[str], busy: list[str]) -> list[Remaining]:
    """The first and the last event of each stream, and how it was called last; of those that are *busy* the newest of
    each type; and the last of all, by which the time of the horizon is found.
    """
    rows = await connection.fetch(_REMAINS, streams, busy, replayed.position)
    wanted = [row["position"] for row in rows]
    before = {each.position: each.previous for each in replayed.snapshot.remains} if replayed.snapshot else {}
    found = await connection.fetch(
        "select position + 1 as position, hash from events where position = any($1)", [each - 1 for each in wanted]
    )
    previous = {1: b""} | {row["position"]: row["hash"] for row in found} | before
    if replayed.snapshot:
        horizon = replayed.snapshot.horizon
        previous[horizon.position + 1] = bytes.fromhex(horizon.hash)
    return [Remaining(position, previous[position]) for position in wanted]


_REMAINS = """
    select min(position) as position from events where stream = any($1) and position <= $3 group by stream
    union select max(position) from events where stream = any($1) and position <= $3 group by stream
    union select max(position) from events where stream = any($1) and position <= $3 and type = 'ServerRenamed'
        group by stream
    union select max(position) from events where stream = any($2) and position <= $3 group by stream, type
    union select $3::bigint
    order by position
"""


# Files --------------------------------------------------------------------------------------


async def _write_events(connection: Connection, folder: Path, begins: Mark, horizon: int) -> files.Segments:
    segments = files.Segments(folder, begins)
    while segments.ends.position < horizon:
        if not (records := await read_since(connection, segments.ends.position, 5000)):
            raise Refused(f"the log ends at {segments.ends.position}")
        segments.write([record for record in records if record.position <= horizon])
    segments.end()
    return segments


def _write_manifest(
    folder: Path, known: Manifest, written: files.Segments, made: Snapshot, key: Ed25519PrivateKey
) -> None:
    horizon = made.horizon.position
    tables = [
        files.write_table(folder, f"snapshot-{horizon:012}", made.rows),
        files.write_table(folder, f"remains-{horizon:012}", made.remains),
        files.write_table(folder, f"signed-{horizon:012}", [made.signed]),
    ]
    manifest = msgspec.structs.replace(
        known,
        made_at=datetime.now(UTC),
        ends=written.ends,
        segments=[*known.segments, *written.written],
        tables=tables,
    )
    files.write_manifest(folder, manifest, key)
    for table in known.tables:
        if table.file not in {each.file for each in tables}:
            (folder / table.file).unlink(missing_ok=True)


# The database -------------------------------------------------------------------------------


async def _delete(connection: Connection) -> int:
    """Take out what is in the archive; how many events that were."""
    horizon: int = await connection.fetchval("select oldest - 1 from log_head")
    first = await connection.fetchval(
        "select e.position from events e left join remains r using (position) "
        "where r.position is null and e.position <= $1 order by e.position limit 1",
        horizon,
    )
    deleted = 0
    for start in range(first or horizon + 1, horizon + 1, AT_ONCE):
        deleted += await connection.fetchval(_DELETE, start, min(start + AT_ONCE - 1, horizon))
        faults.point("archive.some_deleted")
    if deleted:
        # So that what comes next has the room; it is given back to the system only by a `vacuum full`.
        await connection.execute("vacuum (analyze) events, subjects")
    return deleted


_DELETE = """
    with gone as (
        delete from events e where position between $1 and $2
            and not exists (select from remains r where r.position = e.position)
        returning position, about
    ), found as (
        delete from subjects s using (select unnest(about) as subject, position from gone) g
        where s.subject = g.subject and s.position = g.position
    )
    select count(*) from gone
"""
