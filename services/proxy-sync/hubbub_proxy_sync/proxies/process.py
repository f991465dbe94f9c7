"""A proxy's process, which outlives us, and the record by which the next proxy-sync finds it."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec

#: Waits for a line before it becomes the program: if we die before its record is written, so does it.
_GATE = 'umask "$1" && shift && read -r _ && exec "$@" </dev/null'


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """`start_time`: in clock ticks since the boot, so that a pid that is used again is not taken for ours.

    `arguments`: what it was started with, `mark`: what its files were then; a change of these needs another process.
    """

    pid: int
    start_time: int
    boot: str = ""
    arguments: tuple[str, ...] = ()
    mark: str = ""

    @classmethod
    def of(cls, pid: int, arguments: tuple[str, ...], mark: str = "") -> "Record":
        """Of a live process."""
        return cls(pid=pid, start_time=_start_time(pid) or 0, boot=_boot(), arguments=arguments, mark=mark)

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, path: Path) -> None:
        part = path.with_name(f"{path.name}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(self))
        part.replace(path)


class Running:
    """A live process. `gone` is set the moment that it ends, whoever's child it is."""

    def __init__(self, pid: int, arguments: tuple[str, ...], mark: str = "") -> None:
        self.pid = pid
        self.arguments = arguments
        self.mark = mark
        self.gone = asyncio.Event()
        self._fd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._fd, self._ended)

    async def end(self, grace: float = 5.0) -> None:
        """Ask it to end, kill it after *grace* seconds. Returns when it is gone."""
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.gone.wait()
        self._signal(signal.SIGKILL)
        await self.gone.wait()

    def let_go(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _signal(self, number: signal.Signals) -> None:
        if not self.gone.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    def _ended(self) -> None:
        self.let_go()
        with suppress(ChildProcessError):  # an earlier self's child
            os.waitpid(self.pid, os.WNOHANG)
        self.gone.set()


@contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Whether nobody else is in here, by the file *lock*, for as long as we are; who dies is not here any more."""
    lock.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


class Program:
    """How to run the proxy. *environment* is all that it is given, *record* where its process is noted, *mark* changes
    when the files do that it reads at its start.
    """

    def __init__(
        self,
        command: Sequence[str],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        record: Path,
        log: Path,
        umask: int = 0o077,
        mark: str = "",
    ) -> None:
        self.command = tuple(command)
        self.arguments = tuple(arguments)
        self.log = log
        self.mark = mark
        self._umask = umask
        self._environment = dict(environment)
        self._record = record

    def alone(self) -> AbstractContextManager[bool]:
        """Whether no other proxy-sync is about to find or begin it: two of them must not share its ports."""
        return alone(self._record.with_suffix(".lock"))

    def find(self) -> Running | None:
        """The process that an earlier self has started, if it lives."""
        record = Record.read(self._record)
        if record is None or record.boot != _boot():
            return None
        try:
            running = Running(record.pid, record.arguments, record.mark)
        except OSError:
            return None
        # Compared after the pidfd is open: from here on it cannot become another process.
        if _start_time(record.pid) == record.start_time:
            return running
        running.let_go()
        return None

    def is_of(self, running: Running) -> bool:
        """Whether it would be the same if it was started now."""
        return (running.arguments, running.mark) == (self.arguments, self.mark)

    def begin(self) -> Running:
        """Start it, in a session of its own."""
        for folder in (self._record.parent, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        gate, opener = os.pipe()
        try:
            pid = self._spawn(gate)
            running = Running(pid, self.arguments, self.mark)
            Record.of(pid, self.arguments, self.mark).write(self._record)
            os.write(opener, b"\n")
        finally:
            os.close(gate)
            os.close(opener)
        return running

    def _spawn(self, gate: int) -> int:
        # Not by asyncio, whose transports kill their process when they are closed.
        return os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", "-c", _GATE, "proxy", f"{self._umask:04o}", *self.command, *self.arguments],
            self._environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, gate, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM),
        )


def _start_time(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name in the second field may itself hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
