"""Deletes users whom the authenticator does not have any more, with `delete_invalid_users`.

An auth that starts greets everybody, and leaves the ids of those it refuses in `refused`. Any api deletes them, with
what they own, once their servers have stopped; two that are at it at once do no harm.
"""

import asyncio
from contextlib import suppress

import asyncpg
import structlog
from aiohttp import web

from hubbub.away import AWAY
from hubbub.domain.message import Rejected
from hubbub.eventlog import Context
from hubbub.handle import LogUnavailable
from hubbub.transaction import Transaction
from hubbub.views import USERS
from hubbub.web.request import GATE
from hubbub_api import servers
from hubbub_api.forward import AUTHS
from hubbub_api.keys import COMMITTER, FAREWELLS, POOL, VIEWS
from hubbub_api.removal import remove_user
from hubbub_api.rows import UserRow

log = structlog.get_logger()

ACTOR = "authenticator"
#: Seconds until it is tried again if a server takes its time to stop, or the database was away.
AGAIN = 10.0

_REFUSED = "select r.user_id, u.name from refused r left join users u on u.id = r.user_id"
_SETTLED = "delete from refused where user_id = $1"


async def delete_refused(app: web.Application) -> None:
    """For ever; run it as a task."""
    news = app[AUTHS].refused
    while True:
        try:
            is_done = await _delete_all(app)
        except (asyncpg.PostgresError, LogUnavailable, *AWAY) as error:
            log.warning("unwelcome.interrupted", error=str(error) or type(error).__name__)
            is_done = False
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), None if is_done else AGAIN)
        news.clear()


async def _delete_all(app: web.Application) -> bool:
    """Whether all of them are gone."""
    rows = await app[POOL].fetch(_REFUSED)
    gone = [await _delete(app, row["user_id"], row["name"]) for row in rows]
    return all(gone)


async def _delete(app: web.Application, id: str, name: str | None) -> bool:
    user = await app[VIEWS].user(name) if name else None
    if user is None or user.id != id:
        await app[POOL].execute(_SETTLED, id)
        return True
    if not await _have_stopped(app, user):
        return False
    known = (await app[VIEWS].servers_of([id])).get(id, [])
    forgotten = await app[FAREWELLS].gather(app[VIEWS], user, known)

    async def body(tx: Transaction) -> None:
        await remove_user(tx, id)
        tx.later(_SETTLED, id)

    try:
        await app[COMMITTER].submit(body, Context.of(ACTOR), [(USERS, id)])
    except Rejected as refusal:  # a server was started meanwhile, or another api was quicker
        log.info("unwelcome.not_deleted", user=id, why=str(refusal))
        return False
    app[FAREWELLS].say(forgotten)
    log.warning("user.deleted", user=id, why="the authenticator does not have them any more")
    return True


async def _have_stopped(app: web.Application, user: UserRow) -> bool:
    active = await app[VIEWS].active(user.id)
    for server in active:
        with suppress(Rejected):  # it is on its way down already
            await servers.end(app, ACTOR, server)
    patience = app[GATE].options.ours.slow_stop_timeout
    stopped = [await servers.wait_until_stopped(app, server, patience) for server in active]
    return not any(server.active for server in stopped)
