"""configurable-http-proxy, by its REST API."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import structlog
from yarl import URL

from hubbub.internal_tls.files import Files, asking
from hubbub_proxy_sync.proxies.base import Proxy, ProxyRoute, ProxyUnavailable, RouteRefused
from hubbub_proxy_sync.proxies.process import Program, Running

log = structlog.get_logger()

#: Seconds for a new proxy to answer. One whose port is taken does not end: it stays, and never answers.
START_TIMEOUT = 15.0
#: Seconds for one from the record, which may have been started a moment ago.
FIND_TIMEOUT = 5.0
#: A listing that nothing matches: asks whether our token is right, at no cost.
_NOTHING = "?inactiveSince=1970-01-01T00:00:00Z"


class ConfigurableHTTPProxy(Proxy):
    """*program*: how to start it, None if others do. *public_url*: where people reach it, seen from here."""

    def __init__(
        self,
        *,
        api_url: str,
        token: str,
        public_url: str,
        program: Program | None = None,
        concurrency: int = 10,
        check_interval: float = 5.0,
    ) -> None:
        super().__init__(should_start=program is not None)
        self._routes_url = f"{api_url.rstrip('/')}/api/routes"
        self._health_url = f"{public_url.rstrip('/')}/_chp_healthz"
        # Not for the public address, where anybody may listen.
        self._proof = {"Authorization": f"token {token}"}
        self._program = program
        self._concurrency = concurrency
        self._check_interval = check_interval
        self._running: Running | None = None
        self.complaint = ""
        self._tls: ssl.SSLContext | None = None
        self._opened: aiohttp.ClientSession | None = None

    def secure(self, certificates: Mapping[str, Files]) -> None:
        self._tls = asking(certificates["proxy-sync"])
        if self._program is not None:
            self._program.arguments += _tls_arguments(certificates)

    # Life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Use the proxy that runs and answers our token; else start one, again and again until it answers."""
        pause = 0.1
        while complaint := await self._find_or_begin():
            if complaint != self.complaint:
                log.error("proxy.unusable", error=complaint)
            self.complaint = complaint
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        self.complaint = ""

    async def stop(self) -> None:
        running = self._running or (self._program and self._program.find())
        if running:
            await running.end()

    async def close(self) -> None:
        if self._running:
            self._running.let_go()
        if self._opened:
            await self._opened.close()

    async def watch(self, returned: Callable[[], None]) -> None:
        while True:
            await self._until_lost()
            log.warning("proxy.lost")
            await self.start()
            returned()

    async def answers(self) -> bool:
        return await (self._is_healthy() if self._program else self._knows_us())

    async def _find_or_begin(self) -> str:
        """What is wrong; "" when the proxy is there."""
        if self._program is None:
            return "" if await self._knows_us() else f"{self._routes_url} does not answer us"
        found = self._program.find()
        if found and found.arguments == self._program.arguments and await self._is_up(found, FIND_TIMEOUT):
            log.info("proxy.found", pid=found.pid)
        elif found:
            await found.end()
            return await self._begin(self._program)
        elif await self._knows_us():
            if not await self._is_healthy():
                return f"the proxy at {self._routes_url} is not ours and does not answer at {self._health_url}"
            log.info("proxy.found", pid=None)
        else:
            return await self._begin(self._program)
        self._running = found
        return ""

    async def _begin(self, program: Program) -> str:
        begun = program.begin()
        if await self._is_up(begun, START_TIMEOUT):
            log.info("proxy.started", pid=begun.pid)
            self._running = begun
            return ""
        reason = "ended at once" if begun.gone.is_set() else "does not answer, are its ports free?"
        await begun.end()
        return f"{' '.join(program.command)} {reason} (see {program.log})"

    async def _is_up(self, running: Running, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not running.gone.is_set():
                    if await self._knows_us() and await self._is_healthy():
                        return True
                    await asyncio.sleep(0.02)
        return False

    async def _until_lost(self) -> None:
        while True:
            ended = self._running.gone if self._running else asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._check_interval):
                    await ended.wait()
            if ended.is_set() or (self._running is None and not await self._knows_us()):
                self._running = None
                return

    async def _knows_us(self) -> bool:
        try:
            await self._request("GET", _NOTHING)
        except (ProxyUnavailable, RouteRefused):
            return False
        return True

    async def _is_healthy(self) -> bool:
        try:
            async with self._session.get(self._health_url, timeout=aiohttp.ClientTimeout(total=2)) as response:
                return response.status == 200 and (await response.read()).strip() == b'{"status":"OK"}'
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    # Routes ---------------------------------------------------------------------------------

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        body = {**data, "target": target, "jupyterhub": True}
        await self._request("POST", self._path(routespec), body)

    async def delete_route(self, routespec: str) -> None:
        await self._request("DELETE", self._path(routespec))

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        found: dict[str, ProxyRoute] = {}
        for path, data in (await self._request("GET", "")).items():
            if isinstance(data, dict) and data.pop("jupyterhub", False):
                # The proxy keeps paths unquoted and without a slash at the end.
                spec = quote(path.rstrip("/") + "/", safe="/@~")
                found[spec] = ProxyRoute(routespec=spec, target=str(data.pop("target", "")), data=data)
        return found

    def _path(self, routespec: str) -> str:
        """As the proxy's API wants it: quoted once, since it unquotes once."""
        path = unquote(self.validate_routespec(routespec))
        return quote(path.rstrip("/") or "/", safe="/@~")

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        url = URL(f"{self._routes_url}{path}", encoded=True)
        for last in (False, True):
            try:
                async with self._session.request(method, url, json=body, headers=self._proof) as response:
                    return await self._answer(method, response)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError) as error:
                # It may have closed a connection that was idle, just as we took it.
                if last:
                    raise ProxyUnavailable(f"{self._routes_url}: {type(error).__name__}") from None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ProxyUnavailable(f"{self._routes_url}: {str(error) or type(error).__name__}") from None
        return None

    async def _answer(self, method: str, response: aiohttp.ClientResponse) -> Any:
        if response.status == 403:
            raise ProxyUnavailable(f"{self._routes_url} refuses our token")
        if method == "DELETE" and response.status == 404:
            return None
        if response.status >= 300:
            raise RouteRefused(
                f"{method} {response.url.path}: {response.status} {await response.text(errors='replace')}"
            )
        if method != "GET":
            return None
        try:
            answer = await response.json(content_type=None)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ProxyUnavailable(f"{self._routes_url} is not the API of a configurable-http-proxy")
        return answer

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            # Node closes idle connections after 5 s.
            connector = aiohttp.TCPConnector(limit=self._concurrency, keepalive_timeout=4, ssl=self._tls or True)
            self._opened = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10))
        return self._opened


def _tls_arguments(certificates: Mapping[str, Files]) -> tuple[str, ...]:
    """Its API takes nobody without a certificate; what it leads to is shown its own, and checked."""
    found = []
    for side, part in (("api", "proxy-api"), ("client", "proxy-client")):
        files = certificates[part]
        found += [f"--{side}-ssl-key", str(files.keyfile), f"--{side}-ssl-cert", str(files.certfile)]
        found += [f"--{side}-ssl-ca", str(files.cafile), f"--{side}-ssl-request-cert"]
        found += [f"--{side}-ssl-reject-unauthorized"]
    return tuple(found)
