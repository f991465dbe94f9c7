"""Starting and stopping servers, for the API and for pages alike: decide, commit, then wait for the world."""

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import web

from hubbub import house
from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain.message import AlreadyExists, NotFound, Rejected
from hubbub.domain.names import check_display_name, check_server_name, full_name, prefix
from hubbub.domain.route import RouteAdded
from hubbub.domain.server_events import ServerCrashed, ServerStopped, SpawnFailed
from hubbub.domain.server_messages import CreateServer, StartServer, StopServer
from hubbub.domain.server_states import Stopped
from hubbub.eventlog import Context
from hubbub.form_messages import WebRequest
from hubbub.hosts import BadHost
from hubbub.rpc import Word
from hubbub.transaction import Transaction
from hubbub.views import SERVERS, USERS
from hubbub.web.request import ARRIVED, GATE, ApiError
from hubbub_api import limits, quotas, remains, renewal, start_options
from hubbub_api.idempotency import Kept, Repeated, key_of
from hubbub_api.keys import ACTIVITIES, BUS, COMMITTER, FOLLOWER, LATE, POOL, VIEWS
from hubbub_api.patience import STOP_SECONDS
from hubbub_api.pools import asker_of, pool_for, profile_for
from hubbub_api.rows import ServerRow, UserRow

log = structlog.get_logger()

_ENDS_A_WAIT_FOR_READY = frozenset(kind.__name__ for kind in (RouteAdded, SpawnFailed, ServerStopped, ServerCrashed))
_ENDS_A_WAIT_FOR_STOP = frozenset(kind.__name__ for kind in (ServerStopped, ServerCrashed, SpawnFailed))


async def start(
    request: web.Request,
    identity: Identity,
    owner: UserRow,
    name: str,
    options: dict[str, Any] | None = None,
    display_name: str = "",
    patience: float = 0,
    asked: WebRequest | None = None,
) -> ServerRow:
    """Ask for a server to start; the server once it is ready or failed, or as it is after *patience* seconds.

    Raises Rejected (see `hubbub_api.answers`), and ApiError if the owner has to log in again first. One that is on its
    way up already is left alone. *options* None: those of the last start. *asked*: the browser's request, which the
    start goes back to.
    """
    owner = await renewal.before_start(request, identity, owner)
    server = await request.app[VIEWS].server(owner.name, name)
    gate = request.app[GATE]
    _check_host(gate.options, owner.name)
    id = server.id if server else uuid4().hex
    pool = await pool_for(request, owner, server, options)
    profile = await profile_for(request, server, options)
    if server is None or not server.active:
        await quotas.check(request.app[POOL], gate.options.quotas, owner)

    async def body(tx: Transaction, id: str, *, new: bool) -> bool:
        await limits.prepare(tx, gate.options)
        await quotas.prepare(tx, gate.options.quotas, owner)
        if new:
            await _create(tx, request, owner, id, name, display_name)
        state = await tx.state(SERVERS, id)
        if isinstance(state, Stopped):
            await start_options.keep(tx, owner.id, id, options, asked, new=new)
        command = StartServer(
            at=tx.now,
            pool=pool,
            prefix=prefix(gate.options.base_url, owner.name, name),
            deadline=tx.now + timedelta(seconds=gate.options.ours.queue_timeout),
            retries=gate.options.ours.spawn_retries,
            asker=asker_of(identity),
            took=round(max(0.0, time.monotonic() - request[ARRIVED]), 3),
            profile=profile,
        )
        _, events = await tx.act(SERVERS, id, command)
        if events:
            await house.admit(tx)
            quotas.admit(tx, gate.options.quotas, owner)
            await limits.admit(tx, gate.options)
        return bool(events)

    # Watched from before the commit, so that there is nothing to look at until something has happened.
    ends = time.monotonic() + patience
    with request.app[FOLLOWER].watch(id, _ENDS_A_WAIT_FOR_READY) as changed:
        id, began = await _commit_on(request, identity, id, body, owner, name, new=server is None)
        if began:
            request.app[ACTIVITIES].heard(f"user:{owner.id}", f"server:{id}")
        if began and patience:
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(1.0, patience))
    now = await request.app[VIEWS].server_by_id(id)
    if now is None:
        raise NotFound("It was deleted meanwhile")
    left = ends - time.monotonic()
    return await wait_until_ready(request, now, left) if left > 0 and now.pending == "spawn" else now


def _check_host(options: Options, owner: str) -> None:
    """What nobody could reach is not started."""
    try:
        options.hosts.of_user(owner)
    except BadHost as error:
        log.error("server.no_host", error=str(error))
        raise ApiError(500, f"There is no subdomain for servers of {owner}; the log of the hub says why") from None


async def create(
    tx: Transaction,
    request: web.Request,
    owner: UserRow,
    name: str,
    options: dict[str, Any] | None = None,
    display_name: str = "",
) -> str:
    """A server that is not started; its id."""
    id = uuid4().hex
    await _create(tx, request, owner, id, name, display_name)
    if options:
        await tx.know(owner.id)
        tx.remember(f"options:{id}", owner.id, start_options.packed(options))
    return id


async def _create(tx: Transaction, request: web.Request, owner: UserRow, id: str, name: str, display_name: str) -> None:
    if name:
        await _check_named(tx, request, owner, name, one_more=True)
    if display_name:
        check_display_name(display_name)
    await tx.act(SERVERS, id, CreateServer(user=owner.id, name=name, display_name=display_name))


async def _check_named(tx: Transaction, request: web.Request, owner: UserRow, name: str, *, one_more: bool) -> None:
    """Whether there may be a named server *name*; *one_more*: besides those that there are."""
    hub = request.app[GATE].options.hub
    if not hub.allow_named_servers:
        raise Rejected("Named servers are not enabled.")
    check_server_name(name)
    if one_more and (limit := hub.named_server_limit_per_user):
        [row] = await tx.fetch("select count(*) from servers where user_id = $1 and name <> ''", owner.id)
        if row[0] >= limit:
            raise Rejected(
                f"User {owner.name} already has the maximum of {limit} named servers."
                "  One must be deleted before a new server can be created"
            )


async def check_rename(tx: Transaction, request: web.Request, owner: UserRow, name: str, new: str) -> None:
    """Whether the server *name* may be called *new*. The default one's place is filled anew, so there is one more."""
    if "\0" in new:  # which Postgres cannot even be asked for
        check_server_name(new)
    if not new or await tx.fetch("select 1 from servers where user_id = $1 and name = $2", owner.id, new):
        raise AlreadyExists(f"{owner.name} already has a server named {new!r}")
    await _check_named(tx, request, owner, new, one_more=not name)


async def default_of(tx: Transaction, request: web.Request, owner: UserRow) -> str:
    """The id of a person's default server. One that nothing is known of is known from now on, as JupyterHub does it."""
    if await tx.state(USERS, owner.id) == USERS.decider.initial:
        raise NotFound(f"No such server: {full_name(owner.name, '')}")
    rows = await tx.fetch("select id from servers where user_id = $1 and name = ''", owner.id)
    return str(rows[0]["id"]) if rows else await create(tx, request, owner, "")


async def _commit_on(
    request: web.Request, identity: Identity, id: str, body: Any, owner: UserRow, name: str, *, new: bool
) -> tuple[str, bool]:
    """Run *body* on the server; if somebody else made one of that name meanwhile, on theirs. Its id, and what
    *body* said. Raises `Repeated` if this very request was carried out before.
    """
    key = await key_of(request)
    context = Context.of(identity.actor)

    async def on(tx: Transaction, id: str, *, new: bool) -> bool | Kept:
        if key and (before := await key.find(tx)):
            return before
        began: bool = await body(tx, id, new=new)
        if key:  # until more is known, see `Key.learn`
            key.keep(tx, web.Response(status=202, content_type="text/plain"))
        return began

    try:
        began = await request.app[COMMITTER].submit(partial(on, id=id, new=new), context, [(SERVERS, id), house.KEY])
    except AlreadyExists:
        theirs = await request.app[VIEWS].server(owner.name, name)
        if theirs is None or not new:
            raise
        id = theirs.id
        began = await request.app[COMMITTER].submit(partial(on, id=id, new=False), context, [(SERVERS, id), house.KEY])
    if isinstance(began, Kept):
        raise Repeated(began)
    return id, began


async def stop(request: web.Request, identity: Identity, server: ServerRow) -> None:
    """`end` it as *identity* asks for. Raises ApiError if its owner, who asks, has to log in again first."""
    await renewal.before_stop(request, identity, server)
    await end(request.app, identity.actor, server)


async def end(app: web.Application, actor: str, server: ServerRow) -> None:
    """Ask for a server to stop, or for its start to be cancelled, and tell its holder."""

    async def body(tx: Transaction) -> Any:
        deadline = tx.now + timedelta(seconds=STOP_SECONDS)
        return await remains.act(tx, server.id, StopServer(deadline=deadline))

    await app[COMMITTER].submit(body, Context.of(actor), [(SERVERS, server.id)])
    if server.holder:
        # Should this word be lost, the holder's own asking finds out a little later.
        word = Word(server=server.id, attempt=server.attempt)
        await app[BUS].signal(f"hub.holder.{server.holder}", word)


async def last_holder(request: web.Request, server: ServerRow) -> str | None:
    """Who held the newest attempt of a stopped server."""
    worker: str | None = await request.app[POOL].fetchval(
        "select data::json ->> 'worker' from events where stream = $1 and type in ('AttemptClaimed', 'ServerAdopted') "
        "order by version desc limit 1",
        SERVERS.stream(server.id),
    )
    return worker


def slow_stop(request: web.Request) -> float:
    return request.app[GATE].options.ours.slow_stop_timeout


async def wait_until_ready(request: web.Request, server: ServerRow, seconds: float) -> ServerRow:
    """The server once it is ready or its start has failed; as it is when *seconds* are over."""
    return await _wait(request.app, server, seconds, _ENDS_A_WAIT_FOR_READY, lambda s: s.ready or s.pending != "spawn")


async def wait_until_stopped(app: web.Application, server: ServerRow, seconds: float) -> ServerRow:
    return await _wait(app, server, seconds, _ENDS_A_WAIT_FOR_STOP, lambda s: not s.active)


async def _wait(
    app: web.Application, server: ServerRow, seconds: float, types: Collection[str], over: Any
) -> ServerRow:
    ends = time.monotonic() + seconds
    with app[FOLLOWER].watch(server.id, types) as changed:
        while True:
            now = await app[VIEWS].server_by_id(server.id)
            if now is None or over(now) or time.monotonic() >= ends or app[LATE].is_set():
                return now or server
            try:
                # A second at most: readiness can also come by a proxy being lost, which is about no server.
                await asyncio.wait_for(changed.wait(), min(1.0, ends - time.monotonic()))
            except TimeoutError:
                continue
            changed.clear()
