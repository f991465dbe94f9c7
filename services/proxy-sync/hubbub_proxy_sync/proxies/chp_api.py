"""The REST API of configurable-http-proxy."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from hubbub_proxy_sync.proxies.proxy import ProxyUnavailable, RouteRefused

#: A listing that nothing matches: asks whether our token is right, at no cost.
_NOTHING = "?inactiveSince=1970-01-01T00:00:00Z"
_HEALTHY = b'{"status":"OK"}'


class Api:
    """That of one proxy. Paths are as in its table: `/user/ada`, unquoted, without a slash at the end.

    All raise ProxyUnavailable when nobody answers us; `set` and `remove` raise RouteRefused.
    """

    def __init__(self, url: str, token: str, *, concurrency: int = 10, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._routes_url = f"{url}/api/routes"
        # Not for the public address, where anybody may listen.
        self._proof = {"Authorization": f"token {token}"}
        self._concurrency = concurrency
        self._tls = tls
        self._opened: aiohttp.ClientSession | None = None
        self._is_left = False

    async def close(self) -> None:
        self._is_left = True
        if self._opened:
            await self._opened.close()

    async def routes(self) -> dict[str, dict[str, Any]]:
        """Everybody's, by path."""
        found: dict[str, dict[str, Any]] = await self._request("GET", "")
        return found

    async def set(self, path: str, route: Mapping[str, Any]) -> None:
        await self._request("POST", quote(path, safe="/@~"), route)

    async def remove(self, path: str) -> None:
        """One that is not there is no error."""
        await self._request("DELETE", quote(path, safe="/@~"))

    async def knows_us(self) -> bool:
        try:
            await self._request("GET", _NOTHING)
        except (ProxyUnavailable, RouteRefused):
            return False
        return True

    async def is_refused(self) -> bool:
        """Whether nobody listens there. One that only sleeps does."""
        url = URL(self.url)
        try:
            _, writer = await asyncio.open_connection(url.host, url.port)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        writer.close()
        return False

    async def is_healthy(self, public_url: str) -> bool:
        """Whether the proxy answers where people come in."""
        url, patience = f"{public_url}/_chp_healthz", aiohttp.ClientTimeout(total=2)
        try:
            # By what name people know it is no matter of ours; nothing secret is said.
            async with self._session.get(url, timeout=patience, ssl=False) as response:
                return response.status == 200 and (await response.read()).strip() == _HEALTHY
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        url = URL(f"{self._routes_url}{path}", encoded=True)
        for last in (False, True):
            if self._is_left:
                raise ProxyUnavailable(f"{self._routes_url} is left alone by now")
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
            return msgspec.json.decode(await response.read(), type=dict[str, dict[str, Any]])
        except msgspec.MsgspecError:
            raise ProxyUnavailable(f"{self._routes_url} is not the API of a configurable-http-proxy") from None

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            # Node closes idle connections after 5 s.
            connector = aiohttp.TCPConnector(limit=self._concurrency, keepalive_timeout=4, ssl=self._tls or True)
            self._opened = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10))
        return self._opened
