"""Whose credentials are these? Asked by an api alone, for a request that carries them in its body."""

import msgspec
from aiohttp import web

from hubbub_auth.attempt import RETRY_SECONDS, TOO_MANY, Failed, attempt, is_sensible


class Credentials(msgspec.Struct):
    """What a login form would have sent: `username` and `password`, or what the authenticator takes instead."""

    auth: dict[str, str]


async def check(request: web.Request) -> web.Response:
    """POST {hub}/internal/credentials: 200 `{"name"}`; 403 if they are nobody's, 429 after too many that were.

    No session begins and no user is made: whoever is not known yet has to log in first.
    """
    try:
        fields = msgspec.json.decode(await request.read(), type=Credentials).auth
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return web.json_response({}, status=400)
    fields["username"] = fields.get("username", "").strip()
    if not is_sensible(fields):
        return web.json_response({}, status=403)
    try:
        model = await attempt(request, fields)
    except Failed as failed:
        if failed.reason == TOO_MANY:
            return web.json_response({}, status=429, headers={"Retry-After": str(RETRY_SECONDS)})
        return web.json_response({}, status=403)
    return web.json_response({"name": model["name"]})
