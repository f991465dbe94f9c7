"""GET /people: who matches, all of them at once, for whoever wants to do something with each."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from hubbub.web.request import ApiError, identify, require_any
from hubbub_api.answers import answer, query_of
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import VIEWS
from hubbub_api.people_wanted import STATES, Wanted, everybody

routes = Endpoints("users")


class PeopleQuery(msgspec.Struct, kw_only=True):
    search: Annotated[str, Meta(description="Only users in whose names this stands; case does not matter.")] = ""
    state: Annotated[
        str,
        Meta(
            description="Only users who have such a server; `stopped`: none that is active.",
            extra_json_schema={"enum": ["", *STATES]},
        ),
    ] = ""


class Found(msgspec.Struct):
    """`active`: the names of their servers that are not stopped, as far as the asker may see them."""

    name: str
    active: list[str]


class Everybody(msgspec.Struct):
    """In the order of their names."""

    people: list[Found]


@routes.get("/people", scopes=("list:users",), query=PeopleQuery, answers={200: Everybody})
async def listing(request: web.Request) -> web.Response:
    """Lists the names of all users who match, as far as the asker may list them: not in pages, and little of each."""
    identity = require_any(await identify(request), "list:users", filters={"user", "group"})
    query = query_of(request, PeopleQuery)
    if query.state and query.state not in STATES:
        raise ApiError(400, f"Unrecognized state filter: {query.state[:50]!r}")
    found = await everybody(request.app[VIEWS], Wanted.by(identity, search=query.search, state=query.state))
    return answer(
        Everybody(
            [
                Found(name, [each for each in active if identity.may("read:servers", user=name, server=each)])
                for name, active in found
            ]
        )
    )
