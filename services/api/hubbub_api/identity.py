"""GET /user."""

from dataclasses import replace

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.roles import IDENTIFY, IDENTIFY_SERVICE
from hubbub.web.request import GATE, ApiError, identify
from hubbub_api.answers import answer
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import MODELS, VIEWS
from hubbub_api.schemas import IdentifiedService, IdentifiedUser

routes = Endpoints("identity")
Model = IdentifiedUser | IdentifiedService


@routes.get("/user", answers={200: Model})
async def myself(request: web.Request) -> web.Response:
    """Says who is asking, and what they may do. 403: nobody, or nobody any more."""
    identity = await identify(request)
    if identity is None:
        raise ApiError(403)
    return answer(await model_of(request, identity))


async def model_of(request: web.Request, identity: Identity) -> Model:
    """A query or two at most if the asker may read no servers of their own."""
    tree = request.app[GATE].access.roles.tree
    known = tree.expand(IDENTIFY if identity.kind == "user" else IDENTIFY_SERVICE, **{identity.kind: identity.name})
    views = request.app[VIEWS]
    servers, options = [], {}
    if identity.kind == "user" and scope.held_at_all(identity.scopes, "read:servers"):
        servers = await views.active(identity.id)
        options = await views.options(servers)
    seeing = replace(identity, scopes=identity.scopes | known)
    infos = await views.infos({identity.id: identity.user_info})
    return request.app[MODELS].identity(identity, seeing, servers, options, infos)
