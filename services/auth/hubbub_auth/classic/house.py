"""What JupyterHub's `BaseHandler` has from its application and database, as our hosted handlers have it.

`House` comes behind a handler's own class and JupyterHub's login and log-out pages, and before `BaseHandler`: what an
author has overridden stays overridden, and calls ours where it calls JupyterHub's.
"""

import inspect
from typing import Any, Self

import structlog
from jupyterhub import scopes
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LoginHandler
from jupyterhub.utils import maybe_future
from tornado.web import HTTPError, decode_signed_value

from hubbub.web.cookie_secret import every
from hubbub.web.request import FOREIGN
from hubbub.web.xsrf import READS
from hubbub_auth.classic.asked import Asked
from hubbub_auth.classic.people import Users
from hubbub_auth.classic.whom import refusals
from hubbub_auth.person import Person

log = structlog.get_logger()


class Statsd:
    """JupyterHub had one until 6.0, and authenticators still tell it what they do. Nobody listens."""

    def __getattr__(self, _: str) -> Any:
        return self._itself

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""

    def _itself(self, *_: Any, **__: Any) -> "Statsd":
        return self


class House(BaseHandler):  # type: ignore[misc]
    statsd = Statsd()

    @property
    def asked(self) -> Asked:
        asked: Asked = self.request.asked
        return asked

    @property
    def users(self) -> Users:
        return Users(self.asked.find)

    # Who it is --------------------------------------------------------------------------

    async def prepare(self) -> None:
        """JupyterHub's would take everybody for a stranger while the database is away."""
        await self.get_current_user()
        await super().prepare()

    async def get_current_user(self) -> Person | None:
        if not hasattr(self, "_jupyterhub_user"):
            self._jupyterhub_user: Person | None = None  # whatever is raised now, it is not asked again
            if self._accept_token_auth and (found := await self.asked.by_token()) is not None:
                self._token_authenticated = True
                self._jupyterhub_user = found
            elif self._accept_cookie_auth:
                self._jupyterhub_user = self.asked.person
        return self._jupyterhub_user

    def get_current_user_cookie(self) -> Person | None:
        return self.asked.person if self.asked.identity is not None else None

    def get_current_user_token(self) -> Person | None:
        return self._jupyterhub_user if getattr(self, "_token_authenticated", False) else None

    def get_token(self) -> None:
        """There is no row of it here."""

    def _user_for_cookie(self, cookie_name: str, cookie_value: Any = None) -> Person | None:
        return self.get_current_user_cookie()

    def _user_from_orm(self, orm_user: Any) -> Person | None:
        return None if orm_user is None else self.asked.find(orm_user.name)

    def _record_activity(self, obj: Any, timestamp: Any = None) -> bool:
        """Apis do, of sessions and tokens."""
        return False

    def _resolve_roles_and_scopes(self) -> None:
        identity = self.asked.identity
        self.expanded_scopes = set(identity.scopes) if identity is not None else set()
        self.parsed_scopes = scopes.parse_scopes(self.expanded_scopes)

    def find_user(self, name: str) -> Person | None:
        return self.asked.find(name)

    def user_from_username(self, username: str) -> Person:
        return self.asked.find_or_new(username)

    async def refresh_auth(self, user: Person, force: bool = False) -> Person:  # noqa: FBT001, FBT002  (JupyterHub's)
        """It is done before a request comes here."""
        return user

    # Logging in and out -----------------------------------------------------------------

    async def authenticate(self, data: Any) -> Any:
        """Only forms can be guessed at: who comes back from elsewhere has shown there who they are."""
        self.asked.tries()
        with refusals() as refused:
            if isinstance(self, LoginHandler) and data is not None:
                return await self.asked.authenticate(self, data, refused)
            found = await maybe_future(super().authenticate(data))
            if found is None and refused:
                await self.asked.refused(*refused[-1])
            return found

    async def auth_to_user(self, authenticated: Any, user: Person | None = None) -> Person:
        model = {"name": authenticated} if isinstance(authenticated, str) else dict(authenticated)
        if user is not None:
            return await self.asked.refreshed(user, model)
        return await self.asked.log_in(model)

    def set_login_cookie(self, user: Person) -> None:
        self._have_cookies_of(user)

    def set_hub_cookie(self, user: Person) -> None:
        self._have_cookies_of(user)

    def _have_cookies_of(self, user: Person) -> None:
        self.asked.give(user)
        self._jupyterhub_user = user
        self._session_id = self.asked.session
        self.__dict__.pop("_xsrf_token", None)  # it was another one's

    def set_session_cookie(self) -> str:
        """It comes with the login; it is not the browser that says what its session is called."""
        return self.asked.session

    def clear_login_cookie(self, name: str | None = None) -> None:
        self.asked.leave()
        self._session_id = ""
        self.__dict__.pop("_xsrf_token", None)

    @property
    def _xsrf_token_id(self) -> bytes:
        """That of our own pages, so that their tokens are good here, and the other way round."""
        return self.asked.binding

    def check_xsrf_cookie(self) -> None:
        if hasattr(self, "_jupyterhub_user") and self.request.method not in READS and self.asked.is_foreign:
            raise HTTPError(403, FOREIGN)
        super().check_xsrf_cookie()

    def _validate_next_url(self, next_url: str) -> str:
        return self.asked.ours(next_url)

    # What goes wrong --------------------------------------------------------------------

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        is_known = hasattr(self, "_jupyterhub_user")
        super().write_error(status_code, **kwargs)
        if not is_known:
            self.__dict__.pop("_new_cookie", None)  # a token for nobody must not replace somebody's

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Without the request, whose address may have a code or a state in it."""
        about = {"handler": type(self).__name__, "method": self.request.method, "path": self.request.path}
        if isinstance(value, HTTPError):
            log.info("auth.page_refused", status=value.status_code, why=value.log_message, **about)
        else:
            log.error("auth.handler_failed", exc_info=(typ, value, tb), **about)


class Front:
    """Comes before a handler's own class: what it does to others than its own request ends here."""

    async def _execute(self, *arguments: Any, **named: Any) -> None:
        with self.settings["db"].scope():  # type: ignore[attr-defined]
            try:
                await super()._execute(*arguments, **named)  # type: ignore[misc]
            except (SystemExit, KeyboardInterrupt) as error:
                log.error("auth.handler_exited", handler=type(self).__name__, status=str(error))
                if not self._finished:  # type: ignore[attr-defined]
                    self.send_error(500)  # type: ignore[attr-defined]

    def get_signed_cookie(
        self, name: str, value: str | None = None, max_age_days: float = 31, min_version: int | None = None
    ) -> bytes | None:
        """It may be signed with a secret that is on its way out."""
        text = self.get_cookie(name) if value is None else value  # type: ignore[attr-defined]
        for secret in every(self.settings["cookie_secret"]):  # type: ignore[attr-defined]
            if found := decode_signed_value(secret, name, text, max_age_days=max_age_days, min_version=min_version):
                return found
        return None

    get_secure_cookie = get_signed_cookie


class Tolerant(Front):
    """For login pages that were written for a `_render` with fewer parameters than JupyterHub's has by now."""

    _is_sync = False

    def _render(self, *arguments: Any, **named: Any) -> Any:
        wanted = inspect.signature(super()._render).parameters  # type: ignore[misc]
        if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in wanted.values()):
            self._is_sync = bool(named.get("sync"))
            named = {name: value for name, value in named.items() if name in wanted}
        return super()._render(*arguments, **named)  # type: ignore[misc]

    def render_template(self, name: str, **names: Any) -> Any:
        """Error pages cannot wait for what they say."""
        if self._is_sync:
            names["sync"] = True
        return super().render_template(name, **names)  # type: ignore[misc]


def hosted(handler: type[Any]) -> type[Any]:
    """*handler* in our house. One that is not JupyterHub's stays what it is."""
    if not issubclass(handler, BaseHandler):
        return handler
    front = Tolerant if issubclass(handler, LoginHandler) else Front
    return type(handler.__name__, (front, handler, House), {"__module__": handler.__module__})
