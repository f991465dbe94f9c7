"""Real Traefiks with the file provider of jupyterhub-traefik-proxy, unmodified, driven as proxy-sync drives them."""

import asyncio
import json
import os
import select
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from traitlets.config import Config

import raw
from hubbub.config import Options
from hubbub.free_port import free_port
from hubbub_proxy_sync.classic import ClassicProxy, host
from hubbub_proxy_sync.proxies.process import Record
from hubbub_proxy_sync.proxies.proxy import ProxyRoute
from hubbub_proxy_sync.proxies.site import Hub, Site
from route_clients import is_still, until
from upstreams import NAME, Upstreams

TOKEN = "token-of-the-proxy"


class Yard:
    """Where the Traefik of one test is, and what it leads to. `hub` answers whatever leads nowhere else."""

    def __init__(self, folder: Path, upstreams: Upstreams) -> None:
        self.folder = folder
        self.upstreams = upstreams
        self.port = free_port()
        self.drivers: list[ClassicProxy] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def file(self) -> Path:
        """Traefik's table."""
        return self.folder / "proxy" / "one-routes.yaml"

    def table(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found

    def write(self, table: Mapping[str, Any]) -> None:
        """As somebody does it who goes behind our back."""
        self.file.write_text(json.dumps(table))

    def driver(
        self,
        *,
        site: Mapping[str, Any] | None = None,
        config: Config | None = None,
        kind: type[Any] = TraefikFileProviderProxy,
    ) -> ClassicProxy:
        usual = {
            "name": "one",
            "bind_url": f"{self.url}/",
            "folder": self.folder,
            "token": TOKEN,
            "hub": Hub(url=f"http://127.0.0.1:{self.upstreams.ports['hub']}/hub/"),
        }
        made = host(kind, Options(config or Config()), Site(**usual | dict(site or {})))
        assert isinstance(made, ClassicProxy)
        self.drivers.append(made)
        return made

    async def started(self, **said: Any) -> ClassicProxy:
        """One, with the route of the hub."""
        made = self.driver(**said)
        async with asyncio.timeout(30):
            await made.start()
        await self.set(made, "/", "hub")
        return made

    async def set(self, driver: ClassicProxy, spec: str, name: str) -> None:
        """A route to the server of that name, which begins to listen if it does not yet."""
        assert await driver.change_routes([await self.route(spec, name)], []) == {}

    async def route(self, spec: str, name: str, attempt: int = 1) -> ProxyRoute:
        port = self.upstreams.ports.get(name) or await self.upstreams.open(name)
        data = {"user": name, "server_name": "", "server_id": f"id-{name}", "attempt": attempt}
        return ProxyRoute(routespec=spec, target=f"http://127.0.0.1:{port}", data=data)

    async def who(self, path: str, *headers: str, host: str = "hub.test") -> str:
        """Who answers there, asked for to the letter; "" if that is Traefik itself."""
        return (await raw.ask(self.url, path, *headers, host=host)).header(NAME)

    async def whose(self, paths: Sequence[str]) -> list[str]:
        return [await self.who(path) for path in paths]

    def pid(self) -> int:
        record = Record.read(self.folder / "proxy" / "classic-one.json")
        assert record
        return record.pid

    async def hang(self) -> None:
        os.kill(self.pid(), signal.SIGSTOP)
        await until(lambda: is_still(self.pid()), 10, "Traefik is stopped")

    def kill(self) -> None:
        """Returns when it is gone."""
        fd = os.pidfd_open(self.pid())
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        select.select([fd], [], [], 10)
        os.close(fd)

    async def close(self) -> None:
        for driver in self.drivers:
            await driver.close()
        if (self.folder / "proxy" / "classic-one.json").exists():
            with suppress(ProcessLookupError):
                self.kill()


@asynccontextmanager
async def talk(yard: Yard, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{yard.url}{path}") as connected:
        yield connected


async def echo(connected: aiohttp.ClientWebSocketResponse, text: str) -> str:
    await connected.send_str(text)
    return await connected.receive_str(timeout=5)
