"""A piece of the log in files: segments of events, tables, and a signed manifest that names and proves them all.

A folder is whole once it has a manifest, which is written last and as a whole. Nothing in it needs a database to be
checked: every file has its SHA-256 in the manifest, every event its hash over the one before, and the manifest its
signature (`manifest.sig`, Ed25519 over the bytes of `manifest.json`).
"""

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hubbub import __version__
from hubbub.eventlog import Recorded

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
#: Events in a file, and how much is squeezed out of it: more would take longer than it saves.
IN_A_SEGMENT = 100_000
_LEVEL = 4


class Damaged(Exception):
    """These files are not what the manifest says, or what the hub has signed."""


class Mark(msgspec.Struct, frozen=True):
    """A place in a log. `hash`: of the event at `position`, in hexadecimal; "" before the first. `at`: its time."""

    position: int = 0
    hash: str = ""
    at: datetime | None = None


class Segment(msgspec.Struct, frozen=True):
    """Events in order, a JSON object a line, in a gzip file."""

    file: str
    first: int
    last: int
    hash: str
    sha256: str


class Table(msgspec.Struct, frozen=True):
    """Rows, a JSON object a line, in a gzip file. `digest`: SHA-256 of the lines; `sha256`: of the file."""

    name: str
    file: str
    rows: int
    digest: str
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`begins`: what the first event follows; `ends`: the last. `key`: whose signature it is, in hexadecimal.

    `horizon`: of a backup, up to where the hub had put its log into archives. `migration`: of the database. `kind`:
    "backup" or "archive".
    """

    kind: str
    epoch: str
    made_at: datetime
    begins: Mark
    ends: Mark
    segments: list[Segment]
    tables: list[Table]
    key: str
    migration: int
    horizon: Mark = Mark()
    release: str = __version__
    format: int = FORMAT

    def table(self, name: str) -> Table | None:
        return next((table for table in self.tables if table.name == name), None)


# Writing -----------------------------------------------------------------------------------


def make(folder: Path) -> None:
    """A folder that is nobody else's to read, if there is none yet."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def is_whole(folder: Path) -> bool:
    """Whether it has a manifest."""
    return (folder / MANIFEST).exists()


class Lines:
    """A gzip file of lines, named only when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._raw = os.fdopen(descriptor, "w+b")
        # Without a time in it, the same rows are the same file.
        self._zip = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=self._raw, mtime=0)
        self.digest = hashlib.sha256()
        self.rows = 0

    def write(self, rows: Iterable[Any]) -> None:
        lines = [msgspec.json.encode(row) for row in rows]
        if lines:
            data = b"\n".join(lines) + b"\n"
            self.digest.update(data)
            self._zip.write(data)
            self.rows += len(lines)

    def table(self, name: str) -> Table:
        """All that was written, as the table *name*."""
        sha256 = self.end()
        return Table(name, self._path.name, self.rows, self.digest.hexdigest(), sha256)

    def end(self) -> str:
        """The SHA-256 of the file."""
        self._zip.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.seek(0)
        found = hashlib.file_digest(self._raw, "sha256").hexdigest()
        self._raw.close()
        self._part.replace(self._path)
        return found


class Segments:
    """Writes events into *folder*, which follow *begins*. Raises `Damaged` for one that does not fit."""

    def __init__(self, folder: Path, begins: Mark, size: int = IN_A_SEGMENT) -> None:
        self._folder = folder
        self._size = size
        self.begins = self.ends = begins
        self._first = 0
        self._open: Lines | None = None
        self.written: list[Segment] = []

    def write(self, records: Sequence[Recorded]) -> None:
        """The next ones."""
        for start in range(0, len(records), 1000):
            self._write(records[start : start + 1000])

    def _write(self, records: Sequence[Recorded]) -> None:
        self.ends = follow(self.ends, records)
        if self._open is None:
            self._first = records[0].position
            self._open = Lines(self._folder / f"events-{self._first:012}.jsonl.gz")
        self._open.write(records)
        if self._open.rows >= self._size:
            self.end()

    def end(self) -> None:
        """What was written last is a whole file."""
        if self._open is None:
            return
        name = f"events-{self._first:012}.jsonl.gz"
        sha256 = self._open.end()
        self.written.append(Segment(name, self._first, self.ends.position, self.ends.hash, sha256))
        self._open = None


def write_table(folder: Path, name: str, rows: Iterable[Any]) -> Table:
    lines = Lines(folder / f"{name}.jsonl.gz")
    lines.write(rows)
    return lines.table(name)


def write_manifest(folder: Path, manifest: Manifest, key: Ed25519PrivateKey) -> None:
    """The last thing: now the folder is whole. The signature goes first, and is of the manifest to come."""
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    _replace(folder / (SIGNATURE + ".next"), key.sign(data).hex().encode() + b"\n")
    _replace(folder / MANIFEST, data)
    (folder / (SIGNATURE + ".next")).replace(folder / SIGNATURE)
    sync(folder)


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Names that were given in *folder* are there after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Reading -----------------------------------------------------------------------------------


def read_manifest(folder: Path, key: str = "") -> Manifest:
    """Raises `Damaged` if there is none, or none that *key* (by default: the one that it names) has signed."""
    try:
        data = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(data, type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise Damaged(f"{folder} is no backup and no archive: {error}") from None
    if manifest.format != FORMAT:
        raise Damaged(f"{folder} has the format {manifest.format}, this release knows {FORMAT}")
    if key and key != manifest.key:
        raise Damaged(f"{folder} was signed with the key {manifest.key}, not with {key}")
    if not any(_signed(folder / name, data, manifest.key) for name in (SIGNATURE, SIGNATURE + ".next")):
        raise Damaged(f"the manifest of {folder} does not have the signature of {manifest.key}")
    return manifest


def _signed(signature: Path, data: bytes, key: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature.read_text()), data)
    except (OSError, ValueError, InvalidSignature):
        return False
    return True


def read_events(folder: Path, segment: Segment, *, proved: bool = False) -> Iterator[list[Recorded]]:
    """Some thousand at a time. Raises `Damaged` if it is not the file that the manifest means (unless *proved*)."""
    yield from _read(folder / segment.file, "" if proved else segment.sha256, _EVENT)


def read_table(folder: Path, table: Table) -> Iterator[list[Any]]:
    yield from _read(folder / table.file, table.sha256, _ANYTHING)


_EVENT = msgspec.json.Decoder(Recorded)
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def _read(path: Path, sha256: str, decoder: msgspec.json.Decoder[Any]) -> Iterator[list[Any]]:
    try:
        with path.open("rb") as file:
            if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise Damaged(f"{path} was changed after it was written")
            file.seek(0)
            with gzip.GzipFile(fileobj=file) as lines:
                found = []
                for line in lines:
                    found.append(decoder.decode(line))
                    if len(found) == 5000:
                        yield found
                        found = []
                if found:
                    yield found
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise Damaged(f"{path} cannot be read: {error}") from None


def follow(mark: Mark, records: Sequence[Recorded]) -> Mark:
    """The place of the last of *records*, which follow *mark*. Raises `Damaged` if they do not, or were changed."""
    position, previous, at = mark.position, bytes.fromhex(mark.hash), mark.at
    for record in records:
        if record.position != position + 1:
            raise Damaged(f"the log has a gap: {record.position} follows {position}")
        if record.digest(previous) != record.hash:
            raise Damaged(f"event {record.position} ({record.stream} {record.type}) was changed after it was written")
        position, previous, at = record.position, record.hash, record.recorded_at
    return Mark(position, previous.hex(), at)


def check(folder: Path, key: str = "", after: int = 0) -> Manifest:
    """Everything in *folder*, against its manifest, and that against *key*. Raises `Damaged`.

    *after*: events up to that position were checked before.
    """
    manifest = read_manifest(folder, key)
    mark = manifest.begins
    for segment in manifest.segments:
        if segment.last <= after:
            mark = Mark(segment.last, segment.hash)
            continue
        for records in read_events(folder, segment):
            mark = follow(mark, records)
        if (mark.position, mark.hash) != (segment.last, segment.hash):
            raise Damaged(f"{segment.file} ends at {mark.position}, and should end at {segment.last}")
    if (mark.position, mark.hash) != (manifest.ends.position, manifest.ends.hash):
        raise Damaged(f"{folder} ends at {mark.position}, and should end at {manifest.ends.position}")
    for table in manifest.tables:
        for _ in read_table(folder, table):
            pass
    return manifest
