"""The hub on a Postgres and a NATS that are not its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks import five_checks
from hubbub import schema
from hubbub.free_port import free_port
from hubbub.testing.postgres import PASSWORDS, PostgresServer
from stack import hub


@pytest.fixture
async def nats_url(tmp_path: Path) -> AsyncIterator[str]:
    """A nats-server as somebody else would run it: JetStream, one user."""
    port = free_port()
    program = str(Path(sys.executable).parent / "nats-server")
    where = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path / "jetstream")]
    server = await asyncio.create_subprocess_exec(
        program, *where, "--user", "ours", "--pass", "secret", stderr=asyncio.subprocess.DEVNULL
    )
    yield f"nats://ours:secret@127.0.0.1:{port}"
    server.terminate()
    await server.wait()


async def test_outside_servers_are_used_and_left_running(
    tmp_path: Path, postgres: PostgresServer, nats_url: str
) -> None:
    database = postgres.make_empty()
    outside = ["--postgres", database.owner_dsn, "--nats", nats_url]
    try:
        async with hub(tmp_path / "data", more=outside) as house:
            assert not [line for line in house.lines if line.startswith(("postgres:", "nats:"))]
            await house.user("ada")
            assert (await house.api("POST", "/users/ada/server"))[0] == 201
            assert await house.standin("ada")
            await five_checks(house)
            await house.stop()
            await house.start()
            assert (await house.model("ada"))["servers"][""]["stopped"] is True
    finally:
        # The roles are the cluster's: the other tests know them by their own passwords.
        await schema.migrate(database.owner_dsn, PASSWORDS)
        postgres.drop(database)


async def test_what_cannot_be_reached_is_named(tmp_path: Path, postgres: PostgresServer) -> None:
    database = postgres.make_empty()
    house_with = hub(tmp_path / "data", more=["--postgres", database.owner_dsn, "--nats", "nats://127.0.0.1:1"])
    with pytest.raises(AssertionError, match="cannot reach the NATS server"):
        async with house_with:
            pass
    await schema.migrate(database.owner_dsn, PASSWORDS)
    postgres.drop(database)
