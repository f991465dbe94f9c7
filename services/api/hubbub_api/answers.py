"""How answers look: JSON bodies, timestamps, pages of a list (contract, parts 1.1 and 1.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from yarl import URL

from hubbub.domain.message import AlreadyExists, Busy, Forbidden, Invalid, LimitReached, NotFound, Rejected
from hubbub.web.request import GATE, ApiError

T = TypeVar("T")

PAGINATION = "application/jupyterhub-pagination+json"

STATUS: dict[type[Rejected], int] = {
    NotFound: 404,
    AlreadyExists: 409,
    Busy: 400,
    LimitReached: 429,
    Invalid: 400,
    Forbidden: 403,
}


def status_of(refusal: Rejected) -> int:
    return STATUS.get(type(refusal), 400)


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json", headers=headers)


def stamp(time: datetime | None) -> str | None:
    """`2026-11-20T21:48:00.123456Z`; microseconds are left out when there are none."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


async def body_of(request: web.Request) -> Any:
    """The JSON body, None if there is none."""
    data = await request.read()
    if not data.strip():
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ApiError(400, "Invalid JSON in body of request") from None


async def object_of(request: web.Request, allowed: set[str] | None = None) -> dict[str, Any]:
    """The JSON object in the body, empty if there is none; only with *allowed* keys."""
    body = await body_of(request)
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise ApiError(400, "Body must be a JSON dict or empty")
    if allowed is not None and (unknown := sorted(set(body) - allowed)):
        raise ApiError(400, f"Invalid JSON keys: {', '.join(unknown)}")
    return body


def typed(value: object, kind: Any, name: str) -> Any:
    """*value* as *kind*, or a 400 that names it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"{name}: {error}") from None


@dataclass(frozen=True)
class Page:
    offset: int
    limit: int
    wrapped: bool

    def answer(self, request: web.Request, items: list[T] | dict[str, T], total: int) -> web.Response:
        if not self.wrapped:
            return answer(items)
        following = self.offset + self.limit
        next_page = None
        if following < total:
            url = own_url(request).update_query({"offset": str(following), "limit": str(self.limit)})
            next_page = {"offset": following, "limit": self.limit, "url": str(url)}
        pages = {"offset": self.offset, "limit": self.limit, "total": total, "next": next_page}
        return answer({"items": items, "_pagination": pages})


def page_of(request: web.Request) -> Page:
    accepted = [part.strip() for part in request.headers.get("Accept", "").split(",")]
    wrapped = PAGINATION in accepted
    hub = request.app[GATE].options.hub
    default = hub.api_page_default_limit if wrapped else hub.api_page_max_limit
    offset = _number(request, "offset", 0, abs)
    limit = _number(request, "limit", default, lambda n: min(max(abs(n), 1), hub.api_page_max_limit))
    return Page(offset, limit, wrapped)


def _number(request: web.Request, name: str, default: int, clamp: Callable[[int], int]) -> int:
    try:
        return clamp(int(request.query.get(name, default)))
    except ValueError:
        raise ApiError(400, f"Invalid {name}: {request.query[name]!r} is not an integer") from None


def own_url(request: web.Request) -> URL:
    """The request's own address as its sender knows it."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme).partition(",")[0].strip()
    return URL(f"{scheme}://{request.host}{request.raw_path}", encoded=True)
