"""What this worker has running on its host, one file a workload, so that it is found again after any death.

A worker holds a lock on its folder for its life. Whoever gets the lock of another knows that it is dead,
and takes over its files.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import structlog

from hubbub import subjects
from hubbub.rpc import Spec

log = structlog.get_logger()


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt of one server. `pid` is null where the spawner has no process here.

    `start_time` is in clock ticks since the boot (field 22 of /proc/<pid>/stat). `sealed`: the spawner's
    state under the bus key, if there is more to it than the pid. `cgroups`: the folders of those it is in.
    """

    server: str
    attempt: int
    spec: Spec
    url: str
    boot_id: str
    uid: int = -1
    pid: int | None = None
    start_time: int = 0
    port: int = 0
    sealed: str = ""
    cgroups: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        return self.server, self.attempt


class Lock:
    """An exclusive lock on a file that ends with the process, whatever kills it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def take(self) -> bool:
        """Whether it is ours now; never waits."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Spool:
    """The files of one worker, below those of its host."""

    def __init__(self, house: Path, worker: str) -> None:
        """*house*: the folder of all workers of this host."""
        self.house = house
        self._folder = house / worker
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock = Lock(house / f"{worker}.lock")

    def write(self, record: Record) -> None:
        """All or nothing. No fsync: what a power cut loses had its process killed by it."""
        path = self._path(record.server, record.attempt)
        unfinished = path.with_suffix(".tmp")
        file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, msgspec.json.encode(record))
        finally:
            os.close(file)
        unfinished.rename(path)

    def read(self, server: str, attempt: int) -> Record | None:
        return _read(self._path(server, attempt))

    def knows(self, server: str, attempt: int) -> bool:
        """Whether any worker of this host has something of it."""
        name = self._path(server, attempt).name
        return any(self.house.glob(f"*/{name}"))

    def remove(self, server: str, attempt: int) -> None:
        self._path(server, attempt).unlink(missing_ok=True)

    def records(self, but: Callable[[str], bool] = lambda _: False) -> list[Record]:
        """All of them, *but* those of whose file it says so: opening thousands of files costs more than their names."""
        paths = [path for path in self._folder.iterdir() if path.suffix == ".json" and not but(path.name)]
        return [record for path in sorted(paths) if (record := _read(path))]

    def dead_colleagues(self) -> Iterator[Lock]:
        """Take the files of each worker of this host that is dead.

        Yields its lock, taken: release it once what was found is reported, for until then its next self
        must not say that it has nothing.
        """
        for path in sorted(self.house.glob("*.lock")):
            folder = path.with_suffix("")
            if folder == self._folder or not any(folder.glob("*.json")):
                continue
            lock = Lock(path)
            if lock.take():
                self._move_from(folder)
                yield lock

    def ports(self) -> set[int]:
        """Those of all workloads of this host, whoever holds them."""
        return {record.port for path in self.house.glob("*/*.json") if (record := _read(path)) and record.port}

    def names(self) -> set[str]:
        """Of all attempts of this host that there is a file of, readable or not: `<server>.<attempt>`."""
        return {path.name.split(".json")[0].removesuffix(".tmp") for path in self.house.glob("*/*")}

    def _move_from(self, folder: Path) -> None:
        for path in folder.glob("*.json"):
            path.rename(self._folder / path.name)

    def _path(self, server: str, attempt: int) -> Path:
        return self._folder / name_of(server, attempt)


def name_of(server: str, attempt: int) -> str:
    """Of the file that an attempt has."""
    return f"{subjects.token(server)}.{attempt}.json"


def _read(path: Path) -> Record | None:
    """None if it is not there (any more). Nonsense is put aside under another name, for a person to look at."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        aside = path.with_name(f"{path.name}.bad")
        log.warning("spool.unreadable", path=str(path), moved_to=str(aside), error=str(error))
        with suppress(FileNotFoundError):
            path.rename(aside)
        return None
