"""A spawner object as the worker uses it: what is called, in JupyterHub's order (contract, parts 6.2 and 6.3)."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog

from hubbub.addresses import netloc
from hubbub.counting import POLLS, Counts
from hubbub.domain.server_messages import Failure, Reach
from hubbub.floor import Floor, PluginExited, Seat
from hubbub.plugin import Overdue, settled
from hubbub_spawner_worker.logs import NoLog
from hubbub_spawner_worker.refusals import refusal_of
from hubbub_spawner_worker.spawners.asked import pause_of
from hubbub_spawner_worker.spawners.surroundings import reachable
from hubbub_spawner_worker.spent import Spent

log = structlog.get_logger()

PREPARE_PATIENCE = 300.0
"""Seconds that all hooks before a start may take together."""
POLL_PATIENCE = 60.0
_HOOK_PATIENCE = 60.0
_SOON = 5.0
_LOG_PATIENCE = 4.0


class Authenticates(Protocol):
    """The part of an authenticator that has a say in starts and stops."""

    def pre_spawn_start(self, user: Any, spawner: Any) -> Any: ...

    def post_spawn_stop(self, user: Any, spawner: Any) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What a start begins with."""

    token: str
    options: dict[str, Any]
    auth_state: dict[str, Any] | None = None
    handler: Any = None
    admin_access: bool = False


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What hooks and callables have made of it. Scopes are null where the configuration names them itself."""

    token_scopes: tuple[str, ...] | None = None
    browser_scopes: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What became of a server. `status`: null while it runs. `url`: scheme://host:port, if that is known."""

    status: str | None = None
    url: str = ""
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Hosted:
    """*seat*: where the spawner lives; *floor*: where operators' own functions are called. *spent*: by its start."""

    spawner: Any
    seat: Seat
    floor: Floor
    reach: Reach
    authenticator: Authenticates | None = None
    spent: Spent = field(default_factory=Spent)
    counts: Counts = field(default_factory=Counts)

    # Starting -----------------------------------------------------------------------------

    async def prepare(self, launch: Launch) -> Prepared:
        """Everything before `start`. Raises what any of it raises."""
        spawner = self.spawner
        if self._is_plain():
            spawner.user_options = launch.options
            spawner.handler = launch.handler
            spawner.clear_state()
            spawner.api_token = launch.token
            spawner.admin_access = launch.admin_access
            return Prepared()
        self.spent.now("turn")
        prepared = await self.floor.call(self._prepare, launch, patience=PREPARE_PATIENCE)
        assert isinstance(prepared, Prepared)
        return prepared

    def _is_plain(self) -> bool:
        """Whether none of the operator's code is to be called before this start."""
        spawner = self.spawner
        callables = (spawner.server_token_scopes, spawner.oauth_client_allowed_scopes)
        hooks = (
            self.authenticator,
            spawner.auth_state_hook,
            spawner.group_overrides,
            spawner.apply_user_options,
            spawner.pre_spawn_hook,
            spawner.internal_ssl,
        )
        return self.seat is not self.floor and not any(hooks) and not any(map(callable, callables))

    async def _prepare(self, launch: Launch) -> Prepared:
        spawner, now = self.spawner, self.spent.now
        now("scopes")
        token_scopes = await _worked_out(spawner.server_token_scopes, spawner)
        spawner.handler = launch.handler
        spawner.user_options = launch.options
        spawner.clear_state()
        spawner.api_token = launch.token
        spawner.admin_access = launch.admin_access
        browser_scopes = await _worked_out(spawner.oauth_client_allowed_scopes, spawner)
        if browser_scopes is not None:
            spawner.oauth_client_allowed_scopes = list(browser_scopes)
        now("pre_spawn_start")
        if self.authenticator is not None:
            await settled(self.authenticator.pre_spawn_start(spawner.user, spawner))
        now("auth_state")
        await settled(spawner.run_auth_state_hook(launch.auth_state))
        now("groups")
        await settled(spawner.apply_group_overrides())
        now("options")
        await settled(self.apply_options(spawner.user_options))
        now("pre_spawn_hook")
        await settled(spawner.run_pre_spawn_hook())
        if spawner.internal_ssl:
            now("certificates")
            paths = await settled(spawner.create_certs())
            spawner.cert_paths = await settled(spawner.move_certs(paths))
        return Prepared(token_scopes=token_scopes, browser_scopes=browser_scopes)

    def apply_options(self, options: dict[str, Any]) -> Any:
        return self.spawner.run_apply_user_options(options)

    async def start(self) -> str:
        """Where the server listens, as scheme://host:port. Raises Overdue, TypeError, or what the spawner does."""
        spawner = self.spawner
        try:
            address = await self.seat.call(self.begin, patience=spawner.start_timeout)
        finally:
            spawner.handler = None
        url = self.url_of(address)
        if url:
            self.at(url)
        return url

    def begin(self) -> Any:
        return self.spawner.start()

    def frames(self) -> AsyncIterator[dict[str, Any]]:
        """What it says while it starts. Asked for after `start` was called."""
        return self.seat.frames(lambda: self.spawner.progress())  # noqa: PLW0108  (some have a property of that name)

    def url_of(self, address: Any) -> str:
        return url_of(address, self.spawner)

    # While it runs -------------------------------------------------------------------------

    async def poll(self) -> str | None:
        """None while it runs, else what `poll` returned: a number, or a text."""
        began = time.perf_counter()
        status = await self.seat.call(self.spawner.poll, patience=POLL_PATIENCE)
        self.counts.note(POLLS, ("running" if status is None else "stopped",), time.perf_counter() - began)
        return None if status is None else str(status)

    async def look(self) -> Look:
        """Whether it runs, where, and its state."""
        status = await self.poll()
        if status is not None:
            return Look(status=status)
        found = await self.seat.call(self._around, patience=_SOON)
        assert isinstance(found, Look)
        return found

    async def _around(self) -> Look:
        parts = urlsplit(str(await settled(self.spawner.get_url()) or ""))
        url = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
        return Look(url=url, state=dict(self.spawner.get_state() or {}))

    async def state(self) -> dict[str, Any]:
        found = await self.seat.call(self.spawner.get_state, patience=_SOON)
        return dict(found or {})

    async def ended(self) -> str | None:
        """Return when the server has ended, with its exit status."""
        status = await self.spawner.ended()
        return None if status is None else str(status)

    def at(self, url: str) -> None:
        """It listens there: what the log says of one that somebody else has started."""
        self.spawner.server.move(url)

    def pause(self) -> float:
        """Seconds until it is to be asked again; 0: never."""
        return pause_of(self.spawner)

    # Stopping ------------------------------------------------------------------------------

    async def stop(self) -> str | None:
        """Ask it to stop; its status if it is gone then. Raises what the spawner does."""
        status = await self.poll()
        if status is None:
            await self.seat.call(self.spawner.stop, patience=self.stop_patience)
            status = await self.poll()
        return status

    async def leave(self) -> None:
        """It is gone: the hooks for that, and no state any more. What fails here is only logged."""
        spawner = self.spawner
        if spawner.post_stop_hook is not None:
            await self._quietly(self.floor, spawner.run_post_stop_hook)
        await self._quietly(self.seat, spawner.clear_state)
        if self.authenticator is not None:
            await self._quietly(self.floor, self.authenticator.post_spawn_stop, spawner.user, spawner)

    async def log(self, lines: int) -> str:
        """The last *lines* of what the server has printed, where that is in no file of ours. Raises NoLog."""
        reader = getattr(self.spawner, "read_log", None)
        found = await self.seat.call(reader, lines, patience=_LOG_PATIENCE) if reader else None
        if found is None:
            raise NoLog("its spawner keeps no log that could be shown")
        return str(found)

    async def release(self) -> None:
        """The worker ends; the server goes on."""
        await self.seat.call(self.spawner.release, patience=_SOON)

    @property
    def resumes(self) -> bool:
        """Whether what has stopped only sleeps."""
        return bool(getattr(self.spawner, "will_resume", False))

    @property
    def stop_patience(self) -> float:
        return float(self.spawner.stop_patience)

    @property
    def probe(self) -> str:
        """The path that is asked for until there is an answer."""
        return str(self.spawner.probe)

    async def _quietly(self, seat: Seat, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            await seat.call(function, *arguments, patience=_HOOK_PATIENCE)
        except Exception:
            log.exception("spawner.hook_failed", hook=getattr(function, "__name__", ""))


async def _worked_out(scopes: Any, spawner: Any) -> tuple[str, ...] | None:
    return tuple(await settled(scopes(spawner))) if callable(scopes) else None


def url_of(address: Any, spawner: Any) -> str:
    """*address*: what a spawner's start returned. As scheme://host:port, without a path; raises TypeError."""
    scheme = "https" if spawner.internal_ssl else "http"
    match address:
        case "" if spawner.reach == "process":
            return ""  # a service that serves nothing
        case str() if address:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https", "http+unix") or not parts.netloc:
                raise TypeError(f"start() returned {address!r}, which is no URL of a server")
            return f"{parts.scheme}://{parts.netloc}"
        case (str(ip), int(port) | str(port)) if 0 < int(port) < 65536:
            return f"{scheme}://{netloc(reachable(ip), int(port))}"
        case None if spawner.port:
            return url_of((spawner.ip, spawner.port), spawner)
        case _:
            raise TypeError(f"start() returned {address!r}, neither a URL nor (ip, port)")


def failure_of(error: Exception, start_timeout: float) -> Failure:
    """What people are told when a start fails with *error*. `reason` is what metrics count it under."""
    if isinstance(error, Overdue):
        return Failure(reason="timeout", message=f"The server did not start within {start_timeout:g} seconds")
    said = refusal_of(error, 500)
    if hasattr(error, "message_html"):  # a SpawnException, ours or JupyterHub's
        reason = str(getattr(error, "reason", "") or "error")
        return Failure(reason=reason, message=said.message, status=said.status, html=said.html)
    if hasattr(error, "status_code"):
        return Failure(reason="error", message=said.message, status=said.status, html=said.html)
    reason = "timeout" if isinstance(error, TimeoutError) else "error"
    text = said.message if said.message == type(error).__name__ else f"{type(error).__name__}: {said.message}"
    if isinstance(error, PluginExited) or said.message.startswith(f"{type(error).__name__}: "):
        text = said.message
    return Failure(reason=reason, message=f"Spawner failed to start: {text}", html=said.html)
