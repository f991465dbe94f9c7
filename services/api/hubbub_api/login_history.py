"""Logins of somebody, how they ended (the log knows), and those that did not work (the throttle does)."""

from typing import Any

import asyncpg
import msgspec

from hubbub import eventlog
from hubbub.domain.session import SessionClosed, SessionOpened
from hubbub.eventlog import Recorded
from hubbub.vault import Fetches, Vault
from hubbub_api.answers import stamp
from hubbub_api.schemas import Stamp

#: More of them than the throttle lets anybody have in an hour, and as many as a page has room for.
MOST_FAILED = 100


class Ended(msgspec.Struct, kw_only=True):
    """`reason` is `logout` or `another login` in the same browser, `ended` from elsewhere, `expired`, `idle`, ...; `by`
    the name of who did it, `address` where they were, both null if nobody did or it was somebody else's.
    """

    at: Stamp | None
    reason: str
    by: str | None
    address: str | None


class Login(msgspec.Struct, kw_only=True):
    """A login that worked. `session` is the id of the session that it began; `ended` is null while that lasts."""

    session: str
    at: Stamp | None
    address: str
    agent: str
    expires_at: Stamp | None
    ended: Ended | None


class FailedLogin(msgspec.Struct, kw_only=True):
    """A login that did not work. `address`: of IPv6 the network. `known_browser`: they had logged in there before.

    `why`: `wrong` (credentials), `blocked` or `not allowed` (whoever has the right ones), `throttled` (after too many
    others, the first time in five minutes), `expired form`, `busy`, `fault` (of the hub, or of who does the login).
    """

    at: Stamp | None
    address: str
    why: str
    known_browser: bool


class AnyFailedLogin(FailedLogin, kw_only=True):
    """`user` is null where the name was nobody's: which it was is not kept."""

    user: str | None


class Logins(msgspec.Struct, kw_only=True):
    """The newest first. `failed` are the latest, for as long as they are kept (`c.Hubbub.failed_logins_kept`)."""

    logins: list[Login]
    failed: list[FailedLogin]


async def logins(source: Fetches, vault: Vault, user: str, *, before: int, limit: int, whole: bool) -> list[Login]:
    """Those of *user* (an id) below the number *before*. *whole*: with the addresses of others who ended them."""
    opened = [eventlog.recorded(row) for row in await source.fetch(_OPENED, user, before, limit)]
    streams = [record.stream for record in opened]
    closed = [eventlog.recorded(row) for row in await source.fetch(_CLOSED, streams)] if streams else []
    await vault.load(source, {user})
    names = await _names(source, {record.context.actor for record in closed})
    ends = {record.stream: record for record in closed}
    found = []
    for record in opened:
        event = eventlog.decode(record, vault)
        if isinstance(event, SessionOpened):
            end = ends.get(record.stream)
            ended = None if end is None else _ended(end, vault, user, names, whole=whole)
            login = Login(
                session=public_id(record.position),
                at=stamp(record.recorded_at),
                address=place(event.address),
                agent=event.agent,
                expires_at=stamp(event.expires_at),
                ended=ended,
            )
            found.append(login)
    return found


def _ended(record: Recorded, vault: Vault, user: str, names: dict[str, str], *, whole: bool) -> Ended | None:
    event, actor = eventlog.decode(record, vault), record.context.actor
    if not isinstance(event, SessionClosed):
        return None
    shown = place(event.address) if whole or actor == f"user:{user}" else ""
    return Ended(at=stamp(record.recorded_at), reason=event.reason, by=names.get(actor), address=shown or None)


async def _names(source: Fetches, actors: set[str]) -> dict[str, str]:
    """What people and services are called, by how the log names them."""
    named = {actor: actor.partition(":")[2] for actor in actors if actor.startswith("service:")}
    people = [actor.removeprefix("user:") for actor in actors if actor.startswith("user:")]
    rows = await source.fetch("select id, name from users where id = any($1)", people) if people else []
    return named | {f"user:{row['id']}": row["name"] for row in rows}


async def failed(source: Fetches, user: str, limit: int = MOST_FAILED) -> list[FailedLogin]:
    """The latest that were about *user* (an id)."""
    rows = await source.fetch(_FAILED, user, min(limit, MOST_FAILED))
    return [FailedLogin(**_failure(row)) for row in rows]


async def all_failed(source: Fetches, *, offset: int, limit: int) -> tuple[list[AnyFailedLogin], int]:
    """Some of all that are kept, the latest first, and how many there are."""
    rows = await source.fetch(_ALL_FAILED, limit, offset)
    [counted] = await source.fetch("select count(*) as total from login_attempts")
    return [AnyFailedLogin(**_failure(row), user=row["user"]) for row in rows], counted["total"]


def _failure(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "at": stamp(row["at"]),
        "address": row["address"],
        "why": row["why"] or "wrong",  # of an earlier release
        "known_browser": bool(row["device"]),
    }


def place(address: str) -> str:
    """*address* as people know it: behind a proxy that speaks both, one of IPv4 looks like one of IPv6."""
    rest = address.removeprefix("::ffff:")
    return rest if "." in rest else address


def public_id(number: int) -> str:
    """How a session is called in public. Its own id is in a cookie that servers get, too."""
    return f"s{number}"


def number_of(id: str) -> int | None:
    """The number in the public id of a session; None if it is none."""
    is_one = id.startswith("s") and id[1:].isascii() and id[1:].isdecimal() and len(id) < 19
    return int(id[1:]) if is_one else None


_OPENED = f"""
    select {eventlog.COLUMNS} from events
    where type = 'SessionOpened' and data::jsonb ->> 'user' = $1 and position < $2
        and position >= (select oldest from log_head) order by position desc limit $3
"""
_CLOSED = f"select {eventlog.COLUMNS} from events where stream = any($1) and type = 'SessionClosed'"
_FAILED = """
    select at, address, why, device from login_attempts where user_id = $1 and user_id <> '' order by at desc limit $2
"""
_ALL_FAILED = """
    select l.at, l.address, l.why, l.device, u.name as user from login_attempts l left join users u on u.id = l.user_id
    order by l.at desc limit $1 offset $2
"""
