"""POST /services/{service}/restart: a service that the hub runs itself is stopped, and comes back by itself."""

from datetime import timedelta

from aiohttp import web

from hubbub.domain.message import Invalid, NotFound
from hubbub.domain.server_messages import StopServer
from hubbub.domain.server_states import Running, Spawning, Started
from hubbub.managed import id_of
from hubbub.rpc import Word
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub.web.request import GATE, identify, require
from hubbub_api import registry
from hubbub_api.commit import commit, empty
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import BUS, VIEWS
from hubbub_api.patience import STOP_SECONDS
from hubbub_api.views import Views

routes = Endpoints("services")


@routes.post("/services/{service}/restart", scopes=("admin:services",), answers={202: None})
async def restart(request: web.Request) -> web.Response:
    """Stops a service that the hub runs itself (one with a `command`); the hub then starts it again. 400: it does not
    run, or nobody knows how to start it.
    """
    name = request.match_info["service"]
    identity = require(await identify(request), "admin:services", service=name)
    entry = await registry.find(request.app[VIEWS], request.app[GATE].options, name)
    if entry is None:
        raise NotFound(f"No such service: {name[:255]}")
    if not entry.command:
        raise Invalid(f"Service {name} is not run by the hub")
    server, told = id_of(name), dict[str, Word]()

    async def stop(tx: Transaction) -> None:
        state = await tx.state(SERVERS, server)
        if not isinstance(state, Spawning | Started | Running):
            raise Invalid(f"Service {name} does not run; the hub starts it by itself")
        await tx.act(SERVERS, server, StopServer(deadline=tx.now + timedelta(seconds=STOP_SECONDS)))
        told.clear()
        if state.holder:
            told[state.holder] = Word(server=server, attempt=state.attempt)

    async def render(_: Views, __: None) -> web.Response:
        return await empty(202)

    response = await commit(request, identity, stop, render, [(SERVERS, server)])
    for holder, word in told.items():
        await request.app[BUS].signal(f"hub.holder.{holder}", word)
    return response
