"""What the workloads of one worker share: the host's files and locks, the operator's options, the bus key."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from socket import gethostname
from typing import Any

import msgspec
from cryptography.fernet import InvalidToken, MultiFernet
from traitlets.config import Config

from hubbub import __version__, subjects, vault
from hubbub.config import Options
from hubbub.counting import Counts
from hubbub.form_messages import WebRequest
from hubbub.managed import Managed, managed
from hubbub.settings import Settings
from hubbub.watch_messages import Heartbeat
from hubbub_spawner_worker.cgroups import Cgroups, configured
from hubbub_spawner_worker.host import boot_id, host_id
from hubbub_spawner_worker.logs import Logs
from hubbub_spawner_worker.ports import Ports
from hubbub_spawner_worker.process import Sessions
from hubbub_spawner_worker.spawners import Group, LocalProcessSpawner
from hubbub_spawner_worker.spawners.loading import its_config, load_class
from hubbub_spawner_worker.spool import Spool

Publish = Callable[[str, bytes], Awaitable[None]]


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What `Spec.sealed` holds. `groups`: with their properties. `request`: the browser's that asked for the start."""

    options: dict[str, Any] = {}
    state: dict[str, Any] = {}
    auth_state: dict[str, Any] | None = None
    groups: tuple[Group, ...] = ()
    request: WebRequest | None = None


class Unreadable(Exception):
    """It was sealed under another bus key, or is damaged."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    worker: str
    host: str
    boot: str
    options: Options
    pool: str
    kind: Any
    config: Config
    services: Mapping[str, Managed]
    sealer: MultiFernet
    spool: Spool
    ports: Ports
    logs: Logs
    sessions: Sessions
    cgroups: Cgroups
    publish: Publish
    files: int | None = None
    """How many files a server may have open; null for as many as this process."""
    counts: Counts = field(default_factory=Counts)

    def heartbeat(self, pool: str) -> Heartbeat:
        """Of a worker of *pool*, as it begins."""
        size = self.options.size_of(pool)
        return Heartbeat(
            service="spawner-worker",
            name=self.worker,
            host=self.host,
            pool=pool,
            machine=gethostname(),
            version=__version__,
            capacity=size.capacity,
            starts=size.starts,
            began=datetime.now(UTC),
        )

    def unseal(self, sealed: str) -> Sealed:
        return self._open(sealed, Sealed) if sealed else Sealed()

    def unseal_state(self, sealed: str) -> dict[str, Any]:
        return self._open(sealed, dict[str, Any])  # type: ignore[no-any-return]

    def seal(self, state: dict[str, Any] | None) -> str:
        return self.sealer.encrypt(json.dumps(state, default=str).encode()).decode()

    def _open(self, sealed: str, shape: type[Any]) -> Any:
        try:
            return msgspec.json.decode(self.sealer.decrypt(sealed.encode()), type=shape)
        except InvalidToken:
            raise Unreadable("it is sealed under another HUBBUB_BUS_KEY") from None
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise Unreadable(str(error)) from None


def furnish(settings: Settings, options: Options, publish: Publish, files: int | None = None) -> Workshop:
    """Raises NoSpawner, ConfigError or vault.UnusableKey if the configuration cannot be used."""
    host, worker, data = host_id(), subjects.token(settings.instance), settings.data_folder
    kind = load_class(options.spawner_class_of(settings.pool))
    cgroups = Cgroups.of(data, host)
    if issubclass(kind, LocalProcessSpawner):
        cgroups.warn(configured(kind.section_names(), options.traits).needs)
    return Workshop(
        worker=worker,
        host=host,
        boot=boot_id(),
        pool=settings.pool,
        options=options,
        kind=kind,
        config=its_config(kind, options.traits),
        services=managed(options.hub.services, settings.bus_key),
        sealer=vault.sealer(settings.bus_key),
        spool=Spool(data / "spool" / host, worker),
        ports=Ports(data / "ports" / host, worker),
        logs=Logs(data / "log" / "servers"),
        sessions=Sessions(),
        cgroups=cgroups,
        publish=publish,
        files=files,
    )
