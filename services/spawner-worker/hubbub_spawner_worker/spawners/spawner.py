"""How to run one server: what every way of doing it has in common, with JupyterHub's names."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import traitlets
from traitlets.config import LoggingConfigurable

from hubbub_spawner_worker import environment
from hubbub_spawner_worker.gate import Account
from hubbub_spawner_worker.plugin import call
from hubbub_spawner_worker.process import Process

_JITTER = 0.1
_POLL_PATIENCE = 60.0
_SHORTEST_POLL = 0.05


class Group(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    properties: dict[str, Any] = {}


class User(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is a number, as in JupyterHub's REST API. `url`: the path below which all the user's servers live."""

    name: str
    id: int
    url: str
    escaped_name: str
    admin: bool = False
    groups: tuple[Group, ...] = ()


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """How servers reach the hub. `base_url`: the path of its pages, e.g. /hub/."""

    api_url: str
    base_url: str
    public_host: str = ""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. `account`: as whom, if not as the worker's own user. `options`: more arguments for Popen."""

    command: Sequence[str]
    environment: dict[str, str]
    folder: str
    url: str
    port: int
    account: Account | None
    options: dict[str, Any]


class Place(Protocol):
    """What a host offers to those who run processes on it."""

    def reserve_port(self, ip: str) -> int: ...

    def launch(self, program: Program) -> Process: ...


class Spawner(LoggingConfigurable):
    """Derive from this, and write `start`, `stop` and `poll`.

    One object serves one start of one server. Of what is set by the worker, `api_token` is known only to
    the one that starts the server, not to one that takes it over.
    """

    # Set by the worker.
    user: Any = traitlets.Any()
    hub: Any = traitlets.Any()
    place: Any = traitlets.Any()
    name = traitlets.Unicode()
    prefix = traitlets.Unicode("/", help="The path that the server answers below.")
    api_token = traitlets.Unicode()
    oauth_client_id = traitlets.Unicode()
    oauth_access_scopes = traitlets.List(traitlets.Unicode())
    user_options = traitlets.Dict()
    cookie_options = traitlets.Dict()
    public_url = traitlets.Unicode()
    public_hub_url = traitlets.Unicode()

    # Set by the operator.
    cmd = traitlets.List(traitlets.Unicode(), ["jupyterhub-singleuser"]).tag(config=True)
    args = traitlets.List(traitlets.Unicode()).tag(config=True)
    debug = traitlets.Bool(False).tag(config=True)
    default_url = traitlets.Unicode().tag(config=True)
    disable_user_config = traitlets.Bool(False).tag(config=True)
    env_keep = traitlets.List(traitlets.Unicode(), ["JUPYTERHUB_SINGLEUSER_APP"]).tag(config=True)
    environment = traitlets.Dict(help="Values may be callables: they get the spawner.").tag(config=True)
    http_timeout = traitlets.Float(30, help="Seconds.").tag(config=True)
    hub_connect_url = traitlets.Unicode(None, allow_none=True).tag(config=True)
    ip = traitlets.Unicode("127.0.0.1").tag(config=True)
    notebook_dir = traitlets.Unicode(help="May hold {username} and begin with ~.").tag(config=True)
    poll_interval = traitlets.Float(30, help="Seconds.").tag(config=True)
    port = traitlets.Integer(0, help="0: any free one.").tag(config=True)
    start_timeout = traitlets.Float(60, help="Seconds.").tag(config=True)
    # Worked out by the api; here what it came to.
    oauth_client_allowed_scopes: Any = traitlets.Any([]).tag(config=True)
    server_token_scopes: Any = traitlets.Any([]).tag(config=True)

    @traitlets.default("log")
    def _log_default(self) -> Any:
        return logging.getLogger("hubbub.spawner")

    # To be written by subclasses --------------------------------------------------------

    async def start(self) -> Any:
        """Start the server. Returns its URL, or (ip, port)."""
        raise NotImplementedError(f"{type(self).__name__}.start is not written")

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002  (as JupyterHub has it)
        """Stop it and return when it is gone; *now*: without asking nicely first."""
        raise NotImplementedError(f"{type(self).__name__}.stop is not written")

    async def poll(self) -> Any:
        """None while it runs, else its exit status."""
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
        while True:
            try:
                status = await call(self.poll, patience=_POLL_PATIENCE)
            except Exception:
                self.log.exception("cannot ask whether the server of %s runs", self.user.name)
            else:
                if status is not None:
                    return status
            jitter = random.uniform(1 - _JITTER / 2, 1 + _JITTER / 2)  # noqa: S311  (no secret)
            await asyncio.sleep(max(self.poll_interval, _SHORTEST_POLL) * jitter)

    async def release(self) -> None:
        """Let go of what was opened to watch the server; it goes on."""
