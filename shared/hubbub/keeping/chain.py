"""Backups and archives of one log, put together: which of their files have its events, from where to where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hubbub.eventlog import Recorded
from hubbub.keeping import files
from hubbub.keeping.files import Manifest, Mark, Segment
from hubbub.keeping.refused import Refused


@dataclass(frozen=True)
class Piece:
    """A folder, and what its manifest says."""

    folder: Path
    manifest: Manifest


@dataclass(frozen=True)
class Chain:
    """`newest`: the backup that has vault and facts. `begins`: what its first event follows."""

    pieces: Sequence[Piece]
    newest: Piece
    begins: Mark

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> "Chain":
        """Raises `Refused` if they do not go together."""
        backups = [piece for piece in pieces if piece.manifest.kind == "backup"]
        if not backups:
            raise Refused("an archive has no vault: name a backup, too")
        newest = max(backups, key=lambda piece: (piece.manifest.ends.position, piece.manifest.made_at))
        if {piece.manifest.key for piece in pieces} != {newest.manifest.key}:
            raise Refused("these are of different hubs: they were not signed with one key")
        # Its own first: where logs have parted, it is the newest that counts.
        ordered = [newest, *(piece for piece in pieces if piece is not newest)]
        is_all_there = any(segment.first == 1 for piece in ordered for segment in piece.manifest.segments)
        return cls(ordered, newest, Mark() if is_all_there else newest.manifest.horizon)

    def events(self) -> Iterator[list[Recorded]]:
        """All of them in order, up to the end of the newest backup. Raises `Refused`, `files.Damaged`."""
        position = self.begins.position
        while position < self.newest.manifest.ends.position:
            piece, segment = self._next(position + 1)
            for records in files.read_events(piece.folder, segment):
                if wanted := [record for record in records if record.position > position]:
                    yield wanted
            position = segment.last

    def _next(self, position: int) -> tuple[Piece, Segment]:
        for piece in self.pieces:
            for segment in piece.manifest.segments:
                if segment.first <= position <= segment.last:
                    return piece, segment
        raise _missing(position, self.newest.manifest.ends.position)


def _missing(first: int, last: int) -> Refused:
    return Refused(f"events from {first} to {last} are in none of these: name the backup or archive that has them, too")
