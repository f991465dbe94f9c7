"""Secrets changed while the hub works. Every secret may have two values for a while: all who use it learn the new one
before anybody relies on it, and the old one goes when nobody does any more (ADR 26).

A rotation is a row of steps, each with the services that have to be restarted before the next. How far it is, is in
the store; a step that was cut short may be done again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from hubbub.resealing import reseal
from hubbub.schema.migrations import ROLES
from hubbub_local import bus_users, keys, role_passwords
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.place import Place

DECIDERS = ("api", "auth")
ON_THE_BUS = ("api", "poller", "proxy-sync", "spawner-worker")


@dataclass(frozen=True, kw_only=True)
class Step:
    """`services`: who has to be restarted for the next. `then`: what a person has to do first, if anything."""

    do: Callable[[Place], None]
    services: Sequence[str] = ()
    then: Callable[[Place], str] = lambda _: ""


def rotate(place: Place, kind: str, say: Callable[[str], None]) -> None:
    """Go on with the rotation of *kind* as far as it goes. Raises StackError."""
    steps = KINDS[kind]
    for number in range(_done(place.folder, kind), len(steps)):
        step = steps[number]
        step.do(place)
        place.write()
        last = number == len(steps) - 1
        if step.services and not place.restart(step.services):
            _put(place.folder, kind, 0 if last else number + 1)
            say(
                f"now restart {', '.join(step.services)}" + ("" if last else f"; then run `hubbub rotate {kind}` again")
            )
            return
        _put(place.folder, kind, 0 if last else number + 1)
        if words := step.then(place):
            say(words)
            return
    say(f"{kind}: done")


def _done(folder: Folder, kind: str) -> int:
    if kind == "crypt" and not keys.value(folder, "rotating crypt") and ";" in keys.value(folder, "vault_key"):
        return 1  # begun by a release that knew two steps only
    return int(keys.value(folder, f"rotating {kind}") or 0)


def _put(folder: Folder, kind: str, steps: int) -> None:
    if steps:
        keys.put(folder, {f"rotating {kind}": str(steps)})
    else:
        keys.drop(folder, [f"rotating {kind}"])


# Keys of which several may be known ---------------------------------------------------------


def _both_known(name: str, make: Callable[[], str]) -> Callable[[Place], None]:
    """The old one still seals, or signs; everybody who is started from now on knows the new one, too."""

    def do(place: Place) -> None:
        if not keys.value(place.folder, f"new {name}"):
            keys.put(place.folder, {f"new {name}": make(), f"old {name}": keys.value(place.folder, name)})
        old, new = _old_and_new(place.folder, name)
        keys.put(place.folder, {name: f"{old};{new}"})

    return do


def _new_first(name: str) -> Callable[[Place], None]:
    def do(place: Place) -> None:
        old, new = _old_and_new(place.folder, name)
        keys.put(place.folder, {name: f"{new};{old}"})

    return do


def _old_gone(name: str) -> Callable[[Place], None]:
    def do(place: Place) -> None:
        if new := keys.value(place.folder, f"new {name}"):
            keys.put(place.folder, {name: new})
            keys.drop(place.folder, [f"new {name}", f"old {name}"])

    return do


def _old_and_new(folder: Folder, name: str) -> tuple[str, str]:
    """Those of a rotation that an earlier release has begun stand in the text itself, the new one first."""
    if not keys.value(folder, f"new {name}"):
        new, _, old = keys.value(folder, name).partition(";")
        keys.put(folder, {f"new {name}": new, f"old {name}": old})
    return keys.value(folder, f"old {name}"), keys.value(folder, f"new {name}")


def _reseal(place: Place) -> None:
    asyncio.run(reseal(place.owner_dsn, keys.value(place.folder, "vault_key")))
    _old_gone("vault_key")(place)


# What a person has to do in between ---------------------------------------------------------


def _cookies_grow_old(_: Place) -> str:
    return (
        "new cookies are signed with the new secret, and those signed with the old one are good until they are too old"
        " (c.JupyterHub.cookie_max_age_days, 14 unless set): run `hubbub rotate cookie` once more after that time"
    )


def _credentials(place: Place) -> str:
    names = [remote.name for remote in bus_users.remotes(place.folder)]
    if not names:
        return ""
    return (
        f"give {', '.join(names)} fresh credentials, with both keys (`hubbub worker renew NAME`), and restart them;"
        " then run `hubbub rotate bus` again. One that is left out can start nothing from then on"
    )


def _credentials_again(place: Place) -> str:
    there = bus_users.remotes(place.folder)
    return "the old key is of no use any more: workers elsewhere may keep the credentials that name it" if there else ""


# Users of NATS, roles of Postgres ------------------------------------------------------------


def _more_users(place: Place) -> None:
    if not place.has_nats:
        raise StackError("this hub uses a NATS of others (--nats): change its users there, and restart with their URL")
    if not bus_users.is_changing(place.folder):
        bus_users.begin_next_generation(place.folder)
    place.write()
    _reload(place)


def _fewer_users(place: Place) -> None:
    bus_users.end_earlier_generation(place.folder)
    place.write()
    _reload(place)


def _reload(place: Place) -> None:
    if not place.reload_nats():
        raise StackError("NATS has to read its configuration anew, now: say how by --reload, then run this again")


def _next_passwords(place: Place) -> None:
    role_passwords.begin(place.folder)


def _change_passwords(place: Place) -> None:
    asyncio.run(_alter(place.owner_dsn, {role: role_passwords.coming(place.folder, role) for role in ROLES}))
    role_passwords.end(place.folder)


async def _alter(dsn: str, passwords: Mapping[str, str]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for role, password in passwords.items():
                quoted = await connection.fetchval("select quote_literal($1::text)", password)
                await connection.execute(f"alter role {role} password {quoted}")
    finally:
        await connection.close()


KINDS: Mapping[str, Sequence[Step]] = {
    "nats": (Step(do=_more_users, services=ON_THE_BUS), Step(do=_fewer_users)),
    "postgres": (Step(do=_next_passwords, services=DECIDERS), Step(do=_change_passwords)),
    "cookie": (
        Step(do=_both_known("cookie_secret", keys.new_hex), services=DECIDERS),
        Step(do=_new_first("cookie_secret"), services=DECIDERS, then=_cookies_grow_old),
        Step(do=_old_gone("cookie_secret"), services=DECIDERS),
    ),
    "crypt": (
        Step(do=_both_known("vault_key", keys.new_fernet), services=DECIDERS),
        Step(do=_new_first("vault_key"), services=DECIDERS),
        Step(do=_reseal, services=DECIDERS),
    ),
    "bus": (
        Step(do=_both_known("bus_key", keys.new_fernet), services=("api", "spawner-worker"), then=_credentials),
        Step(do=_new_first("bus_key"), services=("api", "spawner-worker")),
        Step(do=_old_gone("bus_key"), services=("api", "spawner-worker"), then=_credentials_again),
    ),
}
