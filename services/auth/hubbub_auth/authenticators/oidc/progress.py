"""Logins that are under way: what has to be remembered until their browsers come back, in cookies.

So any auth can finish what another has begun, and one that starts anew in between loses nothing. A cookie is encrypted
and signed, good for ten minutes, and of one login: several tabs do not get in each other's way.
"""

import base64
import re
import secrets
from hmac import compare_digest
from typing import Any

import msgspec
import structlog
from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hubbub.web import cookies
from hubbub.web.request import GATE, browser_origin

log = structlog.get_logger()

PREFIX = "hubbub-login-"
#: Others may have been planted, with names that no cookie can be sent back by.
_OURS = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{12}}")
SECONDS = 600
#: Bytes of all such cookies together: what a browser sends with each request has to stay small.
MOST_BYTES = 6000
#: Of a cookie; browsers drop what has more than 4096 bytes with its name.
LARGEST = 3900


class InProgress(msgspec.Struct, frozen=True, kw_only=True):
    """`at`: the provider. `next`: a path of ours, for afterwards. `redirect_uri`: where the provider sends people."""

    at: str
    next: str
    redirect_uri: str
    state: str
    nonce: str
    verifier: str


def begun(*, at: str, next: str, redirect_uri: str) -> InProgress:
    return InProgress(
        at=at,
        next=next,
        redirect_uri=redirect_uri,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
    )


def remember(request: web.Request, response: web.StreamResponse, login: InProgress) -> None:
    """Give *login* to the browser; those that it began long ago, or too many of, are forgotten."""
    fernet = _fernet(request)
    value = _sealed(fernet, login)
    if len(value) > LARGEST:
        log.info("auth.next_too_long", bytes=len(login.next))
        value = _sealed(fernet, msgspec.structs.replace(login, next=""))
    room = MOST_BYTES - len(value)
    for name, other in sorted(_others(request), key=lambda cookie: _age(fernet, cookie[1]), reverse=True):
        room -= len(other)
        if room < 0 or not _age(fernet, other):
            _forget(request, response, name)
    response.set_cookie(
        _name(request, login.state), value, max_age=SECONDS, httponly=True, samesite="Lax", **_place(request)
    )


def recall(request: web.Request, state: str) -> InProgress | None:
    """The login that this very browser began with *state*, if it was not long ago."""
    value = request.cookies.get(_name(request, state), "")
    try:
        login = msgspec.json.decode(_fernet(request).decrypt(value.encode(), ttl=SECONDS), type=InProgress)
    except (InvalidToken, msgspec.MsgspecError, UnicodeError):
        return None
    return login if compare_digest(login.state.encode(), state.encode(errors="replace")) else None


def forget(request: web.Request, response: web.StreamResponse, login: InProgress) -> None:
    _forget(request, response, _name(request, login.state))


def _forget(request: web.Request, response: web.StreamResponse, name: str) -> None:
    response.del_cookie(name, httponly=True, samesite="Lax", **_place(request))


def _place(request: web.Request) -> dict[str, Any]:
    return {"secure": browser_origin(request)[0] == "https", **cookies.place(request.app[GATE].options)}


def _name(request: web.Request, state: str) -> str:
    return cookies.named(request.app[GATE].options, f"{PREFIX}{state[:12]}")


def _others(request: web.Request) -> list[tuple[str, str]]:
    prefix = cookies.named(request.app[GATE].options, "")
    return [
        (name, value)
        for name, value in request.cookies.items()
        if name.startswith(prefix) and _OURS.fullmatch(name.removeprefix(prefix))
    ]


def _sealed(fernet: Fernet, login: InProgress) -> str:
    return fernet.encrypt(msgspec.json.encode(login)).decode()


def _age(fernet: Fernet, value: str) -> int:
    """When the cookie was made, in seconds since 1970; 0 if it is none of ours, or of no use any more."""
    try:
        fernet.decrypt(value.encode(), ttl=SECONDS)
        return fernet.extract_timestamp(value.encode())
    except (InvalidToken, UnicodeError):
        return 0


def _fernet(request: web.Request) -> Fernet:
    """Under a key of its own, which every auth of the house can derive."""
    derived = HKDF(SHA256(), 32, salt=None, info=b"hubbub: logins in progress").derive(request.app[GATE].cookie_secret)
    return Fernet(base64.urlsafe_b64encode(derived))
