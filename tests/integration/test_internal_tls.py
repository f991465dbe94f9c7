"""Internal TLS in a whole house: nobody talks to a stranger, and everything works as it does without."""

import asyncio
import json
import os
import ssl
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from browser import Browser
from external import operators_words
from hubbub.free_port import free_port
from hubbub.internal_tls.authorities import kept
from hubbub.internal_tls.files import asking
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = tmp_path_factory.mktemp("tls") / "data"
    service = {
        "name": "board",
        "command": [sys.executable, str(HERE / "tls_standin.py")],
        "url": f"https://127.0.0.1:{free_port()}",
        "environment": {"HOME": str(data / "home" / "board")},
    }
    said = {**operators_words([service], []), "TEST_HERE": str(HERE)}
    async with hub(data, config=HERE / "config_tls.py", scale="api=2,auth=2", environ=said) as made:
        for name in ("ada", "bob", "real"):
            await made.user(name)
        yield made


def addresses(house: Hub) -> dict[str, int]:
    found: dict[str, int] = json.loads((house.data / "ports.json").read_text())
    return found


async def refuses(port: int, tls: ssl.SSLContext) -> bool:
    """Whether whoever listens there ends the connection before it answers a request."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read(5)
        writer.close()
    except OSError:
        return True
    return answer != b"HTTP/"


def stranger() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def as_server(env: dict[str, str]) -> ssl.SSLContext:
    """One that has taken a server's certificate with it."""
    made = stranger()
    made.load_cert_chain(env["JUPYTERHUB_SSL_CERTFILE"], env["JUPYTERHUB_SSL_KEYFILE"])
    return made


def port_of(url: str) -> int:
    return int(url.split(":")[2].partition("/")[0])


async def running(house: Hub, name: str) -> dict[str, Any]:
    """The stand-in of *name*, started if need be."""
    status, body = await house.api("POST", f"/users/{name}/server")
    assert status in (201, 202) or "already running" in str(body), (status, body)
    await eventually(lambda: house.is_ready(name), 20, f"{name}'s server is ready")
    found = await house.standin(name)
    assert found is not None
    return found


async def test_a_server_is_reached_by_tls_alone(house: Hub) -> None:
    found = await running(house, "ada")
    env = found["env"]
    assert found["asked_by"].startswith("proxy-client")
    assert env["JUPYTERHUB_SERVICE_URL"].startswith("https://127.0.0.1:")
    assert env["JUPYTERHUB_API_URL"].startswith("https://127.0.0.1:")
    assert (await house.model("ada"))["servers"][""]["ready"]
    port = port_of(env["JUPYTERHUB_SERVICE_URL"])
    with pytest.raises(aiohttp.ClientError):
        await house.session.get(f"http://127.0.0.1:{port}/")


async def test_a_server_talks_to_the_hub_by_its_certificate(house: Hub) -> None:
    await running(house, "ada")
    async with house.session.get(f"{house.url}user/ada/ask-hub") as response:
        said = await response.json()
    assert (said["status"], said["body"]["name"]) == (200, "ada")


async def test_its_key_is_for_nobody_else(house: Hub) -> None:
    env = (await running(house, "ada"))["env"]
    assert stat.S_IMODE(os.stat(env["JUPYTERHUB_SSL_KEYFILE"]).st_mode) == 0o600


@pytest.mark.parametrize("who", ["without", "with a server's"])
@pytest.mark.parametrize("where", ["server", "hub", "proxy", "auth"])
async def test_who_has_no_right_certificate_is_refused(house: Hub, who: str, where: str) -> None:
    ada, bob = (await running(house, "ada"))["env"], (await running(house, "bob"))["env"]
    ports = {**addresses(house), "server": port_of(ada["JUPYTERHUB_SERVICE_URL"]), "auth": await auths_port(house)}
    tls = stranger() if who == "without" else as_server(bob)
    may = (who, where) == ("with a server's", "hub")
    assert await refuses(ports[where], tls) is not may


async def auths_port(house: Hub) -> int:
    connection = await asyncpg.connect(house.running()["owner_dsn"])
    try:
        about = await connection.fetchval("select about from instances where service = 'auth' limit 1")
    finally:
        await connection.close()
    assert json.loads(about)["url"].startswith("https://")
    return port_of(json.loads(about)["url"])


async def test_the_hubs_own_certificate_opens_server_and_auth(house: Hub) -> None:
    """The refusals above are not for another reason."""
    env = (await running(house, "ada"))["env"]
    tls = asking(kept(house.data / "internal-ssl", "hub-internal"))
    assert not await refuses(port_of(env["JUPYTERHUB_SERVICE_URL"]), tls)
    assert not await refuses(await auths_port(house), tls)


async def test_a_person_logs_in_as_ever(house: Hub) -> None:
    async with Browser(house.url) as browser:
        status, _ = await browser.login("eve", "password-of-everyone")
        assert status == 200 and browser.url.path.startswith("/hub/spawn"), browser.url
        status, page = await browser.get("/hub/home")
        assert status == 200 and "eve" in page
        cookies = list(browser.session.cookie_jar)
        assert cookies and not any(cookie["secure"] for cookie in cookies), "the way to the browser is plain HTTP"


async def test_jupyterhubs_own_server_runs(house: Hub) -> None:
    status, body = await house.api("POST", "/users/real/server", {"real": True})
    assert status in (201, 202), body
    await eventually(lambda: house.is_ready("real"), 60, "jupyterhub-singleuser is ready")
    headers = {"Authorization": "token token-of-the-test-service"}
    place = f"{house.url}user/real/api/status"
    async with house.session.get(place, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert "started" in await response.json()
    async with house.session.get(place) as response:
        assert response.status == 403
    async with house.session.ws_connect(
        f"{house.url}user/real/api/events/subscribe", headers={**headers, "Origin": house.url.rstrip("/")}
    ) as channel:
        assert not channel.closed
    server = (await house.model("real"))["servers"][""]
    assert server["ready"]
    [mine] = [each for each in house.workloads() if each.environ()["JUPYTERHUB_USER"] == "real"]
    assert await refuses(port_of(mine.environ()["JUPYTERHUB_SERVICE_URL"]), stranger())
    status, _ = await house.api("DELETE", "/users/real/server")
    assert status in (202, 204)


async def test_a_managed_service_has_its_own(house: Hub) -> None:
    async def answer() -> dict[str, Any] | None:
        async with house.session.get(f"{house.url}services/board/") as response:
            found: dict[str, Any] | None = await response.json() if response.status == 200 else None
            return found

    found = await eventually(answer, 20, "the service is reached through the proxy")
    assert found["asked_by"].startswith("proxy-client")
    async with house.session.get(f"{house.url}services/board/ask-hub") as response:
        said = await response.json()
    assert (said["status"], said["body"]["name"]) == (200, "board")

    async def reached() -> bool:
        texts = [path.read_text() for path in (house.data / "log").glob("api-*.log")]
        return any("service.reachable" in text for text in texts)

    await eventually(reached, 20, "the api has reached it, too")


async def test_a_spawner_of_jupyterhubs_gets_certificates_without_an_authority(tmp_path: Path) -> None:
    said = {**operators_words([], []), "TEST_HERE": str(HERE), "TEST_CLASSIC": "1"}
    async with hub(tmp_path / "data", config=HERE / "config_tls.py", environ=said) as classic:
        await classic.user("ada")
        found = await running(classic, "ada")
        assert found["asked_by"].startswith("proxy-client")
        assert await refuses(port_of(found["env"]["JUPYTERHUB_SERVICE_URL"]), stranger())
        async with classic.session.get(f"{classic.url}user/ada/ask-hub") as response:
            assert (await response.json())["status"] == 200


async def test_another_worker_process_goes_on_with_a_server(house: Hub) -> None:
    pid = (await running(house, "ada"))["pid"]
    house.kill("spawner-worker-1")
    house.kill("proxy-sync-1")
    found = await eventually(lambda: house.standin("ada"), 20, "it is still reached")
    assert found["pid"] == pid
    await eventually(lambda: house.is_ready("ada"), 20, "it is still ready")
    folder = Path(found["env"]["JUPYTERHUB_SSL_KEYFILE"]).parent
    status, body = await house.api("DELETE", "/users/ada/server")
    assert status in (202, 204), body

    async def gone() -> bool:
        return not folder.exists()

    await eventually(gone, 20, "its key is gone with it")
