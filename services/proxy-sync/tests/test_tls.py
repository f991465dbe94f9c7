"""A real proxy with internal TLS: its API, and what it leads to, take nobody without a certificate."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from hubbub.internal_tls.authorities import Authorities
from hubbub.internal_tls.files import Files, serving
from hubbub.testing.tls import authorities, issued
from hubbub_proxy_sync.proxies import ConfigurableHTTPProxy, ProxyUnavailable
from hubbub_proxy_sync.proxies.site import Hub

PARTS = ("proxy-sync", "proxy-api", "proxy-client")
TOKEN = "token-of-the-proxy"


@pytest.fixture
def found(tmp_path: Path) -> Authorities:
    return authorities(tmp_path / "authorities")


@pytest.fixture
def certificates(found: Authorities, tmp_path: Path) -> dict[str, Files]:
    return {part: issued(found, tmp_path / "tls" / part, part) for part in PARTS}


@pytest.fixture
async def proxy(chp, free_port, certificates) -> AsyncIterator[ConfigurableHTTPProxy]:
    made = chp(free_port(), free_port(), scheme="https")
    made.secure(certificates)
    await made.start()
    yield made
    await made.stop()
    await made.close()


def public(proxy: ConfigurableHTTPProxy) -> str:
    return proxy.public_url.removesuffix("/")


def api_url(proxy: ConfigurableHTTPProxy) -> str:
    return f"{proxy.api_url}/api/routes"


def again(chp, proxy: ConfigurableHTTPProxy) -> ConfigurableHTTPProxy:
    """A driver of the next proxy-sync."""
    port, api_port = (int(url.rstrip("/").rpartition(":")[2]) for url in (proxy.public_url, proxy.api_url))
    return chp(port, api_port, scheme="https")


@pytest.fixture
async def serve(found: Authorities, tmp_path: Path) -> AsyncIterator[Callable]:
    """serve(files) -> url: a server of ours that shows whose certificate it was asked with."""
    runners = []

    async def begin(files: Files) -> str:
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Upgrade"):
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                await socket.send_str("hello")
                await socket.close()
                return socket
            [[(_, name)]] = request.get_extra_info("peercert")["subject"]
            return web.Response(text=name)

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving(files))
        await site.start()
        return f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    yield begin
    for runner in runners:
        await runner.cleanup()


async def test_a_server_is_reached_with_the_proxys_certificate(proxy, serve, found, tmp_path):
    url = await serve(issued(found, tmp_path / "server", "server"))
    await proxy.add_route("/user/ada/", url, {})
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{public(proxy)}/user/ada/x") as response:
            assert (response.status, await response.text()) == (200, "proxy-client")
        async with session.ws_connect(f"{public(proxy)}/user/ada/ws") as socket:
            assert (await socket.receive()).data == "hello"


async def test_a_server_of_another_house_is_not_led_to(proxy, serve, tmp_path):
    other = authorities(tmp_path / "other")
    url = await serve(issued(other, tmp_path / "server", "server"))
    await proxy.add_route("/user/eve/", url, {})
    async with aiohttp.ClientSession() as session, session.get(f"{public(proxy)}/user/eve/x") as response:
        assert response.status == 503


async def test_the_error_page_is_asked_of_the_hub(chp, free_port, certificates, serve, found, tmp_path):
    hub = await serve(issued(found, tmp_path / "hub", "hub-internal"))
    made = chp(free_port(), free_port(), scheme="https", site={"hub": Hub(url=f"{hub}/hub/")})
    made.secure(certificates)
    await made.start()
    await made.add_route("/user/ada/", "https://127.0.0.1:1", {})
    async with aiohttp.ClientSession() as session, session.get(f"{public(made)}/user/ada/x") as response:
        assert (response.status, await response.text()) == (503, "proxy-client")
    await made.stop()
    await made.close()


@pytest.mark.parametrize("part", ["", "server", "service", "proxy-client"])
async def test_its_api_takes_nobody_but_us(proxy, found, tmp_path, part):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if part:
        files = issued(found, tmp_path / part, part)
        context.load_cert_chain(files.certfile, files.keyfile)
    headers = {"Authorization": f"token {TOKEN}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await session.get(api_url(proxy), headers=headers)


async def test_a_stranger_at_the_address_of_its_api_is_not_told_the_token(
    serve, chp, certificates, free_port, tmp_path
):
    stranger = await serve(issued(authorities(tmp_path / "other"), tmp_path / "stranger", "proxy-api"))
    made = chp(free_port(), int(stranger.rpartition(":")[2]), scheme="https", should_start=False)
    made.secure(certificates)
    with pytest.raises(ProxyUnavailable):
        await made.get_all_routes()
    await made.close()


async def test_the_next_proxy_sync_finds_the_same_proxy(proxy, chp, certificates):
    pid = proxy._running.pid
    following = again(chp, proxy)
    following.secure(certificates)
    await following.start()
    assert following._running is not None and following._running.pid == pid
    await following.close()


async def test_with_other_authorities_it_is_started_anew(proxy, chp, tmp_path):
    pid = proxy._running.pid
    other = authorities(tmp_path / "others")
    following = again(chp, proxy)
    following.secure({part: issued(other, tmp_path / "new" / part, part) for part in PARTS})
    await following.start()
    assert following._running is not None and following._running.pid != pid
    await asyncio.wait_for(proxy._running.gone.wait(), 10)
    await following.close()
