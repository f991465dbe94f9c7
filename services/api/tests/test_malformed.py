"""What is no request, or too long a one, over a plain socket: refused as everything else is."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from traitlets.config import Config

from hubbub.access import Access
from hubbub.config import Options
from hubbub.web.request import Gate
from hubbub_api import app as application
from hubbub_api.forward import Auths
from hubbub_api.malformed import LONGEST_LINE, MOST_HEADERS, Runner

SECRET = "token-that-nobody-shall-see"
#: What reads a body before it asks anybody anything.
POST = b"POST /hub/api/users/ada/tokens HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where an api listens that has no database: nothing here comes that far."""
    options = Options(Config({"JupyterHub": {"tornado_settings": {"headers": {"X-Operator": "yes"}}}}))
    gate = Gate(Access(None, options), options, b"s" * 32)  # type: ignore[arg-type]
    runner = Runner(application.build(gate, Auths("")), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def said(port: int, raw: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of the first answer to *raw*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    finally:
        writer.close()
    return int(status.split()[1]), headers, json.loads(body) if "json" in headers.get("content-type", "") else None


def with_headers(*lines: bytes) -> bytes:
    return b"GET /hub/health HTTP/1.1\r\nHost: h\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


LONG = b"x" * (LONGEST_LINE + 1)
NO_REQUESTS = [
    (b"nonsense\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"GET /hub/health HTTP/9.9\r\n\r\n", 400),
    (with_headers(b"no colon"), 400),
    (with_headers(b"bad name: x"), 400),
    (with_headers(b"X: a\x00b"), 400),
    (with_headers(b"Authorization: token " + SECRET.encode() + b"\x00"), 400),
    (with_headers(b"Content-Length: minus one"), 400),
    (with_headers(b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400),
    (b"GET /hub/" + LONG + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431),
    (with_headers(b"X-Long: " + LONG), 431),
    (with_headers(*(b"X-%d: y" % number for number in range(MOST_HEADERS + 1))), 431),
    (POST + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
    (POST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n12345", 400),
    (POST + b"Content-Length: 2\r\nExpect: a miracle\r\n\r\n{}", 417),
    (POST + b"Content-Length: 3\r\n\r\n{]}", 400),
    (POST + b"Content-Length: 100000\r\n\r\n" + b" " * 100_000, 413),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"186A0\r\n" + b" " * 100_000 + b"\r\n") * 2, 413),
    (POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(b" " * 10**6))
     + gzip.compress(b" " * 10**6), 413),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), NO_REQUESTS, ids=lambda case: repr(case)[:50])
async def test_what_cannot_be_read_is_refused_in_the_form_of_all_refusals(port, capsys, raw, expected):
    status, headers, body = await said(port, raw)
    assert status == expected, body
    assert headers["x-jupyterhub-version"] == "6.1.1"
    assert headers["content-security-policy"].startswith("frame-ancestors 'none'")
    assert headers["x-operator"] == "yes"
    if status != 417:
        assert (body["status"], isinstance(body["message"], str)) == (expected, True)
    logged = "".join(capsys.readouterr())
    assert SECRET not in logged
    assert "Traceback" not in logged


async def test_as_many_cookies_as_the_proxy_lets_through_are_let_through(port):
    cookies = b"; ".join(b"jupyterhub-user-%d=%s" % (number, b"x" * 200) for number in range(60))
    assert len(cookies) > 8190 * 1.5
    assert (await said(port, with_headers(b"Cookie: " + cookies)))[0] == 200


async def test_a_connection_goes_on_after_a_refusal_of_a_request_that_could_be_read(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(POST + b"Content-Length: 1\r\n\r\n[")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 400")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        assert json.loads(await reader.readexactly(length))["message"] == "Invalid JSON in body of request"
    writer.close()
