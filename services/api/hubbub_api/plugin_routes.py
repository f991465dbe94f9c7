"""Endpoints that plug-ins would add to JupyterHub's api, as far as they reach a spawner: by way of its holder.

POST /batchspawner: a server that a batch system has started says which port it has chosen.
"""

from typing import Annotated

import msgspec
from aiohttp import web

from hubbub.bus import BusUnavailable, Remote
from hubbub.domain.message import Rejected
from hubbub.rpc import Done, Word
from hubbub.web.request import ApiError, identify
from hubbub_api.answers import answer, asked
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import BUS, VIEWS

routes = Endpoints("plug-ins")

#: The holder answers from memory.
PATIENCE = 5.0


class Port(msgspec.Struct):
    """Where the server listens."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Configured(msgspec.Struct):
    """That it has been heard."""

    message: str


@routes.post("/batchspawner", body=Port, answers={201: Configured})
async def batchspawner(request: web.Request) -> web.Response:
    """Tells the port that a server has chosen. Its own token asks, 403 for any other; nothing but this can be set."""
    identity = await identify(request)
    if identity is None or not identity.token_stream:
        raise ApiError(403)
    body = await asked(request, Port)
    row = await request.app[VIEWS].row(
        "select id, attempt, holder from servers where token = $1", identity.token_stream
    )
    if row is None or row["holder"] is None:
        raise ApiError(403, "This is the token of no server that is active")
    word = Word(server=row["id"], attempt=row["attempt"], verb="port", port=body.port)
    try:
        done = await request.app[BUS].ask(f"hub.holder.{row['holder']}", word, Done, timeout=PATIENCE)
    except (BusUnavailable, Remote) as error:
        raise ApiError(503, "The worker that starts the server cannot be reached") from error
    if done.refused is not None:
        raise Rejected(done.refused.message)
    return answer(Configured("BatchSpawner data configured"), 201)
