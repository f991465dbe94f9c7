"""Who may log in: the interface of JupyterHub's Authenticator, as operators' classes know it."""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from traitlets import Bool, Dict, Set, Unicode, default
from traitlets.config import LoggingConfigurable

#: What a login tells: `name`, and perhaps `admin` (None: as it was), `auth_state`, `groups`.
Model = dict[str, Any]


async def _nobody(_: str) -> bool:
    return False


class Authenticator(LoggingConfigurable):
    """Subclass it and write `authenticate`; everything else has a default. Nobody is allowed by default."""

    allow_all = Bool(False, help="Allow everybody who can authenticate.").tag(config=True)
    allowed_users = Set(help="Names of those who may log in.").tag(config=True)
    allow_existing_users = Bool(help="Allow everybody whom the hub knows. True if allowed_users is set.").tag(
        config=True
    )
    any_allow_config = Bool(False, help="Accepted for compatibility; has no effect.").tag(config=True)
    blocked_users = Set(help="Names of those who may not log in, whatever else says so.").tag(config=True)
    admin_users = Set(help="Names of those who become administrators when they log in.").tag(config=True)
    username_map = Dict(help="Name as authenticated -> name in the hub.").tag(config=True)
    username_pattern = Unicode(help="A regular expression that names must match at their start.").tag(config=True)

    #: Whether the hub knows somebody of that name; set by the service that hosts this.
    is_known: Callable[[str], Awaitable[bool]] = staticmethod(_nobody)

    @default("allow_existing_users")
    def _allow_existing_if_some_are_named(self) -> bool:
        return bool(self.allowed_users)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Model | str | None:
        """Check the fields of the login form; the name, or a model with `name`, or None for "no".

        May raise `tornado.web.HTTPError(403, "sentence")` to say why.
        """
        raise NotImplementedError

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
        if self.allow_all or username in self.allowed_users:
            return True
        return bool(self.allowed_users) and username in self.admin_users

    def is_admin(self, handler: Any, authentication: Model) -> bool | Awaitable[bool | None] | None:
        """Whether somebody is an administrator; None leaves it as it was."""
        return True if authentication["name"] in self.admin_users else None

    async def get_authenticated_user(self, handler: Any, data: dict[str, str]) -> Model | None:
        """The whole way from the login form to a model with `name` and `admin`; None for "no"."""
        answer = await settled(self.authenticate(handler, data))
        if answer is None:
            return None
        model: Model = {"name": answer} if isinstance(answer, str) else dict(answer)
        if not isinstance(model.get("name"), str):
            raise TypeError(f"{type(self).__name__}.authenticate returned no name")
        name = model["name"] = self.normalize_username(model["name"])
        if not self.validate_username(name) or not await settled(self.check_blocked_users(name, model)):
            return None
        if not await self._is_allowed(name, model):
            return None
        if model.get("admin") is None:
            model["admin"] = await settled(self.is_admin(handler, model))
        return model

    async def _is_allowed(self, name: str, model: Model) -> bool:
        if self.allow_all or await settled(self.check_allowed(name, model)):
            return True
        return self.allow_existing_users and await self.is_known(name)


async def settled(value: Any) -> Any:
    """*value*, waited for if need be: subclasses may write plain or async methods."""
    return await value if inspect.isawaitable(value) else value
