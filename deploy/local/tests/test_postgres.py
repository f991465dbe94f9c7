"""The embedded Postgres starts, stops and recovers, whatever was left of the last run."""

import asyncio
import os
import signal

import asyncpg
import pytest

from hubbub_local import identity, ports
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.ports import Wish
from hubbub_local.postgres import Postgres
from hubbub_local.program import LogPart
from hubbub_local.supervisor import Supervisor
from hubbub_local.testing import Changes


@pytest.fixture
def server(data: Folder) -> Postgres:
    port = ports.choose(data, {"postgres": Wish(what="Postgres")})["postgres"]
    return Postgres(folder=data, port=port, password="pass:word/@é")


async def remember(server: Postgres, word: str) -> None:
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
    await connection.execute("INSERT INTO words VALUES ($1)", word)
    await connection.close()


async def words(server: Postgres) -> list[str]:
    connection = await asyncpg.connect(server.dsn)
    found = await connection.fetch("SELECT word FROM words")
    await connection.close()
    return [row["word"] for row in found]


async def test_what_was_written_is_there_after_a_restart(server: Postgres, changes: Changes) -> None:
    for word in ("first", "second"):
        async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
            await house.start(server.prepare()).first_up()
            await server.make_database()
            await remember(server, word)
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare()).first_up()
        assert await words(server) == ["first", "second"]


async def test_a_killed_server_comes_back_with_all_that_was_committed(server: Postgres, changes: Changes) -> None:
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare()).first_up()
        await server.make_database()
        await remember(server, "kept")
        os.kill((await changes.until("postgres", "up")).pid or 0, signal.SIGKILL)
        await changes.until("postgres", "up")
        assert await words(server) == ["kept"]


async def test_a_server_left_running_by_a_killed_stack_gives_way(server: Postgres, changes: Changes) -> None:
    program = server.prepare()
    left = await asyncio.create_subprocess_exec(*program.command)
    async with asyncio.timeout(20):
        while not await program.is_ready(LogPart(server.folder.logs / "postgres.log", 0)):
            await asyncio.sleep(0.01)
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare()).first_up()
        assert await left.wait() == 0
        await server.make_database()


async def test_the_pid_of_another_program_in_the_pid_file_is_no_obstacle(server: Postgres, changes: Changes) -> None:
    program = server.prepare()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(program).first_up()


async def test_nobody_comes_in_without_the_password(server: Postgres, changes: Changes) -> None:
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare()).first_up()
        for host in ("127.0.0.1", str(server.data)):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(host=host, port=server.port, user="hub", password="guess", database="postgres")
        with pytest.raises(StackError, match=r"secrets\.json does not hold the password"):
            await Postgres(folder=server.folder, port=server.port, password="lost").make_database()


async def test_a_path_too_long_for_a_socket_does_without(data: Folder, changes: Changes) -> None:
    deep = Folder(data.root / ("d" * 100))
    for part in (deep.root, deep.logs, deep.run):
        part.mkdir()
    server = Postgres(
        folder=deep, port=ports.choose(data, {"postgres": Wish(what="Postgres")})["postgres"], password="p"
    )
    async with Supervisor(deep, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare()).first_up()
        await server.make_database()


def test_a_half_made_cluster_is_made_again(server: Postgres) -> None:
    half = server.data.with_name("postgres.init")
    half.mkdir()
    (half / "PG_VERSION").write_text("18")
    server.prepare()
    assert (server.data / "postgresql.conf").exists()
    assert not half.exists()


def test_the_data_of_another_major_version_is_refused(server: Postgres) -> None:
    server.data.mkdir()
    (server.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(StackError, match="was made by Postgres 15, and this Hubbub brings Postgres 18"):
        server.prepare()


async def test_an_error_is_logged_without_the_statement_and_its_values(server: Postgres, changes: Changes) -> None:
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare()).first_up()
        await server.make_database()
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("CREATE TABLE names (name text PRIMARY KEY); INSERT INTO names VALUES ('secret-1')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO names VALUES ('secret-1') -- secret-2")
        await connection.close()
    log = (server.folder.logs / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "secret" not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is not itself")
def test_a_root_without_user_namespaces_that_nobody_can_reach_is_told_what_to_do(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = identity._works
    monkeypatch.setattr(identity, "_works", lambda kind, *rest: kind != "namespace" and works(kind, *rest))
    server.folder.root.parent.chmod(0o700)
    with pytest.raises(
        StackError, match=r"Postgres refuses to run as root.* give a Postgres of your own by --postgres"
    ):
        server.prepare()
