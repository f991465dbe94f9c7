"""Committing what a request asks for, and answering it: once, however often it is sent."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiohttp import web

from hubbub.access import Identity
from hubbub.eventlog import Context
from hubbub.transaction import Transaction
from hubbub.views import View
from hubbub_api.idempotency import key_of
from hubbub_api.keys import COMMITTER, VIEWS
from hubbub_api.views import Views

T = TypeVar("T")


async def commit(
    request: web.Request,
    identity: Identity,
    body: Callable[[Transaction], Awaitable[T]],
    render: Callable[[Views, T], Awaitable[web.Response]],
    reads: Sequence[tuple[View, str]] = (),
) -> web.Response:
    """Run *body* under the log's lock, then answer with what *render* makes of its result.

    With an Idempotency-Key the answer is made inside of the transaction and kept with it, and a request that
    was carried out before is answered as then. *body* may run twice, so it has no effect but through its
    transaction; *render* reads through the views it is given and has none at all.
    """
    context = Context.of(identity.actor)
    key = await key_of(request)
    if key is None:
        result = await request.app[COMMITTER].submit(body, context, reads)
        return await render(request.app[VIEWS], result)

    async def once(tx: Transaction) -> web.Response:
        if before := await key.find(tx):
            return before.response()
        response = await render(request.app[VIEWS].within(tx), await body(tx))
        key.keep(tx, response)
        return response

    return await request.app[COMMITTER].submit(once, context, reads)


async def empty(status: int) -> web.Response:
    """An answer without a body; JupyterHub calls it text."""
    return web.Response(status=status, content_type=None if status == 204 else "text/plain")
