"""The sections of the operator's configuration, as far as the house itself reads them."""

from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from traitlets.config import Config
from traitlets.config.loader import LazyConfigValue

S = TypeVar("S", bound=msgspec.Struct)


class ConfigError(Exception):
    """The configuration file cannot be used."""


class Hub(msgspec.Struct, kw_only=True):
    """The options of `c.JupyterHub` that this release honours, with JupyterHub's names and defaults."""

    bind_url: str = ""
    ip: str = ""
    port: int = 8000
    base_url: str = "/"
    public_url: str = ""
    hub_ip: str = "127.0.0.1"
    hub_port: int = 8081
    hub_bind_url: str = ""
    hub_connect_ip: str = ""
    hub_connect_url: str = ""
    internal_ssl: bool = False
    internal_certs_location: str = "internal-ssl"
    recreate_internal_certs: bool = False
    external_ssl_authorities: dict[str, dict[str, str]] = {}
    trusted_alt_names: list[str] = []
    authenticator_class: Any = "pam"
    spawner_class: Any = "localprocess"
    services: list[dict[str, Any]] = []
    service_tokens: dict[str, str] = {}
    api_tokens: dict[str, str] = {}
    service_check_interval: float = 60
    load_roles: list[dict[str, Any]] = []
    load_groups: dict[str, Any] = {}
    custom_scopes: dict[str, dict[str, Any]] = {}
    extra_user_scopes: set[str] = set()
    admin_users: set[str] = set()
    admin_access: bool = False
    allow_named_servers: bool = False
    named_server_limit_per_user: int = 0
    concurrent_spawn_limit: int = 100
    active_server_limit: int = 0
    cookie_max_age_days: float = 14
    oauth_token_expires_in: int = 0
    oauth_require_pkce: bool = False
    token_expires_in_max_seconds: int = 0
    api_page_default_limit: int = 50
    api_page_max_limit: int = 200
    redirect_to_server: bool = True
    cleanup_servers: bool = True
    cleanup_proxy: bool = True
    authenticate_prometheus: bool = True
    tornado_settings: dict[str, Any] = {}
    log_level: int | str = "INFO"


class Ours(msgspec.Struct, kw_only=True):
    """The options of `c.Hubbub`: what JupyterHub has no name for. Times are in seconds."""

    slow_spawn_timeout: float = 10
    slow_stop_timeout: float = 10
    queue_timeout: float = 300
    route_timeout: float = 30
    adoption_timeout: float = 300
    spawn_retries: int = 2
    pool: str = "default"
    pools: dict[str, dict[str, Any]] = {}
    worker_starts: Annotated[int, Meta(ge=1)] = 64
    worker_capacity: Annotated[int, Meta(ge=0)] = 0
    queue_spawns: bool = False
    token_limit_per_user: int = 1000
    spawner_reach: Literal["", "host", "pool"] = ""


class Periodic(msgspec.Struct, kw_only=True):
    """`c.PeriodicMetricsCollector`, as far as there is something to choose. Times are in seconds."""

    active_users_enabled: bool = True
    event_loop_interval_enabled: bool = True
    event_loop_interval_resolution: Annotated[float, Meta(gt=0)] = 0.05
    event_loop_interval_log_threshold: float = 1


class SpawnerOptions(msgspec.Struct, kw_only=True):
    """What the core needs to know of `c.Spawner`; the rest belongs to the workers.

    Scopes are null where the configuration has a callable: then the worker of a start works them out, and reports them.
    """

    start_timeout: float = 60
    http_timeout: float = 30
    oauth_client_allowed_scopes: list[str] | None = []
    server_token_scopes: list[str] | None = []


_MAY_BE_CALLABLE = frozenset({"oauth_client_allowed_scopes", "server_token_scopes"})


class ProxyOptions(msgspec.Struct, kw_only=True):
    """`c.ConfigurableHTTPProxy`, with `c.Proxy` below it."""

    should_start: bool = True
    extra_routes: dict[str, str] = {}
    api_url: str = "http://127.0.0.1:8001"
    auth_token: str = ""
    command: str | list[str] = "configurable-http-proxy"
    check_running_interval: float = 5
    concurrency: int = 10
    debug: bool = False
    log_level: str = "info"


def read(traits: Config, names: tuple[str, ...], shape: type[S]) -> S:
    """The named sections, most specific last, as *shape*; other options in them are not looked at."""
    options = shape()
    types = {field.name: field.type for field in msgspec.structs.fields(shape)}
    for section in names:
        for name, value in traits.get(section, {}).items():
            if name in types:
                given = plain(value, getattr(options, name))
                if name in _MAY_BE_CALLABLE and callable(given):
                    given = None
                try:
                    setattr(options, name, given if name.endswith("_class") else msgspec.convert(given, types[name]))
                except msgspec.ValidationError as error:
                    raise ConfigError(f"c.{section}.{name}: {error}") from None
    return options


def plain(value: Any, empty: Any) -> Any:
    """*value*, also if it was only added to: `c.X.y.append(...)` where nothing had set it."""
    return value.get_value(empty) if isinstance(value, LazyConfigValue) else value


def class_names(spawner_class: Any) -> list[str]:
    """The names under which a class's options may be set, most general first."""
    if isinstance(spawner_class, type):
        return [kind.__name__ for kind in reversed(spawner_class.__mro__) if kind is not object]
    name = _announced(str(spawner_class)).rpartition(".")[2]
    return ["LocalProcessSpawner", name] if name == "SimpleLocalProcessSpawner" else [name]


@cache
def _announced(name: str) -> str:
    """The class that a package has announced by this short name; *name* itself if none has. It is not imported."""
    known = {"simple": "SimpleLocalProcessSpawner", "localprocess": "LocalProcessSpawner"}
    if name in known or "." in name:
        return known.get(name, name)
    groups = ("jupyterhub.spawners", "jupyterhub.authenticators")
    entries = [entry for group in groups for entry in entry_points(group=group)]
    found = [entry.attr for entry in entries if entry.name.lower() == name.lower()]
    return found[0] if found else name
