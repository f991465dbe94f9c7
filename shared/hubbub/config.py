"""`jupyterhub_config.py`, as operators have it: run once by each process, and read into plain options."""

import hmac
import json
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from hubbub import cull, declared, forwarded, hosts, pools, proxy_class, public_tls, quotas, reachable, vault
from hubbub.addresses import BadAddress
from hubbub.domain.service import Spec
from hubbub.honoured import SECRET
from hubbub.ineffective import not_honoured
from hubbub.internal_tls import options as tls
from hubbub.places import Places
from hubbub.sections import (
    AuthenticatorOptions,
    ConfigError,
    Hub,
    Ours,
    Periodic,
    ProxyOptions,
    SpawnerOptions,
    class_names,
    read,
)
from hubbub.services import BadService, spec_of
from hubbub.settings import Settings


class Options(Places):
    """Everything a process may want to know of the operator's configuration.

    `traits`: the whole of it as traitlets knows it, for plug-in classes. `warnings`: what is set but has
    no effect yet.
    """

    def __init__(self, traits: Config, settings: Settings | None = None) -> None:
        self.traits = traits
        self._settings = settings or Settings(instance="")
        proxy_class.rename_old(traits)
        self.hub = read(traits, ("JupyterHub",), Hub)
        self.ours = self._ours()
        #: Every pool of workers, by name.
        self.pools = pools.read(self.ours)
        #: When servers are stopped that nobody uses.
        self.cull = cull.read(self.ours.cull)
        #: How much anybody may use.
        self.quotas = quotas.read(self.ours.quotas)
        self.spawner = self.spawner_of(self.ours.pool)
        self.periodic = read(traits, ("PeriodicMetricsCollector",), Periodic)
        kinds = class_names(self.hub.authenticator_class)
        self.authenticator = read(traits, ("Authenticator", *kinds), AuthenticatorOptions)
        self._of_proxy = proxy_class.sections(self.hub.proxy_class, traits)
        self.proxy = read(traits, tuple(self._of_proxy), ProxyOptions)
        self.warnings = not_honoured(traits, self.hub, self.pools.values())
        if self.hub.api_page_max_limit < 1 or self.hub.api_page_default_limit < 1:
            raise ConfigError("c.JupyterHub.api_page_default_limit and api_page_max_limit must be at least 1")
        declared.check(self.hub)
        #: `c.JupyterHub.load_groups`, by name.
        self.groups = declared.groups(self.hub, managed=self.authenticator.manage_groups)
        declared.check_webhooks(self.ours.webhooks)
        declared.check_user_names("admin_users", self.admin_users)
        declared.check_user_names("allowed_users", self.allowed_users)
        declared.check_user_names("c.JupyterHub.api_tokens", self.hub.api_tokens.values())
        tls.check(self.hub)
        public_tls.check(self.hub)
        self.check_addresses()
        #: Where the hub, and everybody's servers, are found.
        self.hosts = self._hosts()
        if twice := reachable.collision(self, settled=bool(self._settings.instance)):
            raise ConfigError(twice)
        #: Proxies in front of ours, whose word about whom they serve is taken.
        self.trusted_downstream = forwarded.read(self.hub)
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

    def _hosts(self) -> hosts.Hosts:
        try:
            base_url = self.base_url
        except BadAddress as error:
            raise ConfigError(f"c.JupyterHub.base_url: {error}") from None
        found = hosts.read(self.hub, base_url)
        # From here on they are what they come to: with a protocol, and each said if the other is.
        self.hub.public_url, self.hub.subdomain_host = found.public_url, found.subdomain_host
        return found

    def _services(self) -> dict[str, Spec]:
        try:
            found = {said["name"]: spec_of(said, self.base_url) for said in self.hub.services}
            for name in found:
                self.hosts.of_service(name)
            return found
        except (BadService, hosts.BadHost) as error:
            raise ConfigError(f"c.JupyterHub.services: {error}") from None

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
    def cleanup_servers(self) -> bool:
        return self.hub.cleanup_servers

    @property
    def cleanup_proxy(self) -> bool:
        return self.hub.cleanup_proxy

    @property
    def admin_users(self) -> set[str]:
        return {str(name).lower() for name in {*self.authenticator.admin_users, *self.hub.admin_users}}

    @property
    def allowed_users(self) -> set[str]:
        """Who may log in by name: users from the start, as in JupyterHub."""
        return {str(name).lower() for name in self.authenticator.allowed_users}

    @property
    def blocked_users(self) -> set[str]:
        return {str(name) for name in self.authenticator.blocked_users}

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
        return self._hashed(vault.each(self._settings.bus_key)[0])

    def differences(self, hashes: Mapping[str, str]) -> list[str]:
        """Which options another process has with other values, by its `hashes`; its key may be any that we know."""
        wrong = [_different(hashes, self._hashed(key)) for key in vault.each(self._settings.bus_key)] if hashes else []
        return min(wrong, key=len, default=[])

    def _hashed(self, bus_key: str) -> dict[str, str]:
        key, found = bus_key.encode(), {}
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


def _different(these: Mapping[str, str], those: Mapping[str, str]) -> list[str]:
    return sorted(name for name in these.keys() | those.keys() if these.get(name) != those.get(name))


def _sorted(value: Any) -> Any:
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=repr)
    raise TypeError(type(value).__name__)


__all__ = ["SECRET", "ConfigError", "Hub", "Options", "Ours", "ProxyOptions", "SpawnerOptions", "load"]
