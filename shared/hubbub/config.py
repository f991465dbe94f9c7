"""`jupyterhub_config.py`, as operators have it: run once by each process, and read into plain options."""

import hmac
import json
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from hubbub import declared, pools
from hubbub.addresses import BadAddress, netloc, parsed, slashed
from hubbub.domain.service import Spec
from hubbub.honoured import HONOURED, SECRET
from hubbub.internal_tls import options as tls
from hubbub.sections import ConfigError, Hub, Ours, Periodic, ProxyOptions, SpawnerOptions, class_names, plain, read
from hubbub.services import BadService, spec_of
from hubbub.settings import Settings
from hubbub.tokens import LONGEST_TOKEN


class Options:
    """Everything a process may want to know of the operator's configuration.

    `traits`: the whole of it as traitlets knows it, for plug-in classes. `warnings`: what is set but has
    no effect yet.
    """

    def __init__(self, traits: Config, settings: Settings | None = None) -> None:
        self.traits = traits
        self._settings = settings or Settings(instance="")
        self.hub = read(traits, ("JupyterHub",), Hub)
        self.ours = self._ours()
        #: Every pool of workers, by name.
        self.pools = pools.read(self.ours)
        self.spawner = self.spawner_of(self.ours.pool)
        self.periodic = read(traits, ("PeriodicMetricsCollector",), Periodic)
        self.proxy = read(traits, ("Proxy", "ConfigurableHTTPProxy"), ProxyOptions)
        self.warnings = _not_honoured(traits, self.hub, self.pools.values())
        if self.hub.api_page_max_limit < 1 or self.hub.api_page_default_limit < 1:
            raise ConfigError("c.JupyterHub.api_page_default_limit and api_page_max_limit must be at least 1")
        declared.check(self.hub)
        #: `c.JupyterHub.load_groups`, by name.
        self.groups = declared.groups(self.hub)
        declared.check_user_names("admin_users", self.admin_users)
        declared.check_user_names("c.JupyterHub.api_tokens", self.hub.api_tokens.values())
        _check_tokens(self.hub)
        tls.check(self.hub)
        self._check_addresses()
        #: `c.JupyterHub.services`, by name: without their secrets and commands.
        self.services = self._services()

    def _ours(self) -> Ours:
        timeouts = {
            name: self.hub.tornado_settings[name]
            for name in ("slow_spawn_timeout", "slow_stop_timeout")
            if name in self.hub.tornado_settings
        }
        merged = Config({"Hubbub": {**timeouts, **dict(self.traits.get("Hubbub", {}))}})
        return read(merged, ("Hubbub",), Ours)

    def _services(self) -> dict[str, Spec]:
        try:
            return {said["name"]: spec_of(said, self.base_url) for said in self.hub.services}
        except BadService as error:
            raise ConfigError(f"c.JupyterHub.services: {error}") from None

    # Addresses --------------------------------------------------------------------------

    @cached_property
    def bind_url(self) -> str:
        """Where people come in, e.g. http://0.0.0.0:8000/base/. `ip`, `port` and `base_url` feed `bind_url`."""
        if self._settings.bind_url:
            return slashed(self._settings.bind_url)
        hub, said = self.hub, self.traits.get("JupyterHub", {})
        parts = parsed(hub.bind_url or "http://:8000/")
        if "ip" in said or "port" in said:
            ip = hub.ip if "ip" in said else parts.hostname or ""
            parts = parts._replace(netloc=netloc(ip, hub.port if "port" in said else parts.port))
        if "base_url" in said:
            parts = parts._replace(path=hub.base_url)
        return parts._replace(path=slashed(parts.path, leading=True), query="", fragment="").geturl()

    @cached_property
    def bind_configured(self) -> bool:
        return any(name in self.traits.get("JupyterHub", {}) for name in ("bind_url", "port"))

    @cached_property
    def base_url(self) -> str:
        """`/`, or `/base/`."""
        return slashed(urlsplit(self.bind_url).path or "/", leading=True)

    @property
    def hub_prefix(self) -> str:
        return f"{self.base_url}hub/"

    @cached_property
    def hub_bind_url(self) -> str:
        """Where the api listens, e.g. http://127.0.0.1:8081/hub/."""
        if self._settings.hub_bind_url:
            return self._inside(slashed(self._settings.hub_bind_url))
        hub = self.hub
        address = hub.hub_bind_url or f"http://{netloc(hub.hub_ip, hub.hub_port)}"
        parts = urlsplit(address)
        return self._inside(f"{parts.scheme}://{parts.netloc}{self.hub_prefix}")

    @cached_property
    def hub_configured(self) -> bool:
        return any(name in self.traits.get("JupyterHub", {}) for name in ("hub_bind_url", "hub_port"))

    @property
    def hub_ip(self) -> str:
        """Where the api listens; an empty one means every address, as in JupyterHub."""
        return urlsplit(self.hub_bind_url).hostname or "0.0.0.0"

    @property
    def hub_port(self) -> int:
        return urlsplit(self.hub_bind_url).port or 8081

    @cached_property
    def hub_connect_url(self) -> str:
        """How servers, services and the proxy reach the api, without a path: http://127.0.0.1:8081."""
        hub = self.hub
        if hub.hub_connect_url:
            parts = urlsplit(hub.hub_connect_url)
            return self._inside(f"{parts.scheme}://{parts.netloc}")
        ip = hub.hub_connect_ip or (self.hub_ip if self.hub_ip not in ("0.0.0.0", "::") else "127.0.0.1")
        return self._inside(f"http://{netloc(ip, self.hub_port)}")

    @property
    def hub_api_url(self) -> str:
        return f"{self.hub_connect_url}{self.hub_prefix}api"

    @cached_property
    def proxy_api_url(self) -> str:
        url = (self._settings.proxy_api_url or self.proxy.api_url).rstrip("/")
        return self._inside(url) if self.proxy_should_start else url

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

    def _inside(self, url: str) -> str:
        """*url*, of a part of the house: by TLS, if all of them are."""
        return url.replace("http://", "https://", 1) if self.hub.internal_ssl else url

    @property
    def certs_folder(self) -> Path:
        """Where the authorities of internal TLS are; a relative path is one below the data folder."""
        return self._settings.data_folder / self.hub.internal_certs_location

    def _check_addresses(self) -> None:
        for name in ("port", "hub_port"):
            if not 0 < getattr(self.hub, name) < 65_536:
                raise ConfigError(f"c.JupyterHub.{name} is {getattr(self.hub, name)}: it must be between 1 and 65535")
        given = {
            **{
                f"c.JupyterHub.{name}": getattr(self.hub, name)
                for name in ("bind_url", "hub_bind_url", "hub_connect_url", "public_url")
            },
            "c.ConfigurableHTTPProxy.api_url": self.proxy.api_url,
            "HUBBUB_BIND_URL": self._settings.bind_url,
            "HUBBUB_HUB_BIND_URL": self._settings.hub_bind_url,
            "HUBBUB_PROXY_API_URL": self._settings.proxy_api_url,
        }
        for name, url in given.items():
            try:
                _ = parsed(url) if url else None
            except BadAddress as error:
                raise ConfigError(f"{name}: {error}") from None

    # Pools ------------------------------------------------------------------------------

    def pool_of(self, user: str, groups: Collection[str], user_options: Mapping[str, Any] | None) -> str:
        """Where a server of *user*, who is in *groups*, starts with these options: the first pool that takes it."""
        profile = pools.profile_in(user_options)
        spawners = pools.spawners_of(self.traits, self.hub.spawner_class, profile)
        takers = (name for name, pool in self.pools.items() if pool.takes(user, groups, profile, spawners))
        return next(takers, self.ours.pool)

    def spawner_class_of(self, pool: str) -> Any:
        """What the workers of *pool* start servers with: a class, or its name."""
        said = self.pools[pool].spawner_class if pool in self.pools else None
        return self.hub.spawner_class if said is None else said

    def spawner_of(self, pool: str) -> SpawnerOptions:
        """The options of the pool's Spawner class."""
        return read(self.traits, ("Spawner", *class_names(self.spawner_class_of(pool))), SpawnerOptions)

    def size_of(self, pool: str) -> pools.Size:
        """What this process takes if it is a worker of *pool*."""
        return pools.size_of(self.pools.get(pool, pools.Pool()), self.ours, self._settings.capacity)

    # Policy -----------------------------------------------------------------------------

    @property
    def admin_users(self) -> set[str]:
        named = plain(self.traits.get("Authenticator", {}).get("admin_users", set()), set())
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
        """A short hash of each plain option, to see that two processes run by the same configuration.

        Keyed, since they travel and passwords may be among the options: nobody can try guesses on them.
        """
        key, found = self._settings.bus_key.encode(), {}
        for section, values in self.traits.items():
            if not isinstance(values, Mapping):
                continue
            for name, value in values.items():
                try:
                    text = json.dumps(value, sort_keys=True, default=_sorted)
                except (TypeError, ValueError):
                    continue  # a class or a callable: not plain
                found[f"c.{section}.{name}"] = hmac.new(key, text.encode(), "sha256").hexdigest()[:16]
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
        raise ConfigError(f"{error.filename or file}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        raise ConfigError(f"{file} imports {error.name!r}, which is not installed here") from error
    except Exception as error:  # whatever the operator's Python may do
        raise ConfigError(f"{file}: {type(error).__name__}: {error}") from error
    return Options(traits, settings)


def _not_honoured(traits: Config, hub: Hub, known: Collection[pools.Pool]) -> list[str]:
    """Options of sections that nobody knows are named too: but for those of the operator's own classes."""
    classes = [hub.spawner_class, hub.authenticator_class, *(pool.spawner_class for pool in known)]
    theirs = {name for kind in classes if kind is not None for name in class_names(kind)}
    return sorted(
        f"c.{section}.{name} is set, but has no effect in this release"
        for section, values in traits.items()
        if isinstance(values, Mapping) and (section in HONOURED or section not in theirs)
        for name in values
        if name not in HONOURED.get(section, ())
    )


def _check_tokens(hub: Hub) -> None:
    """Those of services are checked with the services. A message names whose token it is, never the token."""
    seen = {service["api_token"]: service["name"] for service in hub.services if service.get("api_token")}
    for option, tokens in (("service_tokens", hub.service_tokens), ("api_tokens", hub.api_tokens)):
        for token, owner in tokens.items():
            if not 8 <= len(token) <= LONGEST_TOKEN or not token.isascii() or len(token.split()) != 1:
                raise ConfigError(
                    f"a token of {owner!r} in c.JupyterHub.{option} must have 8 to {LONGEST_TOKEN} ASCII characters, "
                    "none of them a space"
                )
            if option == "api_tokens" and token in seen:
                raise ConfigError(f"a token in c.JupyterHub.api_tokens is that of {owner!r} and of {seen[token]!r}")
            seen[token] = owner


def _sorted(value: Any) -> Any:
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=repr)
    raise TypeError(type(value).__name__)


__all__ = ["SECRET", "ConfigError", "Hub", "Options", "Ours", "ProxyOptions", "SpawnerOptions", "load"]
