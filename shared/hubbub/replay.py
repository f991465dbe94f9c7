"""The log, replayed from its first event, or from the horizon before which it is in an archive: what every view and
every history has to be.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from cryptography.fernet import Fernet, InvalidToken

from hubbub import eventlog, history
from hubbub.domain.message import State, Unknown
from hubbub.eventlog import Recorded, read_since
from hubbub.keeping import snapshot
from hubbub.keeping.snapshot import Kept, Snapshot
from hubbub.vault import Vault
from hubbub.views import View, view_of

#: Rows of a history that are kept in memory before they are written.
_WAITING = 20_000


class Stream:
    """One stream as far as it was read. `parked`: it holds an event that this release cannot read.

    `bare`: its state as it would be if whoever is in it were forgotten; `person`: who that is, "" for nobody. Both are
    there only if they were asked for.
    """

    __slots__ = ("bare", "number", "parked", "person", "position", "state", "version")

    def __init__(self, state: Any, number: int) -> None:
        self.state = self.bare = state
        self.number = number
        self.version = 0
        self.position = 0
        self.parked = False
        self.person = ""

    @classmethod
    def of(cls, view: View, kept: Kept, vault: Vault) -> "Stream":
        """As a snapshot has it; the key of its person must be loaded. Raises ValueError if that cannot be read."""
        try:
            made = cls(view.decode_state(kept.state), kept.number)
            opened = vault.open_bytes(kept.person, kept.sealed) if kept.sealed is not None else None
            if opened is not None:
                made.state = view.decode_state(opened.decode())
        except (msgspec.MsgspecError, InvalidToken) as error:
            raise ValueError(str(error)) from None
        made.version, made.position, made.person = kept.version, kept.position, kept.person
        return made

    def row(self, view: View, state: State | None = None) -> tuple[Any, ...] | None:
        """Its row in *view*, or that of *state* in its place; None if it has none."""
        state = self.state if state is None else state
        columns = None if self.parked else view.row(state)
        if columns is None:
            return None
        return (self.number, self.version, self.position, msgspec.json.encode(state).decode(), *columns)


Streams = dict[tuple[str, str], Stream]


@dataclass(frozen=True)
class Replayed:
    """`problems`: of the log itself, a sentence each. Histories are in temporary tables (`shadow_of`).

    `snapshot`: what it began with. `position`, `hash` and `at`: of the last event that was read.
    """

    problems: list[str]
    streams: Streams
    vault: Vault
    snapshot: Snapshot | None
    position: int
    hash: bytes
    at: datetime | None

    def parked(self, view: View) -> list[str]:
        return [id for (table, id), stream in self.streams.items() if table == view.table and stream.parked]

    def rows(self, view: View) -> list[tuple[Any, ...]]:
        """The rows of *view*, ids first."""
        of_view = ((id, stream) for (table, id), stream in self.streams.items() if table == view.table)
        found = ((id, stream.row(view, told(view, stream, self.vault))) for id, stream in of_view)
        return [(id, *row) for id, row in found if row is not None]


def shadow_of(view: View) -> str:
    """Where the history of *view* is, as replayed; gone with the transaction."""
    return f"shadow_history_{view.table}"


def told(view: View, stream: Stream, vault: Vault) -> State:
    """Its state, without what is personal if its person is forgotten. A managed service is nobody's."""
    state: State = stream.state
    person = getattr(state, "user", "")
    known = not person or vault.knows(person)
    return state if known else history.forgotten(view, state, stream.number)


async def replay(
    connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault, *, until: int | None = None, bare: bool = False
) -> Replayed:
    """Everything, or all up to the position *until*, inside of the transaction that *connection* has open.

    *bare*: see `Stream`.
    """
    problems: list[str] = []
    streams: Streams = {}
    past = await _Past.begin(connection, vault)
    position, previous, at = 0, b"", None
    begun = await snapshot.read(connection)
    if begun is not None:
        problems += await snapshot.problems(connection, vault, begun)
        problems += await _begin(connection, vault, begun, streams, past)
        position, previous, at = begun.horizon.position, bytes.fromhex(begun.horizon.hash), begun.horizon.at
    head = await connection.fetchrow("select position, hash from log_head")
    assert head is not None
    while records := await read_since(connection, position, 5000):
        if until is not None:
            records = [record for record in records if record.position <= until]
        await vault.load(connection, eventlog.people_in(records))
        for record in records:
            if record.position != position + 1:
                problems.append(f"the log has a gap: {record.position} follows {position}")
            if record.digest(previous) != record.hash:
                problems.append(
                    f"event {record.position} ({record.stream} {record.type}) was changed after it was written"
                )
            position, previous, at = record.position, record.hash, record.recorded_at
            view = view_of(record.stream)
            if view is not None:
                stream = streams.setdefault((view.table, record.id), Stream(view.decider.initial, position))
                problems += _fold(view, stream, record, vault, bare=bare)
                past.hear(view, stream, record)
        await past.write(_WAITING)
        if until is not None and position >= until:
            break
    await past.end()
    if until is None and (position, previous) != (head["position"], head["hash"]):
        problems.append(f"the log ends at {position}, its head says {head['position']}, or their hashes differ")
    return Replayed(problems, streams, vault, begun, position, previous, at)


async def _begin(
    connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault, begun: Snapshot, streams: Streams, past: "_Past"
) -> list[str]:
    """Everything as it was at the horizon; what is wrong with it."""
    problems = []
    await vault.load(connection, [kept.person for kept in begun.rows])
    for kept in begun.rows:
        view = view_of(kept.stream)
        if view is None:
            continue
        id = kept.stream.partition("-")[2]
        try:
            stream = streams[view.table, id] = Stream.of(view, kept, vault)
        except ValueError as error:
            problems.append(f"{kept.stream} cannot be read in the snapshot: {error}")
            continue
        past.remember(view, id, stream, begun.horizon.at)
    return problems


#: One that knows nobody: what it opens is forgotten.
_NOBODY = Vault(Fernet.generate_key().decode())


def _fold(view: View, stream: Stream, record: Recorded, vault: Vault, *, bare: bool) -> Iterable[str]:
    """Put the event of *record* into *stream*; what is wrong with it."""
    event = eventlog.decode(record, vault)
    if stream.parked or isinstance(event, Unknown):
        stream.parked = True
        return
    if record.version != stream.version + 1:
        yield f"{record.stream} goes from version {stream.version} to {record.version}"
    try:
        stream.state = view.decider.evolve(stream.state, event)
        if bare:
            person = getattr(event, "user", "") if event.personal else ""
            stream.person = person or stream.person
            stream.bare = view.decider.evolve(stream.bare, eventlog.decode(record, _NOBODY) if person else event)
    except (AssertionError, AttributeError, TypeError) as error:
        yield f"event {record.position} does not fit {record.stream}: {error!r}"
        stream.parked = True
    stream.version, stream.position = record.version, record.position


class _Past:
    """Histories while they are replayed: what has ended is written, the newest row of each stream is kept in mind."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault) -> None:
        self._connection = connection
        self._vault = vault
        self._now: datetime | None = None
        self._open: dict[tuple[View, str], tuple[datetime, tuple[Any, ...]]] = {}
        self._ended: dict[View, list[tuple[Any, ...]]] = {view: [] for view in history.KEPT}
        self._waiting = 0

    @classmethod
    async def begin(cls, connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault) -> "_Past":
        for view in history.KEPT:
            like = f"like history.{view.table} including defaults"
            await connection.execute(f"create temporary table {shadow_of(view)} ({like}) on commit drop")
        return cls(connection, vault)

    def remember(self, view: View, id: str, stream: Stream, since: datetime) -> None:
        """*stream* was so at *since*, when this begins."""
        self._now = since
        row = stream.row(view, told(view, stream, self._vault)) if view in self._ended else None
        if row is not None:
            self._open[view, id] = (since, row)

    def hear(self, view: View, stream: Stream, record: Recorded) -> None:
        """*stream* is so since *record*. The clock of an old log may have gone back; its order counts."""
        self._now = now = max(record.recorded_at, self._now or record.recorded_at)
        if view not in self._ended:
            return
        key = (view, record.id)
        row = None if stream.parked else stream.row(view, told(view, stream, self._vault))
        before = self._open.pop(key, None)
        if before is not None and before[0] != now:
            self._ended[view].append((record.id, *before[1], before[0], now))
            self._waiting += 1
        if row is not None:
            self._open[key] = (now, row)

    async def write(self, most: int = 0) -> None:
        """Write what has ended, if more than *most* rows wait."""
        if self._waiting <= most:
            return
        for view, rows in self._ended.items():
            names = [*history.columns(view), "began", "ended"]
            await self._connection.copy_records_to_table(shadow_of(view), records=rows, columns=names)
            rows.clear()
        self._waiting = 0

    async def end(self) -> None:
        await self.write()
        for view in history.KEPT:
            names = [*history.columns(view), "began"]
            rows = [(id, *row, began) for (of, id), (began, row) in self._open.items() if of is view]
            await self._connection.copy_records_to_table(shadow_of(view), records=rows, columns=names)


def arrays(rows: Collection[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as columns, as `View.upsert` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]
