"""Hands the paths of auth to a live auth service, with the caller's address and Host, which it believes us alone."""

import asyncio
import random
import ssl
from collections.abc import Collection
from datetime import timedelta

import aiohttp
import asyncpg
import msgspec
import structlog
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from hubbub import telemetry
from hubbub.away import AWAY
from hubbub.web.request import GATE, ApiError, client_address

log = structlog.get_logger()

_HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "x-hubbub-forward",
        "x-hubbub-client",
    ]
)

#: Of requests: their bodies are handed on as they were read, which is unpacked.
_UNPACKED = _HOP_BY_HOP | {"content-encoding"}
#: Of requests that are put as a question of our own.
_NOT_THEIRS = _UNPACKED | {"accept", "content-type", "cookie", "authorization"}

#: An auth that has not been seen for so long is not asked any more while others are there.
STALE = timedelta(seconds=10)
#: An address of a page that asks for the way back to another one can be a few times as long as that.
LONGEST_HEADER = 64 * 1024


NONE_RUNS = "No login service is running; try again in a moment"
TOO_MANY = "Too many failed logins. Wait five minutes, then try again."


class About(msgspec.Struct):
    url: str
    paths: list[str]


class _Somebody(msgspec.Struct):
    name: str


class Auths:
    """The auth services there are, as they announce themselves in Postgres. Run `run` as a task."""

    def __init__(self, dsn: str, tls: ssl.SSLContext | None = None) -> None:
        """*tls*: how to ask, with internal TLS."""
        self._dsn = dsn
        self._tls = tls
        self._known: list[About] = []
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        async with aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=120, sock_connect=3),
            connector=aiohttp.TCPConnector(limit=500, ssl=self._tls or True),
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        ) as self._session:
            while True:
                try:
                    await self._watch()
                except (asyncpg.PostgresError, *AWAY) as error:
                    log.warning("auths.interrupted", error=str(error) or type(error).__name__)
                await asyncio.sleep(0.2)

    async def _watch(self) -> None:
        connection = await asyncpg.connect(
            self._dsn, timeout=5, command_timeout=10, server_settings={"application_name": "hubbub-auths"}
        )
        changed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: changed.set())
            await connection.add_listener("instances", lambda *_: changed.set())
            while True:
                changed.clear()
                rows = await connection.fetch(
                    "select about from instances where service = 'auth' "
                    "order by seen_at < now() - $1::interval, seen_at desc",
                    STALE,
                )
                self._known = [msgspec.json.decode(row["about"], type=About) for row in rows]
                try:
                    await asyncio.wait_for(changed.wait(), 3)
                except TimeoutError:
                    continue
        finally:
            connection.terminate()

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Hand *request* to an auth, and back what it answers."""
        return await self._send(request, request.method, request.raw_path, await request.read(), _UNPACKED)

    async def whose(self, request: web.Request, credentials: dict[str, str]) -> str | None:
        """The name of whoever the *credentials* in the body of *request* belong to, None if that is nobody.

        Raises ApiError: 429 after too many that were nobody's, 503 while nobody can tell.
        """
        path = f"{request.app[GATE].options.hub_prefix}internal/credentials"
        answer = await self._send(request, "POST", path, msgspec.json.encode({"auth": credentials}), _NOT_THEIRS)
        if answer.status == 200:
            assert isinstance(answer.body, bytes)
            return msgspec.json.decode(answer.body, type=_Somebody).name
        if answer.status == 429:
            raise ApiError(429, TOO_MANY, {"Retry-After": answer.headers.get("Retry-After", "300")})
        if answer.status >= 500:
            raise ApiError(503, NONE_RUNS)
        return None

    async def _send(
        self, request: web.Request, method: str, path: str, body: bytes, without: Collection[str]
    ) -> web.Response:
        """Try one auth after the other until one is reached; a request that reached one is never sent twice."""
        if self._session is None or not self._known:
            raise ApiError(503, NONE_RUNS)
        headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in without)
        headers["X-Hubbub-Forward"] = request.app[GATE].forward_key
        headers["X-Hubbub-Client"] = client_address(request)
        headers["traceparent"] = telemetry.traceparent()
        live = self._known[:]
        random.shuffle(live)
        for auth in live:
            try:
                async with self._session.request(
                    method,
                    URL(auth.url + path, encoded=True),
                    data=body or None,
                    headers=headers,
                    allow_redirects=False,
                ) as answer:
                    return await _copied(answer)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("auth.unreachable", url=auth.url, error=str(error) or type(error).__name__)
                # Whoever was never reached has done nothing; reading twice does nothing either.
                if isinstance(error, aiohttp.ClientConnectorError) or method in ("GET", "HEAD"):
                    continue
                raise ApiError(502, "The login service did not answer; try again in a moment") from None
        raise ApiError(503, NONE_RUNS)


#: Where handlers find them.
AUTHS = web.AppKey("auths", Auths)


async def _copied(answer: aiohttp.ClientResponse) -> web.Response:
    headers = CIMultiDict((k, v) for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP)
    return web.Response(status=answer.status, body=await answer.read(), headers=headers)
