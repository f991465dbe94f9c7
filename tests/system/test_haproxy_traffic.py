"""What goes through HAProxy: headers, pages of the hub for what does not answer, TLS in front and behind."""

import asyncio
import json
import os
import secrets
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from haproxy_rig import Yard, ask, free_port, in_time, upstream, watched

from hubbub.internal_tls.files import serving
from hubbub.testing.tls import authorities, issued
from hubbub_proxy_sync.proxies.haproxy import driver, pages
from hubbub_proxy_sync.proxies.site import Hub

pytestmark = pytest.mark.system

PARTS = ("proxy-sync", "proxy-api", "proxy-client")


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    made = Yard(tmp_path / "yard")
    yield made
    await made.close()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


async def serve_pages(text: str, tls: ssl.SSLContext | None = None, port: int = 0) -> web.ServerRunner:
    """A hub that has error pages."""

    async def answer(request: web.BaseRequest) -> web.Response:
        status = int(request.path.rpartition("/")[2]) if "/hub/error/" in request.path else 200
        peer: Any = request.get_extra_info("peercert") or {}
        token = secrets.token_hex()
        shown = f"{text} {status} {token}{peer.get('subject', '')}"
        response = web.Response(text=shown, status=200 if status == 503 else status, content_type="text/html")
        response.set_cookie("_xsrf", token)
        return response

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    return runner


async def shown(url: str, **more: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(url, **more) as response:
        return response.status, await response.text()


# Headers ------------------------------------------------------------------------------------


async def test_a_server_is_told_who_asks_and_nobody_can_say_otherwise(yard: Yard, stack: AsyncExitStack) -> None:
    proxy = yard.driver()
    await proxy.start()
    await proxy.add_route("/", await stack.enter_async_context(upstream("ada")), {})
    heard = await ask(yard.port, "/", host="hub.test:8000")
    expected = {"for": "127.0.0.1", "proto": "http", "port": "8000", "host": "hub.test:8000"}
    assert {name: [value] for name, value in expected.items()} == {
        name: heard.header(f"X-Forwarded-{name}") for name in expected
    }
    assert ["hub.test:8000"] == heard.header("Host")
    forged = [
        "X-Forwarded-For: 1.2.3.4, 5.6.7.8",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 1",
        "x-forwarded-HOST: e",
    ]
    heard = await ask(yard.port, "/", host="hub.test", headers=tuple(forged))
    assert ["1.2.3.4, 5.6.7.8,127.0.0.1"] == heard.header("X-Forwarded-For")
    assert (["https,http"], ["1,80"], ["e"]) == tuple(
        heard.header(f"X-Forwarded-{n}") for n in ("Proto", "Port", "Host")
    )
    twice = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8"]
    [last] = (await ask(yard.port, "/", headers=tuple(twice))).header("X-Forwarded-For")
    assert "127.0.0.1" == last.rpartition(",")[2]


async def test_large_headers_arrive(yard: Yard, stack: AsyncExitStack) -> None:
    proxy = yard.driver()
    await proxy.start()
    await proxy.add_route("/", await stack.enter_async_context(upstream("ada")), {})
    heard = await ask(yard.port, "/", headers=(f"Cookie: a={'x' * 15_000}",))
    assert [15_002] == [len(cookie) for cookie in heard.header("Cookie")]


async def test_its_health_is_told_without_a_server(yard: Yard) -> None:
    proxy = yard.driver()
    await proxy.start()
    assert (200, '{"status":"OK"}') == await shown(f"{yard.url}/_chp_healthz")


# Pages --------------------------------------------------------------------------------------


async def test_the_page_of_the_hub_is_shown_when_a_server_does_not_answer(
    yard: Yard, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "LOOK", 0.1)
    monkeypatch.setattr(driver, "PAGES", 0.1)
    port = free_port()
    proxy = yard.driver(site={"hub": Hub(url=f"http://127.0.0.1:{port}/base/hub/")})
    await proxy.start()
    returned = watched(proxy, stack)
    await proxy.add_route("/user/ada/", f"http://127.0.0.1:{free_port()}", {"user": "ada"})
    await proxy.add_route("/", f"http://127.0.0.1:{port}", {"hub": True})
    status, text = await shown(f"{yard.url}/user/ada/")
    assert (503, True) == (status, "This server does not answer" in text)
    assert "The hub does not answer" in (await shown(yard.url))[1]
    for words in ("first", "second"):
        runner = await serve_pages(words, port=port)
        async with asyncio.timeout(10):
            while f"{words} 503" not in (said := (await shown(f"{yard.url}/user/ada/"))[1]):
                await asyncio.sleep(0.02)
        assert said.startswith(f"{words} 503")
        assert ["/user/ada/", "/"] == list(await proxy.get_all_routes())
        await runner.cleanup()
    assert "The hub does not answer" in (await shown(yard.url))[1]
    returned.clear()
    os.kill(yard.master(), 9)
    await in_time(returned)
    await proxy.add_route("/user/ada/", f"http://127.0.0.1:{free_port()}", {"user": "ada"})
    assert (503, "second 503 ") == await shown(f"{yard.url}/user/ada/"), "it is kept"


def test_a_page_that_is_too_large_is_not_taken() -> None:
    assert all(len(page) < pages.LARGEST for page in pages.all_plain().values())


# TLS in front -------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """Key and certificate of hub.test, signed by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    key, made = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", f"{key}.new", "-out", f"{made}.new", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run(command, check=True, capture_output=True)
    Path(f"{key}.new").replace(key)
    Path(f"{made}.new").replace(made)
    return str(key), str(made)


async def presented(port: int, *protocols: str) -> tuple[str, str | None]:
    """The name in the certificate, and the protocol that was agreed upon."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        tls = writer.get_extra_info("ssl_object")
        subject = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).subject
        return subject.rfc4514_string().removeprefix("CN="), tls.selected_alpn_protocol()
    finally:
        writer.close()


async def test_people_come_in_by_tls_and_a_renewed_certificate_is_shown_at_once(
    yard: Yard, stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "LOOK", 0.1)
    key, made = certificate(tmp_path / "public", "first")
    proxy = yard.driver(site={"bind_url": f"https://127.0.0.1:{yard.port}/", "ssl_key": key, "ssl_cert": made})
    await proxy.start()
    watched(proxy, stack)
    await proxy.add_route("/", await stack.enter_async_context(upstream("ada")), {})
    assert ("first", "h2") == await presented(yard.port, "h2", "http/1.1")
    assert ("first", "http/1.1") == await presented(yard.port, "http/1.1")
    client = await stack.enter_async_context(aiohttp.ClientSession())
    url = f"https://127.0.0.1:{yard.port}/ws"
    async with client.get(url, ssl=False) as response:
        headers = dict((await response.json())["headers"])
        assert ("https", str(yard.port)) == (headers["X-Forwarded-Proto"], headers["X-Forwarded-Port"])
    channel = await stack.enter_async_context(client.ws_connect(url, ssl=False))
    certificate(tmp_path / "public", "second")
    async with asyncio.timeout(10):
        while await presented(yard.port, "http/1.1") != ("second", "http/1.1"):
            await asyncio.sleep(0.02)
    await channel.send_str("still there?")
    assert "still there?" == (await channel.receive()).data
    assert ["/"] == list(await proxy.get_all_routes())
    for path in yard.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or not path.is_file() or path.suffix == ".log", path


async def test_http2_reaches_servers(yard: Yard, stack: AsyncExitStack, tmp_path: Path) -> None:
    key, made = certificate(tmp_path / "public", "hub.test")
    proxy = yard.driver(site={"bind_url": f"https://127.0.0.1:{yard.port}/", "ssl_key": key, "ssl_cert": made})
    await proxy.start()
    await proxy.add_route("/user/ada/", await stack.enter_async_context(upstream("ada")), {})
    command = ["curl", "-ks", "--http2", "--path-as-is", "-w", " %{http_version}"]
    command.append(f"https://127.0.0.1:{yard.port}/user/%61da/?x")
    asked = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    text, _, version = (await asked.communicate())[0].decode().rpartition(" ")
    heard = json.loads(text)
    assert ("2", "ada", "/user/%61da/?x") == (version, heard["name"], heard["path"])


# TLS behind ---------------------------------------------------------------------------------


async def test_with_internal_tls_servers_are_shown_its_certificate_and_have_to_have_one(
    yard: Yard, stack: AsyncExitStack, tmp_path: Path
) -> None:
    found, other = authorities(tmp_path / "authorities"), authorities(tmp_path / "others")
    certificates = {part: issued(found, tmp_path / "tls" / part, part) for part in PARTS}
    hub = await serve_pages("of the hub", serving(issued(found, tmp_path / "hub", "hub-internal")))
    stack.push_async_callback(hub.cleanup)
    proxy = yard.driver(site={"hub": Hub(url=f"https://127.0.0.1:{hub.addresses[0][1]}/hub/")})
    proxy.secure(certificates)
    await proxy.start()
    servers = {
        "ada": serving(issued(found, tmp_path / "ada", "server")),
        "eve": serving(issued(other, tmp_path / "eve", "server")),
    }
    for name, context in servers.items():
        url = await stack.enter_async_context(upstream(name, tls=context))
        await proxy.add_route(f"/user/{name}/", url, {})
        await proxy.add_route(f"/named/{name}/", url.replace("127.0.0.1", "localhost"), {})
    for path in ("/user/ada/", "/named/ada/"):
        status, text = await shown(f"{yard.url}{path}")
        assert (200, "ada", True) == (status, json.loads(text)["name"], "proxy-client" in json.loads(text)["peer"])
    for path in ("/user/eve/", "/named/eve/"):
        status, text = await shown(f"{yard.url}{path}")
        assert (503, True) == (status, text.startswith("of the hub 503") and "proxy-client" in text)


async def test_a_certificate_has_to_be_for_the_name_that_was_asked_for(
    yard: Yard, stack: AsyncExitStack, tmp_path: Path
) -> None:
    found = authorities(tmp_path / "authorities")
    proxy = yard.driver()
    proxy.secure({part: issued(found, tmp_path / "tls" / part, part) for part in PARTS})
    await proxy.start()
    url = await stack.enter_async_context(upstream("ada", tls=serving(issued(found, tmp_path / "ada", "server"))))
    proxy._routing._names.look_up = _at_home  # type: ignore[method-assign]
    await proxy.add_route("/user/ada/", url.replace("127.0.0.1", "elsewhere.test"), {})
    assert 503 == (await shown(f"{yard.url}/user/ada/"))[0]
    await proxy.add_route("/user/ada/", url.replace("127.0.0.1", "localhost"), {})
    assert 200 == (await shown(f"{yard.url}/user/ada/"))[0]


async def _at_home(names: set[str]) -> dict[str, str]:
    return dict.fromkeys(names, "127.0.0.1")
