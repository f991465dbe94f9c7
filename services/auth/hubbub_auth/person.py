"""A user as authenticators and their hooks know one: JupyterHub's `User`, as far as they look at it."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import quote

from hubbub.config import Options
from hubbub.domain.names import prefix
from hubbub.floor import at_home


def url_of(options: Options, name: str) -> str:
    """Below which somebody's servers live: a path, or with subdomains a whole address."""
    return options.hosts.link(name, prefix(options.base_url, name, ""))


class AuthStates(Protocol):
    """Where the auth state of people is kept, by their ids."""

    def load(self, user: str) -> Coroutine[Any, Any, Any]: ...

    def save(self, user: str, state: Any) -> Coroutine[Any, Any, None]: ...


class Person:
    """`id`: as in JupyterHub a number; 0 of somebody who is about to be made. To be used on any loop.

    `has_state`: whether an auth state may be kept of them.
    """

    def __init__(
        self,
        *,
        name: str,
        user: str = "",
        number: int = 0,
        admin: bool = False,
        groups: tuple[str, ...] = (),
        has_state: bool = True,
        url: str = "",
        states: AuthStates | None = None,
    ) -> None:
        self.name = name
        self.user = user
        self.id = number
        self.admin = admin
        self.has_state = has_state
        self.groups = [SimpleNamespace(name=group, properties={}) for group in groups]
        self.escaped_name = quote(name, safe="@")
        self.url = url or f"/user/{self.escaped_name}/"
        self.spawners: dict[str, Any] = {}
        self.spawner = SimpleNamespace(active=False, ready=False, pending=None, name="")
        self.settings: dict[str, Any] = {}
        self._states = states
        self._home = asyncio.get_running_loop()

        self.cookie_id = user
        self.json_escaped_name = json.dumps(name)[1:-1]
        self.roles: list[Any] = []
        self.active = self.running = False

    def __repr__(self) -> str:
        return f"<User {self.name}>"

    @property
    def orm_user(self) -> "Person":
        return self

    async def get_auth_state(self) -> Any:
        """What was kept at the last login or refresh; None if that is nothing."""
        return await self._ask(lambda states: states.load(self.user)) if self.user else None

    async def save_auth_state(self, auth_state: Any) -> None:
        if self.user:
            await self._ask(lambda states: states.save(self.user, auth_state))

    async def _ask(self, question: Callable[[AuthStates], Coroutine[Any, Any, Any]]) -> Any:
        return await at_home(self._home, question(self._states)) if self._states else None
