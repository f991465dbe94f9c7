"""What people are shown when a server, or the hub, does not answer: whole HTTP responses, as HAProxy wants them."""

from html import escape
from http import HTTPStatus
from pathlib import Path

import aiohttp

from hubbub_proxy_sync.proxies.haproxy.configuration import BROKEN, page

#: Bytes: what fits into HAProxy's buffer beside the headers.
LARGEST = 30_000
PATIENCE = aiohttp.ClientTimeout(total=2)
_TEXTS = {False: "This server does not answer.", True: "The hub does not answer. Servers that run go on running."}


def plain(status: int, *, hub: bool) -> bytes:
    """Ours, as long as there is none of the hub's."""
    title = f"{status} {HTTPStatus(status).phrase}"
    text = f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{escape(_TEXTS[hub])} Try again in a moment.</p>\n"
    return _response(status, "text/html; charset=utf-8", text.encode())


def all_plain() -> dict[str, bytes]:
    return {page(status, hub=hub): plain(status, hub=hub) for status in BROKEN for hub in (False, True)}


def kept(folder: Path) -> dict[str, bytes]:
    """The hub's, as an earlier self has got them."""
    paths = [folder / page(status) for status in BROKEN]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


async def of_hub(session: aiohttp.ClientSession, url: str) -> dict[str, bytes]:
    """Those for servers, from *url*, the hub's with a slash at its end. None of what cannot be had, or is too large."""
    found = {}
    try:
        for status in BROKEN:
            async with session.get(f"{url}error/{status}", timeout=PATIENCE, allow_redirects=False) as response:
                body = _for_all(await response.read(), response)
                if response.status in (200, status) and len(body) < LARGEST:
                    found[page(status)] = _response(status, response.headers.get("Content-Type", "text/html"), body)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return {}
    return found


def _for_all(body: bytes, response: aiohttp.ClientResponse) -> bytes:
    """Without the token against forged requests: it is another each time, and nobody's who will see the page."""
    token = response.cookies.get("_xsrf")
    return body.replace(token.value.encode(), b"") if token and token.value else body


def _response(status: int, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\nCache-Control: no-store\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1", "replace") + body
