"""Hands requests to the pages of a classic authenticator, which tornado serves from the floor, and their answers back.

The way there is a socket in a folder that nobody else may enter. What is sent is the request as it came, except that
where the browser is, and by which protocol, is said by us alone.
"""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from multidict import CIMultiDict
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from yarl import URL

from hubbub.floor import Floor
from hubbub.web.hops import HOP_BY_HOP
from hubbub.web.request import browser_origin, client_address, identify
from hubbub_auth import onwards
from hubbub_auth.classic.application import STATIC, Pages, pages, patterns
from hubbub_auth.classic.asked import Asked
from hubbub_auth.classic.making import JupyterHub
from hubbub_auth.classic.whom import watch
from hubbub_auth.front import Refused, refusal

log = structlog.get_logger()

#: Seconds for a page; an api waits for two minutes.
PATIENCE = 100.0
#: Requests at work at once: each may hold a connection to the database. The others wait.
AT_ONCE = 64
#: Those that wait, and those at work. More are told to come back: something blocks.
MOST = 512
RETRY_SECONDS = 5
#: Bytes. The assertions of some identity providers are long.
LARGEST_BODY = 1024 * 1024
LONGEST_LINE = 64 * 1024

AWAY = "The login service does not answer; try again in a moment."
BUSY = "Too many people log in at the moment. Try again in a few seconds."

#: Of requests: whoever sends them may not say where they come from, nor what we are to each other.
_NOT_THEIRS = HOP_BY_HOP | {"content-length", "expect", "forwarded", "x-real-ip", "x-scheme"}
_NOT_TO_SAY = ("x-forwarded-", "x-hubbub-")
_NOT_TORNADOS = HOP_BY_HOP | {"content-length", "server", "date"}
_AUTOMATIC = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class Gateway:
    """To be made on the process's own loop, after `Hosted`; serves while `running`."""

    def __init__(self, authenticator: Any, floor: Floor, cookie_secret: bytes) -> None:
        self._app: JupyterHub = authenticator.parent
        self._floor = floor
        self._asked: dict[str, Asked] = {}
        self._pages = pages(self._app, self._asked, cookie_secret)
        self._session: aiohttp.ClientSession | None = None
        self.patterns = patterns(self._app)
        watch(authenticator)

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="hubbub-auth-")
        path = str(Path(folder, "pages"))
        try:
            server: HTTPServer = await self._floor.call(_serve, self._pages, path, patience=PATIENCE)
            connector = aiohttp.UnixConnector(path, limit=AT_ONCE)
            async with aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
                skip_auto_headers=_AUTOMATIC,
                max_line_size=LONGEST_LINE,
                max_field_size=LONGEST_LINE,
            ) as self._session:
                yield
            self._floor.post(server.stop)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            self._app.db.close()

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Answer *request* by the page that it is for."""
        assert self._session is not None
        is_file = request.rel_url.raw_path.startswith(f"{self._app.hub_prefix}{STATIC}")
        if len(self._asked) >= MOST:
            return _busy(request)
        asked = Asked(request, None if is_file else await identify(request, pages=True))
        body = await request.clone(client_max_size=LARGEST_BODY).read()
        key = secrets.token_hex(16)
        self._asked[key] = asked
        try:
            async with self._session.request(
                request.method,
                URL(f"http://localhost{request.raw_path}", encoded=True),
                data=body or None,
                headers=_headers(request, key),
                allow_redirects=False,
            ) as answer:
                response = await _copied(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("auth.page_unanswered", path=request.path, error=str(error) or type(error).__name__)
            raise Refused(503, AWAY) from None
        finally:
            del self._asked[key]
        await asked.settle(response)
        if asked.login is not None and asked.given:
            onwards.step(request, response)
        return response


def _busy(request: web.Request) -> web.Response:
    log.warning("auth.pages_busy", path=request.path)
    response = refusal(request, 429, BUSY)
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _serve(application: Pages, path: str) -> HTTPServer:
    """On the floor."""
    _prefer_curl()
    server = HTTPServer(application, xheaders=True, max_buffer_size=2 * LARGEST_BODY, max_header_size=LONGEST_LINE)
    server.add_socket(bind_unix_socket(path, mode=0o600))
    return server


def _prefer_curl() -> None:
    """As JupyterHub does: only that client of tornado's goes by way of proxies."""
    try:
        AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")
    except ImportError:
        return


def _headers(request: web.Request, key: str) -> "CIMultiDict[str]":
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if _is_theirs(k.lower()))
    headers[Pages.KEY] = key
    headers["X-Forwarded-Proto"], headers["Host"] = browser_origin(request)
    if address := client_address(request):
        headers["X-Forwarded-For"] = address
    return headers


def _is_theirs(name: str) -> bool:
    return name not in _NOT_THEIRS and not name.startswith(_NOT_TO_SAY)


async def _copied(answer: aiohttp.ClientResponse) -> web.Response:
    headers = CIMultiDict((k, v) for k, v in answer.headers.items() if k.lower() not in _NOT_TORNADOS)
    return web.Response(status=answer.status, reason=answer.reason, body=await answer.read(), headers=headers)
