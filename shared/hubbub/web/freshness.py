"""Whether what a login said of somebody still holds, as far as a process knows without asking the authenticator again.

As in JupyterHub (`auth_refresh_age`): whoever came by a cookie has to log in again once it does not hold.
Whoever came by a token cannot, nor can somebody for whom others ask: they are let in, unless it is to be strict.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from hubbub.access import Identity
from hubbub.auth_messages import Policy, Refreshed

log = structlog.get_logger()

#: People of whom a process remembers it. Of more those are forgotten first who were asked about first.
MOST = 20_000
#: Seconds after which somebody is asked about again who is let in though it does not hold: each of their requests
#: would be a question to their provider otherwise.
AGAIN = 30.0


class Asks(Protocol):
    """Asks the authenticator about a *user* (an id); *force*: however lately it was asked."""

    def __call__(self, user: str, *, force: bool) -> Awaitable[Refreshed]: ...


@dataclass(frozen=True, slots=True)
class _Said:
    holds: bool
    until: float


class Freshness:
    """*policy*: as it is now. *ask*: of the authenticator, wherever that is."""

    def __init__(self, policy: Callable[[], Policy], ask: Asks, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._ask = ask
        self._clock = clock
        self._known: dict[str, _Said] = {}
        self._asking: dict[str, asyncio.Task[bool]] = {}

    @property
    def policy(self) -> Policy:
        return self._policy()

    def is_due(self, identity: Identity) -> bool:
        """Whether `lets_in` has to be asked about them: not if there is nothing to ask, or that was done lately."""
        policy = self._policy()
        if not policy.refreshes or not policy.refresh_age or identity.kind != "user":
            return False
        said = self._known.get(identity.id)
        if said is None or self._clock() >= said.until:
            return True
        return not said.holds and self._is_strict(identity)

    async def lets_in(self, identity: Identity) -> bool:
        """Whether *identity* may go on as whom they came, and with what they may do by now."""
        return await self._holds(identity.id) or not self._is_strict(identity)

    def _is_strict(self, identity: Identity) -> bool:
        return identity.by_cookie or self._policy().refresh_strict

    async def lets_act(self, asker: Identity, user: str) -> bool:
        """Whether *asker* may have something done for *user* (an id): the authenticator is asked now, whatever it said
        before.
        """
        holds = await self.renew(user)
        is_themselves = asker.id == user and asker.by_cookie
        return holds or not (is_themselves or self._policy().refresh_strict)

    async def renew(self, user: str) -> bool:
        """Ask about *user* (an id) now."""
        return self._remember(user, await self._ask(user, force=True))

    async def _holds(self, user: str) -> bool:
        """Those who ask at the same time ask together."""
        if (asked := self._asking.get(user)) is None:
            asked = self._asking[user] = asyncio.create_task(self._learn(user))
            asked.add_done_callback(lambda _: self._asking.pop(user, None))
        return await asyncio.shield(asked)

    async def _learn(self, user: str) -> bool:
        return self._remember(user, await self._ask(user, force=False))

    def _remember(self, user: str, said: Refreshed) -> bool:
        self._known.pop(user, None)
        seconds = said.seconds if said.fresh else AGAIN
        self._known[user] = _Said(said.fresh, self._clock() + seconds)
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        if not said.fresh:
            log.info("login.stale", user=user)
        return said.fresh
