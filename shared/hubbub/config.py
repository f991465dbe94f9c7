"""`jupyterhub_config.py`, as operators have it: run once by each process, and read into plain options."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from hubbub.honoured import HONOURED, SECRET
from hubbub.settings import Settings

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
    authenticator_class: Any = "pam"
    spawner_class: Any = "localprocess"
    services: list[dict[str, Any]] = []
    load_roles: list[dict[str, Any]] = []
    admin_users: set[str] = set()
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
    tornado_settings: dict[str, Any] = {}
    log_level: int | str = "INFO"


class Ours(msgspec.Struct, kw_only=True):
    """The options of `c.Hubbub`: what JupyterHub has no name for. Times are in seconds."""

    slow_spawn_timeout: float = 10
    slow_stop_timeout: float = 10
    queue_timeout: float = 300
    route_timeout: float = 30
    spawn_retries: int = 2
    pool: str = "default"
    worker_capacity: int = 64


class SpawnerOptions(msgspec.Struct, kw_only=True):
    """What the core needs to know of `c.Spawner`; the rest belongs to the workers."""

    start_timeout: float = 60
    http_timeout: float = 30
    oauth_client_allowed_scopes: list[str] = []
    server_token_scopes: list[str] = []


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


class Options:
    """Everything a process may want to know of the operator's configuration.

    `traits`: the whole of it as traitlets knows it, for plug-in classes. `warnings`: what is set but has
    no effect yet.
    """

    def __init__(self, traits: Config, settings: Settings | None = None) -> None:
        self.traits = traits
        self._settings = settings or Settings(instance="")
        self.hub = _section(traits, ("JupyterHub",), Hub)
        self.ours = self._ours()
        self.spawner = _section(traits, ("Spawner", *_class_names(self.hub.spawner_class)), SpawnerOptions)
        self.proxy = _section(traits, ("Proxy", "ConfigurableHTTPProxy"), ProxyOptions)
        self.warnings = _not_honoured(traits)
        if self.hub.api_page_max_limit < 1 or self.hub.api_page_default_limit < 1:
            raise ConfigError("c.JupyterHub.api_page_default_limit and api_page_max_limit must be at least 1")
        _check_services(self.hub.services)

    def _ours(self) -> Ours:
        timeouts = {
            name: self.hub.tornado_settings[name]
            for name in ("slow_spawn_timeout", "slow_stop_timeout")
            if name in self.hub.tornado_settings
        }
        merged = Config({"Hubbub": {**timeouts, **dict(self.traits.get("Hubbub", {}))}})
        return _section(merged, ("Hubbub",), Ours)

    # Addresses --------------------------------------------------------------------------

    @cached_property
    def bind_url(self) -> str:
        """Where people come in, e.g. http://0.0.0.0:8000/base/."""
        if self._settings.bind_url:
            return _slashed(self._settings.bind_url)
        hub = self.hub
        if hub.bind_url:
            return _slashed(hub.bind_url)
        return f"http://{hub.ip}:{hub.port}{_slashed(hub.base_url, leading=True)}"

    @cached_property
    def bind_configured(self) -> bool:
        return any(name in self.traits.get("JupyterHub", {}) for name in ("bind_url", "port"))

    @cached_property
    def base_url(self) -> str:
        """`/`, or `/base/`."""
        return _slashed(urlsplit(self.bind_url).path or "/", leading=True)

    @property
    def hub_prefix(self) -> str:
        return f"{self.base_url}hub/"

    @cached_property
    def hub_bind_url(self) -> str:
        """Where the api listens, e.g. http://127.0.0.1:8081/hub/."""
        if self._settings.hub_bind_url:
            return _slashed(self._settings.hub_bind_url)
        hub = self.hub
        address = hub.hub_bind_url or f"http://{hub.hub_ip}:{hub.hub_port}"
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc}{self.hub_prefix}"

    @cached_property
    def hub_configured(self) -> bool:
        return any(name in self.traits.get("JupyterHub", {}) for name in ("hub_bind_url", "hub_port"))

    @property
    def hub_ip(self) -> str:
        return urlsplit(self.hub_bind_url).hostname or "127.0.0.1"

    @property
    def hub_port(self) -> int:
        return urlsplit(self.hub_bind_url).port or 8081

    @cached_property
    def hub_connect_url(self) -> str:
        """How servers, services and the proxy reach the api, without a path: http://127.0.0.1:8081."""
        hub = self.hub
        if hub.hub_connect_url:
            parts = urlsplit(hub.hub_connect_url)
            return f"{parts.scheme}://{parts.netloc}"
        ip = hub.hub_connect_ip or (self.hub_ip if self.hub_ip not in ("", "0.0.0.0", "::") else "127.0.0.1")
        return f"http://{ip}:{self.hub_port}"

    @property
    def hub_api_url(self) -> str:
        return f"{self.hub_connect_url}{self.hub_prefix}api"

    @cached_property
    def proxy_api_url(self) -> str:
        return (self._settings.proxy_api_url or self.proxy.api_url).rstrip("/")

    @cached_property
    def proxy_api_configured(self) -> bool:
        return "api_url" in self.traits.get("ConfigurableHTTPProxy", {})

    @property
    def proxy_should_start(self) -> bool:
        return self.proxy.should_start

    @property
    def cleanup_servers(self) -> bool:
        return self.hub.cleanup_servers

    @property
    def cleanup_proxy(self) -> bool:
        return self.hub.cleanup_proxy

    # Policy -----------------------------------------------------------------------------

    @property
    def admin_users(self) -> set[str]:
        named = self.traits.get("Authenticator", {}).get("admin_users", set())
        return {str(name).lower() for name in {*named, *self.hub.admin_users}}

    @property
    def cookie_max_age(self) -> float:
        """Seconds."""
        return self.hub.cookie_max_age_days * 86_400

    @property
    def oauth_token_expires_in(self) -> int:
        """Seconds."""
        return self.hub.oauth_token_expires_in or int(self.cookie_max_age)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """A short hash of each plain option, to see that two processes run by the same configuration."""
        found = {}
        for section, values in self.traits.items():
            if not isinstance(values, Mapping):
                continue
            for name, value in values.items():
                try:
                    text = json.dumps(value, sort_keys=True, default=_sorted)
                except (TypeError, ValueError):
                    continue  # a class or a callable: not plain
                found[f"c.{section}.{name}"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return found


def load(path: str | Path, settings: Settings | None = None) -> Options:
    """Run the file and read its options. Raises ConfigError with a sentence that names what is wrong."""
    if not path:
        return Options(Config(), settings)
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"there is no configuration file {file}")
    try:
        traits = PyFileConfigLoader(file.name, path=str(file.parent.resolve())).load_config()
    except SyntaxError as error:
        raise ConfigError(f"{file}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        raise ConfigError(f"{file} imports {error.name!r}, which is not installed here") from error
    except Exception as error:  # whatever the operator's Python may do
        raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error
    return Options(traits, settings)


def _section(traits: Config, names: tuple[str, ...], shape: type[S]) -> S:
    """The named sections, most specific last, as *shape*; other options in them are not looked at."""
    values: dict[str, Any] = {}
    for section in names:
        for name, value in traits.get(section, {}).items():
            if name in shape.__struct_fields__:
                # LazyConfigValue: `c.X.y.append(...)` on something never set.
                values[name] = (
                    value.get_value(set() if name == "admin_users" else []) if hasattr(value, "get_value") else value
                )
    opaque = {name: value for name, value in values.items() if name.endswith("_class")}
    try:
        read = msgspec.convert({k: v for k, v in values.items() if k not in opaque}, shape)
    except msgspec.ValidationError as error:
        raise ConfigError(f"c.{names[-1]}: {error}") from None
    for name, value in opaque.items():
        setattr(read, name, value)
    return read


def _class_names(spawner_class: Any) -> list[str]:
    """The names under which a class's options may be set, most general first."""
    if isinstance(spawner_class, type):
        return [kind.__name__ for kind in reversed(spawner_class.__mro__) if kind is not object]
    names = {"simple": ["LocalProcessSpawner", "SimpleLocalProcessSpawner"], "localprocess": ["LocalProcessSpawner"]}
    return names.get(str(spawner_class), [str(spawner_class).rpartition(".")[2]])


def _not_honoured(traits: Config) -> list[str]:
    found = []
    for section, known in HONOURED.items():
        for name in traits.get(section, {}):
            if name not in known:
                found.append(f"c.{section}.{name} is set, but has no effect in this release")
    return sorted(found)


def _check_services(services: list[dict[str, Any]]) -> None:
    for place, service in enumerate(services):
        if not isinstance(service.get("name"), str) or not service["name"]:
            raise ConfigError(f"c.JupyterHub.services[{place}] has no name")
        token = service.get("api_token")
        if token is not None and (not isinstance(token, str) or not 8 <= len(token) <= 64):
            raise ConfigError(f"the api_token of service {service['name']} must have 8 to 64 characters")


def _slashed(text: str, *, leading: bool = False) -> str:
    text = text if text.endswith("/") else f"{text}/"
    return f"/{text}" if leading and not text.startswith("/") else text


def _sorted(value: Any) -> Any:
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=repr)
    raise TypeError(type(value).__name__)


__all__ = ["SECRET", "ConfigError", "Options", "load"]
