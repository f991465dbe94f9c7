"""What is no request at all, or one too long, is refused in the house's way: aiohttp asks no application about it."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from hubbub.web.request import GATE, standard_headers
from hubbub_api.answers import refuse

log = structlog.get_logger()

#: Of the request's line, and of each header. Node's own limit, for all of them together: what passes the proxy
#: passes here.
LONGEST_LINE = 16 * 1024
MOST_HEADERS = 128

TOO_LONG = f"The address or a header of the request has more than {LONGEST_LINE} bytes; perhaps there are old cookies"
TOO_MANY = f"The request has more than {MOST_HEADERS} headers"
MALFORMED = "This is not a request of HTTP/1.1"


class Runner(web.AppRunner):
    """Serves *app*, and refuses for it what never reaches it."""

    def __init__(self, app: web.Application, **more: Any) -> None:
        self._how: dict[str, Any] = {
            "access_log": None,
            "max_line_size": LONGEST_LINE,
            "max_field_size": LONGEST_LINE,
            "max_headers": MOST_HEADERS,
        }
        super().__init__(app, **self._how, **more)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        headers = standard_headers(self.app[GATE].options, is_api=True)
        return _Server(made, headers, self._how)


class _Server(web.Server):
    def __init__(self, made: web.Server, headers: Mapping[str, str], how: dict[str, Any]) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory, **how)
        self._headers = headers
        self._how = how

    def __call__(self) -> RequestHandler:
        return _Refusing(self, self._headers, self._how)


class _Refusing(RequestHandler):
    """One connection."""

    def __init__(self, server: web.Server, headers: Mapping[str, str], how: dict[str, Any]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **how)
        self._headers = headers

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Of a body that is broken off, or not packed as it says, there is nothing to see."""
        if not isinstance(sys.exception(), web.RequestPayloadError):
            super().log_exception(*args, **more)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read (400, 431), or what nothing of ours has caught (500).

        Nothing of what was sent is written down: it may be somebody's token.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun")
        kind = type(exc).__name__
        if status < 500:
            log.info("http.malformed", error=kind)
        else:
            log.error("http.failed", error=kind, exc_info=exc)
        if isinstance(exc, LineTooLong):
            status, message = 431, TOO_LONG
        elif "Too many headers" in str(exc):
            status, message = 431, TOO_MANY
        else:
            message = MALFORMED if status < 500 else "Internal Server Error"
        answer = refuse(status, message)
        answer.headers.update(self._headers)
        answer.force_close()
        return answer
