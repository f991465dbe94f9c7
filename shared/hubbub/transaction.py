"""What a decision may see and do while it holds the log: states, reads, and writes that are sent together."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import msgspec

from hubbub import eventlog, history
from hubbub.about import about
from hubbub.away import AWAY
from hubbub.domain.message import Command, Event, State, Unknown
from hubbub.eventlog import Context, Recorded
from hubbub.releases import Releases
from hubbub.upcast import newest
from hubbub.vault import Vault
from hubbub.views import View

T = TypeVar("T")

#: The clock is read when the lock is there, not while somebody else has it.
_LOCK = """
    with head as materialized (select epoch, position, hash, at from log_head for update)
    select epoch, position, hash, greatest(clock_timestamp(), at + interval '1 microsecond') as now from head
"""
Key = tuple[View, str]


class Parked(Exception):
    """The stream holds an event that this release cannot read; only a newer one may add to it."""


class PartlySent(Exception):
    """A piece of work was refused when a part of it was in the database already: the whole must be undone."""

    def __init__(self, refusal: Exception) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Row:
    """What a view knows of a stream. `number`: position of its first event; 0 when it has none."""

    __slots__ = ("number", "position", "state", "version")

    def __init__(self, state: State, number: int = 0, version: int = 0, position: int = 0) -> None:
        self.state = state
        self.number = number
        self.version = version
        self.position = position


class Transaction:
    """Made by `begin`; `run` runs one piece of work, whose writes count only if it does not raise.

    `now` is Postgres's clock at the lock, and later than any commit before: deadlines are counted from it, and
    histories tell commits apart by it.
    """

    def __init__(
        self,
        connection: "asyncpg.Connection[asyncpg.Record]",
        vault: Vault,
        head: asyncpg.Record,
        releases: Releases | None = None,
    ) -> None:
        self._connection = connection
        self._releases = releases or Releases()
        self._vault = vault
        self.now: datetime = head["now"]
        self.epoch: str = head["epoch"]
        self._position: int = head["position"]
        self._hash: bytes = head["hash"]
        self._start = self._position
        self._rows: dict[Key, Row] = {}
        self._records: list[Recorded] = []  # decided by this piece of work or earlier ones, not yet sent
        self._changed: dict[Key, Row] = {}
        self._later: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._forgotten: list[str] = []
        self._own = 0  # writes of the piece of work that runs now
        self._own_sent = False
        self._others = self._unsent()  # what was decided by others before it
        self._context = Context(command="", correlation="", actor="")
        #: Free for callers to keep what they counted once for the whole batch (see `hubbub.limits`).
        self.notes: dict[str, Any] = {}

    @classmethod
    async def begin(
        cls, connection: "asyncpg.Connection[asyncpg.Record]", vault: Vault, releases: Releases | None = None
    ) -> "Transaction":
        head = await connection.fetchrow(_LOCK)
        assert head is not None
        return cls(connection, vault, head, releases)

    # Reading ----------------------------------------------------------------------------

    async def load(self, keys: Iterable[Key]) -> None:
        """Read the rows of many streams, a query a view; fold what a row is behind its stream."""
        wanted: defaultdict[View, list[str]] = defaultdict(list)
        for view, id in dict.fromkeys(key for key in keys if key not in self._rows):
            wanted[view].append(id)
        for view, ids in wanted.items():
            rows = await self._connection.fetch(
                f"select i.id, t.number, t.version, t.position, t.state, h.version as newest, f.position as first "
                f"from unnest($1::text[]) as i(id) left join {view.table} t on t.id = i.id "
                f"left join lateral (select version from events where stream = $2 || i.id "
                f"  order by version desc limit 1) h on true "
                f"left join lateral (select position from events where stream = $2 || i.id "
                f"  order by version limit 1) f on t.id is null",
                ids,
                f"{view.decider.name}-",
            )
            for row in rows:
                self._rows[view, row["id"]] = await self._row(view, row)

    async def _row(self, view: View, row: asyncpg.Record) -> Row:
        if row["state"] is None:
            # Streams whose row is gone (a route removed, say) go on from their last version.
            return Row(view.decider.initial, row["first"] or 0, row["newest"] or 0)
        known = Row(view.decode_state(row["state"]), row["number"], row["version"], row["position"])
        if row["newest"] is not None and row["newest"] > known.version:
            await self._fold(view, row["id"], known)
        return known

    async def _fold(self, view: View, id: str, row: Row) -> None:
        """Catch up with events that a release which did not know this view's newest shape has written."""
        missed = await self._connection.fetch(
            f"select {eventlog.COLUMNS} from events where stream = $1 and version > $2 order by version",
            view.stream(id),
            row.version,
        )
        for record in map(eventlog.recorded, missed):
            await self._vault.load(self._connection, eventlog.people_in([record]))
            event = eventlog.decode(record, self._vault)
            if isinstance(event, Unknown):
                raise Parked(f"{record.stream} holds {event.name}, which this release cannot read")
            row.state = view.decider.evolve(row.state, event)
            row.version, row.position = record.version, record.position

    async def row(self, view: View, id: str) -> Row:
        if (view, id) not in self._rows:
            await self.load([(view, id)])
        return self._rows[view, id]

    async def state(self, view: View, id: str) -> Any:
        return (await self.row(view, id)).state

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Read anything; sees what was decided before in this batch."""
        await self._send()
        return await self._connection.fetch(query, *args)

    async def read(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Read what no work of this process ever writes: nothing of it can wait to be sent, so nothing is sent yet."""
        return await self._connection.fetch(query, *args)

    # Writing ----------------------------------------------------------------------------

    async def act(self, view: View, id: str, command: Command) -> tuple[Any, Sequence[Event]]:
        """Decide *command* on the stream; its new state and events. Raises `Rejected`."""
        row = await self.row(view, id)
        events: Sequence[Any] = view.decider.decide(row.state, command)
        if events:
            events = await self._releases.readable(self._connection, events)
            people = {event.user for event in events if event.personal and getattr(event, "user", "")}
            await self._vault.load(self._connection, people)
            self._append(view, id, row, events)
        return self._rows[view, id].state, events

    def _append(self, view: View, id: str, row: Row, events: Sequence[Event]) -> None:
        self._own += 1
        stream, meta = view.stream(id), msgspec.json.encode(self._context).decode()
        first, state = self._position + 1, row.state
        for event in events:
            self._position += 1
            before, state = state, view.decider.evolve(state, event)
            record = Recorded(
                position=self._position,
                stream=stream,
                version=row.version + 1 + self._position - first,
                type=type(event).__name__,
                data=eventlog.encode(event, self._vault),
                meta=meta,
                command_id=self._context.command,
                recorded_at=self.now,
                schema_version=newest(type(event).__name__),
                about=about(view.decider.name, id, event, before, state, self._context.actor),
            ).chained(self._hash)
            self._hash = record.hash
            self._records.append(record)
        changed = Row(state, row.number or first, row.version + len(events), self._position)
        self._rows[view, id] = self._changed[view, id] = changed

    def speak_as(self, context: Context) -> None:
        """What this piece of work decides from here on belongs to *context*."""
        self._context = context

    def later(self, statement: str, *args: Any) -> None:
        """Run *statement* with the commit; the same statement from many commands becomes one round trip."""
        self._own += 1
        self._later[statement].append(args)

    def remember(self, key: str, person: str, data: bytes) -> None:
        """Put *data* into the vault, under the key of *person* (loaded before)."""
        self.later(
            "insert into vault (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value",
            key,
            self._vault.seal_bytes(person, data),
        )

    async def know(self, person: str) -> None:
        await self._vault.load(self._connection, [person])

    def welcome(self, person: str) -> None:
        """Make the key of a new person."""
        self.later("insert into person_keys (person, key) values ($1, $2)", person, self._vault.invent(person))

    def destroy_key(self, person: str) -> None:
        """What the log holds of that person, who may be an account, can never be read again."""
        self.later("delete from person_keys where person = $1", person)
        self._forgotten.append(person)

    def forget(self, person: str) -> None:
        """The same of a user, whose history has no name from now on."""
        self.destroy_key(person)
        for statement in history.FORGET:
            self.later(statement, person)

    # Running ----------------------------------------------------------------------------

    async def run(self, body: Callable[["Transaction"], Awaitable[T]], context: Context) -> T:
        """Run one piece of work; if it raises, nothing of it remains."""
        position, hash, rows = self._position, self._hash, dict(self._rows)
        self._context, self._own, self._own_sent = context, 0, False
        self._others = self._unsent()
        try:
            return await body(self)
        except (asyncpg.PostgresError, asyncio.CancelledError, *AWAY):
            raise  # the whole transaction is lost
        except Exception as refusal:
            if self._own_sent:
                raise PartlySent(refusal) from refusal
            # Rows it has read are forgotten too: it may have changed them.
            self._position, self._hash, self._rows = position, hash, rows
            records, self._changed, later = self._others
            del self._records[records:]
            for statement in list(self._later):
                del self._later[statement][later.get(statement, 0) :]
            raise

    def _unsent(self) -> tuple[int, dict[Key, Row], dict[str, int]]:
        """What was decided and not sent yet: how many records, which rows, how many of each statement."""
        later = {statement: len(args) for statement, args in self._later.items()}
        return len(self._records), dict(self._changed), later

    async def _send(self) -> None:
        """Send what was decided so far; the commit comes at the end."""
        self._own_sent = self._own_sent or self._own > 0
        if self._records:
            await self._connection.execute(eventlog.INSERT, *eventlog.columns_of(self._records))
            self._records.clear()
        by_view: defaultdict[View, list[tuple[str, Row]]] = defaultdict(list)
        for (view, id), row in self._changed.items():
            by_view[view].append((id, row))
        self._changed.clear()
        for view, rows in by_view.items():
            await self._write(view, rows)
        for statement, args in self._later.items():
            if args:
                await self._connection.executemany(statement, args)
        self._later.clear()
        self._others = self._unsent()

    async def _write(self, view: View, rows: Sequence[tuple[str, Row]]) -> None:
        kept, gone = [], []
        for id, row in rows:
            columns = view.row(row.state)
            if columns is None:
                gone.append(id)
            else:
                state = msgspec.json.encode(row.state).decode()
                kept.append((id, row.number, row.version, row.position, state, *columns))
        if gone:
            await self._connection.execute(f"delete from {view.table} where id = any($1)", gone)
        if kept:
            await self._connection.execute(view.upsert(), *map(list, zip(*kept, strict=True)))
        await history.write(self._connection, view, kept, gone, self.now)

    async def end(self) -> None:
        """Send the rest, move the head, wake the followers."""
        await self._send()
        if self._position != self._start:
            await self._connection.execute(
                "update log_head set position = $1, hash = $2, at = $3", self._position, self._hash, self.now
            )
            await self._connection.execute("notify log")

    def settle(self) -> None:
        """After the commit: forget in memory too."""
        for person in self._forgotten:
            self._vault.forget(person)
