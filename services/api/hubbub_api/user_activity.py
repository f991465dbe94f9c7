"""POST /users/{user}/activity: servers tell when somebody was there."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web
from dateutil import parser as dates

from hubbub.web.request import ApiError, identify, require
from hubbub_api.answers import asked
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import ACTIVITIES, VIEWS

routes = Endpoints("users")

#: A clock that goes wrong by more is not believed.
AHEAD = timedelta(minutes=59)
LONGEST_STAMP = 64


class ServerActivity(msgspec.Struct, kw_only=True):
    last_activity: Any = None


class UserActivity(msgspec.Struct, kw_only=True):
    """Times in any usual format; those without a zone are UTC. At least one of the two."""

    last_activity: Any = None
    servers: dict[str, ServerActivity] = {}


@routes.post("/users/{user}/activity", scopes=("users:activity",), body=UserActivity, answers={200: None})
async def activity(request: web.Request) -> web.Response:
    """Times only move forward: an older one than what is known changes nothing."""
    name = request.match_info["user"]
    require(await identify(request), "users:activity", user=name)
    body = await asked(request, UserActivity)
    if not body.last_activity and not body.servers:
        raise ApiError(400, "body must contain at least one of `last_activity` or `servers`")
    id, theirs = await _user(request, name, with_servers=bool(body.servers))
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


async def _user(request: web.Request, name: str, *, with_servers: bool) -> tuple[str, dict[str, str]]:
    """The user's id, and the ids of their servers by name."""
    rows = await request.app[VIEWS].fetch(
        "select u.id, s.id as server, s.name from users u left join servers s on s.user_id = u.id and $2 "
        "where u.name = $1",
        name,
        with_servers,
    )
    if not rows:
        raise ApiError(404)
    return rows[0]["id"], {row["name"]: row["server"] for row in rows if row["server"]}


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
