"""Who may come onto the bus: a user for each service and pool, and an identity for each worker of another host.

While their passwords change each service has two users, `api` and `api~2`; which of them it is told is the generation.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from hubbub.subjects import of_worker
from hubbub_local import keys
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private

Permissions: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""By user, the subjects under "publish" and "subscribe"."""

FILE = "nats-users.conf"
_GENERATION = "nats generation"
_SUFFIX = {"1": "", "2": "~2"}


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of another host. `key`: the public half of its identity (`hubbub.nkey`). `since`: ISO 8601."""

    name: str
    pool: str
    key: str
    since: str = ""


# Services -----------------------------------------------------------------------------


def logins(folder: Folder, services: Sequence[str]) -> dict[str, tuple[str, str]]:
    """User and password that each of *services* (of `hubbub.subjects.permissions`) is told; made if need be."""
    suffix = _SUFFIX[_generation(folder)]
    found = keys.passwords(folder, "nats", [f"{service}{suffix}" for service in services])
    return {service: (f"{service}{suffix}", found[f"{service}{suffix}"]) for service in services}


def begin_next_generation(folder: Folder) -> None:
    """From now on services are told of new users; those of before are let in, too."""
    before = _generation(folder)
    suffix = _SUFFIX[before]
    services = [user.removesuffix(suffix) for user in _users(folder) if _of_generation(user, suffix)]
    keys.put(folder, {_GENERATION: "2" if before == "1" else "1"})
    logins(folder, services)


def end_earlier_generation(folder: Folder) -> None:
    other = _SUFFIX["2" if _generation(folder) == "1" else "1"]
    keys.drop(folder, [f"nats {user}" for user in _users(folder) if _of_generation(user, other)])


def is_changing(folder: Folder) -> bool:
    """Whether users of two generations are let in."""
    return len({_of_generation(user, "~2") for user in _users(folder)}) > 1


def _generation(folder: Folder) -> str:
    return keys.value(folder, _GENERATION) or "1"


def _users(folder: Folder) -> list[str]:
    """All that have a password, of whichever generation. (The store has other things of NATS, too.)"""
    found = [name.removeprefix("nats ") for name in keys.names(folder, "nats ")]
    return [user for user in found if " " not in user and user != "generation"]


def _of_generation(user: str, suffix: str) -> bool:
    return user.endswith("~2") == bool(suffix)


# Workers of other hosts -----------------------------------------------------------------


def remotes(folder: Folder) -> list[Remote]:
    """By name. Raises StackError if the file is damaged."""
    try:
        found = msgspec.json.decode(_file(folder).read_bytes(), type=list[Remote])
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise StackError(f"{_file(folder)} is damaged: it should hold a list of workers") from None
    return sorted(found, key=lambda remote: remote.name)


def keep_remotes(folder: Folder, those: Sequence[Remote]) -> None:
    write_private(_file(folder), json.dumps(msgspec.to_builtins(those), indent=1) + "\n")


def _file(folder: Folder) -> Path:
    return folder.root / "workers.json"


# The server's configuration -------------------------------------------------------------


def write(folder: Folder, permissions: Permissions) -> None:
    """Its part of the server's configuration, which a running server reads at SIGHUP."""
    write_private(folder.root / FILE, text(folder, permissions) + "\n")


def text(folder: Folder, permissions: Permissions) -> str:
    """What the server's configuration includes: in JSON, which its own format understands."""
    return f"authorization: {json.dumps({'users': users(folder, permissions)}, indent=1, ensure_ascii=False)}"


def users(folder: Folder, permissions: Permissions) -> list[dict[str, Any]]:
    """Everybody who is let in, and to what."""
    logins(folder, list(permissions))
    kept = {user: keys.value(folder, f"nats {user}") for user in _users(folder)}
    services = [
        {"user": user, "password": kept[user], "permissions": _permissions(allowed)}
        for service, allowed in permissions.items()
        for user in (service, f"{service}~2")
        if user in kept
    ]
    workers = [
        {"nkey": remote.key, "permissions": _permissions(of_worker(remote.pool, remote.name))}
        for remote in remotes(folder)
    ]
    return services + workers


def _permissions(allowed: Mapping[str, Sequence[str]]) -> dict[str, dict[str, list[str]]]:
    return {verb: _only(subjects) for verb, subjects in allowed.items()}


def _only(subjects: Sequence[str]) -> dict[str, list[str]]:
    """These and no others; to the server an empty list of what is allowed would mean everything."""
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}
