"""Style sheets, scripts and the logo, straight from the installed package."""

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from aiohttp import web

from hubbub.web.request import GATE, ApiError

_NAME = re.compile(r"[a-z0-9_-]+\.(?:css|js|svg|png|woff2)")
_KINDS = {"js": "text/javascript", "svg": "image/svg+xml", "woff2": "font/woff2"}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    body: bytes
    kind: str
    version: str


@lru_cache(maxsize=64)
def read(name: str) -> Asset | None:
    if not _NAME.fullmatch(name):
        return None
    path = files("hubbub.web").joinpath("static", name)
    if not path.is_file():
        return None
    body = path.read_bytes()
    kind = _KINDS.get(name.rpartition(".")[2]) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(body, kind, hashlib.sha256(body).hexdigest()[:12])


async def serve(request: web.Request) -> web.StreamResponse:
    return _send(request, request.match_info["name"])


async def logo(request: web.Request) -> web.StreamResponse:
    """The operator's (`c.JupyterHub.logo_file`), else ours."""
    if own := request.app[GATE].options.hub.logo_file:
        try:
            return web.FileResponse(own, headers={"Cache-Control": "no-cache"})
        except OSError:
            raise ApiError(404) from None
    return _send(request, "logo.svg")


def _send(request: web.Request, name: str) -> web.StreamResponse:
    """Kept for ever by browsers that name the present version, asked for again by all others."""
    asset = read(name)
    if asset is None:
        raise ApiError(404)
    caching = FOR_EVER if request.query.get("v") == asset.version else "no-cache"
    headers = {"Cache-Control": caching, "ETag": f'"{asset.version}"'}
    if any(tag.value == asset.version for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    text = asset.kind.startswith("text/")
    return web.Response(body=asset.body, content_type=asset.kind, charset="utf-8" if text else None, headers=headers)
