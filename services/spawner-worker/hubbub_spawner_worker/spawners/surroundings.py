"""What a spawner is given: whose server it is, where the hub is, and what it may ask of the worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from hubbub.addresses import netloc
from hubbub.domain import names
from hubbub_spawner_worker.cgroups import NO_LIMITS, Limits
from hubbub_spawner_worker.gate import Account
from hubbub_spawner_worker.process import Process

_EVERYWHERE = ("", "0.0.0.0", "::")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class AuthState(Protocol):
    """One person's auth state, which only the hub keeps."""

    async def get(self) -> dict[str, Any] | None: ...

    async def save(self, state: dict[str, Any] | None) -> None: ...


class Group(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    properties: dict[str, Any] = {}


class User(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is a number, as in JupyterHub's REST API. `url`: below which all the user's servers live, a path, or with
    subdomains a whole address.

    `domain`: the user's own, "" without subdomains. `host`: where the user's servers are found, `https://ada.hub.test`;
    without subdomains the hub's, if that is known, else "". `keeper`: where the auth state is.
    """

    name: str
    id: int
    url: str
    escaped_name: str
    admin: bool = False
    groups: tuple[Group, ...] = ()
    domain: str = ""
    host: str = ""
    keeper: AuthState | None = None

    @property
    def base_url(self) -> str:
        return urlsplit(self.url).path

    def server_url(self, name: str = "") -> str:
        """Of one server, as `url`."""
        return f"{self.url}{names.escape(name)}/" if name else self.url

    @property
    def proxy_spec(self) -> str:
        """What the routes of the user's servers begin with."""
        return f"{self.domain}{self.base_url}"

    @property
    def own_host(self) -> str:
        """As `host`, but "" without subdomains."""
        return self.host if self.domain else ""

    async def get_auth_state(self) -> dict[str, Any] | None:
        """None if there is none, or `enable_auth_state` is off."""
        return None if self.keeper is None else await self.keeper.get()

    async def save_auth_state(self, state: dict[str, Any] | None) -> None:
        if self.keeper is not None:
            await self.keeper.save(state)


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """How servers reach the hub. `base_url`: the path of its pages, e.g. /hub/."""

    api_url: str
    base_url: str
    public_host: str = ""

    @property
    def url(self) -> str:
        return self.api_url.removesuffix("api")

    @property
    def ip(self) -> str:
        return urlsplit(self.api_url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.api_url)
        return parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)


@dataclass(slots=True)
class Server:
    """Where a server answers. A spawner may say so here, if its `start` returns nothing."""

    base_url: str
    proto: str = "http"
    ip: str = ""
    port: int = 0

    @property
    def host(self) -> str:
        """Without a path; an address that stands for all of them is this host's own."""
        return f"{self.proto}://{netloc(reachable(self.ip), self.port)}"

    @property
    def url(self) -> str:
        return f"{self.host}{self.base_url}"

    def move(self, url: str) -> None:
        """It answers at *url* now."""
        parts = urlsplit(url)
        self.proto, self.ip = parts.scheme, parts.hostname or ""
        self.port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a server, to be read only: JupyterHub calls it `orm_spawner`."""

    name: str
    display_name: str
    state: dict[str, Any]
    user_options: dict[str, Any]
    server: Server


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
    limits: Limits = NO_LIMITS


class Place(Protocol):
    """What a host offers to those who run processes on it."""

    def reserve_port(self, ip: str) -> int: ...

    def launch(self, program: Program) -> Process: ...


class Certificates(Protocol):
    """Who makes certificates for internal TLS."""

    async def issue(self, common_name: str, alt_names: Sequence[str]) -> dict[str, str]:
        """The paths of `keyfile`, `certfile` and `cafile`."""


class Aside(Protocol):
    """Where an operator's functions run, so that they keep nobody waiting."""

    async def call(self, function: Callable[..., Any], *arguments: Any, patience: float) -> Any: ...


def reachable(ip: str) -> str:
    """An address that stands for all of a host's is, from there, the host's own."""
    return "127.0.0.1" if ip in _EVERYWHERE else ip
