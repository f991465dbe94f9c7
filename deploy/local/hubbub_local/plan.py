"""What one run of the stack will use: the operator's configuration, the secrets, the ports, the addresses."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from hubbub import public_tls
from hubbub.config import ConfigError, load
from hubbub.config import Options as Config
from hubbub.proxy_class import has_api
from hubbub.schema.migrations import ROLES
from hubbub.subjects import permissions
from hubbub_local import keys, ports, process, role_passwords, secret_files, services, wishes
from hubbub_local.addresses import Address, with_login
from hubbub_local.bus_users import Permissions
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.keys import Keys
from hubbub_local.nats import Nats
from hubbub_local.options import SERVICES, WORKER, Options
from hubbub_local.postgres import Postgres
from hubbub_local.running import Running
from hubbub_local.services import Wiring

_DEFAULT_CONFIG = Path(__file__).with_name("default_config.py")
_DATABASE_ROLES = {"api": "hubbub_api", "auth": "hubbub_auth"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is settled before the first process starts."""

    options: Options
    folder: Folder
    keys: Keys
    config: Config
    config_file: Path
    ports: dict[str, int]
    role_passwords: dict[str, str]
    owner_password: str
    bus_permissions: Permissions

    @property
    def public(self) -> Address:
        return self._at("public", Address(self.config.bind_url))

    @property
    def publics(self) -> list[Address]:
        """Of each proxy, the first first."""
        return [self._of_proxy("public", each, self.config.bind_url) for each in self._proxies]

    def moved_to(self, number: int) -> str | None:
        """Where the API of the proxy is by now, if it was moved (`PATCH /proxy`) and others keep it; else None."""
        mark = self.folder.run / f"moved-proxy-sync-{number}.json"
        try:
            found = str(json.loads(mark.read_text())["api_url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if found == self._of_proxy("proxy", number, self.config.proxy_api_url).url.rstrip("/") else found

    @property
    def public_ports(self) -> list[str]:
        """The names of the ports at which this run's proxies are."""
        return [name for each in self._proxies if (name := wishes.of_proxy("public", each)) in self.ports]

    @property
    def forsaken_ports(self) -> list[str]:
        """The names of those of proxies that an earlier run had, and this one has not."""
        return [name for name in ports.kept(self.folder) if name.startswith("public-") and name not in self.ports]

    @property
    def _proxies(self) -> range:
        return range(1, self.options.proxies + 1)

    @property
    def hub(self) -> Address:
        return self._at("hub", Address(self.config.hub_bind_url))

    @property
    def postgres(self) -> Postgres | None:
        """None when an outside one is used."""
        if self.options.postgres:
            return None
        return Postgres(folder=self.folder, port=self.ports["postgres"], password=self.owner_password)

    @property
    def nats(self) -> Nats | None:
        """None when an outside one is used."""
        if self.options.nats:
            return None
        return Nats(folder=self.folder, port=self.ports["nats"], host=self.options.nats_host)

    @property
    def owner_dsn(self) -> str:
        return self.postgres.dsn if self.postgres else self.options.postgres or ""

    def role_dsn(self, role: str) -> str:
        """Twice, while its password changes (`hubbub.database`)."""
        passwords = filter(None, [self.role_passwords[role], role_passwords.coming(self.folder, role)])
        return " ".join(with_login(self.owner_dsn, role, password) for password in passwords)

    def write_secrets(self) -> None:
        """What services read when they start."""
        secret_files.write(self.folder.root / services.SECRETS, services.secrets(self.wiring()))

    def nats_url(self, user: str) -> str:
        """That of a service, or of the workers of a pool; with an outside server all use what its URL says."""
        return self.nats.url(user) if self.nats else self.options.nats or ""

    @property
    def pools(self) -> list[str]:
        """The usual one first."""
        usual = self.config.ours.pool
        return [usual, *(pool for pool in self.config.pools if pool != usual)]

    def is_our_proxy(self, pid: int) -> bool:
        """Whether the process is a proxy of this hub: nobody else was given its token."""
        token = self.config.proxy.auth_token or self.keys.proxy_token
        return f"CONFIGPROXY_AUTH_TOKEN={token}" in process.environment(pid).split("\0")

    def wiring(self) -> Wiring:
        shared = {
            "CONFIG": str(self.config_file),
            "DATA": str(self.folder.root),
            "COOKIE_SECRET": self.keys.cookie_secret,
            "VAULT_KEY": self.keys.vault_key,
            "BUS_KEY": self.keys.bus_key,
            "FORWARD_KEY": self.keys.forward_key,
            "BIND_URL": self.public.url,
            "HUB_BIND_URL": self.hub.url,
        }
        speaks_http = has_api(self.config.hub.proxy_class)
        if self.config.proxy_should_start and speaks_http and not self.config.proxy.command:
            shared["CHP_COMMAND"] = services.proxy_command()
        return Wiring(
            shared=shared,
            postgres_urls={service: self.role_dsn(role) for service, role in _DATABASE_ROLES.items()},
            nats_urls={service: self.nats_url(service) for service in SERVICES if service not in ("auth", WORKER)},
            pools={pool: self.nats_url(f"pool-{pool}") for pool in self.pools},
            proxies=[self._proxy(each) for each in self._proxies],
            proxy_token=self.keys.proxy_token,
            hub=self.hub,
        )

    def running(self) -> Running:
        return Running(
            public_url=self.public.for_people(),
            hub_url=self.hub.for_people(),
            owner_dsn=self.owner_dsn,
            api_dsn=self.role_dsn(_DATABASE_ROLES["api"]),
            nats_url=self.nats_url("api"),
            vault_key=self.keys.vault_key,
            admin_users=sorted(self.config.admin_users),
            workers={pool: self._worker(pool) for pool in self.pools},
        )

    def _proxy(self, number: int) -> dict[str, str]:
        """What its proxy-sync is told besides the others."""
        told = {"BIND_URL": self._of_proxy("public", number, self.config.bind_url).url}
        if has_api(self.config.hub.proxy_class):
            told["PROXY_API_URL"] = self._of_proxy("proxy", number, self.config.proxy_api_url).url
        return told

    def _worker(self, pool: str) -> dict[str, str]:
        return {
            "HUBBUB_POOL": pool,
            "HUBBUB_NATS_URL": self.nats_url(f"pool-{pool}"),
            "HUBBUB_BUS_KEY": self.keys.bus_key,
            "HUBBUB_BIND_URL": self.public.url,
            "HUBBUB_HUB_BIND_URL": self.hub.url,
        }

    def _of_proxy(self, port: str, number: int, url: str) -> Address:
        return self._at(wishes.of_proxy(port, number), Address(url))

    def _at(self, port: str, address: Address) -> Address:
        return address.at(self.ports[port]) if port in self.ports else address


def make(options: Options, folder: Folder) -> Plan:
    """Settle everything. Raises StackError, with no port chosen yet, when the configuration is wrong."""
    # The packaged configuration finds the login password by it.
    os.environ["HUBBUB_DATA"] = str(folder.root)
    made = keys.load(folder)
    config_file = (options.config or _DEFAULT_CONFIG).absolute()
    try:
        config = load(config_file)
    except ConfigError as error:
        raise StackError(str(error)) from None
    if unknown := sorted(options.pools - config.pools.keys()):
        raise StackError(f"--scale: there is no pool {unknown[0]!r}; there are {', '.join(config.pools)}")
    _check_proxies(options, config)
    allowed = permissions(list(config.pools))
    plan = Plan(
        options=options,
        folder=folder,
        keys=made,
        config=config,
        config_file=config_file,
        ports={},
        role_passwords=keys.passwords(folder, "postgres", ROLES),
        owner_password=keys.passwords(folder, "postgres", ["owner"])["owner"],
        bus_permissions=allowed,
    )
    wanted = wishes.of(options, config)
    plan.ports.update(ports.choose(folder, wanted, any_free=options.port == 0, is_ours=plan.is_our_proxy))
    return plan


def _check_proxies(options: Options, config: Config) -> None:
    """Raises StackError, too, for a certificate that no proxy could be started with."""
    if not config.proxy_should_start:
        if options.proxies > 1:
            raise StackError(
                "--scale: one proxy-sync is enough for a proxy that others start (should_start is False);"
                " run one by itself for each further proxy"
            )
        return
    try:
        public_tls.check_files(config.hub)
    except ConfigError as error:
        raise StackError(str(error)) from None
