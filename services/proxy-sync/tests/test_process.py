"""proxy-sync as a process, with the real proxy: who outlives whom, and how it refuses what it cannot use."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hubbub.testing.nats import NatsServer
from hubbub_local.services import proxy_command
from hubbub_proxy_sync.proxies.process import Record
from hubbub_proxy_sync.testing import FakeHouse, server

TOKEN = "token-of-the-proxy"
Begin = Callable[..., Awaitable[Process]]


@pytest.fixture
def environment(nats: NatsServer, tmp_path: Path, free_port: Callable[[], int]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HUBBUB_INSTANCE": "proxy-sync-1",
        "HUBBUB_DATA": str(tmp_path / "data"),
        "HUBBUB_NATS_URL": nats.url("proxy-sync"),
        "HUBBUB_BIND_URL": f"http://127.0.0.1:{free_port()}/base/",
        "HUBBUB_PROXY_API_URL": f"http://127.0.0.1:{free_port()}",
        "HUBBUB_CHP_COMMAND": os.environ.get("HUBBUB_CHP_COMMAND") or proxy_command(),
        "CONFIGPROXY_AUTH_TOKEN": TOKEN,
    }


@pytest.fixture
async def begin(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[Begin]:
    """Starts proxy-sync; it and its proxy are gone after the test."""
    begun: list[Process] = []

    async def start(**changed: str) -> Process:
        command = [sys.executable, "-m", "hubbub_proxy_sync"]
        begun.append(await asyncio.create_subprocess_exec(*command, env=environment | changed, stderr=PIPE))
        return begun[-1]

    yield start
    for process in begun:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    record = Record.read(tmp_path / "data" / "run" / "proxy-proxy-sync-1.json")
    if record and _of(record.pid, "stat"):
        os.kill(record.pid, signal.SIGKILL)


def _of(pid: int, what: str) -> bytes:
    """What /proc says, nothing if there is no such process."""
    file = Path(f"/proc/{pid}/{what}")
    return file.read_bytes() if file.exists() else b""


async def _said(process: Process, event: str) -> dict[str, Any]:
    """The line of its log that tells this event."""
    assert process.stderr
    async with asyncio.timeout(20):
        while line := await process.stderr.readline():
            if line.startswith(b"{") and json.loads(line)["event"] == event:
                said: dict[str, Any] = json.loads(line)
                return said
    pytest.fail(f"it ended without {event}")


async def _routes(environment: dict[str, str]) -> dict[str, Any]:
    headers = {"Authorization": f"token {TOKEN}"}
    url = f"{environment['HUBBUB_PROXY_API_URL']}/api/routes"
    async with aiohttp.ClientSession(headers=headers) as client, client.get(url) as response:
        routes: dict[str, Any] = await response.json()
        return routes


async def test_the_proxy_outlives_proxy_sync(house: FakeHouse, begin: Begin, environment: dict[str, str]) -> None:
    house.wanted["ada"] = server("ada")
    first = await begin()
    pid = (await _said(first, "proxy.started"))["pid"]
    await _said(first, "proxy-sync.ready")
    first.terminate()
    async with asyncio.timeout(10):
        assert await first.wait() == 0
    assert {"/", "/extra", "/user/ada"} == (await _routes(environment)).keys()
    for number in range(2):
        house.wanted["ada"] = server("ada", attempt=2 + number)
        again = await begin()
        assert pid == (await _said(again, "proxy.found"))["pid"]
        await _said(again, "proxy-sync.ready")
        again.kill()
    assert [report.attempt for report in house.told if report.server == "ada"] == [1, 2, 3]
    given = _of(pid, "environ")
    assert b"HUBBUB_" not in given
    assert TOKEN.encode() in given
    assert TOKEN.encode() not in _of(pid, "cmdline")


async def test_a_killed_proxy_is_back_and_full_at_once(
    house: FakeHouse, begin: Begin, environment: dict[str, str]
) -> None:
    house.wanted |= {f"u{number}": server(f"u{number}") for number in range(20)}
    process = await begin()
    pid = (await _said(process, "proxy.started"))["pid"]
    await _said(process, "proxy-sync.ready")
    os.kill(pid, signal.SIGKILL)
    await house.until(lambda: house.joined > 1)
    assert pid != (await _said(process, "proxy.started"))["pid"]
    assert len(await _routes(environment)) == 22


@pytest.mark.parametrize("point", ["proxy.before_add", "proxy.added", "proxy.reported"])
async def test_killed_on_its_way_it_ends_up_right(
    house: FakeHouse, begin: Begin, environment: dict[str, str], tmp_path: Path, point: str
) -> None:
    house.wanted |= {name: server(name) for name in ("ada", "bob")}
    (tmp_path / "plan").write_text(f"{point}:1:kill")
    first = await begin(HUBBUB_FAULT=str(tmp_path))
    async with asyncio.timeout(20):
        assert await first.wait() == -signal.SIGKILL
    await _said(await begin(), "proxy-sync.ready")
    assert {"/", "/extra", "/user/ada", "/user/bob"} == (await _routes(environment)).keys()
    assert {"hub", "ada", "bob"} == {report.server for report in house.told if report.target}


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ("c.JupyterHub.proxy_class = 'carrier-pigeon'", "carrier-pigeon"),
        ("c.JupyterHub.proxy_class = 'no_such.Proxy'", "no_such.Proxy"),
        ("c.JupyterHub.proxy_class = 'pathlib.Path'", "neither of ours"),
        ("c.ConfigurableHTTPProxy.log_level = 'chatty'", "log_level"),
        ("c.JupyterHub.ssl_key = c.JupyterHub.ssl_cert = '/no/such.pem'", "c.JupyterHub.ssl_key: cannot read"),
        ("c.Proxy.extra_routes = {'nowhere': 'http://127.0.0.1:1'}", "c.Proxy.extra_routes"),
        ("c.ConfigurableHTTPProxy.auth_token = ''", "CONFIGPROXY_AUTH_TOKEN"),
        ("c.ConfigurableHTTPProxy.command = 'no-such-proxy'", "no-such-proxy"),
    ],
)
async def test_what_it_cannot_use_is_named(begin: Begin, tmp_path: Path, config: str, names: str) -> None:
    file = tmp_path / "jupyterhub_config.py"
    file.write_text(config)
    left_out = {"HUBBUB_CHP_COMMAND": "", "CONFIGPROXY_AUTH_TOKEN": "" if "auth_token" in config else TOKEN}
    process = await begin(HUBBUB_CONFIG=str(file), **(left_out if "extra" not in config else {}))
    _, said = await process.communicate()
    assert process.returncode == 78, said.decode()
    assert names in said.decode().splitlines()[-1]
