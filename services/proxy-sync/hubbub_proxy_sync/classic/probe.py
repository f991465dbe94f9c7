"""Whether somebody answers at a public address, asked for nothing: a stopped process takes connections, too."""

import asyncio
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

#: Seconds.
PATIENCE = 2.0
_EVERYWHERE = frozenset({"", "*", "0.0.0.0", "::"})
#: No version that there is: proxies refuse it themselves, whatever is behind them.
_NOTHING = b"GET / HTTP/9.9\r\nHost: nobody\r\n\r\n"


async def answers(bind_url: str) -> bool:
    """Whether the process that listens there does something: says anything, or hangs up."""
    parts = urlsplit(bind_url)
    host = "127.0.0.1" if (parts.hostname or "") in _EVERYWHERE else parts.hostname
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            return await _says_something(host, port, _tls() if parts.scheme == "https" else None)
    return False


async def _says_something(host: str | None, port: int, tls: ssl.SSLContext | None) -> bool:
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(_NOTHING)
        with suppress(ConnectionError):
            await reader.read(1)
        return True
    finally:
        writer.transport.abort()


def _tls() -> ssl.SSLContext:
    """It is our own proxy, by whatever name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
