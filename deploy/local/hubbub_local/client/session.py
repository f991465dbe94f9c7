"""A hub's REST API, as a command asks it: where it is, with which token, and what goes wrong in a sentence."""

import json
import os
import re
import ssl
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from hubbub.domain.message import Rejected
from hubbub_local import running
from hubbub_local.errors import StackError

URLS = ("HUBBUB_URL", "JUPYTERHUB_API_URL")
TOKENS = ("HUBBUB_TOKEN", "JUPYTERHUB_API_TOKEN")
#: Seconds until an answer is given up, but for those that come while things happen.
PATIENCE = 60.0

#: What a 404 says that has nothing to say.
_VAGUE = frozenset({"", "Not Found", "No access to resources or resources not found"})
_MISSING = re.compile(r"requires any of \[(.*)\]")


class Refused(StackError):
    """The hub says no. `status`: of its answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Hub:
    """Made by `connected`. Paths are relative to the API's address, quoted (see `path`)."""

    def __init__(self, session: aiohttp.ClientSession, api: str, public: str) -> None:
        self._session = session
        self._api = api
        #: Where people find the hub: its base address.
        self.public = public

    async def get(self, place: str, **query: Any) -> Any:
        return await self.ask("GET", place, query=query)

    async def ask(self, method: str, place: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """The decoded answer, null if it has no body. Raises `Refused`, or StackError if the hub cannot be reached."""
        return (await self.answer(method, place, body, query))[1]

    async def answer(
        self, method: str, place: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Its status too."""
        async with self._asked(method, place, json=body, params=_given(query)) as response:
            text = await response.text()
            return response.status, json.loads(text) if text and response.content_type.endswith("json") else None

    async def page(self, place: str, **query: Any) -> tuple[Any, int]:
        """A page of a list, and how much of it there is."""
        headers = {"Accept": "application/jupyterhub-pagination+json"}
        async with self._asked("GET", place, params=_given(query), headers=headers) as response:
            found = await response.json(content_type=None)
            return found["items"], int(found["_pagination"]["total"])

    async def every(self, place: str, most: int | None = None, **query: Any) -> AsyncIterator[Any]:
        """What is on all pages of a list, *most* at most; of an object its pairs."""
        seen = 0
        while most is None or seen < most:
            limit = {} if most is None else {"limit": most - seen}
            items, total = await self.page(place, offset=seen, **limit, **query)
            for each in items.items() if isinstance(items, dict) else items:
                yield each
            seen += len(items)
            if not items or seen >= total:
                return

    @asynccontextmanager
    async def stream(
        self, place: str, headers: dict[str, str] | None = None, quiet: float | None = None, **query: Any
    ) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
        """Frames of an event stream: id and data. *quiet*: seconds without a byte after which it counts as broken."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=quiet)
        wanted = {"Accept": "text/event-stream", **(headers or {})}
        async with self._asked("GET", place, params=_given(query), headers=wanted, timeout=timeout) as response:
            yield _frames(response)

    @asynccontextmanager
    async def _asked(self, method: str, place: str, **more: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, f"{self._api}{place}", allow_redirects=False, **more) as response:
                if response.status >= 300:
                    raise Refused(await _why(response), response.status)
                yield response
        except aiohttp.ClientError as error:
            raise StackError(f"cannot reach the hub at {self._api}: {str(error) or type(error).__name__}") from None
        except TimeoutError:
            raise StackError(f"the hub at {self._api} does not answer") from None


def path(*names: str) -> str:
    """Each is one segment: `/users/ada/servers/lab`."""
    return "".join(f"/{quote(name, safe='')}" for name in names)


def server_path(user: str, server: str) -> str:
    return path("users", user, "servers", server) if server else path("users", user, "server")


def parsed(text: str) -> tuple[str, str]:
    """`USER[/SERVER]`: the names of both, the latter empty for the default server."""
    user, _, server = text.partition("/")
    if not user or "/" in server:
        raise StackError(f"{text!r} is no server: it is USER, or USER/SERVER")
    return user, server


@asynccontextmanager
async def connected(asked: Namespace) -> AsyncIterator[Hub]:
    """The hub that the arguments and the environment name; if they name none, that of the data folder."""
    async with AsyncExitStack() as stack:
        url = asked.url or ("" if asked.data else _first(URLS))
        if url:
            api, token = api_of(url), _first(TOKENS)
            public = api.removesuffix("hub/api")
            if not token:
                raise StackError(f"there is no token: put one into the environment, as {TOKENS[0]}")
        else:
            hub = running.of(asked.data or Path(".hubbub"))
            public = hub.public_url
            # A hub with TLS of its own takes nobody's word but its proxy's.
            api = api_of(public if hub.hub_url.startswith("https:") else hub.hub_url)
            token = os.environ.get(TOKENS[0], "") or await stack.enter_async_context(_lent(hub, asked.act_as))
        timeout = aiohttp.ClientTimeout(total=PATIENCE, sock_connect=10)
        session = aiohttp.ClientSession(
            headers={"Authorization": f"token {token}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            connector=aiohttp.TCPConnector(ssl=_trusted()),
        )
        yield Hub(await stack.enter_async_context(session), api, public)


def _trusted() -> ssl.SSLContext:
    """Certificates: those that the machine trusts, and those of `SSL_CERT_FILE`."""
    return ssl.create_default_context()


@asynccontextmanager
async def _lent(hub: running.Running, name: str) -> AsyncIterator[str]:
    from hubbub import admin

    try:
        async with admin.lent_token(hub.api_dsn, hub.vault_key, name, sorted(hub.admin_users)) as token:
            yield token
    except (Rejected, ValueError) as error:
        raise StackError(str(error)) from None


def api_of(url: str) -> str:
    """*url*: of the hub, or of its API. Raises StackError if it is none."""
    if not re.match(r"https?://[^/]+", url):
        raise StackError(f"{url!r} is no address of a hub, like https://hub.example.org/")
    base = url.rstrip("/")
    for known, rest in (("/hub/api", ""), ("/hub", "/api"), ("", "/hub/api")):
        if base.endswith(known):
            return base + rest
    raise AssertionError(url)


def _first(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _given(query: dict[str, Any] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (query or {}).items() if value is not None and value != ""}


async def _why(response: aiohttp.ClientResponse) -> str:
    """A sentence; of one who may not, which scope is missing."""
    try:
        message = str((await response.json(content_type=None))["message"] or "")
    except (ValueError, TypeError, KeyError, aiohttp.ClientError):
        message = ""
    if response.status == 403 and (found := _MISSING.search(message)):
        scopes = " or ".join(found[1].split(", "))
        return f"not allowed: this token lacks the scope {scopes}"
    if response.status == 403 and (not message or "credentials" in message):
        return "the hub does not know this token: it has ended, or is of another hub"
    if response.status == 404:
        return "there is no such thing, or it is not yours to see" if message in _VAGUE else message
    return message or f"the hub answers {response.status}"


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str]]:
    """As they come. A frame with an id alone has no data."""
    id, data = "", []
    async for raw in response.content:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if line.startswith("id:"):
            id = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and (id or data):
            yield id, "\n".join(data)
            id, data = "", []
