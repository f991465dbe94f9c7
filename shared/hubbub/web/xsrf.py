"""Cross-site request forgery: the `_xsrf` cookie and token, bound to the login (contract, part 1.2)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from tornado.web import create_signed_value, decode_signed_value

COOKIE = "_xsrf"
ANONYMOUS_SECONDS = 3600
READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Forgery(Exception):
    """The request cannot be shown to come from our own pages."""


def bound_to(session: str, secret: str, address: str, agent: str) -> bytes:
    """What a token stands for: the login (`secret` of its session), or else an anonymous browser."""
    who = secret or hashlib.sha256(f"{address}\0{agent}".encode()).hexdigest()
    return f"{session}:{who}".encode()


def make(cookie_secret: bytes, binding: bytes) -> str:
    signed = create_signed_value(cookie_secret, COOKIE, binding)
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def valid(cookie_secret: bytes, token: str, binding: bytes) -> bool:
    """Whether *token* is one of ours, made for *binding*."""
    try:
        signed = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
    except (ValueError, binascii.Error):
        return False
    value = decode_signed_value(cookie_secret, COOKIE, signed, max_age_days=31)
    return value is not None and hmac.compare_digest(value, binding)


def cookie_values(header: str) -> list[str]:
    """Every `_xsrf` cookie of a Cookie header: several may arrive, from several paths."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value.strip('"') for name, _, value in pairs if name == COOKIE]


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


def sent(headers: Mapping[str, str], argument: str | None) -> str | None:
    return argument or headers.get("X-XSRFToken") or headers.get("X-CSRFToken")


def check(cookie_secret: bytes, header: str, token: str | None, binding: bytes, method: str) -> None:
    """Raises Forgery with JupyterHub's sentence."""
    if not token:
        raise Forgery(f"'_xsrf' argument missing from {method}")
    cookies = [value for value in cookie_values(header) if valid(cookie_secret, value, binding)]
    if not cookies or not valid(cookie_secret, token, binding):
        raise Forgery(f"XSRF cookie does not match {method} argument")


__all__ = ["COOKIE", "Forgery", "bound_to", "check", "cookie_values", "make", "needed", "sent", "valid"]
