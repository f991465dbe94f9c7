"""Sessions of browsers: how they end, with all that was given out in them, and how long they last without use."""

from collections.abc import Sequence
from datetime import timedelta

from hubbub.domain.session import CloseSession
from hubbub.domain.token import RevokeToken
from hubbub.transaction import Transaction
from hubbub.views import SESSIONS, TOKENS

#: Seconds after which it is news that a session is still in use.
NEWS = 60.0

#: Of a session (`x`) and its last use (`xa`): both may be missing. $idle: seconds.
USED = "left join activity xa on xa.subject = 'session:' || x.id"

#: Notes that sessions ($1) were used at these times ($2); of one that has ended nothing is kept.
NOTE = """
    insert into activity (subject, at) select h.subject, h.at from unnest($1::text[], $2::timestamptz[]) h (subject, at)
    where h.subject not like 'session:%' or exists (select from sessions x where x.id = substr(h.subject, 9))
    on conflict (subject) do update set at = greatest(activity.at, excluded.at)
"""
_OPENED = "insert into activity (subject, at) values ($1, $2)"
_FORGET = "delete from activity where subject = $1"


def subject(session: str) -> str:
    """What its last use is kept under."""
    return f"session:{session}"


def not_idle(timeout: float) -> str:
    """A condition on `USED`; true of everything if *timeout* (seconds) is 0."""
    return f"and coalesce(xa.at > now() - interval '{timeout:f} s', true)" if timeout else ""


def news_after(timeout: float) -> timedelta:
    """How old the last use that is kept must be for another one to be written down."""
    return timedelta(seconds=min(NEWS, timeout / 4) if timeout else NEWS)


def opened(tx: Transaction, session: str) -> None:
    """To be called where a session is opened: that is its first use."""
    tx.later(_OPENED, subject(session), tx.now)


async def close(tx: Transaction, *sessions: str, reason: str = "logout", address: str = "") -> int:
    """End *sessions* (ids), and every token that was given out in them; how many tokens those were.

    *address*: where whoever asks for it is. A session that has ended stays as it is.
    """
    tokens = await tx.fetch("select id from tokens where session = any($1) and session <> ''", list(sessions))
    return await _end(tx, sessions, [row["id"] for row in tokens], reason, address)


async def expire(tx: Transaction, *sessions: str) -> None:
    """End *sessions* (ids) that have lasted for as long as they may. What was given out in them has its own time."""
    await _end(tx, sessions, [], "expired", "")


async def close_all(tx: Transaction, user: str, *, but: str = "", reason: str = "logout", address: str = "") -> int:
    """Log *user* (an id) out of every browser, but for the session *but*; how many sessions ended.

    With them go the tokens of sessions that are over already: servers keep those for longer.
    """
    sessions = await tx.fetch("select id from sessions where user_id = $1 and id <> $2", user, but)
    query = "select id from tokens where user_id = $1 and session <> '' and session <> $2"
    tokens = await tx.fetch(query, user, but)
    ended = [row["id"] for row in sessions]
    await _end(tx, ended, [row["id"] for row in tokens], reason, address)
    return len(ended)


async def _end(tx: Transaction, sessions: Sequence[str], tokens: Sequence[str], reason: str, address: str) -> int:
    await tx.load([*((SESSIONS, id) for id in sessions), *((TOKENS, id) for id in tokens)])
    for id in sessions:
        await tx.act(SESSIONS, id, CloseSession(reason=reason, address=address))
        tx.later(_FORGET, subject(id))
    for id in tokens:
        await tx.act(TOKENS, id, RevokeToken(reason=reason))
    return len(tokens)
