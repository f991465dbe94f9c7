"""A hub whose secrets are to change while it works: one of `hubbub up`, or one that others run from a kit."""

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from hubbub.subjects import permissions
from hubbub_local import bus_tls, bus_users, control, keys, kit, record, role_passwords, running, secret_files
from hubbub_local.addresses import with_login
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.running import Running
from hubbub_local.services import SECRETS

_ROLES = {"api": "hubbub_api", "auth": "hubbub_auth"}


class Place(Protocol):
    """Where its secrets are, and how those who use them are told."""

    @property
    def folder(self) -> Folder: ...
    @property
    def pools(self) -> Sequence[str]:
        """The usual one first."""

    @property
    def owner_dsn(self) -> str: ...
    @property
    def has_nats(self) -> bool:
        """Whether who may come onto its bus is ours to say."""

    @property
    def nats(self) -> Sequence[str]:
        """host:port, as the services of the hub have it."""

    @property
    def told(self) -> Mapping[str, str]:
        """What a worker is told besides secrets: HUBBUB_BIND_URL, HUBBUB_HUB_BIND_URL."""

    def write(self) -> None:
        """Make all files anew from the store."""

    def reload_nats(self) -> bool:
        """Have NATS read who may come in. False if somebody has to do that by hand."""

    def restart(self, services: Sequence[str]) -> bool:
        """One by one. False if somebody has to do that by hand."""


def of(data: Path, made: Path | None, *, reload: str = "", restart: str = "") -> Place:
    """*made*: the kit, if it is one. *reload*, *restart*: commands for it. Raises StackError."""
    if made is not None:
        return OfKit(Folder(made.absolute()), kit.wanted(made.absolute()), reload, restart)
    return OfUp(Folder(data.absolute()), running.of(data))


@dataclass(frozen=True)
class OfUp:
    """A `hubbub up` that runs."""

    folder: Folder
    running: Running

    @property
    def pools(self) -> Sequence[str]:
        return list(self.running.workers)

    @property
    def owner_dsn(self) -> str:
        return self.running.owner_dsn

    @property
    def has_nats(self) -> bool:
        return (self.folder.run / "nats.pid").exists()

    @property
    def nats(self) -> Sequence[str]:
        return [urlsplit(self.running.nats_url).netloc.rpartition("@")[2]]

    @property
    def told(self) -> Mapping[str, str]:
        some = next(iter(self.running.workers.values()))
        return {name: some[name] for name in ("HUBBUB_BIND_URL", "HUBBUB_HUB_BIND_URL")}

    def write(self) -> None:
        kept = keys.load(self.folder)
        texts = {"cookie-secret": kept.cookie_secret, "vault-key": kept.vault_key, "bus-key": kept.bus_key}
        urls = {service: self._database(role) for service, role in _ROLES.items()}
        texts |= {f"postgres-url-{service}": url for service, url in urls.items()}
        nats_url = self.running.nats_url
        if self.has_nats:
            allowed = permissions(self.pools)
            bus_users.write(self.folder, allowed)
            logins = bus_users.logins(self.folder, list(allowed))
            texts |= {f"nats-url-{name}": with_login(nats_url, *login) for name, login in logins.items()}
            nats_url = texts["nats-url-api"]
        secret_files.write(self.folder.root / SECRETS, texts)
        now = replace(self.running, api_dsn=urls["api"], nats_url=nats_url, vault_key=kept.vault_key)
        running.change(self.folder, now)

    def reload_nats(self) -> bool:
        if found := record.read(self.folder.run / "nats.pid"):
            os.kill(found[0].pid, signal.SIGHUP)
        return True

    def restart(self, services: Sequence[str]) -> bool:
        asyncio.run(control.ask_restart(self.folder, services, _say))
        return True

    def _database(self, role: str) -> str:
        passwords = [keys.value(self.folder, f"postgres {role}"), role_passwords.coming(self.folder, role)]
        return " ".join(with_login(self.running.owner_dsn, role, password) for password in passwords if password)


@dataclass(frozen=True)
class OfKit:
    """A kit. `reload_with`, `restart_with`: commands of whoever runs the parts; empty: they do it by hand."""

    folder: Folder
    wish: kit.Wanted
    reload_with: str = ""
    restart_with: str = ""

    @property
    def pools(self) -> Sequence[str]:
        return self.wish.pools

    @property
    def owner_dsn(self) -> str:
        return kit.text(self.folder.root, "postgres-url-owner")

    @property
    def has_nats(self) -> bool:
        return True

    @property
    def nats(self) -> Sequence[str]:
        return self.wish.nats

    @property
    def told(self) -> Mapping[str, str]:
        return {}

    def write(self) -> None:
        kit.make(self.folder.root, self.wish)

    def reload_nats(self) -> bool:
        return _run(self.reload_with)

    def restart(self, services: Sequence[str]) -> bool:
        return _run(self.restart_with, *services)


def _say(name: str, seconds: float) -> None:
    print(f"{name} is a fresh one; without one for {seconds:.1f} s")  # noqa: T201 - to who waits for it


def _run(command: str, *arguments: str) -> bool:
    """*arguments* are what stands for `{}` in the command, each by itself; without it the command runs once."""
    words = shlex.split(command)
    if not words:
        return False
    for each in arguments if "{}" in command else [""]:
        run = [word.replace("{}", each) for word in words]
        done = subprocess.run(run, check=False)
        if done.returncode:
            raise StackError(f"{shlex.join(run)} has failed (exit status {done.returncode})")
    return True


def certify(place: Place, addresses: Sequence[str]) -> None:
    """Have the certificate of NATS hold for the hosts of *addresses* (host:port)."""
    bus_tls.write(place.folder.root, [address.rpartition(":")[0].strip("[]") for address in addresses])
