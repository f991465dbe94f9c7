"""POST, DELETE /workers/{worker}/drain; and the end of what draining workers still have when their time is up."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

import asyncpg
import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from hubbub import house
from hubbub.bus import Bus
from hubbub.domain.house import HOUSE as THE_HOUSE
from hubbub.domain.house import DrainWorker, UndrainWorker
from hubbub.domain.message import Invalid, NotFound, Rejected
from hubbub.domain.server_messages import Failure, GiveUp, StopServer
from hubbub.domain.server_states import Held, Running, Spawning, Started
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.rpc import Word
from hubbub.transaction import Transaction
from hubbub.views import HOUSES, SERVERS
from hubbub.web.request import ApiError, identify, require
from hubbub_api import remains
from hubbub_api.answers import answer, asked
from hubbub_api.commit import commit
from hubbub_api.endpoint import Endpoints
from hubbub_api.house import SCOPE, Moment
from hubbub_api.keys import COLLEAGUES, COMMITTER, HOUSE, POOL
from hubbub_api.patience import STOP_SECONDS
from hubbub_api.views import Views
from hubbub_api.workers import ONE, WorkerInDetail, worker

log = structlog.get_logger()

routes = Endpoints("operation")

REASON = "drain"
#: Of a start that has not come to its end by then.
CUT_SHORT = Failure(
    reason=REASON, message="The machine that it was starting on is taken out of service: start it again"
)

_HOLDS = "select exists (select from servers where holder = $1)"
# Without a deadline there is none that has passed.
_OVERDUE = """
    select s.id from houses h
    cross join lateral json_to_recordset(h.state::json -> 'draining') as d (worker text, deadline timestamptz)
    join servers s on s.holder = d.worker
    where d.deadline <= now() and s.kind in ('Spawning', 'Started', 'Running') limit 200
"""


class NewDrain(msgspec.Struct, kw_only=True):
    """When what the worker still has is to be stopped: at `deadline`, in `seconds` from now, or never. `message`: plain
    text for those whose servers it has.
    """

    deadline: Moment | UnsetType | None = UNSET
    seconds: Annotated[float, Meta(ge=0, le=31_536_000)] | UnsetType | None = UNSET
    message: str = ""


@routes.post(f"{ONE}/drain", scopes=(SCOPE,), body=NewDrain, answers={200: WorkerInDetail})
async def begin(request: web.Request) -> web.Response:
    """Drains a worker: it takes nothing more. What it has runs on, until the deadline if there is one. One that comes
    back by the same name goes on draining. Asked again, it is another deadline, or message, that counts.
    """
    identity = require(await identify(request), SCOPE)
    name, new = request.match_info["worker"], await asked(request, NewDrain)
    if new.deadline not in (UNSET, None) and new.seconds not in (UNSET, None):
        raise ApiError(400, "Give deadline or seconds, not both")

    async def body(tx: Transaction) -> None:
        deadline = new.deadline or None
        if isinstance(new.seconds, float | int):
            deadline = tx.now + timedelta(seconds=new.seconds)
        await _drain(tx, request.app, name, deadline, new.message)

    async def render(views: Views, _: None) -> web.Response:
        return answer(await worker(request.app, name, views))

    response = await commit(request, identity, body, render, [house.KEY])
    await request.app[HOUSE].load(request.app[POOL])
    return response


@routes.delete(f"{ONE}/drain", scopes=(SCOPE,), answers={204: None})
async def call_off(request: web.Request) -> web.Response:
    """Has a draining worker take work again."""
    identity = require(await identify(request), SCOPE)
    name = request.match_info["worker"]

    async def body(tx: Transaction) -> None:
        await tx.act(*house.KEY, UndrainWorker(worker=name))

    async def render(_: Views, __: None) -> web.Response:
        return web.Response(status=204)

    response = await commit(request, identity, body, render, [house.KEY])
    await request.app[HOUSE].load(request.app[POOL])
    return response


# For pages -------------------------------------------------------------------------


async def drain(app: web.Application, actor: str, name: str, deadline: datetime | None, message: str = "") -> None:
    """Raises NotFound if no such worker is known, Invalid if *deadline* has passed."""

    async def body(tx: Transaction) -> None:
        await _drain(tx, app, name, deadline, message)

    await app[COMMITTER].submit(body, Context.of(actor), [house.KEY])
    await app[HOUSE].load(app[POOL])


async def undrain(app: web.Application, actor: str, name: str) -> None:
    """Raises NotFound if it is not draining."""
    await app[COMMITTER].execute(HOUSES, THE_HOUSE, UndrainWorker(worker=name), Context.of(actor))
    await app[HOUSE].load(app[POOL])


async def _drain(tx: Transaction, app: web.Application, name: str, deadline: datetime | None, message: str) -> None:
    there = name in app[COLLEAGUES].known() or (await house.of(tx)).drain_of(name)
    if not there and not (await tx.fetch(_HOLDS, name))[0][0]:
        raise NotFound(f"No worker {name} is known")
    if deadline is not None and deadline < tx.now:
        raise Invalid("deadline: it has passed")
    await tx.act(*house.KEY, DrainWorker(at=tx.now, worker=name, deadline=deadline, message=message))


# For sweeps ----------------------------------------------------------------------------


async def end_overdue(pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, bus: Bus) -> int:
    """Ask for the end of what is still there past its worker's deadline, and tell the worker: how many."""
    rows = await pool.fetch(_OVERDUE)
    return sum(await asyncio.gather(*(_end(committer, bus, row["id"]) for row in rows)))


async def _end(committer: Committer, bus: Bus, id: str) -> int:
    async def body(tx: Transaction) -> Held | None:
        """Decided again under the lock: the drain may have been called off, or put off."""
        state = await tx.state(SERVERS, id)
        if not isinstance(state, Spawning | Started | Running) or not state.holder:
            return None
        drain = (await house.of(tx)).drain_of(state.holder)
        if drain is None or drain.deadline is None or drain.deadline > tx.now:
            return None
        deadline = tx.now + timedelta(seconds=STOP_SECONDS)
        if isinstance(state, Running):
            await remains.act(tx, id, StopServer(deadline=deadline, reason=REASON))
        else:
            await remains.act(tx, id, GiveUp(attempt=state.attempt, failure=CUT_SHORT, deadline=deadline))
        return state

    try:
        ended = await committer.submit(body, Context.of("sweep"), [(SERVERS, id), house.KEY])
    except Rejected:
        return 0
    if ended is None or not ended.holder:
        return 0
    log.info("server.drained", server=id, worker=ended.holder)
    await bus.signal(f"hub.holder.{ended.holder}", Word(server=id, attempt=ended.attempt))
    return 1
