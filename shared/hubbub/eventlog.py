"""The event log: one append-only Postgres table. How a record is written, read and chained."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import msgspec
from cryptography.fernet import InvalidToken

from hubbub import database, telemetry
from hubbub.about import SEPARATOR
from hubbub.domain.message import Event, Json, Unknown
from hubbub.upcast import Unreadable, newest, upcast
from hubbub.vault import Vault
from hubbub.views import VIEWS, view_of

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


#: Our statements have one good plan each, by index; making it anew each time costs more than running it. A plan
#: that knows no values must be kept from reading whole tables for the few rows that are meant.
PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "random_page_cost": "1.1",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Beginning to work side by side takes longer than any of our queries may.
    "max_parallel_workers_per_gather": "0",
}


def pool(dsn: str, *, largest: int = 10) -> Pool:
    """Connections for reading; to be entered. They are given back as they are: nothing of ours sets session
    state, and asyncpg's clean-up would cost a second round trip for each query.
    """

    async def keep(_: object) -> None: ...

    return asyncpg.create_pool(
        dsn,
        min_size=2,
        max_size=largest,
        command_timeout=30,
        reset=keep,
        server_settings=PLANS,
        connect=database.connect,
    )


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asked for it, what led to it, and which conversation it belongs to: the `meta` of its events."""

    command: str
    correlation: str
    actor: str
    causation: str = ""
    traceparent: str = ""
    config: str = ""

    @classmethod
    def of(cls, actor: str, *, traceparent: str = "") -> "Context":
        """The start of a conversation."""
        id = uuid4().hex
        return cls(command=id, correlation=id, actor=actor, traceparent=traceparent or telemetry.traceparent())

    def follow(self, *, actor: str = "") -> "Context":
        """The context of something that this leads to."""
        return msgspec.structs.replace(self, command=uuid4().hex, causation=self.command, actor=actor or self.actor)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of the log, as stored: `data` and `meta` are JSON text, personal fields still sealed.

    `about`: whom and what it is about (see `hubbub.about`).
    """

    position: int
    stream: str
    version: int
    type: str
    data: str
    meta: str
    command_id: str
    recorded_at: datetime
    hash: bytes = b""
    schema_version: int = 1
    about: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.stream.partition("-")[0]

    @property
    def id(self) -> str:
        return self.stream.partition("-")[2]

    @property
    def context(self) -> Context:
        return context_in(self.meta)

    def chained(self, previous: bytes) -> "Recorded":
        """This record with its hash: SHA-256 over the previous hash and everything stored."""
        return replace(self, hash=self.digest(previous))

    def digest(self, previous: bytes) -> bytes:
        text = "\x1f".join(
            (
                str(self.position),
                self.stream,
                str(self.version),
                self.type,
                str(self.schema_version),
                self.data,
                self.meta,
                self.command_id,
                self.recorded_at.isoformat(),
            )
        )
        return hashlib.sha256(previous + text.encode()).digest()


#: The context that a record's `meta` holds.
context_in = msgspec.json.Decoder(Context).decode

_PLAIN = "position, stream, version, type, schema_version, data, meta, command_id, recorded_at, hash"
COLUMNS = f"{_PLAIN}, about"

#: The records, and by each subject that they are about, where it is found.
INSERT = f"""
    with told as (
        insert into events ({COLUMNS})
        select {_PLAIN}, string_to_array(subjects, E'\\x1f') from unnest(
            $1::bigint[], $2::text[], $3::int[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[], $10::bytea[], $11::text[]
        ) as t ({_PLAIN}, subjects)
        returning position, type, about
    )
    insert into subjects (subject, position, type) select unnest(about), position, type from told
"""


def columns_of(records: Sequence[Recorded]) -> list[list[Any]]:
    """*records* as the arrays that `INSERT` takes."""
    plain = [[getattr(record, name) for record in records] for name in _PLAIN.split(", ")]
    return [*plain, [SEPARATOR.join(record.about) for record in records]]


def recorded(row: asyncpg.Record) -> Recorded:
    fields = dict(row)
    fields["about"] = tuple(fields["about"])
    return Recorded(**fields)


@cache
def _types(kind: str) -> dict[str, type[Event]]:
    view = VIEWS[kind]
    return {event.__name__: event for event in view.decider.events.__args__}


def encode(event: Event, vault: Vault) -> str:
    """*event* as stored: JSON with its personal fields sealed for their person."""
    person = getattr(event, "user", "") if event.personal else ""
    if not person:
        return msgspec.json.encode(event).decode()
    fields = msgspec.to_builtins(event)
    for name in event.personal:
        fields[name] = vault.seal(person, fields[name])
    return msgspec.json.encode(fields).decode()


def decode(record: Recorded, vault: Vault) -> Event:
    """The event of *record*. Total: what this release cannot read comes back as `Unknown`.

    The keys of the people in it must be loaded (see `people_in`); of a forgotten person only
    `hubbub.vault.FORGOTTEN` is left.
    """
    try:
        event = _read(record)
        person = getattr(event, "user", "") if event.personal else ""
        if not person:
            return event
        opened = {name: vault.open(person, getattr(event, name)) for name in event.personal}
    except (Unreadable, msgspec.MsgspecError, RecursionError, InvalidToken):
        return Unknown(name=record.type, data=record.data)
    return msgspec.structs.replace(event, **opened)


def _read(record: Recorded) -> Event:
    """The event of *record* in today's shape, personal fields still sealed."""
    view = view_of(record.stream)
    if view is None or record.type not in _types(record.kind):
        raise Unreadable(record.type)
    data = record.data.encode()
    if record.schema_version != newest(record.type):
        data = msgspec.json.encode(upcast(record.type, record.schema_version, _FIELDS.decode(data)))
    event: Event = view.decode_event(data)
    if type(event).__name__ != record.type:
        raise Unreadable(f"{record.type} that says it is {type(event).__name__}")
    return event


_FIELDS = msgspec.json.Decoder(Json)


class _Person(msgspec.Struct):
    user: str = ""


_PERSON = msgspec.json.Decoder(_Person)


def people_in(records: Sequence[Recorded]) -> set[str]:
    """The people whose keys are needed to read *records*; none of those that cannot be read."""
    people = set()
    for record in records:
        if record.kind in VIEWS:
            event = _types(record.kind).get(record.type)
            if event is not None and event.personal:
                with suppress(msgspec.MsgspecError, RecursionError):
                    people.add(_PERSON.decode(record.data).user)
    return people


async def read_since(
    source: "asyncpg.Pool[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]", position: int, limit: int = 1000
) -> list[Recorded]:
    """The next records after *position*, in order, without gaps."""
    rows = await source.fetch(
        f"select {COLUMNS} from events where position > $1 order by position limit $2", position, limit
    )
    return [recorded(row) for row in rows]
