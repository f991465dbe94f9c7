"""Where one is logged in, with a way to end each; what became of logins before, and which did not work."""

import re
from contextlib import suppress
from datetime import UTC, datetime

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.message import NotFound
from hubbub.domain.scope import held_at_all
from hubbub.web.pages import render
from hubbub.web.request import ApiError, redirect
from hubbub_api import sessions
from hubbub_api.answers import LARGEST_NUMBER
from hubbub_api.forward import AUTHS
from hubbub_api.login_history import number_of
from hubbub_api.pages.asking import logged_in, owner_of, prefix_of

#: Sessions, and logins: who has more may ask the API.
MOST, LATEST = 200, 20
OTHERS = "others"

WHY = {
    "wrong": "name or password was wrong",
    "blocked": "this name is blocked",
    "not allowed": "this name is not allowed",
    "throttled": "there had been too many failed logins",
    "expired form": "the form had expired",
    "busy": "there were too many logins at once",
    "fault": "something failed that was not theirs",
}
HOW = {
    "logout": "logged out",
    "another login": "logged in again",
    "ended": "ended from elsewhere",
    "expired": "lasted as long as it may",
    "idle": "not used for too long",
    "password changed": "the password was changed",
    "password reset": "the password was reset",
    "account removed": "the account was removed",
}

_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "a Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def routes(prefix: str) -> list[web.RouteDef]:
    return [web.get(f"{prefix}sessions", show), web.post(f"{prefix}sessions", end)]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    owner = await owner_of(request, identity)
    theirs, total = await sessions.sessions_of(request, owner, identity, limit=MOST)
    past = await sessions.logins_of(request, owner.id, before=LARGEST_NUMBER, limit=LATEST, whole=False)
    return render(
        request,
        "sessions.html",
        identity,
        sessions=sorted(theirs, key=lambda each: not each.current),
        total=total,
        logins=past.logins,
        failed=past.failed,
        pages=[page for page in request.app[AUTHS].pages if not page.scope or held_at_all(identity.scopes, page.scope)],
        action=f"{prefix_of(request)}sessions",
        others=OTHERS,
        why=WHY,
        how=HOW,
        when=when,
        browser=browser,
    )


@logged_in
async def end(request: web.Request, identity: Identity) -> web.StreamResponse:
    """POST: `end` is the id of a session, or `others`: all but this one. Back to the page, or to the login form."""
    wanted = (await request.post()).get("end")
    if wanted == OTHERS:
        await sessions.end_others(request, identity, identity.id, but=identity.session)
    elif isinstance(wanted, str) and number_of(wanted) is not None:
        with suppress(NotFound):  # it is over, which is what was asked for
            await sessions.end(request, identity, identity.id, wanted)
    else:
        raise ApiError(400, "The form does not say which session to end.")
    redirect(f"{prefix_of(request)}sessions")


def when(stamp: str | None) -> str:
    """`21 Nov 2026, 10:38`, in UTC."""
    return "" if stamp is None else datetime.fromisoformat(stamp).astimezone(UTC).strftime("%-d %b %Y, %H:%M")


def browser(agent: str) -> str:
    """What people call a browser that calls itself *agent*: `Firefox on Linux`; the first word of what is none."""
    name = next((word for mark, word in _BROWSERS if f"{mark}/" in agent), "")
    system = next((word for mark, word in _SYSTEMS if mark in agent), "")
    if name:
        return f"{name} on {system}" if system else name
    return re.split(r"[\s/]", agent, maxsplit=1)[0][:40] or "Unknown browser"
