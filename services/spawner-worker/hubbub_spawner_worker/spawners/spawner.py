"""How to run one server: what every way of doing it has in common, with JupyterHub's names."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import traitlets
from traitlets.config import LoggingConfigurable

from hubbub.domain.server_messages import Reach
from hubbub.plugin import call, settled
from hubbub_spawner_worker import environment
from hubbub_spawner_worker.process import Process
from hubbub_spawner_worker.spawners import options
from hubbub_spawner_worker.spawners.asked import alt_names_of, pause_of
from hubbub_spawner_worker.spawners.configured import Configured
from hubbub_spawner_worker.spawners.surroundings import Aside, Certificates, Server, Stored

_POLL_PATIENCE = 60.0


class Spawner(Configured, LoggingConfigurable):
    """Derive from this, and write `start`, `stop` and `poll`.

    One object serves one start of one server. Of what is set by the worker, `api_token` is known only to
    the one that starts the server, not to one that takes it over.
    """

    # Set by the worker.
    user: Any = traitlets.Any()
    hub: Any = traitlets.Any()
    place: Any = traitlets.Any()
    authenticator: Any = traitlets.Any()
    handler: Any = traitlets.Any(help="The request that wants the form, or the start; else None.")
    name = traitlets.Unicode()
    display_name = traitlets.Unicode()
    prefix = traitlets.Unicode("/", help="The path that the server answers below.")
    api_token = traitlets.Unicode()
    admin_access = traitlets.Bool(False)
    oauth_client_id = traitlets.Unicode()
    oauth_access_scopes = traitlets.List(traitlets.Unicode())
    user_options = traitlets.Dict()
    cookie_options = traitlets.Dict()
    cookie_host_prefix_enabled = traitlets.Bool(False)
    public_url = traitlets.Unicode()
    public_hub_url = traitlets.Unicode()
    internal_ssl = traitlets.Bool(False)
    internal_trust_bundles = traitlets.Dict()
    internal_certs_location = traitlets.Unicode()
    trusted_alt_names = traitlets.List(traitlets.Unicode())
    cert_paths = traitlets.Dict(help="`keyfile`, `certfile` and `cafile`, as the server finds them.")

    will_resume = traitlets.Bool(False, help="The next start goes on with what this one has made, its token too.")

    reach: ClassVar[Reach] = "pool"
    """Who can go on with a server whose worker is lost: any of the pool, or, with `host`, only those of its host."""

    certificates: Certificates | None = None
    aside: Aside | None = None
    """Null: what the operator wrote runs here, or this all is aside already."""
    _server: Server | None = None

    @traitlets.default("log")
    def _log_default(self) -> Any:
        return logging.getLogger("hubbub.spawner")

    @traitlets.default("ssl_alt_names")
    def _ssl_alt_names_default(self) -> list[str]:
        return list(self.trusted_alt_names)

    # To be written by subclasses --------------------------------------------------------

    async def start(self) -> Any:
        """Start the server. Returns its URL, or (ip, port)."""
        raise NotImplementedError(f"{type(self).__name__}.start is not written")

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002  (as JupyterHub has it)
        """Stop it and return when it is gone; *now*: without asking nicely first."""
        raise NotImplementedError(f"{type(self).__name__}.stop is not written")

    async def poll(self) -> Any:
        """None while it runs or starts, else its exit status; 0 if that is unknown."""
        raise NotImplementedError(f"{type(self).__name__}.poll is not written")

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What people see while it starts: `progress` from 0 to 100, and a `message` or `html_message`."""
        yield {"progress": 50, "message": "Spawning server..."}

    def get_state(self) -> dict[str, Any]:
        """What another worker needs to find the server again; JSON."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what an earlier `get_state` said."""

    def clear_state(self) -> None:
        """There is no server any more."""
        self.api_token = ""

    async def get_url(self) -> str:
        """Where the server answers, asked of one that runs; for those whose servers move."""
        return self.server.url

    async def read_log(self, lines: int) -> str | None:
        """The last *lines* of what the server has printed; None if nobody keeps that. Not asked of local processes."""
        return None

    async def delete_forever(self) -> None:
        """The server, or its user, is being deleted: what it had stored may go. It has been stopped."""

    # To be called by subclasses ---------------------------------------------------------

    def get_env(self) -> dict[str, str]:
        return environment.of(self)

    def get_args(self) -> list[str]:
        """What follows `cmd`. All that comes from the hub is told by the environment."""
        return list(self.args)

    def template_namespace(self) -> dict[str, Any]:
        """What `format_string` fills in."""
        return {"username": self.user.name, "servername": self.name, "base_url": self.prefix}

    def format_string(self, text: str) -> str:
        return text.format(**self.template_namespace())

    @property
    def server(self) -> Server:
        """Where it answers, as far as it is known."""
        if self._server is None:
            self._server = Server(base_url=self.prefix, proto="https" if self.internal_ssl else "http")
        return self._server

    @property
    def orm_spawner(self) -> Stored:
        """What is kept of it. There is no database behind this: what is written to it is forgotten."""
        return Stored(
            name=self.name,
            display_name=self.display_name,
            state=self.get_state(),
            user_options=self.user_options,
            server=self.server,
        )

    @property
    def log_name(self) -> str:
        return f"{self.user.name}:{self.name}" if self.name else str(self.user.name)

    _log_name = log_name

    # What people choose -----------------------------------------------------------------

    async def get_options_form(self) -> str:
        """HTML; "" if there is nothing to choose."""
        form = self.options_form
        return str((await settled(form(self)) if callable(form) else form) or "")

    def run_options_from_form(self, form_data: dict[str, list[Any]]) -> Any:
        """Options from {field: [texts]}; maybe to be awaited."""
        function = self.options_from_form
        return function(form_data, spawner=self) if options.takes_spawner(function) else function(form_data)

    def options_from_query(self, query_data: dict[str, list[Any]]) -> Any:
        """Options from the query of a link; maybe to be awaited."""
        return self.run_options_from_form(query_data)

    async def run_apply_user_options(self, user_options: dict[str, Any]) -> None:
        """Raises SpawnException, or what has a `status_code` of its own."""
        await options.apply(self, user_options)

    _run_apply_user_options = run_apply_user_options

    async def apply_group_overrides(self) -> None:
        await options.override_by_group(self)

    # Hooks ------------------------------------------------------------------------------

    async def run_auth_state_hook(self, auth_state: dict[str, Any] | None) -> None:
        if self.auth_state_hook is not None:
            await settled(self.auth_state_hook(self, auth_state))

    def run_pre_spawn_hook(self) -> Any:
        """What it returns is of no interest, but may be to be awaited."""
        return self.pre_spawn_hook(self) if self.pre_spawn_hook else None

    def run_post_stop_hook(self) -> Any:
        """As `run_pre_spawn_hook`. Its errors change nothing: the server is stopped."""
        if self.post_stop_hook is None:
            return None
        try:
            result = self.post_stop_hook(self)
        except Exception:
            self.log.exception("post_stop_hook failed for %s", self.log_name)
            return None
        return self._stopped(result) if inspect.isawaitable(result) else result

    async def _stopped(self, result: Any) -> None:
        try:
            await result
        except Exception:
            self.log.exception("post_stop_hook failed for %s", self.log_name)

    async def run_progress_ready_hook(self, event: dict[str, Any]) -> dict[str, Any]:
        """The last event of the progress as people will see it: *event* itself if the hook fails."""
        if not self.progress_ready_hook:
            return event
        try:
            changed: dict[str, Any] = await settled(self.progress_ready_hook(self, dict(event)))
        except Exception:
            self.log.exception("progress_ready_hook failed for %s", self.log_name)
            return event
        return changed

    # Internal TLS -----------------------------------------------------------------------

    async def create_certs(self) -> dict[str, str]:
        """The paths of `keyfile`, `certfile` and `cafile` on this host; nothing without internal TLS."""
        if self.certificates is None:
            if self.internal_ssl:
                raise RuntimeError("internal_ssl is on, but nobody here issues certificates")
            return {}
        return await self.certificates.issue(f"user-{self.user.name or 'service'}", await self.run_ssl_alt_names())

    async def run_ssl_alt_names(self) -> list[str]:
        """By which names the server is known, each with DNS: or IP: before it."""
        return await alt_names_of(self)

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        """Bring them to where the server can read them. Returns their paths there."""
        return paths

    # Used by the worker -----------------------------------------------------------------

    @property
    def stop_patience(self) -> float:
        """Seconds that `stop` may take."""
        return 60.0

    @property
    def probe(self) -> str:
        """The path that is asked for until there is an answer."""
        return f"{self.prefix}api"

    def adopt(self, process: Process) -> None:
        """Take *process*, which an earlier worker began, for the server's."""

    async def ended(self) -> Any:
        """Return when the server has ended, with its exit status. By asking now and then, if nobody tells."""
        if self.poll_interval <= 0:
            await asyncio.get_running_loop().create_future()  # the operator wants nobody to ask
        while True:
            try:
                status = await call(self.poll, patience=_POLL_PATIENCE)
            except Exception:
                self.log.exception("cannot ask whether the server of %s runs", self.log_name)
            else:
                if status is not None:
                    return status
            await asyncio.sleep(pause_of(self))

    async def release(self) -> None:
        """Let go of what was opened to watch the server; it goes on."""
