"""Fixtures: a bus of one's own, and real proxies."""

import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from hubbub.bus import connect
from hubbub.testing.nats import NatsServer
from hubbub_local.services import proxy_command
from hubbub_proxy_sync.proxies.process import Program, Record
from hubbub_proxy_sync.testing import FakeHouse

TOKEN = "token-of-the-proxy"


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def chp_program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Makes programs that run a real proxy; whatever they have started is ended after the test."""
    command = json.loads(os.environ.get("HUBBUB_CHP_COMMAND") or proxy_command())
    record = tmp_path / "run" / "proxy.json"

    def make(port: int, api_port: int, **changed: str) -> Program:
        arguments = {"ip": "127.0.0.1", "port": str(port), "api-ip": "127.0.0.1", "api-port": str(api_port), **changed}
        return Program(
            command,
            [argument for name, value in arguments.items() for argument in (f"--{name}", value)],
            {"PATH": os.environ["PATH"], "CONFIGPROXY_AUTH_TOKEN": TOKEN},
            record=record,
            log=tmp_path / "log" / "proxy.log",
        )

    yield make
    if (left := Record.read(record)) and Path(f"/proc/{left.pid}").exists():
        os.kill(left.pid, signal.SIGKILL)


@pytest.fixture
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
            return port

    return find


@pytest.fixture
async def house(nats: NatsServer) -> AsyncIterator[FakeHouse]:
    async with connect(nats.url("api"), "api-1") as bus:
        house = FakeHouse(bus)
        await house.answer()
        yield house
