"""A request that a hosted handler answers, and all that it may ask of the process's own loop, from the floor.

What touches the log, the database or the cookies of a login happens on that loop, by the same code as for our pages.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from aiohttp import web
from tornado.web import HTTPError

from hubbub.access import Identity
from hubbub.away import AWAY
from hubbub.floor import at_home
from hubbub.handle import LogUnavailable
from hubbub.web import cookies, next_url, xsrf
from hubbub.web.request import GATE, STALE, by_token, client_address, is_foreign
from hubbub_auth import attempt, browser, login
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.classic.whom import Refusals
from hubbub_auth.front import UNAVAILABLE, Refused
from hubbub_auth.keys import ADMISSION, COMMITTER, HOSTED, POOL, THROTTLE, WENT
from hubbub_auth.person import Person, url_of
from hubbub_auth.sessions import Login, close_session
from hubbub_auth.throttle import Why

log = structlog.get_logger()
T = TypeVar("T")

#: Seconds. Nothing here takes long, unless the database is away.
PATIENCE = 30.0


class Asked:
    """Made on the process's own loop. `identity`: whom the cookies of the request name; None once they have left."""

    def __init__(self, request: web.Request, identity: Identity | None) -> None:
        self._request = request
        self._home = asyncio.get_running_loop()
        self._left = False
        self._typed = self._vouched_for = ""
        self.identity = identity
        self.person = None if identity is None else self._known(identity)
        self.address = client_address(request)
        self.agent = request.headers.get("User-Agent", "")
        #: The session that has begun with this request; `given` once the browser is to have it.
        self.login: Login | None = None
        self.given = False

    # From the floor ---------------------------------------------------------------------

    @property
    def session(self) -> str:
        """The id of the session that the browser has, or claims to have, after this request."""
        if self.login is not None:
            return self.login.session
        return "" if self._left else self._request.cookies.get(cookies.SESSION_ID, "")

    def ours(self, url: str) -> str:
        """*url* as a path of the hub, for whoever wants to go there next; empty if it leads elsewhere."""
        return next_url.ours(self._request, url)

    @property
    def is_foreign(self) -> bool:
        """Whether a page that is not ours has sent this, without anybody's being logged in."""
        return self.identity is None and is_foreign(self._request)

    @property
    def binding(self) -> bytes:
        """What XSRF tokens stand for that are made or looked at now."""
        hashed = self.login.hash if self.login is not None else self.identity.secret if self.identity else ""
        return xsrf.bound_to(self.session, hashed, self.address, self.agent)

    async def by_token(self) -> Person | None:
        """The person whose token the request carries; it counts more than a cookie."""
        if (found := await self._ask(by_token(self._request))) is None or found.kind != "user":
            return None
        self.identity = found
        self.person = await self._ask(self._person(found.name))
        return self.person

    def tries(self) -> None:
        """This request is a try to log in, and has failed unless somebody is let in."""
        self._request[WENT] = "failure"

    async def log_in(self, model: Model) -> Person:
        return await self._ask(self._log_in(model))

    def give(self, person: Person) -> None:
        """Have the browser get the cookies of *person*, of whom a session begins unless one has."""
        whose = self.login.user if self.login is not None else self.identity.id if self.identity is not None else ""
        if not person.user or person.user != whose:
            self._vouched_for = person.name
        self.given = True

    def leave(self) -> None:
        """Close the session that the request belongs to, and have the browser forget it."""
        who = self.identity or self._request.get(STALE)
        if who is not None and who.by_cookie and not self._left:
            self._wait(self._close(who))
        self.identity, self.login, self._left, self._vouched_for = None, None, True, ""

    async def refreshed(self, person: Person, model: Model) -> Person:
        await self._ask(self._request.app[ADMISSION].refreshed(person, model))
        return person

    def find(self, key: str | int) -> Person | None:
        """By name or number."""
        found = self._wait(self._person(key))
        return found if found.user else None

    def find_or_new(self, name: str) -> Person:
        """Whoever has that name, or will have it once they are logged in."""
        return self._wait(self._person(name))

    async def authenticate(self, handler: Any, data: dict[str, str], refused: Refusals) -> Model | None:
        """What the authenticator makes of a form. Raises `tornado.web.HTTPError`. *refused*: by now, or then."""
        return await self._ask(self._authenticate(handler, data, refused))

    async def refused(self, name: str, why: Why) -> None:
        """Somebody has shown elsewhere who they are, and is turned away."""
        await self._ask(self._request.app[THROTTLE].noticed(name, self.address, why))

    async def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return await at_home(self._home, self._or_why_not(work))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """For what JupyterHub asks its database for without waiting."""
        return asyncio.run_coroutine_threadsafe(self._or_why_not(work), self._home).result(PATIENCE)

    # At home ----------------------------------------------------------------------------

    async def settle(self, response: web.StreamResponse) -> None:
        """Put into *response* what has become of the browser's login. Raises `Refused`."""
        options = self._request.app[GATE].options
        if self._vouched_for:  # not before: the authenticator may have to be asked, and its floor was busy with this
            self.login = await login.admit(self._request, self.identity, {"name": self._vouched_for})
        if self._left:
            cookies.clear_login(response, options)
        if self.login is not None and self.given:
            has_token = any(each.startswith(f"{xsrf.COOKIE}=") for each in response.headers.getall("Set-Cookie", ()))
            new = self.login
            browser.keep_logged_in(self._request, response, secret=new.secret, session=new.session, hashed=new.hash)
            if has_token:  # the page has been made with that one
                del response.cookies[xsrf.COOKIE]
            if self._typed:
                browser.recognize(self._request, response, self._typed)
        elif self.identity is not None and self.given:
            browser.remind(self._request, response, self.identity)

    async def _or_why_not(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except Refused as refused:
            raise HTTPError(refused.status, "%s", refused.message) from None
        except (LogUnavailable, *AWAY) as error:
            log.warning("auth.unavailable", path=self._request.path, error=str(error) or type(error).__name__)
            raise _with_headers(HTTPError(503, UNAVAILABLE), {"Retry-After": "2"}) from None

    def _known(self, identity: Identity) -> Person:
        return Person(
            name=identity.name,
            user=identity.id,
            number=identity.number,
            admin=identity.admin,
            groups=identity.groups,
            url=url_of(self._request.app[GATE].options, identity.name),
            states=self._request.app[ADMISSION],
        )

    async def _person(self, key: str | int) -> Person:
        app = self._request.app
        if isinstance(key, int):
            key = str(await app[POOL].fetchval("select name from users where number = $1", key) or "")
        return await app[ADMISSION].person(key)

    async def _log_in(self, model: Model) -> Person:
        self.login = await login.admit(self._request, self.identity, model)
        return await self._person(model["name"])

    async def _close(self, identity: Identity) -> None:
        committer = self._request.app[COMMITTER]
        tokens = await close_session(committer, identity.id, identity.session, address=self.address)
        log.info("auth.logout", user=identity.id, name=identity.name, session=identity.session, tokens=tokens)

    async def _authenticate(self, handler: Any, data: dict[str, str], refused: Refusals) -> Model | None:
        app, username = self._request.app, data.setdefault("username", "").strip()
        if not attempt.is_sensible(data):
            return None
        try:
            model = await attempt.guarded(
                app,
                lambda: attempt.ask_authenticator(app, handler, data),
                username=username,
                address=self.address,
                device_cookie=browser.known_by(self._request),
                why=lambda: refused[-1][1] if refused else "",
            )
        except attempt.Failed as failed:
            if failed.reason == attempt.WRONG:
                return None  # pages have words of their own for that
            raise _with_headers(HTTPError(failed.status, "%s", failed.reason), failed.headers) from None
        self._typed = await app[HOSTED].normalized(username)
        return model


def _with_headers(error: HTTPError, headers: dict[str, str]) -> HTTPError:
    """As JupyterHub's error pages look for them."""
    error.headers = headers  # type: ignore[attr-defined]
    return error
