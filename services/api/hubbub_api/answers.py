"""How answers look: JSON bodies, timestamps, pages of a list (contract, parts 1.1 and 1.3)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from yarl import URL

from hubbub import forwarded
from hubbub.domain.house import Closed
from hubbub.domain.message import AlreadyExists, Busy, Forbidden, Invalid, LimitReached, NotFound, Rejected
from hubbub.releases import NotYet
from hubbub.web.request import GATE, ApiError
from hubbub_api.schemas import Error, Next, Paged, Pagination

T = TypeVar("T")

PAGINATION = "application/jupyterhub-pagination+json"

STATUS: dict[type[Rejected], int] = {
    NotFound: 404,
    AlreadyExists: 409,
    Busy: 400,
    LimitReached: 429,
    Invalid: 400,
    Forbidden: 403,
    Closed: 503,
    NotYet: 503,
}

#: Seconds after which to look whether starts are taken again; nobody knows when they will be.
PAUSE = 60


def status_of(refusal: Rejected) -> int:
    return next((status for kind, status in STATUS.items() if isinstance(refusal, kind)), 400)


def headers_of(refusal: Rejected) -> dict[str, str]:
    """When it may be worth while to try again."""
    if isinstance(refusal, Closed):
        return {"Retry-After": str(PAUSE)}
    seconds: int | None = getattr(refusal, "seconds", None)
    return {} if seconds is None else {"Retry-After": str(seconds)}


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json", headers=headers)


#: A refusal repeats names that somebody has sent.
LONGEST_MESSAGE = 1000


def refuse(status: int, message: str | None, headers: dict[str, str] | None = None) -> web.Response:
    if message is not None and len(message) > LONGEST_MESSAGE:
        message = f"{message[:LONGEST_MESSAGE]}..."
    return answer(Error(status, message), status, headers)


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
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ApiError(400, "Invalid JSON in body of request") from None


async def object_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body, empty if there is none."""
    body = await body_of(request)
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise ApiError(400, "Body must be a JSON dict or empty")
    return body


async def asked(request: web.Request, shape: type[T]) -> T:
    """The body as *shape*, a Struct; an empty body is an empty object. 400 names unknown keys and wrong types."""
    return shaped(await object_of(request), shape)


def shaped(body: dict[str, Any], shape: type[T]) -> T:
    names = {field.encode_name for field in msgspec.structs.fields(shape)}  # type: ignore[arg-type]
    if unknown := sorted(body.keys() - names):
        raise ApiError(400, f"Invalid JSON keys: {', '.join(unknown)}")
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"Invalid body: {error}") from None


def query_of(request: web.Request, shape: type[T]) -> T:
    """The query as *shape*, a Struct of plain fields; what it does not name is not looked at. 400 names the field."""
    names = [field.encode_name for field in msgspec.structs.fields(shape)]  # type: ignore[arg-type]
    given = {name: request.query[name] for name in names if name in request.query}
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"Invalid query: {error}") from None


def typed(value: object, kind: Any, name: str) -> Any:
    """*value* as *kind*, or a 400 that names it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"{name}: {error}") from None


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for, and whether in an envelope."""

    offset: int
    limit: int
    wrapped: bool

    def answer(self, request: web.Request, items: list[T] | dict[str, T], total: int) -> web.Response:
        if not self.wrapped:
            return answer(items)
        following = self.offset + self.limit
        after = None
        if following < total:
            url = own_url(request).update_query({"offset": str(following), "limit": str(self.limit)})
            after = Next(following, self.limit, str(url))
        return answer(Paged(items, Pagination(self.offset, self.limit, total, after)))


def page_of(request: web.Request, *, always: bool = False) -> Page:
    """*always*: this list has its envelope whether it is asked for or not (which decides how long the page is)."""
    wrapped = PAGINATION in [part.strip().lower() for part in request.headers.get("Accept", "").split(",")]
    hub = request.app[GATE].options.hub
    default = hub.api_page_default_limit if wrapped else hub.api_page_max_limit
    offset = _number(request, "offset", 0, abs)
    limit = _number(request, "limit", default, lambda n: min(max(abs(n), 1), hub.api_page_max_limit))
    return Page(offset, limit, wrapped or always)


#: Postgres counts rows in 64 bits.
LARGEST_NUMBER = 2**63 - 1


def _number(request: web.Request, name: str, default: int, clamp: Callable[[int], int]) -> int:
    try:
        number = clamp(int(request.query.get(name, default)))
    except ValueError:
        raise ApiError(400, f"Invalid {name}: {request.query[name][:50]!r} is not an integer") from None
    if number > LARGEST_NUMBER:
        raise ApiError(400, f"Invalid {name}: too large")
    return number


def own_url(request: web.Request) -> URL:
    """The request's own address as its sender knows it."""
    scheme = forwarded.scheme(request.headers, request.scheme)
    return URL(f"{scheme}://{request.host}{request.raw_path}", encoded=True)
