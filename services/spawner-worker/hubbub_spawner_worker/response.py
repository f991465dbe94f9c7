"""Whether a server answers yet: one small GET after the other until it does."""

import asyncio
import ssl
from urllib.parse import urlsplit

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.2
_ONE_TRY = 10.0
"""Seconds: a server may accept a connection long before it reads from it."""
_LARGEST_HEAD = 64 * 1024


class NotHttp(Exception):
    """What came back is no answer."""


async def version_of(url: str, tls: ssl.SSLContext | None = None) -> str:
    """Wait until a GET of *url* is answered with any status below 500: the X-JupyterHub-Version it says, or "".

    *tls*: how to ask an https URL, if not as anybody does.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            async with asyncio.timeout(_ONE_TRY):
                status, headers = await _get(url, tls)
            if status < 500:
                return headers.get("x-jupyterhub-version", "")
        except (OSError, TimeoutError, EOFError, NotHttp, asyncio.LimitOverrunError):
            pass
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _get(url: str, tls: ssl.SSLContext | None) -> tuple[int, dict[str, str]]:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or (443 if secure else 80),
        ssl=(tls or True) if secure else None,
        limit=_LARGEST_HEAD,
    )
    try:
        writer.write(
            f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: hubbub\r\n"
            "Accept: application/json\r\nConnection: close\r\n\r\n".encode()
        )
        return _parse(await reader.readuntil(b"\r\n\r\n"))
    finally:
        # The body is of no interest: closed at once, not gracefully.
        writer.transport.abort()


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    protocol, _, rest = first.partition(" ")
    if not protocol.startswith("HTTP/") or not rest[:3].isdigit():
        raise NotHttp(first[:80])
    pairs = (line.partition(":") for line in lines if line)
    return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}
