"""A whole house with internal TLS behind two HAProxies."""

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio

from stack import HERE, Hub, eventually, hub

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    folder = tmp_path_factory.mktemp("haproxy")
    config = folder / "config.py"
    config.write_text(
        f"import sys\nc = get_config()\nload_subconfig({str(HERE / 'config_standin.py')!r})\n"
        f"c.JupyterHub.proxy_class = 'haproxy'\nc.JupyterHub.internal_ssl = True\n"
        f"c.Spawner.cmd = [sys.executable, {str(HERE / 'tls_standin.py')!r}]\n"
    )
    async with hub(folder / "data", config=config, scale="proxy-sync=2", environ={"TEST_HERE": str(HERE)}) as made:
        for name in ("ada", "bob"):
            await made.user(name)
        yield made


async def asked_by(house: Hub, address: str) -> str | None:
    try:
        async with house.session.get(f"{address}user/ada/", allow_redirects=False) as response:
            return (await response.json())["asked_by"] if "X-Standin" in response.headers else None
    except (aiohttp.ClientError, TimeoutError):
        return None


async def test_a_server_is_reached_through_each_of_them_with_their_certificate(house: Hub) -> None:
    status, _ = await house.api("POST", "/users/ada/server")
    assert status in (201, 202)
    await eventually(lambda: house.is_ready("ada"), 30, "ada's server is ready")
    assert 2 == len(house.addresses())
    for address in house.addresses():
        assert str(await asked_by(house, address)).startswith("proxy-client")
    # A master and a worker each.
    assert 4 <= len(house.proxies())


async def test_the_hubs_pages_are_shown_for_a_server_that_does_not_answer(house: Hub) -> None:
    before = {process.pid for process in house.workloads()}
    await house.api("POST", "/users/bob/server")
    await eventually(lambda: house.is_ready("bob"), 30, "bob's server is ready")
    [server] = [process for process in house.workloads() if process.pid not in before]
    server.kill()

    async def page() -> bool:
        async with house.session.get(f"{house.url}user/bob/", allow_redirects=False) as response:
            return response.status in (302, 404, 424, 503) and "Hubbub" in await response.text()

    await eventually(page, 20, "a page of the hub")


async def test_all_are_killed_and_back_with_all_routes(house: Hub) -> None:
    async def is_up() -> bool:
        status, _ = await house.api("POST", "/users/ada/server")
        return status in (201, 202, 400) and await house.is_ready("ada")

    await eventually(is_up, 30, "ada's server is ready")
    killed = house.proxies()
    for process in killed:
        os.kill(process.pid, signal.SIGKILL)
    began = time.monotonic()
    for address in house.addresses():
        await eventually(lambda address=address: asked_by(house, address), 10, f"ada is found at {address}")
    assert time.monotonic() - began < 5
    assert not set(killed) & set(house.proxies())


async def test_they_end_with_the_house(house: Hub) -> None:
    proxies = house.proxies()
    await house.stop()
    assert [] == [process for process in proxies if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    await house.start()
    await eventually(lambda: _answers(house), 20, "it is there again")


async def _answers(house: Hub) -> bool:
    status, _ = await house.api("GET", "/users/ada")
    return status == 200


async def test_its_files_are_for_their_owner_alone(house: Hub) -> None:
    assert {0o600} == _modes(house.data / "run")


def _modes(run: Path) -> set[int]:
    """Of all files of HAProxies."""
    return {path.stat().st_mode & 0o777 for folder in run.glob("haproxy-*") for path in folder.iterdir()}
