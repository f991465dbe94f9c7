"""Whose credentials are these? Asked by an api alone, for a request that carries them in its body."""

import msgspec
from aiohttp import web

from hubbub_auth.attempt import Failed, attempt, is_sensible
from hubbub_auth.questions import asked


class Credentials(msgspec.Struct):
    """What a login form would have sent: `username` and `password`, or what the authenticator takes instead."""

    auth: dict[str, str]


async def check(request: web.Request) -> web.Response:
    """POST {hub}/internal/credentials: 200 `{"name"}`; 403 if they are nobody's, 429 after too many that were.

    No session begins and no user is made: whoever is not known yet has to log in first.
    """
    fields = (await asked(request, Credentials)).auth
    fields["username"] = fields.get("username", "").strip()
    if not is_sensible(fields):
        return web.json_response({}, status=403)
    try:
        model = await attempt(request, fields)
    except Failed as failed:
        if failed.headers:
            return web.json_response({}, status=429, headers=failed.headers)
        return web.json_response({}, status=403)
    return web.json_response({"name": model["name"]})
