"""A house that people reach by TLS, with internal TLS behind it, through configurable-http-proxy."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from browser import Browser
from hubbub.internal_tls.authorities import Authorities
from hubbub.internal_tls.files import Files
from hubbub.testing.tls import authorities, issued
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """Not those of the house: who signs for the world."""
    return authorities(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def files(found: Authorities, tmp_path_factory: pytest.TempPathFactory) -> Files:
    return issued(found, tmp_path_factory.mktemp("public"), "hub-internal")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(files: Files, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    said = {"TEST_SSL_KEY": str(files.keyfile), "TEST_SSL_CERT": str(files.certfile)}
    data = tmp_path_factory.mktemp("public-tls") / "data"
    async with hub(data, config=HERE / "config_public_tls.py", environ=said) as made:
        await made.api("POST", "/users/ada", ssl=False)
        status, body = await made.api("POST", "/users/ada/server", ssl=False)
        assert status == 201, body
        yield made


def trusting(files: Files) -> ssl.SSLContext:
    """As a browser is: no certificate of its own, and it checks who it talks to."""
    context = ssl.create_default_context()
    context.load_verify_locations(files.certfile)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


async def shown(house: Hub) -> str:
    port = int(house.url.split(":")[2].partition("/")[0])
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))


async def test_the_address_is_one_of_tls_with_the_operators_certificate(house: Hub, files: Files) -> None:
    assert house.url.startswith("https://127.0.0.1:")
    async with house.session.get(f"{house.url}hub/health", ssl=trusting(files)) as response:
        assert response.status == 200
    with pytest.raises(aiohttp.ClientError):
        await house.session.get(f"{house.url}hub/health".replace("https:", "http:"))


async def test_a_login_is_remembered_over_tls_alone(house: Hub, files: Files) -> None:
    async with Browser(house.url, aiohttp.TCPConnector(ssl=trusting(files))) as browser:
        status, page = await browser.login("ada", "password-of-everyone")
        assert (status, browser.url.scheme, browser.url.path) == (200, "https", "/base/hub/home"), page
        kept = {cookie.key: cookie["secure"] for cookie in browser.session.cookie_jar}
        assert kept and all(kept.values()), kept


async def test_a_server_is_reached_through_both(house: Hub, files: Files) -> None:
    async with house.session.get(f"{house.url}user/ada/", ssl=trusting(files)) as response:
        said = await response.json()
    assert said["asked_by"].startswith("proxy-client")
    assert said["env"]["JUPYTERHUB_SERVICE_URL"].startswith("https://")
    status, routes = await house.api("GET", "/proxy", ssl=False)
    assert status == 200 and routes["/base/user/ada/"]["target"].startswith("https://")


async def test_its_error_pages_are_the_hubs(house: Hub) -> None:
    """The proxy asks the hub for them, by its own certificate."""
    await house.api("POST", "/users/bob", ssl=False)
    status, body = await house.api("POST", "/users/bob/server", ssl=False)
    assert status == 201, body
    [process] = [each for each in house.workloads() if each.environ()["JUPYTERHUB_USER"] == "bob"]
    os.kill(house.pid("spawner-worker-1"), signal.SIGSTOP)  # who would notice, and have the route taken away
    try:
        process.kill()
        async with house.session.get(f"{house.url}user/bob/lab", ssl=False) as response:
            page = await response.text()
        assert response.status == 503 and "/base/hub/" in page and "</html>" in page
    finally:
        os.kill(house.pid("spawner-worker-1"), signal.SIGCONT)


async def test_a_renewed_certificate_is_shown_without_a_restart_of_the_house(
    house: Hub, found: Authorities, files: Files, tmp_path: Path
) -> None:
    before = await shown(house)
    assert before == files.certfile.read_text()
    following = issued(found, tmp_path, "hub-internal")
    files.keyfile.write_text(following.keyfile.read_text())
    files.certfile.write_text(following.certfile.read_text())

    async def is_renewed() -> bool:
        try:
            return await shown(house) == following.certfile.read_text()
        except OSError:
            return False

    await eventually(is_renewed, 15, "the renewed certificate is shown")

    async def is_reached() -> bool:
        async with house.session.get(f"{house.url}user/ada/", ssl=trusting(following)) as response:
            return "X-Standin" in response.headers

    await eventually(is_reached, 5, "the server is reached with it")
