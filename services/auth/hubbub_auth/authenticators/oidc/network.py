"""Requests to a provider: few at a time, bounded in time and size, with TLS that is always verified."""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

#: Bytes of an answer. Sets of keys and lists of teams have a few ten thousand.
LARGEST = 1024 * 1024
AT_ONCE = 50


class ProviderAway(Exception):
    """The provider did not answer, or not with anything that could be meant; it may do better in a moment."""


class TokenRefused(Exception):
    """The provider does not know the token that was sent to it, or not any more."""


@dataclass(frozen=True)
class Answer:
    """As much of a response as Authlib looks at."""

    url: str
    status_code: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises ValueError."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise ProviderAway(f"{_told(self.url)} answered {self.status_code}")


class Network:
    """Of one provider. All calls on one loop; `close` it there."""

    def __init__(self, *, timeout: float, ca_certs: str = "", trust_env: bool = False) -> None:
        """*timeout*: seconds for a request. Raises OSError if *ca_certs* cannot be read."""
        self._tls = ssl.create_default_context()
        if ca_certs:
            self._tls.load_verify_locations(ca_certs)
        self._timeout = timeout
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, *, token: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """An answer with a status below 400. Raises ProviderAway, and TokenRefused if *token* is not good."""
        sent = {"Accept": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        answer = await self.send("GET", url, headers=sent)
        if token and answer.status_code in (400, 401):  # it should be 401 (RFC 6750), and is not everywhere
            raise TokenRefused
        answer.raise_for_status()
        return answer

    async def send(self, method: str, url: str, *, headers: Mapping[str, str], body: str | None = None) -> Answer:
        """Whatever the answer says. Redirects are not followed: they could lead a token anywhere."""
        try:
            async with self._open().request(
                method,
                URL(url, encoded=True),
                data=body.encode() if body is not None else None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                read = await self._read(response)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise ProviderAway(f"{_told(url)}: {str(error) or type(error).__name__}") from error
        if 300 <= response.status < 400:
            raise ProviderAway(f"{_told(url)} redirects, which is not followed")
        return Answer(url, response.status, response.headers, read)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        read = bytearray()
        async for chunk in response.content.iter_any():
            read += chunk
            if len(read) > LARGEST:
                raise ProviderAway(f"{_told(str(response.url))} answered more than {LARGEST} bytes")
        return bytes(read)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=AT_ONCE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "Hubbub"},
                trust_env=self._trust_env,
            )
        return self._session


def is_safe(url: str) -> bool:
    """Whether secrets may be sent to *url*: by TLS, or within this machine (for trying things out)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or not url.isprintable() or " " in url or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _told(url: str) -> str:
    """*url* without its query, which may hold what is secret."""
    return url.partition("?")[0]
