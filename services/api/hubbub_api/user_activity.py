"""POST /users/{user}/activity: servers tell when somebody was there."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from aiohttp import web
from dateutil import parser as dates
from msgspec import Meta

from hubbub.web.request import ApiError, identify, require
from hubbub_api.answers import asked
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import ACTIVITIES, VIEWS
from hubbub_api.schemas import some_of

routes = Endpoints("users")

#: A clock that goes wrong by more is not believed.
AHEAD = timedelta(minutes=59)
LONGEST_STAMP = 64


Time = Annotated[Any, Meta(extra_json_schema={"type": ["string", "null"], "maxLength": LONGEST_STAMP})]


class ServerActivity(msgspec.Struct, kw_only=True):
    """As the user's own."""

    last_activity: Time = None


class UserActivity(msgspec.Struct, kw_only=True):
    """Times in any usual format; those without a zone are UTC. At least one of the two."""

    last_activity: Time = None
    servers: dict[str, ServerActivity] = {}


@routes.post("/users/{user}/activity", scopes=("users:activity",), body=some_of(UserActivity), answers={200: None})
async def activity(request: web.Request) -> web.Response:
    """Tells when a user, or a server of theirs, was active. Times only move forward: an older one changes nothing."""
    name = request.match_info["user"]
    require(await identify(request), "users:activity", user=name)
    body = await asked(request, UserActivity)
    if not body.last_activity and not body.servers:
        raise ApiError(400, "body must contain at least one of `last_activity` or `servers`")
    known = await request.app[VIEWS].ids(name)
    if known is None:
        raise ApiError(404, f"No such user: {name!r}")
    id, theirs = known
    heard: list[tuple[str, datetime]] = []
    if body.last_activity:
        heard.append((f"user:{id}", _time(body.last_activity)))
    for server, about in body.servers.items():
        if server not in theirs:
            raise ApiError(400, f"No such server {server[:50]!r} for user {name}")
        if about.last_activity:
            heard.append((f"server:{theirs[server]}", _time(about.last_activity)))
    for subject, at in heard:
        request.app[ACTIVITIES].heard(subject, at=at)
    return web.Response(status=200)


def _time(given: object) -> datetime:
    try:
        if not isinstance(given, str) or len(given) > LONGEST_STAMP:
            raise ValueError
        time = dates.parse(given)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ApiError(400, f"Not a valid timestamp: {str(given)[:LONGEST_STAMP]!r}") from None
    if time > datetime.now(UTC) + AHEAD:
        raise ApiError(400, f"Timestamp {given} is in the future")
    return time
