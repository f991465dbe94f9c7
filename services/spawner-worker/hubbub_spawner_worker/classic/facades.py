"""What a classic spawner sees of the hub: no database behind any of it, and no handler.

The measured surface is small (contract, part 7.2): a user with name, id, url and groups; a hub with its URLs;
an `orm_spawner` with its name and server. Hooks of operators look at a little more.
"""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from jupyterhub import orm
from jupyterhub.objects import Hub
from jupyterhub.utils import url_path_join

from hubbub_spawner_worker.spawners import User


class ClassicUser:
    """Ours, with the names that JupyterHub's wrapper of a user has besides."""

    def __init__(self, user: User, hub_path: str) -> None:
        self._user = user
        self._hub_path = hub_path
        self.groups = [SimpleNamespace(name=group.name, properties=dict(group.properties)) for group in user.groups]
        self.settings: dict[str, Any] = {}
        self.spawners: dict[str, Any] = {}
        self.last_activity = self.created = datetime.now(UTC).replace(tzinfo=None)
        self.roles: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._user, name)

    @property
    def orm_user(self) -> "ClassicUser":
        return self

    @property
    def json_escaped_name(self) -> str:
        return self._user.name.replace("\\", "\\\\").replace('"', '\\"')

    @property
    def spawner(self) -> Any:
        return self.spawners[""]

    def public_url(self, name: str = "") -> str:
        user = self._user
        return f"{user.host}{urlsplit(user.server_url(name)).path}" if user.host else ""

    def progress_url(self, name: str = "") -> str:
        server = ("servers", name) if name else ("server",)
        return str(url_path_join(self._hub_path, "api/users", self._user.escaped_name, *server, "progress"))

    def __repr__(self) -> str:
        return f"<User {self._user.name}>"


class NoSession:
    """Stands where old spawners look for a database session. There is nothing to commit, and nothing to ask."""

    def __getattr__(self, name: str) -> Any:
        if name in ("commit", "rollback", "flush", "add", "expire", "refresh", "expunge"):
            return _nothing
        raise AttributeError(f"spawners have no database: {name} is not there")


def _nothing(*_: Any, **__: Any) -> None:
    """There is nothing to do."""


def orm_spawner_of(name: str, display_name: str, state: dict[str, Any], options: dict[str, Any]) -> SimpleNamespace:
    """As JupyterHub's row of a spawner. Its server is a real one of JupyterHub's, since a wrapper asks for that."""
    return SimpleNamespace(
        name=name,
        display_name=display_name,
        state=state,
        user_options=options,
        started=None,
        last_activity=None,
        server=None,
        oauth_client=None,
    )


def server_at(prefix: str, url: str = "") -> Any:
    """A row of a server that belongs to no session. *url*: scheme://host:port, "" if it listens nowhere yet."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return orm.Server(proto=parts.scheme or "http", ip=parts.hostname or "", port=port, base_url=prefix, cookie_name="")


def hub_at(api_url: str, public_host: str) -> Any:
    """JupyterHub's own object for the hub. *api_url*: as servers reach it."""
    hub = Hub.from_url(api_url.removesuffix("api"))
    hub.public_host = public_host
    return hub
