"""Whom a classic authenticator lets in: those whom the hub knows, if it wants that, and for what reason not."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hubbub_auth.throttle import Why

#: Seconds; only when the database is away it takes long.
PATIENCE = 30.0

#: A (normalized) name, and why it was turned away.
Refusals = list[tuple[str, Why]]

_REFUSALS: "ContextVar[Refusals | None]" = ContextVar("refusals", default=None)


@contextmanager
def refusals() -> Iterator[Refusals]:
    """Those that there are inside, in whatever is called there, on either loop."""
    found: Refusals = []
    token = _REFUSALS.set(found)
    try:
        yield found
    finally:
        _REFUSALS.reset(token)


def watch(authenticator: Any) -> None:
    """To be called on the process's own loop, once `look_up` is there."""
    authenticator.check_allowed = _knowing(authenticator, _watched(authenticator.check_allowed, Why.NOT_ALLOWED))
    authenticator.check_blocked_users = _watched(authenticator.check_blocked_users, Why.BLOCKED)
    authenticator.add_user = _forgetful(authenticator, authenticator.add_user)


def _knowing(authenticator: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """With `allow_existing_users`, whoever the hub knows is in `allowed_users` when that is looked at.

    JupyterHub puts them all there when it starts. It asks without waiting, and so does this: an answer that somebody
    would have to await looks like a yes to authenticators that do not.
    """
    look_up, home = authenticator.look_up, asyncio.get_running_loop()

    def check_allowed(username: str, *arguments: Any, **named: Any) -> Any:
        if authenticator.allow_existing_users and not authenticator.allow_all and not _is_here(home):
            asyncio.run_coroutine_threadsafe(look_up(username), home).result(PATIENCE)
        return original(username, *arguments, **named)

    return check_allowed


def _forgetful(authenticator: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """JupyterHub's class puts whoever is added into `allowed_users`. Here one auth of several would.

    Who is in there when it is looked at otherwise than by `check_allowed` must not depend on which of them is asked.
    """

    def add_user(user: Any) -> Any:
        was_in = user.name in authenticator.allowed_users
        try:
            answer = original(user)
        finally:
            if not was_in:
                authenticator.allowed_users.discard(user.name)
        return _later(user, was_in, answer) if inspect.isawaitable(answer) else answer

    async def _later(user: Any, was_in: bool, answer: Any) -> Any:  # noqa: FBT001
        try:
            return await answer
        finally:
            if not was_in:
                authenticator.allowed_users.discard(user.name)

    return add_user


def _watched(original: Callable[..., Any], why: Why) -> Callable[..., Any]:
    def check(username: str, *arguments: Any, **named: Any) -> Any:
        answer = original(username, *arguments, **named)
        return _later(username, answer) if inspect.isawaitable(answer) else _seen(username, answer)

    async def _later(username: str, answer: Any) -> Any:
        return _seen(username, await answer)

    def _seen(username: str, answer: Any) -> Any:
        if not answer and (found := _REFUSALS.get()) is not None:
            found.append((username, why))
        return answer

    return check


def _is_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is run by *loop*, which cannot be waited for there."""
    return asyncio._get_running_loop() is loop  # noqa: SLF001  (the other one raises)
