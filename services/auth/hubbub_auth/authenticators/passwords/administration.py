"""The accounts, for administrators: who waits, who is here, and what can be done about them."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.account import AccountState, NoAccount, Waiting, account_name
from hubbub.domain.message import Rejected
from hubbub.web.request import GATE, browser_origin, identify
from hubbub_auth import browser
from hubbub_auth.attempt import LONGEST_USERNAME
from hubbub_auth.authenticators.passwords.parts import PASSWORDS, Bad, fields, page, to_login
from hubbub_auth.front import Refused
from hubbub_auth.keys import POOL

log = structlog.get_logger()

SCOPE = "admin:users"
PER_PAGE = 100

NOT_YOURS = "To administer accounts you need the scope admin:users."
MORE_THAN_YOU = "Whoever logs in as {} may do more than you. An administrator has to do that."
BAD_NAME = "That cannot be a name here."
GONE = "That account is gone."


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it is listed. `known`: the hub has a user of that name. `is_set`: a password was chosen."""

    id: str
    name: str
    number: int
    since: datetime | None
    approved: bool
    known: bool
    is_set: bool
    address: str = ""


async def show(request: web.Request) -> web.Response:
    """GET {hub}/accounts: those that wait, and a page of the others; `after` a number, or with `name` at the front."""
    identity = await identify(request, pages=True)
    if identity is None:
        return to_login(request)
    return await _page(request, _allowed(identity))


async def submit(request: web.Request) -> web.Response:
    """POST: `do` is `approve`, `reject`, `remove` or `reset`, with an `account` (an id); or `invite`, with a `name`."""
    identity = await identify(request, pages=True)
    if identity is None:
        return to_login(request)
    _allowed(identity)
    try:
        given = await fields(request, identity)
        name, link = await _do(request, identity, given)
    except Bad as bad:
        return await _page(request, identity, bad)
    except Rejected as refusal:
        return await _page(request, identity, Bad(str(refusal), 409))
    if link:
        return await _page(request, identity, link=_address(request, link), link_name=name)
    return browser.go(request.rel_url.raw_path)


def _allowed(identity: Identity) -> Identity:
    if not scope.held_at_all(identity.scopes, SCOPE):
        raise Refused(403, NOT_YOURS)
    return identity


# Doing ---------------------------------------------------------------------------------------


async def _do(request: web.Request, identity: Identity, given: Mapping[str, str]) -> tuple[str, str]:
    """Whom it was about, and the link that they are to be given, if any."""
    ours, what = request.app[PASSWORDS], given.get("do", "")
    if what == "invite":
        name = ours.normalize_username(given.get("name", "").strip()[:LONGEST_USERNAME])
        if not ours.validate_username(name):
            raise Bad(BAD_NAME)
        return name, await _invite(request, identity, name)
    account = given.get("account", "")
    state = await ours.accounts.state(account) if account.isascii() and account.isalnum() else NoAccount()
    if isinstance(state, NoAccount) or not identity.may(SCOPE, user=state.name):
        raise Bad(GONE, 404)
    if what == "reset":
        return state.name, await _invite(request, identity, state.name)
    await _settle(request, identity, state, what)
    return state.name, ""


async def _settle(request: web.Request, identity: Identity, state: AccountState, what: str) -> None:
    ours, is_waiting = request.app[PASSWORDS], isinstance(state, Waiting)
    assert not isinstance(state, NoAccount)
    match what:
        case "approve":
            await _check_reach(request, identity, state.name)
            await ours.accounts.approve(state.user, identity.actor)
        case "reject" if is_waiting:
            await ours.accounts.remove(state.user, identity.actor, "rejected")
        case "remove" if not is_waiting:
            await _check_reach(request, identity, state.name)
            await ours.accounts.remove(state.user, identity.actor, "removed")
        case _:
            raise Bad(GONE, 409)
    log.info("passwords.administered", what=what, account=state.user, by=identity.actor)


async def _invite(request: web.Request, identity: Identity, name: str) -> str:
    await _check_reach(request, identity, name)
    ours = request.app[PASSWORDS]
    link = await ours.accounts.invite(name, identity.actor, hours=ours.link_hours)
    log.info("passwords.administered", what="link", account=link.partition(".")[0], by=identity.actor)
    return link


async def _check_reach(request: web.Request, identity: Identity, name: str) -> None:
    """Whoever lets somebody in could be that somebody: it may not lead to more than they may do already."""
    if not identity.may(SCOPE, user=name):
        raise Bad(GONE, 404)
    if identity.admin:
        return
    other = await request.app[GATE].access.user(name)
    more = [each for each in other.scopes if not scope.covers(identity.scopes, each, identity.members)] if other else []
    if more or (other and other.admin) or name in request.app[PASSWORDS].admin_users:
        raise Bad(MORE_THAN_YOU.format(name), 403)


def _address(request: web.Request, link: str) -> str:
    scheme, host = browser_origin(request)
    return f"{scheme}://{host}{request.app[GATE].options.hub_prefix}password?link={link}"


# Showing -------------------------------------------------------------------------------------


async def _page(
    request: web.Request, identity: Identity, bad: Bad | None = None, *, link: str = "", link_name: str = ""
) -> web.Response:
    after, begins = request.query.get("after", ""), request.query.get("name", "")[:LONGEST_USERNAME]
    position = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
    begins = begins if begins.isprintable() else ""
    waiting = await _lines(request, _WAITING)
    accounts = await _lines(request, _APPROVED, position, account_name(begins), PER_PAGE)
    return page(
        request,
        "accounts.html",
        identity,
        bad,
        waiting=[line for line in waiting if identity.may(SCOPE, user=line.name)],
        accounts=[line for line in accounts if identity.may(SCOPE, user=line.name)],
        begins=begins,
        next_after=accounts[-1].number if len(accounts) == PER_PAGE else 0,
        link=link,
        link_name=link_name,
        hours=request.app[PASSWORDS].link_hours,
    )


async def _lines(request: web.Request, query: str, *arguments: object) -> list[Line]:
    return [msgspec.convert(dict(row), Line) for row in await request.app[POOL].fetch(query, *arguments)]


_LINE = """
    select a.id, a.name, a.number, e.recorded_at as since, a.approved, coalesce(a.state::jsonb ->> 'address', '') as
        address, exists(select from users where name = a.name) as known,
        exists(select from vault where key = 'password:' || a.id) as is_set
    from accounts a left join events e on e.position = a.number
"""
_WAITING = f"{_LINE} where not a.approved order by a.number"
_APPROVED = f"{_LINE} where a.approved and a.number > $1 and starts_with(a.name, $2) order by a.number limit $3"
