"""What the workloads of one worker share: the host's files and locks, the operator's options, the bus key."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography.fernet import InvalidToken, MultiFernet
from traitlets.config import Config

from hubbub import subjects, vault
from hubbub.config import Options
from hubbub.domain import names
from hubbub.managed import Managed, id_of, managed
from hubbub.rpc import Spec
from hubbub.settings import Settings
from hubbub_spawner_worker.host import boot_id, host_id
from hubbub_spawner_worker.logs import Logs
from hubbub_spawner_worker.ports import Ports
from hubbub_spawner_worker.process import Sessions
from hubbub_spawner_worker.spawners import Group, Hub, Spawner, User
from hubbub_spawner_worker.spawners.loading import its_config, load_class
from hubbub_spawner_worker.spawners.service import ServiceSpawner
from hubbub_spawner_worker.spool import Spool

Publish = Callable[[str, bytes], Awaitable[None]]


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What `Spec.sealed` holds."""

    options: dict[str, Any] = {}
    state: dict[str, Any] = {}


class Unreadable(Exception):
    """It was sealed under another bus key, or is damaged."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    worker: str
    host: str
    boot: str
    options: Options
    kind: type[Spawner]
    config: Config
    services: Mapping[str, Managed]
    sealer: MultiFernet
    spool: Spool
    ports: Ports
    logs: Logs
    sessions: Sessions
    publish: Publish
    files: int | None = None
    """How many files a server may have open; null for as many as this process."""

    def spawner(self, spec: Spec, *, state: str = "") -> Spawner:
        """A spawner for that attempt, as it was left. *state*: sealed, newer than the spec's. Raises Unreadable."""
        sealed = self.unseal(spec.sealed)
        hub = {
            "hub": Hub(api_url=self.options.hub_api_url, base_url=self.options.hub_prefix),
            "prefix": spec.prefix,
            "oauth_client_id": spec.client_id,
            "oauth_access_scopes": list(spec.access_scopes),
            "cookie_options": self.options.hub.tornado_settings.get("cookie_options", {}),
            "public_hub_url": self._public(self.options.hub_prefix),
        }
        made = self._of_service(spec, hub) if spec.service else self._of_person(spec, hub)
        made.oauth_client_allowed_scopes = list(spec.client_allowed_scopes)
        made.user_options = sealed.options
        made.load_state(self._open(state, dict[str, Any]) if state else sealed.state)
        return made

    def _of_person(self, spec: Spec, hub: dict[str, Any]) -> Spawner:
        public = self._public(spec.prefix)
        return self.kind(config=self.config, user=self._user(spec), name=spec.name, public_url=public, **hub)

    def _of_service(self, spec: Spec, hub: dict[str, Any]) -> Spawner:
        """One that runs can be watched and stopped, whatever became of its configuration."""
        service = self.services.get(id_of(spec.service)) or Managed(name=spec.service, command=())
        flaw = "" if service.digest == spec.digest else "its configuration here is not the api's: restart the worker"
        user = User(name=service.user, id=0, url="", escaped_name=names.escape(service.user))
        public = self._public(spec.prefix) if service.url else ""
        return ServiceSpawner(service=service, flaw=flaw, user=user, public_url=public, **hub)

    def unseal(self, sealed: str) -> Sealed:
        return self._open(sealed, Sealed) if sealed else Sealed()

    def seal(self, state: dict[str, Any]) -> str:
        return self.sealer.encrypt(json.dumps(state).encode()).decode()

    def _open(self, sealed: str, shape: type[Any]) -> Any:
        try:
            return msgspec.json.decode(self.sealer.decrypt(sealed.encode()), type=shape)
        except InvalidToken:
            raise Unreadable("it is sealed under another HUBBUB_BUS_KEY") from None
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise Unreadable(str(error)) from None

    def _user(self, spec: Spec) -> User:
        person = spec.person
        return User(
            name=person.name,
            id=person.number,
            url=names.prefix(self.options.base_url, person.name, ""),
            escaped_name=names.escape(person.name),
            admin=person.admin,
            groups=tuple(Group(name=name) for name in person.groups),
        )

    def _public(self, path: str) -> str:
        url = urlsplit(self.options.hub.public_url)
        return f"{url.scheme}://{url.netloc}{path}" if url.netloc else ""


def furnish(settings: Settings, options: Options, publish: Publish, files: int | None = None) -> Workshop:
    """Raises NoSpawner, ConfigError or vault.UnusableKey if the configuration cannot be used."""
    host, worker, data = host_id(), subjects.token(settings.instance), settings.data_folder
    kind = load_class(options.hub.spawner_class)
    return Workshop(
        worker=worker,
        host=host,
        boot=boot_id(),
        options=options,
        kind=kind,
        config=its_config(kind, options.traits),
        services=managed(options.hub.services, settings.bus_key),
        sealer=vault.sealer(settings.bus_key),
        spool=Spool(data / "spool" / host, worker),
        ports=Ports(data / "ports" / host, worker),
        logs=Logs(data / "log" / "servers"),
        sessions=Sessions(),
        publish=publish,
        files=files,
    )
