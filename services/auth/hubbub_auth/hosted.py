"""The configured authenticator, where it lives, and what may be asked of it.

Ours live on the process's own loop. Those of operators and of other packages, and whatever has a hook of the
operator's, live on the floor: whatever they block, it is not the sessions and tokens of everybody else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hubbub.auth_messages import Policy
from hubbub.floor import Floor, Here, Seat, at_home
from hubbub_auth.authenticators.authenticator import Authenticator, Model
from hubbub_auth.person import Person

if TYPE_CHECKING:
    from hubbub.transaction import Transaction

#: Seconds for an answer. A provider that is asked over the network has less patience with us.
PATIENCE = 60.0

_HOOKS = ("post_auth_hook", "reconcile_auth_state_hook")
#: Where the methods are that do nothing.
_PLAIN = (("hubbub_auth.authenticators.authenticator", "Authenticator"), ("jupyterhub.auth", "Authenticator"))


class Hosted:
    """`authenticator`: ours, or (`is_classic`) one that is derived from JupyterHub's."""

    def __init__(self, authenticator: Any, *, is_known: Callable[[str], Awaitable[bool]], floor: Floor) -> None:
        self.authenticator = authenticator
        self.floor = floor
        self.is_classic = not isinstance(authenticator, Authenticator)
        self._seat: Seat = Here() if self._is_ours() else floor
        self._is_known = is_known
        self._named = set(authenticator.allowed_users)
        self._home = asyncio.get_running_loop()
        authenticator.look_up = self._look_up

    def __repr__(self) -> str:
        return type(self.authenticator).__name__

    # Asking it --------------------------------------------------------------------------

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Model | None:
        """Raises what it raises; `tornado.web.HTTPError` is how authenticators say why not."""
        answer: Model | None = await self._ask(self.authenticator.get_authenticated_user, handler, data)
        return answer

    async def normalized(self, username: str) -> str:
        """The name that *username* comes to: two that are one account count as one."""
        try:
            return str(await self._ask(self.authenticator.normalize_username, username)) if username else ""
        except Exception:  # it may be the operator's own; a login by that name says what is wrong
            return username.lower()

    async def after_logout(self, person: Person, prefix: str) -> str:
        """Where to go from a log-out; empty: nowhere else. Theirs have handlers of their own for that."""
        return "" if self.is_classic else str(await self._ask(self.authenticator.after_logout, person, prefix))

    async def confirmed(self, tx: "Transaction", model: Model) -> bool:
        """See `Authenticator.confirm`; theirs have no such thing."""
        return self.is_classic or bool(await self.authenticator.confirm(tx, model))

    async def refresh(self, person: Person, handler: Any = None) -> bool | Model:
        answer: bool | Model = await self._ask(self.authenticator.refresh_user, person, handler)
        return answer

    async def reconciled(self, model: Model, before: Any) -> Any:
        """The auth state to be kept, after *before*."""
        hook = getattr(self.authenticator, "reconcile_auth_state_hook", None)
        return await self._ask(hook, self.authenticator, model, before) if hook else model.get("auth_state")

    async def accepts(self, name: str) -> bool:
        return bool(await self._ask(self.authenticator.validate_username, name))

    async def add(self, person: Person) -> None:
        await self._ask(self.authenticator.add_user, person)

    async def remove(self, person: Person) -> None:
        await self._ask(self.authenticator.delete_user, person)

    async def managed_roles(self) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = await self._ask(self.authenticator.load_managed_roles)
        return answer

    async def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._seat.call(function, *arguments, patience=PATIENCE)

    # What it is like --------------------------------------------------------------------

    def wants(self, option: str) -> Any:
        """One of its options; JupyterHub's class has them all, older ones of others may not."""
        return getattr(self.authenticator, option, None)

    def overrides(self, method: str) -> bool:
        """Whether it, or a class that it is derived from, has something to say there."""
        defined = next(kind for kind in type(self.authenticator).__mro__ if method in vars(kind))
        return (defined.__module__, defined.__qualname__) not in _PLAIN

    @cached_property
    def policy(self) -> Policy:
        """Options are what they are when the hub starts; this is asked at every login."""
        return Policy(
            manage_groups=bool(self.wants("manage_groups")),
            manage_roles=bool(self.wants("manage_roles")),
            refreshes=self.overrides("refresh_user"),
            refresh_age=max(0, self.wants("auth_refresh_age") or 0),
            refresh_strict=bool(self.wants("auth_refresh_strict")),
            refresh_pre_spawn=bool(self.wants("refresh_pre_spawn")),
            refresh_pre_stop=bool(self.wants("refresh_pre_stop")),
            greets=bool(self.wants("username_pattern"))
            or any(self.overrides(method) for method in ("add_user", "delete_user", "validate_username")),
            delete_invalid_users=bool(self.wants("delete_invalid_users")),
        )

    def _is_ours(self) -> bool:
        is_ours = type(self.authenticator).__module__.startswith("hubbub_auth.")
        return is_ours and not any(self.wants(hook) for hook in _HOOKS)

    async def _look_up(self, name: str) -> None:
        """Who is known is found among the allowed, as in JupyterHub, and no longer once they are not."""
        if await at_home(self._home, self._known(name)):
            self.authenticator.allowed_users.add(name)
        elif name not in self._named:
            self.authenticator.allowed_users.discard(name)

    async def _known(self, name: str) -> bool:
        return await self._is_known(name)
