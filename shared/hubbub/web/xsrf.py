"""Cross-site request forgery: the `_xsrf` cookie and token, bound to the login (contract, part 1.2)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from tornado.web import create_signed_value, decode_signed_value

from hubbub.web.cookie_secret import every
from hubbub.web.cookies import values

COOKIE = "_xsrf"
ANONYMOUS_SECONDS = 3600
READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Forgery(Exception):
    """The request cannot be shown to come from our own pages."""


def bound_to(session: str, secret: str, address: str, agent: str) -> bytes:
    """What a token stands for: the login (`secret` of its session), or else an anonymous browser.

    A cookie that somebody has planted, and a header, need not be text.
    """
    who = secret or hashlib.sha256(f"{address}\0{agent}".encode(errors="surrogatepass")).hexdigest()
    return f"{session}:{who}".encode(errors="surrogatepass")


def make(cookie_secret: bytes, binding: bytes) -> str:
    signed = create_signed_value(cookie_secret, COOKIE, binding)
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def valid(cookie_secret: bytes, token: str, binding: bytes) -> bool:
    """Whether *token* is one of ours, made for *binding*."""
    try:
        signed = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
    except (ValueError, binascii.Error):
        return False
    for secret in every(cookie_secret):
        value = decode_signed_value(secret, COOKIE, signed, max_age_days=31, min_version=2)
        if value is not None and hmac.compare_digest(value, binding):
            return True
    return False


def needed(method: str, headers: Mapping[str, str], *, is_api: bool) -> bool:
    """Whether a request that is identified by cookie must carry the token."""
    if method not in READS:
        return True
    if not is_api:
        return False
    mode = headers.get("Sec-Fetch-Mode", "")
    if mode in ("", "navigate", "websocket"):
        return False
    return not (mode == "no-cors" and headers.get("Sec-Fetch-Site") == "same-origin")


def is_foreign(headers: Mapping[str, str], host: str, neighbours: str) -> bool:
    """Whether a form comes from a page of another site, or of a host below ours, as far as its browser says so.

    *host*: the hub's, as its browser has it. *neighbours*: the domain below which others have hosts, if they do.
    """
    if headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site"):
        return True  # browsers say so where there is TLS
    said = headers.get("Origin", "").partition("://")[2].lower()
    return bool(neighbours) and said != host.lower() and said.partition(":")[0].endswith(f".{neighbours}")


def sent(headers: Mapping[str, str], argument: str | None) -> str | None:
    return argument or headers.get("X-XSRFToken") or headers.get("X-CSRFToken")


def check(cookie_secret: bytes, header: str, token: str | None, binding: bytes, method: str) -> None:
    """Raises Forgery with JupyterHub's sentence."""
    if not token:
        raise Forgery(f"'_xsrf' argument missing from {method}")
    cookies = [value for value in values(header, COOKIE) if valid(cookie_secret, value, binding)]
    if not cookies or not valid(cookie_secret, token, binding):
        raise Forgery(f"XSRF cookie does not match {method} argument")


__all__ = ["COOKIE", "Forgery", "bound_to", "check", "make", "needed", "sent", "valid"]
