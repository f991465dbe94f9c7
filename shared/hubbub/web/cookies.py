"""The cookies of a login, signed as tornado signs them, so that hosted handlers can read them too."""

import secrets
from typing import Any

from aiohttp import web
from tornado.web import create_signed_value, decode_signed_value

LOGIN = "jupyterhub-hub-login"
SESSION_ID = "jupyterhub-session-id"


def read_login(request: web.Request, cookie_secret: bytes, max_age_days: float) -> str | None:
    """The secret of the session that the login cookie names; None if it is absent, forged or too old."""
    value = request.cookies.get(LOGIN)
    return secret_in(value, cookie_secret, max_age_days) if value else None


def secret_in(value: str, cookie_secret: bytes, max_age_days: float) -> str | None:
    """What a login cookie of that *value* names; None if it is forged or too old."""
    decoded = decode_signed_value(cookie_secret, LOGIN, value, max_age_days=max_age_days)
    return decoded.decode() if decoded else None


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def set_login(
    response: web.StreamResponse,
    cookie_secret: bytes,
    secret: str,
    session: str,
    *,
    hub_prefix: str,
    base_url: str,
    secure: bool,
) -> None:
    """Log a browser in. The login cookie is for the hub alone, the session id for servers too."""
    common: dict[str, Any] = {"httponly": True, "secure": secure, "samesite": "Lax"}
    signed = create_signed_value(cookie_secret, LOGIN, secret).decode()
    response.set_cookie(LOGIN, signed, path=hub_prefix, max_age=30 * 86_400, **common)
    response.set_cookie(SESSION_ID, session, path=base_url, **common)


def clear_login(response: web.StreamResponse, *, hub_prefix: str, base_url: str) -> None:
    response.del_cookie(LOGIN, path=hub_prefix)
    response.del_cookie("_xsrf", path=hub_prefix)
    response.del_cookie(SESSION_ID, path=base_url)
    response.del_cookie("jupyterhub-services", path=f"{base_url}services")
