"""What was so at the horizon, before which the log is archived: rows that a replay begins with, and their proof."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hubbub.eventlog import COLUMNS, Recorded, recorded
from hubbub.keeping import signing
from hubbub.vault import Vault

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A stream at the horizon. `state`: as JSON, what is personal in it as if its person were forgotten; `sealed`: all
    of it, for `person`; None if there is nothing personal, or they are forgotten.
    """

    stream: str
    number: int
    version: int
    position: int
    state: str
    person: str = ""
    sealed: bytes | None = None


class Remaining(msgspec.Struct, frozen=True, array_like=True):
    """An event that stays. `previous`: the hash of the one before it, which does not."""

    position: int
    previous: bytes


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a hub signs: that this was so after the event at `position`. `snapshot`, `remains`: digests of the rows."""

    position: int
    hash: str
    at: datetime
    snapshot: str
    remains: str

    def data(self) -> bytes:
        return b"hubbub archive 1\n" + msgspec.json.encode(self)


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """`key`: whose signature it is, in hexadecimal."""

    statement: Statement
    signature: str
    key: str

    @classmethod
    def by(cls, key: Ed25519PrivateKey, statement: Statement) -> "Signed":
        return cls(statement=statement, signature=key.sign(statement.data()).hex(), key=signing.public(key))

    def is_genuine(self) -> bool:
        try:
            known = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            known.verify(bytes.fromhex(self.signature), self.statement.data())
        except (ValueError, InvalidSignature):
            return False
        return True


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    signed: Signed
    rows: list[Kept]
    remains: list[Remaining]

    @property
    def horizon(self) -> Statement:
        return self.signed.statement


async def read(connection: Connection) -> Snapshot | None:
    """That of the newest horizon; None if the log is whole."""
    row = await connection.fetchrow("select statement, signature, key from archives order by position desc limit 1")
    if row is None:
        return None
    statement = msgspec.json.decode(row["statement"], type=Statement)
    rows = await connection.fetch(
        'select stream, number, version, position, state, person, sealed from snapshot order by stream collate "C"'
    )
    remains = await connection.fetch("select position, previous from remains order by position")
    return Snapshot(
        signed=Signed(statement=statement, signature=row["signature"], key=row["key"]),
        rows=[Kept(*row) for row in rows],
        remains=[Remaining(*row) for row in remains],
    )


def stated(position: int, hash: bytes, at: datetime, rows: Sequence[Kept], remains: Iterable[Remaining]) -> Statement:
    """*rows* in order of their streams' names, *remains* in that of positions."""
    digests = {"snapshot": _digest(rows), "remains": _digest(remains)}
    return Statement(position=position, hash=hash.hex(), at=at, **digests)


def _digest(rows: Iterable[msgspec.Struct]) -> str:
    """That of the table with these rows, see `hubbub.keeping.files.Table`."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(msgspec.json.encode(row) + b"\n")
    return digest.hexdigest()


async def problems(connection: Connection, vault: Vault, snapshot: Snapshot) -> list[str]:
    """What is wrong with it, a sentence each."""
    found = []
    horizon = snapshot.horizon
    if not snapshot.signed.is_genuine():
        found.append(f"the snapshot at {horizon.position} does not have the signature of {snapshot.signed.key}")
    if (ours := await signing.known(connection, vault)) != snapshot.signed.key:
        found.append(f"the snapshot at {horizon.position} was signed with {snapshot.signed.key}, our key is {ours}")
    again = stated(horizon.position, bytes.fromhex(horizon.hash), horizon.at, snapshot.rows, snapshot.remains)
    if again != horizon:
        found.append(f"the snapshot at {horizon.position} was changed after it was signed")
    return found + await _remaining(connection, snapshot.remains)


async def _remaining(connection: Connection, remains: Sequence[Remaining]) -> list[str]:
    found = []
    for start in range(0, len(remains), 5000):
        some = {each.position: each.previous for each in remains[start : start + 5000]}
        rows = await connection.fetch(f"select {COLUMNS} from events where position = any($1)", list(some))
        events = {record.position: record for record in map(recorded, rows)}
        found += [sentence for position in some if (sentence := _wrong(events.get(position), position, some))]
    return found


def _wrong(record: Recorded | None, position: int, previous: dict[int, bytes]) -> str:
    if record is None:
        return f"event {position} should have stayed when the log was archived"
    if record.digest(previous[position]) != record.hash:
        return f"event {position} ({record.stream} {record.type}) was changed after it was written"
    return ""


async def write(connection: Connection, snapshot: Snapshot, folder: str) -> None:
    """From the commit on, the log begins after this horizon; *connection* is its owner's. *folder*: of the archive."""
    await connection.execute("delete from snapshot")
    await connection.execute("delete from remains")
    columns = ["stream", "number", "version", "position", "state", "person", "sealed"]
    await connection.copy_records_to_table("snapshot", records=map(_tuple, snapshot.rows), columns=columns)
    await connection.copy_records_to_table(
        "remains", records=map(_tuple, snapshot.remains), columns=["position", "previous"]
    )
    horizon, signed = snapshot.horizon, snapshot.signed
    await connection.execute(
        "insert into archives (position, statement, signature, key, folder) values ($1, $2, $3, $4, $5)",
        horizon.position,
        msgspec.json.encode(horizon).decode(),
        signed.signature,
        signed.key,
        folder,
    )
    await connection.execute("update log_head set oldest = $1", horizon.position + 1)
    await connection.execute("update history.beginning set at = greatest(at, $1)", horizon.at)


def _tuple(row: msgspec.Struct) -> tuple[Any, ...]:
    return msgspec.structs.astuple(row)
