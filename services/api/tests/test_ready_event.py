"""The last event of a start as the operator's hook has made it, asked of a real bus."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from hubbub.bus import STREAMS, Bus, connect
from hubbub.config import Options
from hubbub.domain.server_states import Stopped
from hubbub.rpc import READY_EVENT
from hubbub.testing.nats import NatsServer
from hubbub_api import ready_event
from hubbub_api.rows import ServerRow

STATE = Stopped(user="u", name="", attempt=3)
SERVER = ServerRow(
    id="s", number=1, user_id="u", owner="ada", state=STATE, ready=True, last_activity=None, options=None
)
HOOKED = {"progress": 100, "ready": True, "message": "come in", "url": "/user/ada/lab"}


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    """The api's."""
    async with connect(nats.url("api"), "api-1") as bus:
        yield bus


@pytest.fixture
async def worker(nats: NatsServer, bus: Bus) -> AsyncIterator[Bus]:
    """The bus of a worker, which publishes what spawners say."""
    await bus.ensure_streams(STREAMS)
    async with connect(nats.url("pool-default"), "worker-1") as worker:
        yield worker


async def says(worker: Bus, frame: dict[str, Any], attempt: int = 3) -> None:
    await worker.client.publish(f"hub.progress.s.{attempt}", json.dumps(frame).encode())
    await worker.client.flush()


async def test_what_the_hook_said_last_is_found(bus, worker):
    await says(worker, {"progress": 50, "message": "half"})
    await says(worker, {READY_EVENT: {"message": "of an earlier attempt"}}, attempt=2)
    await says(worker, {READY_EVENT: {"message": "come in", "url": "/user/ada/lab"}})
    assert await ready_event.of(bus, SERVER) == HOOKED


@pytest.mark.parametrize(
    "frames", [[], [{"progress": 50, "ready": True, "message": "half"}], [{READY_EVENT: "no object"}]]
)
async def test_what_was_not_said_or_is_no_event_is_not_found(bus, worker, frames):
    for frame in frames:
        await says(worker, frame)
    assert await ready_event.of(bus, SERVER) is None


async def test_before_there_is_a_stream_nothing_is_found(bus):
    assert await ready_event.of(bus, SERVER) is None


def test_nobody_is_asked_unless_there_is_a_hook():
    assert not ready_event.is_hooked(Options(Config({"Spawner": {"start_timeout": 3}})))
    assert ready_event.is_hooked(Options(Config({"SimpleLocalProcessSpawner": {"progress_ready_hook": print}})))
