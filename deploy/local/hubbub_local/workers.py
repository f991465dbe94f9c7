"""Workers of other hosts: each has an identity of its own on the bus, in one file, until it is taken back."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from hubbub.credential import Credential
from hubbub.nkey import Identity, new_seed
from hubbub_local import bus_tls, bus_users, keys
from hubbub_local.bus_users import Remote
from hubbub_local.errors import StackError
from hubbub_local.place import Place, certify

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})")


def add(place: Place, pool: str, name: str, addresses: Sequence[str]) -> Credential:
    """*name*: of no other worker; chosen if it is empty. *addresses*: host:port, by which it finds NATS.

    Raises StackError. The hub's NATS has to be told afterwards (`Place.reload_nats`).
    """
    known = bus_users.remotes(place.folder)
    name = name or _free_name(pool, {remote.name for remote in known})
    _check(place, pool, name)
    if any(remote.name == name for remote in known):
        raise StackError(f"there is a worker {name!r} already: `hubbub worker renew {name}`, or choose another name")
    return _issue(place, known, pool, name, addresses)


def renew(place: Place, name: str, addresses: Sequence[str]) -> Credential:
    """A fresh credential of a worker that there is; the one before ends. Raises StackError."""
    remote = _find(place, name)
    others = [each for each in bus_users.remotes(place.folder) if each.name != name]
    return _issue(place, others, remote.pool, name, addresses)


def revoke(place: Place, name: str) -> None:
    """It is cut off as soon as NATS is told. Raises StackError."""
    _find(place, name)
    bus_users.keep_remotes(place.folder, [each for each in bus_users.remotes(place.folder) if each.name != name])
    place.write()


def _issue(place: Place, others: Sequence[Remote], pool: str, name: str, addresses: Sequence[str]) -> Credential:
    seed, since = new_seed(), datetime.now(UTC).isoformat(timespec="seconds")
    bus_users.keep_remotes(
        place.folder, [*others, Remote(name=name, pool=pool, key=Identity(seed).public, since=since)]
    )
    certify(place, addresses)
    place.write()
    return Credential(
        worker=name,
        pool=pool,
        nats=tuple(f"tls://{address}" for address in addresses),
        seed=seed,
        ca=bus_tls.ca(place.folder.root),
        bus_key=keys.load(place.folder).bus_key,
        bind_url=place.told.get("HUBBUB_BIND_URL", ""),
        hub_bind_url=place.told.get("HUBBUB_HUB_BIND_URL", ""),
    )


def _check(place: Place, pool: str, name: str) -> None:
    if not place.has_nats:
        raise StackError(
            "this hub uses a NATS of others (--nats), who say who may come in: `hubbub worker env` instead"
        )
    if pool not in place.pools:
        raise StackError(f"there is no pool {pool!r}; there are {', '.join(place.pools)}")
    if not _NAME.fullmatch(name):
        raise StackError(f"{name!r} is no name of a worker: it has lower case letters, digits and hyphens")
    if name.startswith("spawner-worker"):
        raise StackError(f"{name!r} may be a worker of the hub's own host: choose another name")


def _find(place: Place, name: str) -> Remote:
    known = bus_users.remotes(place.folder)
    for remote in known:
        if remote.name == name:
            return remote
    there = ", ".join(remote.name for remote in known) or "none"
    raise StackError(f"there is no worker {name!r} with a credential; there are {there}")


def _free_name(pool: str, taken: set[str]) -> str:
    return next(name for number in range(1, len(taken) + 2) if (name := f"{pool}-{number}") not in taken)
