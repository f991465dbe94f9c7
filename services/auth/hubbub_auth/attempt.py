"""One try to log in: the throttle, the authenticator, and what the log says of it. For the form and for the API."""

import re
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any

import structlog
from aiohttp import web
from tornado.web import HTTPError

from hubbub.web.request import GATE, client_address
from hubbub_auth import device
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.browser import known_by
from hubbub_auth.keys import HOSTED, THROTTLE
from hubbub_auth.throttle import NO_GUESSES, Why

log = structlog.get_logger()

WRONG = "Invalid username or password"
NOT_HERE = "You may not log in here. Ask whoever runs this hub."
TOO_MANY = "Too many failed logins. Wait five minutes, then try again."
FAULT = "The login did not work, and not because of what you typed. Ask whoever runs this hub to look at its log."

#: What whoever has failed too often should wait.
RETRY_SECONDS = 300

LONGEST_USERNAME = 255
LONGEST_FIELD = 4096
LONGEST_IN_LOG = 32

_SURROGATE = re.compile("[\ud800-\udfff]")


class Failed(Exception):
    """Nobody is logged in. `status` is the authenticator's, or 403; `reason` may be shown to whoever tried.

    `headers` go with the answer: there is a Retry-After for whoever should wait.
    """

    def __init__(self, reason: str, status: int = 403, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.headers = dict(headers or {})


async def attempt(request: web.Request, fields: dict[str, str]) -> Model:
    """Who it is, as the authenticator has it. Raises `Failed`. *fields*: with a `username`, which may be empty."""
    handler = _handler(request, fields)
    return await guarded(
        request.app,
        lambda: ask_authenticator(request.app, handler, fields),
        username=fields["username"],
        address=client_address(request),
        device_cookie=known_by(request),
        why=lambda: handler.refusal,
    )


async def guarded(
    app: web.Application,
    ask: Callable[[], Awaitable[Model | None]],
    *,
    username: str,
    address: str,
    device_cookie: str = "",
    why: Callable[[], str] = str,
) -> Model:
    """What *ask* finds, which looks at a password: not too often for one account, address or browser.

    Raises `Failed`. `tornado.web.HTTPError` of *ask* says why not. *why*: afterwards, why it found nobody, if that is
    known (one of `Why`).
    """
    throttle, name = app[THROTTLE], await app[HOSTED].normalized(username)
    # Credentials without a name are guesses of their address alone: nobody else shall be slowed down by them.
    guessed = name or address
    browser = device.known(app[GATE].cookie_secret, device_cookie, name) if name else ""
    about = {"name": _loggable(username), "address": address, "known_browser": bool(browser)}
    async with throttle.turn(address, browser), throttle.turn_of(guessed, browser):
        if await throttle.is_over(guessed, address, browser):
            log.info("auth.login_throttled", **about)
            await throttle.noticed(guessed, address, Why.THROTTLED, device=browser)
            raise Failed(TOO_MANY, headers={"Retry-After": str(RETRY_SECONDS)})
        try:
            model, failed, reason = await ask(), Failed(WRONG), ""
        except HTTPError as error:  # how an authenticator says why
            failed = Failed(reason_of(error), error.status_code, getattr(error, "headers", None))
            model, reason = None, _kind(error.status_code)
        if model is None:
            reason = reason or why() or Why.WRONG
            if reason in NO_GUESSES:  # nobody has looked at the password
                await throttle.noticed(guessed, address, reason, device=browser)
            else:
                await throttle.failed(guessed, address, why=reason, device=browser)
            log.info("auth.login_failed", **about, status=failed.status, why=reason)
            raise failed
    return model


async def returned(request: web.Request, came_back: Any) -> Model:
    """Who it is that comes back from elsewhere. Nobody can guess what they bring, so nobody is slowed down.

    *came_back* is left at the handler for the authenticator: no field of a form can be taken for it. It may leave the
    name there (`username`), for the list of failed logins. Raises `Failed`.
    """
    handler, address = _handler(request, {}), client_address(request)
    handler.came_back = came_back
    try:
        model, failed, reason = await ask_authenticator(request.app, handler, {}), Failed(NOT_HERE), ""
    except HTTPError as error:
        model, failed, reason = None, Failed(reason_of(error), error.status_code), _kind(error.status_code)
    if model is None:
        name, why = await request.app[HOSTED].normalized(handler.username), reason or handler.refusal or Why.NOT_ALLOWED
        await request.app[THROTTLE].noticed(name or address, address, why)
        log.info("auth.login_failed", name=_loggable(name), address=address, status=failed.status, why=why)
        raise failed
    return model


def _kind(status: int) -> Why:
    if status == 429:
        return Why.BUSY
    if status >= 500:
        return Why.FAULT
    return Why.WRONG if status == 401 else Why.NOT_ALLOWED


async def expired(request: web.Request, username: str) -> None:
    """A form came back too late, or from elsewhere."""
    address = client_address(request)
    name = await request.app[HOSTED].normalized(username) or address
    await request.app[THROTTLE].noticed(name, address, Why.EXPIRED)


def is_sensible(fields: dict[str, str]) -> bool:
    """Nothing that nobody means goes to an authenticator, or counts as a guess."""
    name = fields["username"]
    return len(name) <= LONGEST_USERNAME and name.isprintable() and all(map(_is_text, fields.values()))


def _is_text(value: str) -> bool:
    """Authenticators in C read as far as a zero byte; and half of a surrogate pair is nothing to encode."""
    return len(value) <= LONGEST_FIELD and "\0" not in value and not _SURROGATE.search(value)


async def ask_authenticator(app: web.Application, handler: Any, fields: dict[str, str]) -> Model | None:
    """What it makes of *fields*. Raises `HTTPError` alone: whatever else it raises is a fault."""
    hosted = app[HOSTED]
    data = {name: value for name, value in fields.items() if name not in ("_xsrf", "next")}
    try:
        return await hosted.authenticate(handler, data)
    except HTTPError:
        raise
    except Exception as error:  # it may be the operator's own
        log.exception("auth.authenticator_failed", authenticator=repr(hosted))
        raise HTTPError(500, FAULT) from error


def _handler(request: web.Request, fields: dict[str, str]) -> Any:
    """The little of a tornado handler that authenticators of forms look at. `refusal`: see `Authenticator.complete`."""
    return SimpleNamespace(
        request=SimpleNamespace(remote_ip=client_address(request), headers=request.headers, method=request.method),
        get_argument=lambda name, default=None: fields.get(name, request.query.get(name, default)),
        log=request.app[HOSTED].authenticator.log,
        authenticator=request.app[HOSTED].authenticator,
        refusal="",
        username="",
    )


def reason_of(error: HTTPError) -> str:
    message = error.log_message or WRONG
    return message % error.args if error.args else message


def _loggable(username: str) -> str:
    """People type passwords into the wrong field: of long ones only the beginning."""
    if len(username) <= LONGEST_IN_LOG:
        return username
    return f"{username[: LONGEST_IN_LOG // 2]}...({len(username)} characters)"
