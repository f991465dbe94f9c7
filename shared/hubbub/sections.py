"""The sections of the operator's configuration, as far as the house itself reads them."""

from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from traitlets.config import Config
from traitlets.config.loader import LazyConfigValue

from hubbub.webhooks import Webhook

S = TypeVar("S", bound=msgspec.Struct)

#: Seconds: what Postgres can still count back from now.
LONGEST = 100 * 366 * 86_400


class ConfigError(Exception):
    """The configuration file cannot be used."""


class Hub(msgspec.Struct, kw_only=True):
    """The options of `c.JupyterHub` that this release honours, with JupyterHub's names and defaults."""

    bind_url: str = ""
    ip: str = ""
    port: int = 8000
    base_url: str = "/"
    public_url: str = ""
    subdomain_host: str = ""
    subdomain_hook: Any = "idna"
    hub_routespec: str = ""
    trusted_downstream_ips: list[str] = []
    forwarded_host_header: str = ""
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
    ssl_key: str = ""
    ssl_cert: str = ""
    proxy_class: Any = "default"
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
    cookie_host_prefix_enabled: bool = False
    oauth_token_expires_in: int = 0
    oauth_require_pkce: bool = False
    token_expires_in_max_seconds: int = 0
    api_page_default_limit: int = 50
    api_page_max_limit: int = 200
    redirect_to_server: bool = True
    default_url: Any = ""
    default_server_name: str = ""
    user_redirect_hook: Any = None
    implicit_spawn_seconds: float = 0
    shutdown_on_logout: bool = False
    cleanup_servers: bool = True
    cleanup_proxy: bool = True
    authenticate_prometheus: bool = True
    tornado_settings: dict[str, Any] = {}
    template_paths: list[str] = []
    template_vars: dict[str, Any] = {}
    jinja_environment_options: dict[str, Any] = {}
    logo_file: str = ""
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
    session_idle_timeout: Annotated[float, Meta(ge=0, le=LONGEST)] = 0
    failed_logins_kept: Annotated[float, Meta(ge=0, le=LONGEST)] = 30 * 86_400
    webhooks: list[Webhook] = []
    cull: dict[str, Any] = {}
    quotas: dict[str, Any] = {}


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


class AuthenticatorOptions(msgspec.Struct, kw_only=True):
    """What the core needs to know of the authenticator's options before any auth tells it more."""

    admin_users: set[Any] = set()
    allowed_users: set[Any] = set()
    blocked_users: set[Any] = set()
    manage_groups: bool = False


_MAY_BE_CALLABLE = frozenset({"oauth_client_allowed_scopes", "server_token_scopes"})


class ProxyOptions(msgspec.Struct, kw_only=True):
    """What others than proxy-sync need to know of the proxy's options; `command`: "" is the usual one."""

    should_start: bool = True
    extra_routes: dict[str, str] = {}
    api_url: str = "http://127.0.0.1:8001"
    auth_token: str = ""
    command: str | list[str] = ""
    check_running_interval: float = 5
    concurrency: int = 10
    debug: bool = False
    log_level: str = "info"


def read(traits: Config, names: tuple[str, ...], shape: type[S]) -> S:
    """The named sections, most specific last, as *shape*; other options in them are not looked at."""
    options = shape()
    types = _types(shape)
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


@cache
def _types(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """Asked for again at each request that needs the options of some pool."""
    return {field.name: field.type for field in msgspec.structs.fields(shape)}


def plain(value: Any, empty: Any) -> Any:
    """*value*, also if it was only added to: `c.X.y.append(...)` where nothing had set it."""
    return value.get_value(empty) if isinstance(value, LazyConfigValue) else value


def class_names(spawner_class: Any) -> list[str]:
    """The names under which a class's options may be set, most general first."""
    if isinstance(spawner_class, type):
        return [kind.__name__ for kind in reversed(spawner_class.__mro__) if kind is not object]
    name = _announced(str(spawner_class)).rpartition(".")[2]
    return [_BASES[name], name] if name in _BASES else [name]


def is_of_others(authenticator_class: Any) -> bool:
    """Whether it is one for JupyterHub itself, whose pages are its own."""
    if isinstance(authenticator_class, type):
        return any(kind.__module__ == "jupyterhub.auth" for kind in authenticator_class.__mro__)
    name = str(authenticator_class)
    if "." in name:
        return not name.startswith(("hubbub_auth.", "jupyterhub."))
    return name not in _OURS and _announced(name) != name


#: Of our own classes, the names of those that they are derived from.
_BASES = {
    "SimpleLocalProcessSpawner": "LocalProcessSpawner",
    "PAMAuthenticator": "LocalAuthenticator",
}
#: What our own are called for short, whatever is installed.
_OURS = {
    "simple": "SimpleLocalProcessSpawner",
    "localprocess": "LocalProcessSpawner",
    "dummy": "DummyAuthenticator",
    "null": "NullAuthenticator",
    "pam": "PAMAuthenticator",
    "shared-password": "SharedPasswordAuthenticator",
    "hubbub-github": "GitHubAuthenticator",
    "hubbub-ldap": "LDAPAuthenticator",
    "hubbub-oidc": "OIDCAuthenticator",
    "hubbub-passwords": "PasswordAuthenticator",
}


@cache
def _announced(name: str) -> str:
    """The class that a package has announced by this short name; *name* itself if none has. It is not imported."""
    if name in _OURS or "." in name:
        return _OURS.get(name, name)
    groups = ("jupyterhub.spawners", "jupyterhub.authenticators")
    entries = [entry for group in groups for entry in entry_points(group=group)]
    found = [entry.attr for entry in entries if entry.name.lower() == name.lower()]
    return found[0] if found else name
