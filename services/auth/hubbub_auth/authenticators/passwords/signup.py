"""Asking for an account."""

from typing import Any

import structlog
from aiohttp import web

from hubbub.domain.message import LimitReached
from hubbub.web.request import client_address, identify
from hubbub_auth.attempt import LONGEST_USERNAME
from hubbub_auth.authenticators.passwords.parts import PASSWORDS, Bad, fields, hashed, new_password, page
from hubbub_auth.keys import POOL
from hubbub_auth.throttle import source

log = structlog.get_logger()

BAD_NAME = "That cannot be a name here. Take lower case letters and digits, with dots, hyphens or underscores inside."
TOO_OFTEN = "There were too many sign-ups from where you are. Please try again in an hour."
TOO_MANY = "Too many people wait for approval. Please ask whoever runs this hub."
HOUR = "3600"


async def show(request: web.Request) -> web.Response:
    """GET {hub}/signup"""
    return page(request, "signup.html", await identify(request, pages=True), **_about(request))


async def submit(request: web.Request) -> web.Response:
    """POST: `name`, and `new` and `again`, the password. The answer is the same whether the name was free or not."""
    identity = await identify(request, pages=True)
    typed = ""
    try:
        given = await fields(request, identity)
        typed = given.get("name", "").strip()
        name = await _sign_up(request, given, typed)
    except Bad as bad:
        return page(request, "signup.html", identity, bad, **_about(request, typed[:LONGEST_USERNAME]))
    return page(request, "signed_up.html", identity, name=name, **_about(request))


def _about(request: web.Request, name: str = "") -> dict[str, Any]:
    ours = request.app[PASSWORDS]
    return {"typed": name, "waits": ours.require_approval, "shortest": ours.minimum_password_length}


async def _sign_up(request: web.Request, given: dict[str, str], typed: str) -> str:
    ours, address = request.app[PASSWORDS], client_address(request)
    if len(typed) > LONGEST_USERNAME or not typed.isprintable():
        raise Bad(BAD_NAME)
    name = ours.normalize_username(typed)
    if not ours.may_sign_up(name):
        raise Bad(BAD_NAME)
    password = new_password(given, name, ours.minimum_password_length)
    if not await request.app[POOL].fetchval(_COUNT_IN, source(address), ours.signups_per_hour):
        log.info("passwords.signup_throttled", address=address)
        raise Bad(TOO_OFTEN, 429, {"Retry-After": HOUR})
    encoded = await hashed(request, password)
    try:
        await ours.accounts.request(name, encoded, address=address, waits=ours.must_wait(name))
    except LimitReached:
        raise Bad(TOO_MANY, 503) from None
    log.info("passwords.signup", name=name, address=address)
    return name


#: Counts a sign-up from $1, unless there were $2 in the last hour already: then there is no answer.
_COUNT_IN = """
    with gone as (delete from sign_ups where at < now() - interval '1 hour')
    insert into sign_ups (address, at) select $1, clock_timestamp()
    where (select count(*) from sign_ups where address = $1 and at >= now() - interval '1 hour') < $2
    returning true
"""
