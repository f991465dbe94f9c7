"""Ends what is over: codes, sessions, tokens, share codes, tokens of servers that are, and answers kept for a day.

None of it counts any more; this is what makes it go. So many of each at a time: the log has others to serve.
"""

from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import structlog

from hubbub import sessions
from hubbub.domain.code import ExpireCode
from hubbub.domain.message import Command
from hubbub.domain.share_code import RevokeShareCode
from hubbub.domain.token import RevokeToken
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.transaction import Parked, Transaction
from hubbub.views import CODES, SHARE_CODES, TOKENS, View

log = structlog.get_logger()

AT_ONCE = 500
ANSWERS_KEPT = timedelta(days=1)
#: Nothing waits in a queue for so long.
TURNS_KEPT = timedelta(days=1)

# Tokens of servers that are over. One that only sleeps keeps its own and its browsers', and what is left of an
# attempt keeps its own. Of those that run, all but the one that they go on with are over, too; browsers' tokens are
# those with a session.
_ORPHANED_TOKENS = """
    select t.id from tokens t left join servers s on s.id = t.server
    where t.server <> '' and (
        s.id is null
        or (s.kind = 'Stopped' and (s.token is null or (t.session = '' and s.token <> t.id)))
        or (s.kind in ('Started', 'Running', 'Stopping') and t.session = '' and s.token is distinct from t.id))
    and (s.leftovers is null or not exists (
        select from jsonb_array_elements(s.state::jsonb -> 'leftovers') l where l ->> 'token' = t.id))
    limit $1
"""
_OLD_ANSWERS = """
    delete from answers where key in (select key from answers where at < now() - $1::interval order by at limit $2)
"""

_OLD_TURNS = """
    delete from turns where (pool, asker) in (
        select pool, asker from turns where at < now() - $1::interval for update skip locked)
"""

#: What is over, and what ends it. A view's table, unless a query says which.
KINDS: tuple[tuple[View, str, Command], ...] = (
    (CODES, "", ExpireCode()),
    (TOKENS, "", RevokeToken(reason="expired")),
    (TOKENS, _ORPHANED_TOKENS, RevokeToken(reason="server stopped")),
    (SHARE_CODES, "", RevokeShareCode(reason="expired")),
)


# What an idle session had given out ends with it. Tokens of one that has lasted for as long as it may have a time of
# their own.
_OVER = "select id from sessions where expires_at < now() limit $1"
_IDLE = """
    select x.id from activity a join sessions x on x.id = substr(a.subject, 9)
    where a.subject like 'session:%' and a.at < now() - make_interval(secs => $2) limit $1
"""


async def expire(pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, *, idle: float = 0) -> int:
    """How much was ended. A stream that this release cannot read holds up its own kind alone.

    *idle*: seconds after which a session that is not used is over, 0 for none.
    """
    ended = await _sessions(pool, committer, idle)
    for view, query, command in KINDS:
        rows = await pool.fetch(query or f"select id from {view.table} where expires_at < now() limit $1", AT_ONCE)
        if not rows:
            continue
        try:
            ended += await _end(committer, view, [row["id"] for row in rows], command)
        except Parked as error:
            log.warning("sweep.parked", kind=view.table, error=str(error))
    await pool.execute(_OLD_ANSWERS, ANSWERS_KEPT, AT_ONCE)
    await pool.execute(_OLD_TURNS, TURNS_KEPT)
    return ended


async def _sessions(pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, idle: float) -> int:
    async def body(tx: Transaction) -> int:
        """Another sweep may have been faster, or whoever they belong to; or it has been used meanwhile."""
        over = [row["id"] for row in await tx.fetch(_OVER, AT_ONCE)]
        await sessions.expire(tx, *over)
        unused = [row["id"] for row in await tx.fetch(_IDLE, AT_ONCE, idle)] if idle else []
        await sessions.close(tx, *unused, reason="idle")
        return len(over) + len(unused)

    if not await pool.fetch(_OVER, 1) and not (idle and await pool.fetch(_IDLE, 1, idle)):
        return 0
    try:
        return await committer.submit(body, Context.of("sweep"))
    except Parked as error:
        log.warning("sweep.parked", kind="sessions", error=str(error))
        return 0


async def _end(committer: Committer, view: View, ids: Sequence[str], command: Command) -> int:
    async def body(tx: Transaction) -> int:
        """Another sweep may have been faster, or whoever they belong to."""
        await tx.load([(view, id) for id in ids])
        left = [id for id in ids if await tx.state(view, id) != view.decider.initial]
        for id in left:
            await tx.act(view, id, command)
        return len(left)

    return await committer.submit(body, Context.of("sweep"))
