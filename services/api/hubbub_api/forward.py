"""Hands the pages of auths to those who have announced them, with the caller's address and Host, which they believe
us alone; and asks auths what only an authenticator knows.
"""

import asyncio
import random
import re
import ssl
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar
from urllib.parse import unquote

import aiohttp
import asyncpg
import msgspec
import structlog
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from hubbub import database, releases, telemetry
from hubbub.auth_messages import About, Greet, Greeted, Page, Policy, Refresh, Refreshed
from hubbub.away import AWAY
from hubbub.web.hops import HOP_BY_HOP
from hubbub.web.request import ApiError, client_address
from hubbub_api.known_auth import ALWAYS, Auth, said

log = structlog.get_logger()
T = TypeVar("T")

_BETWEEN_US = HOP_BY_HOP | {"content-length", "x-hubbub-forward", "x-hubbub-client"}

#: Of requests: their bodies are handed on as they were read, which is unpacked.
_UNPACKED = _BETWEEN_US | {"content-encoding"}
#: Of requests that are put as a question of our own.
_NOT_THEIRS = _UNPACKED | {"accept", "content-type", "cookie", "authorization"}

#: What no auth is given, whatever it announces: `internal` is between us and them.
_NEVER = re.compile(r"(api|internal|static)(/.*)?|health|metrics", re.DOTALL)

#: An auth that has not been seen for so long is not asked any more while others are there.
STALE = timedelta(seconds=10)
#: An address of a page that asks for the way back to another one can be a few times as long as that.
LONGEST_HEADER = 64 * 1024
#: Seconds that an auth may take to be there again after it was stopped.
RESTART = 8.0
#: Seconds for which nobody asks again whether a login still holds, after nobody could tell.
AGAIN = 5.0

NONE_RUNS = "No login service is running; try again in a moment"
NO_ANSWER = "The login service did not answer; try again in a moment"
TOO_MANY = "Too many failed logins. Wait five minutes, then try again."


class _Somebody(msgspec.Struct):
    name: str


class Auths:
    """The auth services there are, as they announce themselves in Postgres. Run `run` as a task.

    `policy`, `pages`: what the newest says its authenticator wants, and has; those of the last one while there is none.
    `refused`: set when there may be news of users whom the authenticator will not have.
    """

    def __init__(
        self, dsn: str, tls: ssl.SSLContext | None = None, *, prefix: str = "/hub/", forward_key: str = ""
    ) -> None:
        """*tls*: how to ask, with internal TLS. *prefix*: the hub's."""
        self._dsn = dsn
        self._tls = tls
        self._prefix, self._path = prefix, unquote(prefix)
        self._forward_key = forward_key
        self._known: list[Auth] = []
        self._came, self._last_went = asyncio.Event(), float("-inf")
        self._paths = frozenset(ALWAYS)
        self._patterns: tuple[re.Pattern[str], ...] = ()
        self._session: aiohttp.ClientSession | None = None
        self.policy = Policy()
        self.pages: tuple[Page, ...] = ()
        self.refused = asyncio.Event()

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
        connection = await database.connect(
            self._dsn,
            timeout=5,
            command_timeout=10,
            server_settings={"application_name": releases.named("hubbub-auths")},
        )
        changed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: changed.set())
            await connection.add_listener("instances", lambda *_: changed.set())
            await connection.add_listener("refused", lambda *_: self.refused.set())
            self.refused.set()
            while True:
                changed.clear()
                rows = await connection.fetch(
                    "select about, seen_at < now() - $1::interval as is_stale from instances where service = 'auth' "
                    "order by seen_at desc",
                    STALE,
                )
                fresh = [row for row in rows if not row["is_stale"]] or rows
                self._meet([about for row in fresh if (about := said(row["about"]))])
                try:
                    await asyncio.wait_for(changed.wait(), 3)
                except TimeoutError:
                    continue
        finally:
            connection.terminate()

    def _meet(self, there: Sequence[About]) -> None:
        """*there*: those who were seen last come first."""
        if there:
            self._came.set()
        elif self._known:
            self._came.clear()
            self._last_went = time.monotonic()
        self._known = [Auth.of(about) for about in there]
        self._paths = frozenset(ALWAYS).union(*(auth.paths for auth in self._known))
        self._patterns = tuple({pattern for auth in self._known for pattern in auth.patterns})
        if self._known:
            self.policy, self.pages = self._known[0].policy, there[0].pages

    # Pages ------------------------------------------------------------------------------

    def page(self, request: web.Request) -> str | None:
        """The path below the hub's prefix, if some auth has announced that page: as it was announced, if that is to the
        letter; else empty, since there may be somebody's name in it.
        """
        path = request.rel_url.raw_path
        if not path.startswith(self._prefix):
            return None
        path = path.removeprefix(self._prefix)
        known = path in self._paths
        if not known and not any(pattern.fullmatch(path) for pattern in self._patterns):
            return None
        if _NEVER.fullmatch(request.path.removeprefix(self._path)):
            return None
        return path if known else ""

    async def forward(self, request: web.Request) -> web.Response:
        """Hand *request* to an auth that has announced its page, and back what it answers."""
        await self._back_again()
        page = request.rel_url.raw_path.removeprefix(self._prefix)
        is_everyones = request.path.removeprefix(self._path) in ALWAYS
        auths = [auth for auth in self._known if is_everyones or auth.answers(page)]
        body = await request.read()
        return await self._send(auths, request.method, request.raw_path, body, _headers(request, _UNPACKED))

    # Questions --------------------------------------------------------------------------

    async def whose(self, request: web.Request, credentials: dict[str, str]) -> str | None:
        """The name of whoever the *credentials* in the body of *request* belong to, None if that is nobody.

        Raises ApiError: 429 after too many that were nobody's, 503 while nobody can tell.
        """
        body = msgspec.json.encode({"auth": credentials})
        answer = await self._ask("credentials", body, _headers(request, _NOT_THEIRS))
        if answer.status == 200:
            return _decoded(answer, _Somebody).name
        if answer.status == 429:
            raise ApiError(429, TOO_MANY, {"Retry-After": answer.headers.get("Retry-After", "300")})
        if answer.status >= 500:
            raise ApiError(503, NONE_RUNS)
        return None

    async def refresh(self, user: str, *, force: bool) -> Refreshed:
        """What the authenticator says of somebody who has logged in. While nobody can tell, it holds."""
        try:
            answer = await self._ask("refresh", msgspec.json.encode(Refresh(user=user, force=force)))
            if answer.status == 200:
                return _decoded(answer, Refreshed)
            why = f"HTTP {answer.status}"
        except ApiError as error:
            why = str(error)
        log.warning("auth.cannot_refresh", user=user, error=why)
        return Refreshed(fresh=True, seconds=AGAIN)

    async def greet(self, greet: Greet) -> Greeted:
        """Raises ApiError, a 503, if nobody can tell."""
        try:
            answer = await self._ask("users", msgspec.json.encode(greet))
        except ApiError as error:
            raise ApiError(503, error.message) from None
        if answer.status != 200:
            raise ApiError(503, NONE_RUNS)
        return _decoded(answer, Greeted)

    async def _ask(self, what: str, body: bytes, headers: "CIMultiDict[str] | None" = None) -> web.Response:
        await self._back_again()
        path = f"{self._prefix}internal/{what}"
        return await self._send(self._known, "POST", path, body, CIMultiDict() if headers is None else headers)

    async def _back_again(self) -> None:
        """If the last one has just taken itself back, as in a restart, wait a little for the next one."""
        ends = self._last_went + RESTART
        if not self._known and (left := ends - time.monotonic()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), left)

    async def _send(
        self, auths: Sequence[Auth], method: str, path: str, body: bytes, headers: "CIMultiDict[str]"
    ) -> web.Response:
        """Try one auth after the other until one is reached; a request that reached one is never sent twice."""
        if self._session is None or not auths:
            raise ApiError(503, NONE_RUNS)
        headers["X-Hubbub-Forward"] = self._forward_key
        headers["traceparent"] = telemetry.traceparent()
        for auth in _in_turn(auths):
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
                raise ApiError(502, NO_ANSWER) from None
        raise ApiError(503, NONE_RUNS)


#: Where handlers find them.
AUTHS = web.AppKey("auths", Auths)


def _in_turn(auths: Sequence[Auth]) -> list[Auth]:
    """Whom to ask first: any of them, or the one that all apis ask."""
    if any(auth.remembers for auth in auths):
        return sorted(auths, key=lambda auth: auth.url)
    return random.sample(auths, len(auths))


def _headers(request: web.Request, without: Collection[str]) -> "CIMultiDict[str]":
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in without)
    headers["X-Hubbub-Client"] = client_address(request)
    return headers


async def _copied(answer: aiohttp.ClientResponse) -> web.Response:
    headers = CIMultiDict((k, v) for k, v in answer.headers.items() if k.lower() not in _BETWEEN_US)
    return web.Response(status=answer.status, body=await answer.read(), headers=headers)


def _decoded(answer: web.Response, shape: type[T]) -> T:
    assert isinstance(answer.body, bytes)
    return msgspec.json.decode(answer.body, type=shape)
