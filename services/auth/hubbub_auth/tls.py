"""How auth listens with internal TLS: by a certificate that the api has left for it in a folder."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import structlog

from hubbub.config import Options
from hubbub.internal_tls.authorities import kept, reading
from hubbub.internal_tls.files import serving

log = structlog.get_logger()

#: Seconds. Nobody tells when the api has made it; at the first start of a house that is a moment later.
AGAIN = 0.2


async def found(options: Options, stop: asyncio.Event) -> ssl.SSLContext | None:
    """Waits for it: without it nobody could tell us from a stranger. None if *stop* is set before."""
    folder, said = options.certs_folder, False
    while (context := _read(folder)) is None:
        if not said:
            log.info("auth.waits_for_certificate", folder=str(folder))
        said = True
        with suppress(TimeoutError):
            async with asyncio.timeout(AGAIN):
                await stop.wait()
        if stop.is_set():
            return None
    return context


def _read(folder: Path) -> ssl.SSLContext | None:
    try:
        with reading(folder):
            return serving(kept(folder, "auth"))
    except OSError:  # not there, or not whole: of TLS errors, too
        return None
