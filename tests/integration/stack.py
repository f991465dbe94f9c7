"""The whole hub as a user starts it, for tests: `hubbub up` as a process, and a client of its API."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from hubbub_spawner_worker.cgroups import Cgroup

HERE = Path(__file__).parent
HUBBUB = Path(sys.executable).parent / "hubbub"
TOKEN = "token-of-the-test-service"
#: Whether hubs are to be started in containers (`make test-compose`).
CONTAINERS = os.environ.get("HUBBUB_TESTS_IN") == "containers"
#: The programs that proxies are.
PROXIES = frozenset({"configurable-http-proxy", "haproxy", "traefik"})
MANY = "api=2,auth=2,spawner-worker=3,poller=2"


class Hub:
    """A running `hubbub up`. `data` is its folder; `environ` what it was started with on top of ours."""

    def __init__(self, data: Path, arguments: Iterable[str], environ: dict[str, str]) -> None:
        self.data = data
        self.arguments = list(arguments)
        self.environ = environ
        self.url = ""
        self.lines: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    # Its life ---------------------------------------------------------------------------

    async def start(self, seconds: float = 60) -> None:
        self._ready.clear()
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **self.environ}
        self._process = await asyncio.create_subprocess_exec(
            str(HUBBUB),
            "up",
            "--data",
            str(self.data),
            *self.arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())
        ready = asyncio.create_task(self._ready.wait())
        gone = asyncio.create_task(self._process.wait())
        await asyncio.wait({ready, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (ready, gone):
            task.cancel()
        if not self._ready.is_set():
            raise AssertionError("the hub did not start:\n" + "\n".join(self.lines) + "\n" + self.logs())
        if self._session is None:
            everybody = aiohttp.TCPConnector(limit=0, keepalive_timeout=3)  # the proxy closes idle ones after 5 s
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=everybody)

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip()
            self.lines.append(text)
            if "Hubbub is ready at " in text:
                self.url = text.partition("Hubbub is ready at ")[2].strip()
            if text.startswith("logs are in"):  # the last line of the welcome
                self._ready.set()

    async def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 60) -> int:
        """End `hubbub up` alone, as Ctrl-C does; its exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), seconds)

    async def ended(self, seconds: float) -> int:
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), seconds)

    def pid_of_up(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(self._process.wait(), 60)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reading is not None:
            await self._reading
        for process in self._of_servers():
            process.kill()
        for path in self.data.glob("spool/*/*/*.json"):
            left = Cgroup(json.loads(path.read_text()).get("cgroups", ()))
            await left.clear()
            left.remove()

    # Its parts --------------------------------------------------------------------------

    @property
    def store(self) -> Path:
        """The folder of its secrets."""
        return self.data

    def pid(self, name: str) -> int:
        """The process of a part, e.g. `api-1`, `postgres`, `nats`."""
        record = json.loads((self.data / "run" / f"{name}.pid").read_text())
        return int(record["process"]["pid"])

    def services(self) -> dict[str, int]:
        """The processes of the services."""
        names = [path.stem for path in (self.data / "run").glob("*-[0-9].pid")]
        return {name: self.pid(name) for name in names}

    def copies(self, service: str) -> int:
        """How many of a service it was told to run."""
        scale = self.arguments[self.arguments.index("--scale") + 1] if "--scale" in self.arguments else ""
        said = dict(part.split("=") for part in scale.split(",") if part)
        return int(said.get(service, 1))

    def addresses(self) -> list[str]:
        """Where people come in, of each proxy, by the ports that were kept for it."""
        ports = json.loads((self.data / "ports.json").read_text())
        others = [ports[f"public-{number}"] for number in range(2, self.copies("proxy-sync") + 1)]
        return [self.url, *(self.url.replace(f":{ports['public']}/", f":{port}/") for port in others)]

    def kill(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)

    def put_down(self, name: str) -> None:
        """Killed, and not started again before `pick_up`."""
        psutil.Process(self.pid_of_up()).suspend()
        self.kill(name)

    def pick_up(self) -> None:
        psutil.Process(self.pid_of_up()).resume()

    def proxy(self) -> psutil.Process:
        """That of the proxy that serves our address: the first that was started."""
        if found := self.proxies():
            return found[0]
        raise AssertionError("no proxy runs")

    def proxies(self) -> list[psutil.Process]:
        """All processes of our proxies, of whatever make, parents first."""
        found = []
        for process in psutil.process_iter():
            try:
                programs = {Path(word).name for word in process.cmdline()}
                if not PROXIES.isdisjoint(programs) and self._is_ours(process):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return sorted(found, key=lambda process: (process.create_time(), process.pid))

    def proxy_apis(self) -> list[tuple[str, str]]:
        """Address and token of each configurable-http-proxy, none if others are used."""
        if not any("configurable-http-proxy" in " ".join(process.cmdline()) for process in self.proxies()):
            return []
        token = json.loads((self.data / "secrets.json").read_text())["proxy_token"]
        ports = json.loads((self.data / "ports.json").read_text())
        names = ["proxy", *(f"proxy-{number}" for number in range(2, self.copies("proxy-sync") + 1))]
        return [(f"http://127.0.0.1:{ports[name]}", token) for name in names]

    def _is_ours(self, process: psutil.Process) -> bool:
        secrets = json.loads((self.data / "secrets.json").read_text())
        return bool(process.environ().get("CONFIGPROXY_AUTH_TOKEN") == secrets["proxy_token"])

    def everybody(self) -> list[psutil.Process]:
        """All processes that it has started."""
        up = psutil.Process(self.pid_of_up())
        return [up, *up.children(recursive=True), self.proxy(), *self._of_servers()]

    def workloads(self) -> list[psutil.Process]:
        """The process of every server that lives; those it starts itself, such as kernels, are not counted."""
        found = self._of_servers()
        pids = {process.pid for process in found}
        return [process for process in found if process.info["ppid"] not in pids]

    def _of_servers(self) -> list[psutil.Process]:
        mine = f"{self.data}/"
        found = []
        for process in psutil.process_iter(["ppid"]):
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                environ = process.environ()
                if "JUPYTERHUB_SERVICE_PREFIX" in environ and environ.get("HOME", "").startswith(mine):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def logs(self) -> str:
        texts = []
        for path in sorted((self.data / "log").glob("*.log")):
            texts.append(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:]))
        return "\n".join(texts)

    def running(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "run" / "stack.json").read_text())
        return found

    async def command(self, *arguments: str, seconds: float = 60) -> tuple[int, str]:
        """Run `hubbub ...` on this hub's folder; its status and what it printed."""
        release = {name: self.environ[name] for name in ("PYTHONPATH", "RELEASES_OF") if name in self.environ}
        process = await asyncio.create_subprocess_exec(
            str(HUBBUB),
            *arguments,
            "--data",
            str(self.data),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **release},
        )
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
        return process.returncode or 0, output.decode()

    # Its API ----------------------------------------------------------------------------

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    async def api(self, method: str, path: str, body: Any = None, token: str = TOKEN, **kwargs: Any) -> tuple[int, Any]:
        """Status and decoded body (None if it is empty)."""
        headers = {"Authorization": f"token {token}", **kwargs.pop("headers", {})}
        async with self.session.request(
            method, f"{self.url}hub/api{path}", json=body, headers=headers, timeout=aiohttp.ClientTimeout(90), **kwargs
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json" and text
            return response.status, json.loads(text) if is_json else (text or None)

    async def user(self, name: str) -> None:
        status, body = await self.api("POST", f"/users/{name}")
        assert status in (201, 409), (status, body)

    async def model(self, name: str) -> dict[str, Any]:
        status, body = await self.api("GET", f"/users/{name}?include_stopped_servers=1")
        assert status == 200, (status, body)
        found: dict[str, Any] = body
        return found

    async def is_ready(self, name: str, server: str = "") -> bool:
        """Whether the API says so; False, too, while it cannot be asked."""
        try:
            model = await self.model(name)
        except (aiohttp.ClientError, AssertionError, TimeoutError):
            return False
        return bool(model["servers"].get(server, {}).get("ready"))

    async def ready(self, name: str, server: str = "") -> dict[str, Any]:
        """The last event of its start, which is waited for."""
        place = f"servers/{server}" if server else "server"
        url, headers = f"{self.url}hub/api/users/{name}/{place}/progress", {"Authorization": f"token {TOKEN}"}
        async with self.session.get(url, headers=headers) as response:
            events = [json.loads(line[6:]) async for line in response.content if line.startswith(b"data: ")]
        assert events[-1].get("ready"), events
        found: dict[str, Any] = events[-1]
        return found

    async def standin(self, name: str, server: str = "") -> dict[str, Any] | None:
        """What answers at the server's public address, if it is a stand-in."""
        place = f"{self.url}user/{name}/" + (f"{server}/" if server else "")
        try:
            async with self.session.get(place, timeout=aiohttp.ClientTimeout(10), allow_redirects=False) as response:
                if response.status == 200 and "X-Standin" in response.headers:
                    found: dict[str, Any] = await response.json()
                    return found
        except (aiohttp.ClientError, TimeoutError):
            return None
        return None


def here() -> str:
    """The address of this machine at which the hub finds what listens in a test."""
    if not CONTAINERS:
        return "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


def started(program: str) -> list[str]:
    """The words by which the hub starts one of the programs beside this file."""
    return ["/opt/hubbub/bin/python", f"/etc/hubbub/{program}"] if CONTAINERS else [sys.executable, str(HERE / program)]


async def eventually(check: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """What *check* returns once that is true. It asks again and again: for what no event tells a test."""
    ends = time.monotonic() + seconds
    while True:
        if found := await check():
            return found
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.05)


def _in_containers(data: Path, config: Path | None, scale: str, environ: dict[str, str]) -> Hub:
    sys.path += [str(HERE.parent / "compose"), str(HERE.parent / "system")]
    from compose_hub import made

    found: Hub = made(data, config, scale, environ)
    return found


@asynccontextmanager
async def hub(
    data: Path,
    *,
    config: Path | None = HERE / "config_standin.py",
    scale: str = "",
    environ: dict[str, str] | None = None,
    start: bool = True,
    more: Iterable[str] = (),
) -> AsyncIterator[Hub]:
    arguments = ["--port", "0"]
    if config:
        arguments += ["--config", str(config)]
    if scale:
        arguments += ["--scale", scale]
    if CONTAINERS:
        made = _in_containers(data, config, scale, environ or {})
    else:
        made = Hub(data, [*arguments, *more], {"HUBBUB_LEASE_SECONDS": "2", **(environ or {})})
    try:
        if start:
            await made.start()
        yield made
    finally:
        await made.close()
