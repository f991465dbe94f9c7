"""One try to log in: the throttle, the authenticator, and what the log says of it. For the form and for the API."""

from types import SimpleNamespace
from typing import Any

import structlog
from aiohttp import web
from tornado.web import HTTPError

from hubbub.web.request import client_address
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.keys import AUTHENTICATOR, THROTTLE

log = structlog.get_logger()

WRONG = "Invalid username or password"
TOO_MANY = "Too many failed logins. Wait five minutes, then try again."
FAULT = "The login did not work, and not because of what you typed. Ask whoever runs this hub to look at its log."

#: What whoever has failed too often should wait.
RETRY_SECONDS = 300

LONGEST_USERNAME = 255
LONGEST_FIELD = 4096
LONGEST_IN_LOG = 32


class Failed(Exception):
    """Nobody is logged in. `status` is the authenticator's, or 403; `reason` may be shown to whoever tried."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


async def attempt(request: web.Request, fields: dict[str, str]) -> Model:
    """Who it is, as the authenticator has it. Raises `Failed`. *fields*: with a `username`, which may be empty."""
    address, username = client_address(request), fields["username"]
    throttle = request.app[THROTTLE]
    # Credentials without a name are guesses of their address alone: nobody else shall be slowed down by them.
    guessed = username.lower() or address
    async with throttle.turn(address):
        if await throttle.is_over(guessed, address):
            log.info("auth.login_throttled", name=_loggable(username), address=address)
            raise Failed(TOO_MANY)
        try:
            model = await _authenticate(request, fields)
        except HTTPError as error:  # how an authenticator says why
            model, failed = None, Failed(_reason(error), error.status_code)
        else:
            failed = Failed(WRONG)
        if model is None:
            if failed.status < 500:
                await throttle.failed(guessed, address)
            log.info("auth.login_failed", name=_loggable(username), address=address, status=failed.status)
            raise failed
    return model


def is_sensible(fields: dict[str, str]) -> bool:
    """Nothing that nobody means goes to an authenticator, or counts as a guess."""
    name = fields["username"]
    return (
        len(name) <= LONGEST_USERNAME and name.isprintable() and all(len(v) <= LONGEST_FIELD for v in fields.values())
    )


async def _authenticate(request: web.Request, fields: dict[str, str]) -> Model | None:
    authenticator = request.app[AUTHENTICATOR]
    data = {name: value for name, value in fields.items() if name not in ("_xsrf", "next")}
    try:
        return await authenticator.get_authenticated_user(_handler(request, fields), data)
    except HTTPError:
        raise
    except Exception as error:  # it may be the operator's own
        log.exception("auth.authenticator_failed", authenticator=type(authenticator).__name__)
        raise HTTPError(500, FAULT) from error


def _handler(request: web.Request, fields: dict[str, str]) -> Any:
    """The little of a tornado handler that authenticators of forms look at."""
    return SimpleNamespace(
        request=SimpleNamespace(remote_ip=client_address(request), headers=request.headers, method=request.method),
        get_argument=lambda name, default=None: fields.get(name, request.query.get(name, default)),
        log=request.app[AUTHENTICATOR].log,
    )


def _reason(error: HTTPError) -> str:
    message = error.log_message or WRONG
    return message % error.args if error.args else message


def _loggable(username: str) -> str:
    """People type passwords into the wrong field: of long ones only the beginning."""
    if len(username) <= LONGEST_IN_LOG:
        return username
    return f"{username[: LONGEST_IN_LOG // 2]}...({len(username)} characters)"
