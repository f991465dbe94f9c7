"""What the pages of the password table have in common."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from hubbub.access import Identity
from hubbub.web import xsrf
from hubbub.web.pages import render
from hubbub.web.request import GATE, check_xsrf
from hubbub_auth import browser
from hubbub_auth.authenticators.passwords import rules
from hubbub_auth.authenticators.passwords.hashing import BUSY, Overloaded

if TYPE_CHECKING:
    from hubbub_auth.authenticators.passwords.authenticator import PasswordAuthenticator

PASSWORDS: "web.AppKey[PasswordAuthenticator]" = web.AppKey("passwords")

TOO_OLD = "This page was open for too long, or was not ours. Please try again."


class Bad(Exception):
    """What was typed cannot be taken; the sentence is for whoever did. `headers` go with the answer."""

    def __init__(self, sentence: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers or {}


async def fields(request: web.Request, identity: Identity | None) -> dict[str, str]:
    """What was typed into a form of ours. Raises `Bad` if that cannot be shown."""
    found = {name: value for name, value in (await browser.form(request)).items() if isinstance(value, str)}
    try:
        await check_xsrf(request, identity, is_api=False)
    except xsrf.Forgery:
        raise Bad(TOO_OLD, 403) from None
    return found


def new_password(given: dict[str, str], name: str, shortest: int) -> bytes:
    """The password that was chosen, typed twice, as it is hashed. Raises `Bad`."""
    password = given.get("new", "")
    if sentence := rules.problem(password, name, shortest):
        raise Bad(sentence)
    if password != given.get("again", ""):
        raise Bad("You typed two different passwords.")
    return rules.encoded(password)


async def hashed(request: web.Request, password: bytes) -> str:
    """Raises `Bad` if there is too much to do."""
    try:
        return await request.app[PASSWORDS].hashing.hash(password)
    except Overloaded as busy:
        raise Bad(BUSY, busy.status_code, busy.headers) from None


def to_login(request: web.Request) -> web.Response:
    """By a login, and back here."""
    prefix = request.app[GATE].options.hub_prefix
    return browser.go(f"{prefix}login?next={quote(request.rel_url.raw_path, safe='')}")


def page(
    request: web.Request, template: str, identity: Identity | None, bad: Bad | None = None, **names: Any
) -> web.Response:
    """*template*, with `error` for what is *bad*, and the `action` that leads back here."""
    action, error = request.rel_url.raw_path, str(bad) if bad else ""
    status = bad.status if bad else 200
    response = render(request, template, identity, status=status, action=action, error=error, **names)
    response.headers.update(bad.headers if bad else {})
    return response
