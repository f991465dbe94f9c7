"""Who may log in: the interface of JupyterHub's Authenticator, as operators' classes know it."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from traitlets import Any as AnyValue
from traitlets import Bool, Dict, Integer, Set, Unicode, default, observe
from traitlets.config import LoggingConfigurable

from hubbub.auth_messages import Page
from hubbub.plugin import settled

#: What a login tells: `name`, and perhaps `admin` (None: as it was), `auth_state`, `groups`, `roles`, `user_info`.
Model = dict[str, Any]


async def _nothing(_: str) -> None:
    """There is no hub to ask."""


class Authenticator(LoggingConfigurable):
    """Subclass it and write `authenticate`; everything else has a default. Nobody is allowed by default."""

    allow_all = Bool(False, help="Allow everybody who can authenticate.").tag(config=True)
    allowed_users = Set(help="Names of those who may log in.").tag(config=True)
    allow_existing_users = Bool(help="Allow everybody whom the hub knows. True if allowed_users is set.").tag(
        config=True
    )
    any_allow_config = Bool(help="Set it if nobody shall be told that nobody is allowed.").tag(config=True)
    blocked_users = Set(help="Names of those who may not log in, whatever else says so.").tag(config=True)
    whitelist = Set(help="The former name of `allowed_users`.").tag(config=True)
    blacklist = Set(help="The former name of `blocked_users`.").tag(config=True)
    admin_users = Set(help="Names of those who become administrators when they log in.").tag(config=True)
    username_map = Dict(help="Name as authenticated -> name in the hub.").tag(config=True)
    username_pattern = Unicode(help="A regular expression that names must match at their start.").tag(config=True)
    delete_invalid_users = Bool(False, help="Delete those whom `add_user` will not have, when the hub starts.").tag(
        config=True
    )

    enable_auth_state = Bool(False, help="Keep the `auth_state` of logins, encrypted, for hooks.").tag(config=True)
    reconcile_auth_state_hook = AnyValue(
        help="A function of (authenticator, model, auth_state as it was) that gives the `auth_state` to be kept."
    ).tag(config=True)
    auth_refresh_age = Integer(300, help="Seconds after which `refresh_user` is asked again; 0: never.").tag(
        config=True
    )
    auth_refresh_strict = Bool(
        False, help="Refuse tokens, too, and others' starts, for somebody who has to log in again."
    ).tag(config=True)
    refresh_pre_spawn = Bool(False, help="Ask `refresh_user` before each start of a server.").tag(config=True)
    refresh_pre_stop = Bool(False, help="Ask `refresh_user` before each stop of a server.").tag(config=True)
    manage_groups = Bool(False, help="Logins say who is in which group; nobody else may.").tag(config=True)
    manage_roles = Bool(False, help="Logins say who holds which role; nobody else may.").tag(config=True)
    reset_managed_roles_on_startup = Bool(
        False, help="Take away, when the hub starts, all roles of logins that `load_managed_roles` does not name."
    ).tag(config=True)
    post_auth_hook = AnyValue(
        help="A function of (authenticator, handler, model) that gives the model to go on with, or None for `no`."
    ).tag(config=True)

    auto_login = Bool(False, help="Begin the login without a page that asks for a click.").tag(config=True)
    auto_login_oauth2_authorize = Bool(False, help="The same, for those who come from a server or service.").tag(
        config=True
    )
    request_otp = Bool(False, help="Ask for a one-time password, too.").tag(config=True)
    otp_prompt = Unicode("OTP:", help="What stands before its field.").tag(config=True)
    login_service = Unicode(help="Who does the login, if that is elsewhere: `Sign in with ...`.").tag(config=True)
    custom_html = AnyValue("", help="Stands in the place of the login form; a string, or a function of nothing.").tag(
        config=True
    )

    #: Puts a name that the hub knows into `allowed_users`; set by the service that hosts this.
    look_up: Callable[[str], Awaitable[None]] = staticmethod(_nothing)

    @default("allow_existing_users")
    def _allow_existing_if_some_are_named(self) -> bool:
        return bool(self.allowed_users)

    @observe("whitelist", "blacklist")
    def _renamed(self, change: Any) -> None:
        """Whoever has not changed their configuration for years has not opened their hub to everybody."""
        now = {"whitelist": "allowed_users", "blacklist": "blocked_users"}[change.name]
        self.log.warning("c.%s.%s is called %s now", type(self).__name__, change.name, now)
        setattr(self, now, change.new)

    @default("any_allow_config")
    def _is_anybody_allowed(self) -> bool:
        tagged = self.traits(config=True)
        names = [name for name in tagged if name.startswith("allow") or tagged[name].metadata.get("allow_config")]
        return any(getattr(self, name) for name in names)

    # For subclasses to write ------------------------------------------------------------

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Model | str | None:
        """Check the fields of the login form; the name, or a model with `name`, or None for "no".

        May raise `tornado.web.HTTPError(403, "sentence")` to say why.
        """
        raise NotImplementedError

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | Model:
        """What is true of somebody who logged in a while ago.

        True: nothing has changed. False: they have to log in again. A model: what it names is changed.
        """
        return True

    def normalize_username(self, username: str) -> str:
        lower = username.lower()
        return str(self.username_map.get(lower, lower))

    def validate_username(self, username: str) -> bool:
        """Whether the (normalized) name can be used here at all."""
        if not username or len(username) > 255 or "/" in username or not username.isprintable():
            return False
        if username != username.strip() or not unquote(username).strip("."):
            return False  # a name that a URL would read as `.` or `..`
        return bool(re.match(self.username_pattern, username)) if self.username_pattern else True

    def check_blocked_users(self, username: str, authentication: Model | None = None) -> bool | Awaitable[bool]:
        """False for somebody who is blocked."""
        return username not in self.blocked_users

    def check_allowed(self, username: str, authentication: Model | None = None) -> bool | Awaitable[bool]:
        """With `allow_existing_users`, whoever the hub knows is in `allowed_users` when this is asked."""
        if self.allow_all or username in self.allowed_users:
            return True
        return bool(self.allowed_users) and username in self.admin_users

    def is_admin(self, handler: Any, authentication: Model) -> bool | Awaitable[bool | None] | None:
        """Whether somebody is an administrator; None leaves it as it was."""
        return True if authentication["name"] in self.admin_users else None

    def add_user(self, user: Any) -> Awaitable[None] | None:
        """Somebody is new in the hub, or the hub has started and knows them. Raise an error to refuse them."""
        return None

    def delete_user(self, user: Any) -> Awaitable[None] | None:
        """Somebody is about to be deleted."""
        return None

    def pre_spawn_start(self, user: Any, spawner: Any) -> Awaitable[None] | None:
        """Asked by the worker that is about to start a server, of an authenticator that lives there."""
        return None

    def post_spawn_stop(self, user: Any, spawner: Any) -> Awaitable[None] | None:
        """Asked by the worker that has stopped a server."""
        return None

    async def load_managed_roles(self) -> list[dict[str, Any]]:
        """The roles that logins may give, as in `load_roles`; asked when the hub starts, with `manage_roles`."""
        return []

    # Its pages --------------------------------------------------------------------------

    def login_url(self, base_url: str) -> str:
        """Where a login begins; the page with the form, if it is not elsewhere. *base_url*: the hub's prefix."""
        return f"{base_url}login"

    def logout_url(self, base_url: str) -> str:
        return f"{base_url}logout"

    async def after_logout(self, user: Any, base_url: str) -> str:
        """Where a browser goes that has just logged *user* out: their provider's own log-out, perhaps.

        Empty: the login page. *base_url*: the hub's prefix; `user.get_auth_state()` has what was kept.
        """
        return ""

    def get_custom_html(self, base_url: str) -> str:
        return str(self.custom_html() if callable(self.custom_html) else self.custom_html)

    def links(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Below the login form: what each says, and where it leads."""
        return ()

    async def confirm(self, tx: Any, model: Model) -> bool:
        """Whether what *model* rests on still holds, under the log's lock, just before somebody is let in by it.

        *tx*: a `hubbub.transaction.Transaction`. On the process's own loop; every commit waits for it: keep it short.
        """
        return True

    def settle_in(self, app: web.Application) -> None:
        """Called once, before anything is served. *app* has what there is in `hubbub_auth.keys`; it starts and ends."""

    def pages(self, prefix: str) -> Sequence[Page]:
        """Those of its pages that people who are logged in should find."""
        return ()

    def routes(self, prefix: str) -> Sequence[web.RouteDef]:
        """Pages of its own. Their paths begin with *prefix*, the hub's, and have no parameters; apis forward them."""
        return ()

    # The whole way ----------------------------------------------------------------------

    async def get_authenticated_user(self, handler: Any, data: dict[str, str]) -> Model | None:
        """The whole way from the login form to a model with `name` and `admin`; None for "no"."""
        answer = await settled(self.authenticate(handler, data))
        return None if answer is None else await self.complete(handler, answer)

    async def complete(self, handler: Any, answer: Model | str) -> Model | None:
        """The way from what `authenticate` says to a model, for logins that need no form, too.

        Why it is None is left at the *handler* (`refusal`) for the list of failed logins, if that can be told.
        """
        model: Model = {"name": answer} if isinstance(answer, str) else dict(answer)
        if not isinstance(model.get("name"), str):
            raise TypeError(f"{type(self).__name__}.authenticate returned no name")
        if model["name"].lower().isascii() and not model["name"].isascii():
            return None  # a Kelvin sign is a `k` in lower case: not to be taken for whoever has one in their name
        name = model["name"] = str(await self._settled(self.normalize_username, model["name"]))
        if not self.validate_username(name):
            return None
        if not await settled(self.check_blocked_users(name, model)):
            _refused(handler, "blocked")
            return None
        if not await self._is_allowed(name, model):
            _refused(handler, "not allowed")
            return None
        if model.get("admin") is None:
            model["admin"] = await settled(self.is_admin(handler, model))
        return await self.run_post_auth_hook(handler, model)

    async def _is_allowed(self, name: str, model: Model) -> bool:
        if self.allow_existing_users and not self.allow_all:
            await self.look_up(name)
        return self.allow_all or bool(await self._settled(self.check_allowed, name, model))

    async def _settled(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """What a method of its own says; for classes that have to ask it elsewhere."""
        return await settled(method(*arguments))

    async def run_post_auth_hook(self, handler: Any, authentication: Model) -> Model | None:
        if self.post_auth_hook is None:
            return authentication
        found: Model | None = await settled(self.post_auth_hook(self, handler, authentication))
        return found


def _refused(handler: Any, why: str) -> None:
    with suppress(AttributeError, TypeError):
        handler.refusal = why
