"""Fixtures for the tests of all packages: the Postgres of the wheel, and a database of its own for each test."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hubbub.free_port import free_port
from hubbub.testing.postgres import Database, PostgresServer
from hubbub_local.folder import take
from hubbub_local.postgres import Postgres

# Suites that several modules share say what they expected, too.
pytest.register_assert_rewrite("login_abilities", "login_suite", "spawner_suite")
pytest.register_assert_rewrite("proxy_hosts", "proxy_life", "proxy_paths", "proxy_streams", "proxy_traffic")
pytest.register_assert_rewrite("proxy_rig", "route_clients", "route_faults")

#: What makes a throw-away server quick; a power cut in the middle of a test may cost it its data.
#: Commits are waited for, though: until they are written, vacuum cannot say of rows that all see them, and what a read
#: costs would depend on the moment.
QUICK = ("fsync=off", "full_page_writes=off", "max_connections=200")

IN_MEMORY = Path("/dev/shm")
PREFIX = "hubbub-tests-"
ENOUGH = 2 * 1024**3


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A running Postgres with a migrated template, for as long as the tests run."""
    with _quick_folder(tmp_path_factory) as root, take(root) as folder:
        server = Postgres(folder=folder, port=free_port(), password="password-of-the-owner")
        program = server.prepare()
        settings = [argument for setting in QUICK for argument in ("-c", setting)]
        with (folder.logs / "postgres.log").open("ab") as log:
            process = subprocess.Popen([*program.command, *settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_until_ready(server, process)
            yield PostgresServer(f"{server.dsn.rpartition('/')[0]}/postgres")
        finally:
            process.send_signal(program.stop_signal)
            process.wait()


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    """A migrated database that no other test sees."""
    made = postgres.make()
    yield made
    postgres.drop(made)


@contextmanager
def _quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In memory if there is plenty: a database is made in a tenth of the time there."""
    if not IN_MEMORY.is_dir() or shutil.disk_usage(IN_MEMORY).free < ENOUGH or not os.access(IN_MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("postgres")
        return
    for left_over in IN_MEMORY.glob(f"{PREFIX}*"):  # by a run that was killed
        if not Path("/proc", left_over.name.removeprefix(PREFIX)).exists():
            shutil.rmtree(left_over, ignore_errors=True)
    folder = IN_MEMORY / f"{PREFIX}{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(server: Postgres, process: "subprocess.Popen[bytes]") -> None:
    pid_file = server.data / "postmaster.pid"
    for _ in range(3000):
        if pid_file.exists() and [line.strip() for line in pid_file.read_text().splitlines()[7:]] == ["ready"]:
            return
        if process.poll() is not None:
            break
        time.sleep(0.01)  # it tells nobody but this file
    pytest.fail(f"Postgres did not start: see {server.folder.logs / 'postgres.log'}", pytrace=False)
