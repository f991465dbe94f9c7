"""The embedded NATS: JetStream in the data folder, and each user within its subjects."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client

from hubbub_local import ports
from hubbub_local.folder import Folder
from hubbub_local.nats import Nats
from hubbub_local.ports import Wish
from hubbub_local.supervisor import Supervisor
from hubbub_local.testing import Changes

PERMISSIONS = {
    "api": {"publish": [">"], "subscribe": [">"]},
    "poller": {"publish": ["hub.liveness.>"], "subscribe": []},
}


@pytest.fixture
def server(data: Folder) -> Nats:
    port = ports.choose(data, {"nats": Wish(what="NATS")})["nats"]
    return Nats(folder=data, port=port)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[Client, asyncio.Queue[str]]]:
    """A client, and what the server refused it."""
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def on_error(error: Exception) -> None:
        refused.put_nowait(str(error))

    client = await nats.connect(url, error_cb=on_error, reconnect_time_wait=0.05)
    yield client, refused
    await client.close()


async def test_a_stream_survives_a_kill(server: Nats, changes: Changes) -> None:
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare(PERMISSIONS)).first_up()
        async with connected(server.url("api")) as (client, _):
            await client.jetstream().add_stream(name="EVENTS", subjects=["hub.event.>"])
            await client.jetstream().publish("hub.event.user.1", b"made")
        os.kill((await changes.until("nats", "up")).pid or 0, signal.SIGKILL)
        await changes.until("nats", "up")
        async with connected(server.url("api")) as (client, _):
            assert (await client.jetstream().stream_info("EVENTS")).state.messages == 1


async def test_a_user_has_its_own_subjects_and_no_others(server: Nats, changes: Changes) -> None:
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare(PERMISSIONS)).first_up()
        async with connected(server.url("poller")) as (client, refused):
            await client.publish("hub.liveness.worker-1")
            await client.flush()
            await client.publish("hub.event.user.1")
            assert 'publish to "hub.event.user.1"' in await asyncio.wait_for(refused.get(), 20)
            await client.subscribe("hub.event.>")
            assert 'subscription to "hub.event.>"' in await asyncio.wait_for(refused.get(), 20)


async def test_nobody_comes_in_without_a_password(server: Nats, changes: Changes) -> None:
    async with Supervisor(server.folder, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare(PERMISSIONS)).first_up()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert (await reader.readline()).startswith(b"INFO ")
        writer.write(b'CONNECT {"user": "api", "pass": "guess"}\r\n')
        said = await reader.read()
        writer.close()
    assert b"Authorization Violation" in said


def test_the_file_with_the_passwords_is_its_owners_alone(server: Nats) -> None:
    server.prepare(PERMISSIONS)
    assert (server.folder.root / "nats-users.conf").stat().st_mode & 0o777 == 0o600
