"""Pages of a list that is short enough to be counted: where one is, and where its neighbours are."""

from dataclasses import dataclass

from aiohttp import web
from yarl import URL


@dataclass(frozen=True, kw_only=True)
class Turned:
    """Addresses of other pages, empty where there is none."""

    start: int
    total: int
    first: str = ""
    previous: str = ""
    following: str = ""
    last: str = ""


def start_of(request: web.Request, length: int, name: str = "from") -> int:
    """How many stand before the page that is asked for; a whole number of pages."""
    text = request.query.get(name, "0")
    return int(text) // length * length if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def turned(request: web.Request, start: int, length: int, total: int, name: str = "from") -> Turned:
    final = max(total - 1, 0) // length * length
    return Turned(
        start=start,
        total=total,
        first=_url(request, name, 0) if start else "",
        previous=_url(request, name, min(max(start - length, 0), final)) if start else "",
        following=_url(request, name, start + length) if start + length < total else "",
        last=_url(request, name, final) if start + length < total else "",
    )


def _url(request: web.Request, name: str, start: int) -> str:
    query = {key: value for key, value in request.query.items() if key != name and value}
    if start:
        query[name] = str(start)
    return str(URL.build(path=request.rel_url.raw_path, encoded=True).with_query(query))
