"""Services that come and go while the hub runs: JupyterHub's own classes behind the real proxy, on several apis."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from browser import Browser
from checks import five_checks, rows
from external import Service, operators_words
from stack import HERE, Hub, eventually, here, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

REGISTRAR = {"name": "registrar", "api_token": "token-of-the-registrar"}
ROLES = [
    {"name": "registrar", "services": ["registrar"], "scopes": ["admin:services", "proxy"]},
    {"name": "visitor", "users": ["ada"], "scopes": ["access:services!service=lab"]},
]
LAB = Service("lab", "oauth")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    said = operators_words([REGISTRAR], ROLES)
    config = HERE / "config_services.py"
    async with hub(tmp_path_factory.mktemp("hub") / "data", config=config, scale="api=2", environ=said) as made:
        yield made


async def ask(house: Hub, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    return await house.api(method, path, body, token=REGISTRAR["api_token"])


async def visit(house: Hub, name: str) -> tuple[int, str]:
    async with house.session.get(f"{house.url}services/{name}/", allow_redirects=False) as response:
        return response.status, await response.text()


@pytest_asyncio.fixture(loop_scope="module")
async def page() -> AsyncIterator[str]:
    """The address of something that answers to everything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nthe page")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, here(), 0) as server:
        yield f"http://{here()}:{server.sockets[0].getsockname()[1]}"


async def test_its_route_comes_and_goes_with_it(house: Hub, page: str) -> None:
    """The answer to each request tells of what a visitor finds at that moment."""
    for _ in range(3):
        assert (await ask(house, "POST", "/services/shop", {"url": page}))[0] == 201
        assert await visit(house, "shop") == (200, "the page")
        _, routes = await ask(house, "GET", "/proxy")
        assert routes["/services/shop/"] == {
            "routespec": "/services/shop/",
            "target": page,
            "data": {"service": "shop"},
        }
        assert (await ask(house, "DELETE", "/services/shop"))[0] == 200
        assert (await visit(house, "shop"))[1] != "the page"
        assert "/services/shop/" not in (await ask(house, "GET", "/proxy"))[1]


async def test_the_route_of_one_that_came_while_the_proxy_was_not_looked_after(house: Hub, page: str) -> None:
    house.kill("proxy-sync-1")
    asked = asyncio.create_task(ask(house, "POST", "/services/late", {"url": page}))

    async def routed() -> bool:
        return await visit(house, "late") == (200, "the page")

    await eventually(routed, 30, "a route to the service")
    assert (await asked)[0] == 201
    assert (await ask(house, "DELETE", "/services/late"))[0] == 200


async def test_people_log_in_to_it_until_it_is_gone(house: Hub) -> None:
    await house.user("ada")
    with socket.create_server((here(), 0)) as listening:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(HERE / "service_standin.py"),
            LAB.kind,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=LAB.told(house, listening),
            pass_fds=[listening.fileno()],
        )
        try:
            said = LAB.said(listening)
            body = {"url": said["url"], "api_token": LAB.token, "oauth_no_confirm": True}
            assert (await ask(house, "POST", "/services/lab", body))[0] == 201
            async with Browser(house.url) as browser:
                await browser.login("ada", "password-of-everyone")
                status, who = await browser.get("/services/lab/")
                assert (status, '"name": "ada"' in who) == (200, True), who
                assert (await ask(house, "DELETE", "/services/lab"))[0] == 200
                assert await rows(house, "select id from tokens where client = 'service-lab'") == []
                headers = {"Authorization": f"token {LAB.token}"}
                async with house.session.get(f"{house.url}hub/api/user", headers=headers) as response:
                    assert response.status == 403
        finally:
            process.terminate()
            await process.wait()


async def test_an_address_where_no_proxy_is_changes_nothing(house: Hub, page: str) -> None:
    assert (await ask(house, "POST", "/services/shop", {"url": page}))[0] == 201
    moved = {"api_url": "http://127.0.0.1:1", "auth_token": "token-of-another-proxy"}
    status, body = await ask(house, "PATCH", "/proxy", moved)
    assert (status, "does not answer" in body["message"]) == (400, True)
    assert await ask(house, "POST", "/proxy") == (200, None)
    assert await visit(house, "shop") == (200, "the page")
    logs = "".join(path.read_text() for path in (house.data / "log").glob("api-*.log"))
    assert "http://127.0.0.1:1" in logs
    assert "token-of-another-proxy" not in logs
    assert (await ask(house, "DELETE", "/services/shop"))[0] == 200


async def test_the_log_is_whole(house: Hub) -> None:
    await five_checks(house)
