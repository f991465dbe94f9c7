"""The data folder: one hub's users, servers, history and secrets, used by one `hubbub up` at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hubbub_local.errors import StackError

LAYOUT = 1
"""The version of the folder's layout: what is where, not what is in the database."""


@dataclass(frozen=True)
class Folder:
    """Where everything of one hub is."""

    root: Path

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def login_password(self) -> Path:
        return self.root / "login-password"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def stack(self) -> Path:
        """Where the running stack says how to reach it."""
        return self.run / "stack.json"


@contextmanager
def take(root: Path) -> Iterator[Folder]:
    """The data folder, made if need be, and ours until the block ends or this process dies."""
    folder = Folder(root.absolute())
    try:
        folder.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(f"cannot use the data folder {folder.root}: {error.strerror}") from None
    try:
        _lock(folder, lock)
        _check_version(folder)
        for part in (folder.logs, folder.run):
            part.mkdir(exist_ok=True, mode=0o700)
        yield folder
    finally:
        os.close(lock)


def write_private(path: Path, text: str) -> None:
    """The file as a whole or not at all, readable by its owner alone."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)


def _lock(folder: Folder, lock: int) -> None:
    """An flock, because the kernel lets go of it however the holder dies."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
        raise StackError(
            f"the data folder {folder.root} is in use by another hubbub (process {holder or 'unknown'}):"
            " stop that one first, or name another folder with --data"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _check_version(folder: Folder) -> None:
    path = folder.root / "version"
    if not path.exists():
        if foreign := sorted(
            entry.name for entry in folder.root.iterdir() if entry.name not in {"lock", "version.part"}
        ):
            raise StackError(
                f"{folder.root} is not a data folder of Hubbub: it has no version file and already holds {foreign[0]};"
                " name an empty or new folder with --data"
            )
        write_private(path, f"{LAYOUT}\n")
    layout(folder.root)


def layout(root: Path) -> int:
    """The version of a data folder's layout. Raises StackError if this release does not know it."""
    path = root / "version"
    text = path.read_text().strip()
    if not text.isdigit():
        raise StackError(f"{path} should hold a number and holds {text[:40]!r}")
    if int(text) > LAYOUT:
        raise StackError(
            f"the data folder {root} has layout version {text}, and this Hubbub knows versions up to {LAYOUT}:"
            " start it with the newer Hubbub that made it"
        )
    return int(text)
