"""A real proxy and real proxy-syncs on a real bus, in front of a house that wants thousands of routes; fifty of them
lead somewhere, and each of those has a client who asks for it again and again.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import psutil

from fronts import INSTANCE
from hubbub.bus import connect
from hubbub.route_messages import Wanted
from hubbub.testing.nats import NatsServer
from hubbub_proxy_sync.testing import FakeHouse
from proxy_sync_process import ProxySync
from route_clients import HUB, Asker, Talk, until
from upstreams import Upstreams

#: How many of the routes lead somewhere, and of how many of those somebody has a WebSocket open.
REAL, SOCKETS = 50, 5


class Front(Protocol):
    """A proxy as somebody knows it who goes behind our back. `middle`: the fault point in the middle of a refill, and
    how often it is passed until then. `in_steps`: whether it is slow enough to be seen half filled.
    """

    token: str
    url: str
    middle: tuple[str, int]
    in_steps: bool

    def at(self, data: Path) -> None:
        """Once it is known where proxy-sync keeps what is to outlive it."""

    def config(self) -> str:
        """Lines of the operator's file."""

    def environ(self) -> Mapping[str, str]: ...

    async def table(self) -> dict[str, str]:
        """The targets of all routes that are tagged as ours, by routespec. Raises OSError or aiohttp.ClientError."""

    async def put(self, spec: str, target: str, data: Mapping[str, Any]) -> None:
        """Set one, tagged as ours."""

    async def remove(self, spec: str) -> None: ...

    async def wipe(self) -> None: ...

    async def put_foreign(self) -> None: ...

    async def has_foreign(self) -> bool: ...

    async def close(self) -> None: ...


class Rig:
    """`house`: what is wanted. `names`: those that lead somewhere."""

    def __init__(self, folder: Path, front: Front, nats: NatsServer, house: FakeHouse, upstreams: Upstreams) -> None:
        self.folder = folder
        self.front = front
        self.nats = nats
        self.house = house
        self.upstreams = upstreams
        self.names: list[str] = []
        self.askers: dict[str, Asker] = {}
        self.talks: dict[str, Talk] = {}
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=5)
        )
        self._talking: dict[str, asyncio.Task[None]] = {}
        self._asking: list[asyncio.Task[None]] = []

    # What there is to be reached ------------------------------------------------------------

    async def settle_in(self, size: int) -> None:
        """As many servers; those that lead somewhere are spread evenly among them."""
        self.house.wanted = {HUB: wanted_hub(await self.upstreams.open(HUB))}
        for number in range(size):
            name = f"u{number:05}"
            if number % (size // REAL) == 0 and len(self.names) < REAL:
                self.names.append(name)
                self.want(name, 1, f"http://127.0.0.1:{await self.upstreams.open(name)}")
            else:
                self.want(name, 1, f"http://10.1.{number // 250}.{number % 250}:8888")

    def want(self, name: str, attempt: int, target: str) -> None:
        data: dict[str, str | bool] = {"user": name, "server_name": ""}
        self.house.wanted[name] = Wanted(server=name, attempt=attempt, spec=f"/user/{name}/", target=target, data=data)

    async def starts(self, name: str, port: int = 0) -> int:
        """A server listens, and is ready; its port."""
        port = await self.upstreams.open(name, port)
        before = self.house.wanted.get(name)
        self.want(name, before.attempt + 1 if before else 1, f"http://127.0.0.1:{port}")
        await self.house.happens("ServerResponded", name)
        return port

    async def stops(self, name: str) -> int:
        """A server has ended; the port that others may have now."""
        del self.house.wanted[name]
        await self.house.happens("StopRequested", name)
        return await self.upstreams.close(name)

    async def restore(self) -> None:
        """Those run who should, and nobody else; what anybody has seen is forgotten."""
        for name in [name for name in self.upstreams.ports if name not in (HUB, *self.names)]:
            await self.stops(name)
        for name in self.names:
            if name in self.house.wanted and name not in self.upstreams.ports:
                del self.house.wanted[name]
            if name not in self.house.wanted:
                await self.starts(name)
        for asker in self.askers.values():
            asker.strange.clear()

    # Who asks for it ------------------------------------------------------------------------

    def ask(self) -> None:
        for name in self.names:
            self.askers[name] = Asker(name)
            self._asking.append(asyncio.create_task(self.askers[name].run(self.session, self.front.url)))

    @asynccontextmanager
    async def asked_eagerly(self, name: str) -> AsyncIterator[None]:
        """While the block runs, one more client asks for *name*, without a pause; it is checked at the end."""
        asker = Asker(name, 0)
        task = asyncio.create_task(asker.run(self.session, self.front.url))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert asker.strange == set(), f"{name} was answered by {asker.strange}"

    async def talk(self) -> None:
        """Whoever is cut off begins anew."""
        for name in self.names[:: REAL // SOCKETS]:
            if name not in self._talking or self._talking[name].done():
                self.talks[name] = Talk(name)
                self._talking[name] = asyncio.create_task(self.talks[name].run(self.session, self.front.url))
        await until(lambda: all(talk.heard for talk in self.talks.values()), 10, "WebSockets through the proxy")

    def cut_off(self) -> list[str]:
        """Whose WebSocket is open no more."""
        return [name for name, task in self._talking.items() if task.done()]

    def astray(self) -> dict[str, set[str]]:
        """Who was answered by somebody else's server, and whose."""
        return {name: asker.strange for name, asker in self.askers.items() if asker.strange}

    async def all_served(self, seconds: float = 5.0) -> None:
        """Everybody is answered, now, by their own server."""
        before = {name: asker.served for name, asker in self.askers.items()}

        def waiting() -> list[str]:
            return [name for name, served in before.items() if self.askers[name].served == served]

        def told() -> str:
            now = time.monotonic()
            found = [(name, self.askers[name]) for name in waiting()]
            return f"{[(name, asker.last, f'asks for {now - asker.since:.1f} s') for name, asker in found]} are served"

        await until(lambda: not waiting(), seconds, told)

    # Its proxy ------------------------------------------------------------------------------

    def proxy_processes(self) -> list[psutil.Process]:
        """All those that were started with the proxy's token, but no proxy-sync."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.status() == psutil.STATUS_ZOMBIE or "hubbub_proxy_sync" in " ".join(process.cmdline()):
                    continue
                if process.environ().get("CONFIGPROXY_AUTH_TOKEN") == self.front.token:
                    found.append(process)
        return found

    def kill_proxy(self) -> None:
        for process in self.proxy_processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    async def table(self) -> dict[str, str] | None:
        """None: the proxy does not answer."""
        try:
            return await self.front.table()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def returns(self, seconds: float = 20.0) -> None:
        """A proxy that was killed answers."""
        await until(self._answers, seconds, "the proxy answers again")

    async def _answers(self) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self.session.get(f"{self.front.url}/", allow_redirects=False):
                return await self.table() is not None
        return False

    def wanted(self) -> dict[str, str]:
        return {route.spec: route.target for route in self.house.wanted.values()}

    async def settles(self, seconds: float) -> float:
        """Seconds until the proxy has what is wanted, and nothing else."""
        began, pause = time.monotonic(), 0.02
        while (found := await self.table()) != (wanted := self.wanted()):
            if time.monotonic() > began + seconds:
                raise AssertionError(f"after {seconds} s: {_difference(wanted, found)}\n{self.log()}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        return time.monotonic() - began

    def log(self) -> str:
        lines = []
        for path in sorted(self.folder.rglob("*.log")):
            lines += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-12:]]
        return "\n".join(line[:400] for line in lines)

    async def close(self) -> None:
        for task in (*self._asking, *self._talking.values()):
            task.cancel()
        await asyncio.gather(*self._asking, *self._talking.values(), return_exceptions=True)
        await self.session.close()

    # Its proxy-syncs ------------------------------------------------------------------------

    def proxy_sync(self, *, faults: Mapping[str, str] | None = None) -> ProxySync:
        """One that is not started yet."""
        config = self.folder / "config.py"
        config.write_text(f"c = get_config()\n{self.front.config()}\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}
        environ = {
            **kept,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HUBBUB_INSTANCE": INSTANCE,
            "HUBBUB_CONFIG": str(config),
            "HUBBUB_DATA": str(self.folder / "data"),
            "HUBBUB_NATS_URL": self.nats.url("proxy-sync"),
            "HUBBUB_BIND_URL": self.front.url,
            "HUBBUB_HUB_BIND_URL": f"http://127.0.0.1:{self.upstreams.ports[HUB]}",
            "CONFIGPROXY_AUTH_TOKEN": self.front.token,
            **self.front.environ(),
            **(faults or {}),
        }
        return ProxySync(self.folder, environ)


def wanted_hub(port: int) -> Wanted:
    return Wanted(server=HUB, attempt=0, spec="/", target=f"http://127.0.0.1:{port}", data={"hub": True})


def _difference(wanted: Mapping[str, str], found: Mapping[str, str] | None) -> str:
    if found is None:
        return "the proxy does not answer"
    missing = sorted(wanted.keys() - found.keys())
    unwanted = sorted(found.keys() - wanted.keys())
    wrong = sorted(spec for spec in wanted.keys() & found.keys() if wanted[spec] != found[spec])
    counted = {"missing": missing, "not wanted": unwanted, "wrong": wrong}
    return ", ".join(f"{len(specs)} {what} {specs[:3]}" for what, specs in counted.items())


@asynccontextmanager
async def rig(folder: Path, front: Front, size: int) -> AsyncIterator[Rig]:
    """Everything but a proxy-sync."""
    nats = NatsServer(folder)
    nats.start()
    async with AsyncExitStack() as stack:
        stack.callback(nats.kill)
        bus = await stack.enter_async_context(connect(nats.url("api"), "api-1"))
        house = FakeHouse(bus, page=500)
        await house.answer()
        upstreams = await Upstreams.begin()
        stack.push_async_callback(upstreams.end)
        front.at(folder / "data")
        made = Rig(folder, front, nats, house, upstreams)
        stack.callback(made.kill_proxy)
        stack.push_async_callback(front.close)
        stack.push_async_callback(made.close)
        await made.settle_in(size)
        yield made
