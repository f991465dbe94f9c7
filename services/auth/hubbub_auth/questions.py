"""What apis ask of this process: structs, as JSON, there and back. No api forwards anybody else to these."""

from typing import TypeVar

import msgspec
from aiohttp import web

T = TypeVar("T", bound=msgspec.Struct)


async def asked(request: web.Request, kind: type[T]) -> T:
    """The question. Raises HTTPBadRequest (400) if it cannot be read."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise web.HTTPBadRequest from None


def told(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
