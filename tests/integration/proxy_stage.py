"""A whole hub behind one kind of proxy, with servers and services of odd names: what the suite of proxies plays on."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil

import raw
from echo_standin import Upstream
from stack import HERE, Hub, eventually, hub

#: Whose default servers run. One is the beginning of another, and some need quoting.
PEOPLE = (
    "ada", "ad", "bob", "jürgen", "a+b", "a;b", "a&b=c", "~tilde", "at@example.org", "two words", "per%cent",
    "que?stion", "ha#sh", "it's", "co:lon", "日本",
)  # fmt: skip
#: Who have none to begin with.
GUESTS = ("carl", "cleo", "cora", "curt", "liar", "real")
PASSWORD = "password-of-everyone"
#: Named servers of the first.
NAMED = ("lab", "lab-2")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A proxy, and what is its nature (docs/proxies/differences.md).

    `config`: lines of the operator's file. `writes`: what it makes of a target that has no dots. `cleans`: it
    resolves dots before it routes, and the server sees them resolved.
    `no_server`: what it answers when a server does not; `hub_page`: whether that is the hub's page. `counts`: whether
    it knows by itself who was active. `trusts_host`: a client may say what X-Forwarded-Host is.
    """

    config: str
    writes: Callable[[str], str] = str
    cleans: bool = False
    no_server: frozenset[int] = frozenset({503})
    hub_page: bool = True
    counts: bool = False
    trusts_host: bool = False


def as_browsers_write(target: str) -> str:
    """What a browser makes of it before it sends it, and CHP afterwards."""
    path, question, query = target.partition("?")
    return path + (question + query.replace("'", "%27") if query else "")


def as_traefik_writes(target: str) -> str:
    """What Traefik makes of it: a path quotes no letters, digits or -._~, but a backslash; a query has no `;`."""
    path, question, query = target.partition("?")
    plain = re.sub(r"%([0-9a-fA-F]{2})", _unquoted_if_plain, path)
    return plain.replace("\\", "%5C") + question + query.replace(";", "&")


def _unquoted_if_plain(quoted: re.Match[str]) -> str:
    letter = chr(int(quoted[1], 16))
    return letter if re.match(r"[A-Za-z0-9._~-]", letter) else quoted[0].upper()


class Stage:
    """`places`: what each server's paths begin with, quoted, by whose it is ("ada", "ada/lab", "service", "extra").

    `hosts`: with subdomains, where it is.
    """

    def __init__(self, hub: Hub, kind: Kind) -> None:
        self.hub = hub
        self.kind = kind
        self.places: dict[str, str] = {"service": "/services/page/", "extra": "/extra/"}
        self.hosts: dict[str, str] = {}

    async def settle_in(self) -> None:
        status, body = await self.hub.api("POST", "/users", {"usernames": [*PEOPLE, *GUESTS]})
        assert status == 201, body
        owned = [(name, "") for name in PEOPLE] + [("ada", name) for name in NAMED]
        for start in range(0, len(owned), 4):
            await asyncio.gather(*(self.start(*each) for each in owned[start : start + 4]))

    async def start(self, name: str, server: str = "", **options: Any) -> str:
        """The place of the server that runs then."""
        path = f"/users/{quote(name, safe='')}/" + (f"servers/{quote(server, safe='')}" if server else "server")
        status, body = await self.hub.api("POST", path, {"user_options": options})
        assert status == 201, (name, server, status, body)
        model = await self.hub.model(quote(name, safe=""))
        whose, address = f"{name}/{server}" if server else name, urlsplit(model["servers"][server]["url"])
        self.places[whose], self.hosts[whose] = address.path, address.netloc
        return address.path

    async def stop(self, name: str) -> None:
        status, body = await self.hub.api("DELETE", f"/users/{quote(name, safe='')}/server")
        assert status in (202, 204), (status, body)
        self.places.pop(name, None)

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[str]:
        """The place of somebody's server, which runs while the block does."""
        try:
            yield await self.start(name)
        finally:
            await self.stop(name)

    async def ask(self, target: str | bytes, *headers: str, **kwargs: Any) -> raw.Answer:
        return await raw.ask(self.hub.url, target, *headers, **kwargs)

    async def seen(self, whose: str) -> dict[str, Any]:
        """What this upstream remembers."""
        found: dict[str, Any] = (await self.ask(f"{self.places[whose]}_seen")).json()
        return found

    def whose(self, answer: raw.Answer) -> str:
        """Who answered: the owner of a place, `hub`, or `nobody` (the proxy itself, which refuses it)."""
        if answer.header("X-Standin"):
            prefix = answer.json()["env"]["JUPYTERHUB_SERVICE_PREFIX"]
            return next(name for name, place in self.places.items() if place == prefix)
        if answer.header("X-JupyterHub-Version"):
            return "hub"
        assert answer.status >= 300, answer
        return "nobody"

    async def routes(self) -> dict[str, Any]:
        status, found = await self.hub.api("GET", "/proxy")
        assert status == 200, found
        return dict(found)

    async def answers_at(self, whose: str) -> bool:
        """Whether its server does, at its public address."""
        try:
            return self.whose(await self.ask(self.places[whose])) == whose
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            return False

    async def all_answer(self) -> bool:
        return all(await asyncio.gather(*(self.answers_at(whose) for whose in self.places)))

    async def until_all_answer(self, seconds: float) -> None:
        try:
            await eventually(self.all_answer, seconds, "every server reachable")
        except AssertionError as error:
            missing = [whose for whose in self.places if not await self.answers_at(whose)]
            log = (self.hub.data / "log" / "proxy-sync-1.log").read_text().splitlines()[-20:]
            raise AssertionError("\n".join([f"{error}: {missing}", *log])) from None


@asynccontextmanager
async def upstream(place: str, prefix: str = "") -> AsyncIterator[tuple[Upstream, str]]:
    """One in the test's own process, and its address. It takes everything below *prefix*, else below its *place*."""
    made = Upstream(prefix or place, {"env": {"JUPYTERHUB_SERVICE_PREFIX": place}})
    port = await made.listen("127.0.0.1", 0)
    try:
        yield made, f"http://127.0.0.1:{port}"
    finally:
        made.hide()


@asynccontextmanager
async def stage(kind: Kind, folder: Path) -> AsyncIterator[Stage]:
    """It ends the proxy, too, which outlives its hub."""
    config = folder / "config.py"
    config.write_text(f"load_subconfig({str(HERE / 'config_proxies.py')!r})\n{kind.config}\n")
    async with upstream("/services/page/", "/services/") as (_, service), upstream("/extra/") as (_, extra):
        environ = {"TEST_SERVICE": service, "TEST_EXTRA": extra}
        async with hub(folder / "data", config=config, environ=environ) as made:
            left: list[psutil.Process] = []
            try:
                yield Stage(made, kind)
            finally:
                left = made.proxies()
                await made.stop()
                for process in {*left, *made.proxies()}:
                    if process.is_running():
                        process.kill()
