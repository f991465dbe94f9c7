"""Pages that say no, and what browsers report of pages that broke the rules."""

from http import HTTPStatus

import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.web.pages import render
from hubbub.web.request import identify
from hubbub_api.metrics import METRICS

log = structlog.get_logger()

LONGEST_REPORT = 4096

_SENTENCES = {
    403: "You may not do this.",
    404: "There is nothing at this address, or it is not for you to see.",
    405: "This address does not take such requests.",
    429: "That was a little too often. Wait a moment and try again.",
    500: "The hub made a mistake. What happened is in its log.",
    503: "The hub cannot do this right now. Wait a moment and try again.",
}
_OF_PROXY = {
    404: "There is nothing at this address.",
    503: "The server at this address does not answer. It may have stopped: your home page knows, and can start it.",
}


async def page(
    request: web.Request, identity: Identity | None, status: int, message: str | None = None
) -> web.Response:
    """*message*: a sentence for people; without one, what the status usually means."""
    return _render(request, identity, status, message or _SENTENCES.get(status, ""), answered_with=status)


async def of_proxy(request: web.Request) -> web.StreamResponse:
    """The page that the proxy shows for an error of its own; it puts the status on it itself."""
    code = int(request.match_info["code"])
    identity = await identify(request, pages=True)
    return _render(request, identity, code, _OF_PROXY.get(code, ""), answered_with=200)


def _render(
    request: web.Request, identity: Identity | None, status: int, message: str, *, answered_with: int
) -> web.Response:
    names = {"status_code": status, "status_message": phrase(status), "message": message}
    return render(request, "error.html", identity, status=answered_with, **names)


def phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "Unknown HTTP error"


async def csp_report(request: web.Request) -> web.StreamResponse:
    """Logged if it comes from somebody who is logged in, so that nobody else can fill the log."""
    if identity := await identify(request, pages=True):
        request.app[METRICS].csp_report()
        report = await request.content.read(LONGEST_REPORT)
        log.warning("page.content_security", user=identity.name, report=report.decode(errors="replace"))
    return web.Response(status=204)
