"""Fixtures: a bus of one's own, and real proxies."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hubbub import free_port as ports
from hubbub.bus import connect
from hubbub.testing.nats import NatsServer
from hubbub_local.services import proxy_command
from hubbub_proxy_sync.proxies import ConfigurableHTTPProxy
from hubbub_proxy_sync.proxies.process import Record
from hubbub_proxy_sync.proxies.site import Site
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
def chp(tmp_path: Path) -> Iterator[Callable[..., ConfigurableHTTPProxy]]:
    """Makes drivers of a real proxy, with the API's scheme, what the site has and options; whatever they have started
    is ended after the test.
    """
    command = json.loads(os.environ.get("HUBBUB_CHP_COMMAND") or proxy_command())

    def make(port: int, api_port: int, *, scheme: str = "http", site: Any = None, **options: Any) -> Any:
        usual = {
            "name": "one",
            "bind_url": f"http://127.0.0.1:{port}/",
            "api_url": f"{scheme}://127.0.0.1:{api_port}",
            "folder": tmp_path,
            "token": TOKEN,
            "command": tuple(command),
        }
        return ConfigurableHTTPProxy(site=Site(**usual | (site or {})), **options)

    yield make
    for path in tmp_path.glob("run/proxy-*.json"):
        if (left := Record.read(path)) and Path(f"/proc/{left.pid}").exists():
            os.kill(left.pid, signal.SIGKILL)


@pytest.fixture
def free_port() -> Callable[[], int]:
    return ports.free_port


@pytest.fixture
async def house(nats: NatsServer) -> AsyncIterator[FakeHouse]:
    async with connect(nats.url("api"), "api-1") as bus:
        house = FakeHouse(bus)
        await house.answer()
        yield house
