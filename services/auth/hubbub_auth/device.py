"""Browsers in which a name has been logged in by before: a signed cookie of their own ("device cookie", OWASP)."""

import hmac
import re
import secrets

from tornado.web import create_signed_value

from hubbub.web.cookie_secret import every
from hubbub.web.cookies import opened

COOKIE = "hubbub-device"
DAYS = 400
#: How many names a browser is known for: those that were logged in by last.
MOST_NAMES = 8

_VALUE = re.compile(rf"([0-9a-f]{{32}})((?:\.[0-9a-f]{{16}}){{0,{MOST_NAMES}}})")


def known(cookie_secret: bytes, value: str, name: str) -> str:
    """The id of the browser with a cookie of that *value*, if *name* has been logged in by there; else empty.

    *name*: what was typed, as the authenticator normalizes it.
    """
    id, marks = _read(cookie_secret, value)
    return id if any(_mark(each, id, name) in marks for each in every(cookie_secret)) else ""


def remembered(cookie_secret: bytes, value: str, name: str) -> str:
    """The cookie's next value, after *value*: *name* has just been logged in by."""
    id, marks = _read(cookie_secret, value)
    id = id or secrets.token_hex(16)
    mark = _mark(cookie_secret, id, name)
    latest = [*(each for each in marks if each != mark), mark][-MOST_NAMES:]
    return create_signed_value(cookie_secret, COOKIE, ".".join([id, *latest])).decode()


def _read(cookie_secret: bytes, value: str) -> tuple[str, list[str]]:
    decoded = opened(cookie_secret, COOKIE, value, max_age_days=DAYS) if value else None
    found = _VALUE.fullmatch(decoded) if decoded else None
    return (found[1], found[2].split(".")[1:]) if found else ("", [])


def _mark(cookie_secret: bytes, id: str, name: str) -> str:
    """What stands for *name* in this browser alone."""
    text = f"{COOKIE} {id} {name}".encode(errors="surrogatepass")
    return hmac.digest(cookie_secret, text, "sha256").hex()[:16]
