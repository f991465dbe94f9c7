"""The pools of workers, as `c.Hubbub.pools` has them: which starts go where, and what a worker of each takes."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from traitlets.config import Config

from hubbub.sections import ConfigError, Ours, class_names, plain

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

#: Words that stand where a pool would, in the subjects of the bus.
RESERVED = frozenset({"proxy", "poller", "api", "auth"})

Names = frozenset[str]


class Pool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A start belongs here if one of `profiles`, `groups`, `users` or `spawners` names something of it.

    `spawner_class`: what its workers start servers with, null for `c.JupyterHub.spawner_class`. Of each of them:
    `capacity`, how many servers it holds at most (0: any number); `starts`, how many of them may be on their way up.
    """

    profiles: Names = frozenset()
    groups: Names = frozenset()
    users: Names = frozenset()
    spawners: Names = frozenset()
    spawner_class: Any = None
    capacity: Annotated[int, Meta(ge=0)] | None = None
    starts: Annotated[int, Meta(ge=1)] | None = None

    def takes(self, user: str, groups: Collection[str], profile: str, spawners: Names) -> bool:
        return (
            profile in self.profiles
            or user in self.users
            or not self.groups.isdisjoint(groups)
            or not self.spawners.isdisjoint(spawners)
        )


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker takes: `starts` at the same time, `capacity` servers at all (0: any number)."""

    starts: int
    capacity: int


def read(ours: Ours) -> dict[str, Pool]:
    """Every pool by its name, the default one among them, in the order of the file. Raises ConfigError."""
    pools = {}
    for name, said in ours.pools.items():
        _check_name(f"c.Hubbub.pools: {name!r}", name)
        try:
            pool = msgspec.convert(said, Pool)
        except msgspec.ValidationError as error:
            raise ConfigError(f"c.Hubbub.pools[{name!r}]: {error}") from None
        users = frozenset(user.lower() for user in pool.users)
        pools[name] = msgspec.structs.replace(pool, users=users, profiles=pool.profiles - {""})
    _check_name(f"c.Hubbub.pool cannot be {ours.pool!r}", ours.pool)
    pools.setdefault(ours.pool, Pool())
    return pools


def size_of(pool: Pool, ours: Ours, capacity: int | None) -> Size:
    """*capacity*: what one worker was told by its environment."""
    for said in (capacity, pool.capacity, ours.worker_capacity):
        if said is not None:
            return Size(starts=pool.starts or ours.worker_starts, capacity=said)
    raise AssertionError(ours)


def profile_in(options: Mapping[str, Any] | None) -> str:
    """The profile that user options name, by the key that kubespawner and wrapspawner use; "" if they do not."""
    profile = (options or {}).get("profile", "")
    return profile if isinstance(profile, str) else ""


def spawners_of(traits: Config, spawner_class: Any, profile: str) -> Names:
    """What the class that a start uses is called: that of the hub, or of wrapspawner's profile if there is one."""
    names = names_of(spawner_class)
    for section in ("ProfilesSpawner", *class_names(spawner_class)):
        profiles = plain(traits.get(section, {}).get("profiles", ()), [])
        for said in profiles if isinstance(profiles, list | tuple) else ():
            if profile and isinstance(said, list | tuple) and len(said) > 2 and said[1] == profile:
                names |= names_of(said[2])
    return names


def names_of(spawner_class: Any) -> Names:
    """How a Spawner class may be called in `spawners`: as the configuration has it, or by its name alone, or by that
    of a class that it is derived from.
    """
    if isinstance(spawner_class, type):
        return frozenset({f"{spawner_class.__module__}.{spawner_class.__qualname__}", *class_names(spawner_class)})
    return frozenset({str(spawner_class), *class_names(spawner_class)})


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(f"{what}: a pool's name has lower case letters, digits and hyphens, and is no service's")
