"""GET /authorizations/token/{token}, /authorizations/cookie/{name}: old services ask whom these belong to."""

from aiohttp import web

from hubbub.access import Identity
from hubbub.web import cookies
from hubbub.web.request import GATE, ApiError, bearer, identify
from hubbub_api.answers import answer
from hubbub_api.endpoint import Endpoints
from hubbub_api.identity import Model, model_of
from hubbub_api.keys import MODELS, VIEWS
from hubbub_api.schemas import Error, User

routes = Endpoints("identity")

LONGEST_COOKIE = 4096


async def _asker(request: web.Request) -> Identity:
    """Whoever asks with a token; a cookie is not enough."""
    asker = await identify(request) if bearer(request) is not None else None
    if asker is None or asker.by_cookie:
        raise ApiError(403)
    return asker


@routes.get("/authorizations/token/{token}", answers={200: Model}, deprecated=True)
async def whose_token(request: web.Request) -> web.Response:
    """Says whose a token is, and what it may do. For old services, which ask with a token of their own."""
    asker = await _asker(request)
    identity = await request.app[GATE].access.by_token(request.match_info["token"])
    if identity is None or not _may_know(asker, identity):
        raise ApiError(404)
    return answer(await model_of(request, identity))


def _may_know(asker: Identity, identity: Identity) -> bool:
    same = (asker.kind, asker.name) == (identity.kind, identity.name)
    return same or asker.admin or asker.kind == "service"


@routes.post("/authorizations/token", open=True, answers={404: Error}, deprecated=True)
@routes.post("/authorizations/token/{token}", open=True, answers={404: Error}, deprecated=True)
async def make_token(request: web.Request) -> web.Response:
    """Makes no token any more."""
    raise ApiError(404, "Tokens are not made here any more: use POST /users/{user}/tokens")


@routes.get("/authorizations/cookie/{name}", answers={200: User}, deprecated=True, largest=LONGEST_COOKIE)
@routes.get("/authorizations/cookie/{name}/{value}", answers={200: User}, deprecated=True, largest=LONGEST_COOKIE)
async def whose_cookie(request: web.Request) -> web.Response:
    """Says whose login cookie this is. Its value is in the path, or else it is the body.

    For old services, which ask with a token of their own and get what that may read.
    """
    asker, gate = await _asker(request), request.app[GATE]
    value = request.match_info.get("value")
    if value is None:
        value = (await request.read()).decode(errors="replace")
    secret = None
    name = cookies.named(gate.options, cookies.LOGIN)
    if request.match_info["name"] == name and len(value) <= LONGEST_COOKIE:
        secret = cookies.secret_in(value, gate.cookie_secret, gate.options.hub.cookie_max_age_days, name=name)
    owner = await gate.access.by_session(secret) if secret else None
    user = await request.app[VIEWS].user(owner.name) if owner else None
    if user is None:
        raise ApiError(404)
    [model] = await request.app[MODELS].users(request.app[VIEWS], asker, [user])
    return answer(model)
