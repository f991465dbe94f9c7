"""The cookies of a login, signed as tornado signs them, so that hosted handlers can read them too.

Everybody whose server has a host below the hub's can plant cookies there that the hub is sent, too. Those of a login
are the hub's alone where their names begin with `__Host-` (`c.JupyterHub.cookie_host_prefix_enabled`): browsers take
such a one from the host itself alone.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web
from tornado.web import create_signed_value, decode_signed_value

from hubbub.config import Options
from hubbub.web.cookie_secret import every

log = structlog.get_logger()

LOGIN = "jupyterhub-hub-login"
SESSION_ID = "jupyterhub-session-id"
HOST_PREFIX = "__Host-"


def named(options: Options, name: str) -> str:
    """What a cookie *name* of the hub alone is called."""
    return f"{HOST_PREFIX}{name}" if options.hub.cookie_host_prefix_enabled else name


def place(options: Options) -> dict[str, Any]:
    """Where browsers send such a cookie to: the hub. `__Host-` goes with every path, or browsers do not take it."""
    if options.hub.cookie_host_prefix_enabled:
        return {"path": "/", "secure": True}
    return {"path": options.hub_prefix}


def place_of_session(options: Options) -> dict[str, Any]:
    """Where they send the session's id to: servers, too, on their own hosts if they have such."""
    place: dict[str, Any] = {"path": options.base_url}
    return {**place, "domain": options.hosts.domain} if options.hosts.routing else place


def values(header: str, name: str) -> list[str]:
    """Every cookie *name* of a Cookie header: several may arrive, of several paths and hosts, in any order."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value.strip('"') for each, _, value in pairs if each == name]


def read_login(request: web.Request, cookie_secret: bytes, options: Options) -> str | None:
    """The secret of the session that the login cookie names; None if it is absent, forged or too old.

    Nor is it known who asks if two are good: one may have been planted, by somebody whose own it is.
    """
    name = named(options, LOGIN)
    given = values(request.headers.get("Cookie", ""), name)
    days = options.hub.cookie_max_age_days
    found = {secret for value in given if (secret := secret_in(value, cookie_secret, days, name=name))}
    if len(found) > 1:
        log.info("login.ambiguous", cookies=len(found))
        return None
    return next(iter(found), None)


def secret_in(value: str, cookie_secret: bytes, max_age_days: float, *, name: str = LOGIN) -> str | None:
    """What a login cookie of that *value* names; None if it is forged or too old."""
    return opened(cookie_secret, name, value, max_age_days=max_age_days)


def opened(cookie_secret: bytes, name: str, value: str, *, max_age_days: float) -> str | None:
    """What was signed as the cookie *name*; None if it is forged or too old."""
    try:
        # Version 1 is SHA-1 over fields without anything between them; nobody has been given such a cookie by us.
        for each in every(cookie_secret):
            if decoded := decode_signed_value(each, name, value, max_age_days=max_age_days, min_version=2):
                return decoded.decode()
        return None
    except UnicodeError:  # whatever else than a cookie of ours may stand in a header
        return None


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def kept_as(tornado_settings: Mapping[str, Any]) -> dict[str, Any]:
    """`samesite` and perhaps `secure` of all our cookies, as the operator has them in JupyterHub's `cookie_options`:

    a hub that is shown inside of pages of another site, as a learning platform does it, needs other ones.
    """
    said = tornado_settings.get("cookie_options", {})
    wanted = {str(name).lower(): value for name, value in said.items()}
    return {"samesite": "Lax", **{name: wanted[name] for name in ("samesite", "secure") if name in wanted}}


def set_login(
    response: web.StreamResponse, cookie_secret: bytes, options: Options, *, secret: str, session: str, **common: Any
) -> None:
    """Log a browser in. The login cookie is for the hub alone, the session id for servers too. *common*: of both."""
    name = named(options, LOGIN)
    signed = create_signed_value(cookie_secret, name, secret).decode()
    response.set_cookie(name, signed, max_age=30 * 86_400, httponly=True, **{**common, **place(options)})
    set_session(response, options, session, **common)


def set_session(response: web.StreamResponse, options: Options, session: str, **common: Any) -> None:
    response.set_cookie(SESSION_ID, session, httponly=True, **common, **place_of_session(options))


def clear_login(response: web.StreamResponse, options: Options) -> None:
    response.del_cookie(named(options, LOGIN), **place(options))
    response.del_cookie("_xsrf", path=options.hub_prefix)
    response.del_cookie(SESSION_ID, **place_of_session(options))
    response.del_cookie("jupyterhub-services", path=f"{options.base_url}services")
