"""Choosing one's own password: another one, or the first, by a link that an administrator has given."""

import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.account import LINK_IS_NO_GOOD, Account
from hubbub.domain.message import NotFound
from hubbub.tokens import token_hash
from hubbub.web.request import GATE, client_address, identify
from hubbub_auth import attempt, browser
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.authenticators.passwords.accounts import Found
from hubbub_auth.authenticators.passwords.parts import (
    PASSWORDS,
    Bad,
    fields,
    hashed,
    new_password,
    page,
    to_login,
)
from hubbub_auth.front import Refused

log = structlog.get_logger()

NONE_HERE = "There is no password of yours here that could be changed."
WRONG = "The password until now is another one."
MEANWHILE = "Your password was changed meanwhile. Please try again."


async def show(request: web.Request) -> web.Response:
    """GET {hub}/password: with a `link`, or logged in."""
    identity = await identify(request, pages=True)
    if link := request.query.get("link", ""):
        return _page(request, identity, name=(await _linked(request, link)).name, link=link)
    if identity is None:
        return to_login(request)
    await _own(request, identity)
    return _page(request, identity, name=identity.name)


async def submit(request: web.Request) -> web.Response:
    """POST: `new` and `again`, and a `link` or the password until now, `old`."""
    identity = await identify(request, pages=True)
    link, name = "", identity.name if identity else ""
    try:
        given = await fields(request, identity)
        if link := given.get("link", ""):
            name = (account := await _linked(request, link)).name
            return await _choose(request, account, link, given)
        if identity is None:
            return to_login(request)
        await _change(request, identity, given)
    except Bad as bad:
        return _page(request, identity, bad, name=name, link=link)
    return _page(request, identity, name=name, done=True)


def _page(
    request: web.Request,
    identity: Identity | None,
    bad: Bad | None = None,
    *,
    name: str,
    link: str = "",
    done: bool = False,
) -> web.Response:
    shortest = request.app[PASSWORDS].minimum_password_length
    return page(request, "password.html", identity, bad, name=name, link=link, done=done, shortest=shortest)


# With the password until now -----------------------------------------------------------------


async def _own(request: web.Request, identity: Identity) -> Found:
    found = await request.app[PASSWORDS].accounts.find(identity.name)
    if found is None or not found.approved or not found.encoded:
        raise Refused(404, NONE_HERE)
    return found


async def _change(request: web.Request, identity: Identity, given: dict[str, str]) -> None:
    ours, address = request.app[PASSWORDS], client_address(request)
    await _own(request, identity)
    password = new_password(given, identity.name, ours.minimum_password_length)
    found = await _verified(request, identity, given.get("old", ""))
    encoded = await hashed(request, password)
    if not await ours.accounts.change(found, encoded, user=identity.id, session=identity.session, address=address):
        raise Bad(MEANWHILE, 409)
    log.info("passwords.changed", user=identity.id, address=address)


async def _verified(request: web.Request, identity: Identity, old: str) -> Found:
    """The account, by its password until now. To try one is a guess like any other."""
    found: list[Found] = []

    async def ask() -> Model | None:
        account = await request.app[PASSWORDS].check(identity.name, old)
        found.extend([account] if account else [])
        return {"name": identity.name} if account else None

    cookie, address = browser.known_by(request), client_address(request)
    try:
        await attempt.guarded(request.app, ask, username=identity.name, address=address, device_cookie=cookie)
    except attempt.Failed as failed:
        sentence = WRONG if failed.reason == attempt.WRONG else failed.reason
        raise Bad(sentence, failed.status, failed.headers) from None
    return found[0]


# With a link ---------------------------------------------------------------------------------


async def _linked(request: web.Request, link: str) -> Account:
    """The account whose password *link* lets one choose; that it is in time is for the commit to say."""
    id, _, secret = link.partition(".")
    state = await request.app[PASSWORDS].accounts.state(id) if id.isascii() and id.isalnum() else None
    if not isinstance(state, Account) or not state.link or state.link != token_hash(secret):
        raise Refused(404, LINK_IS_NO_GOOD)
    return state


async def _choose(request: web.Request, account: Account, link: str, given: dict[str, str]) -> web.Response:
    ours, address = request.app[PASSWORDS], client_address(request)
    encoded = await hashed(request, new_password(given, account.name, ours.minimum_password_length))
    try:
        await ours.accounts.use_link(account.user, link.partition(".")[2], encoded, address=address)
    except NotFound as refusal:
        raise Refused(404, str(refusal)) from None
    log.info("passwords.chosen", account=account.user, address=address)
    return browser.go(f"{request.app[GATE].options.hub_prefix}login")
