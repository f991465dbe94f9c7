"""The whole hub as a user starts it, for tests: `hubbub up` as a process, and a client of its API."""

import asyncio
import json
import os
import signal
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
            everybody = aiohttp.TCPConnector(limit=0)
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
        for process in self.workloads():
            process.kill()
        for path in self.data.glob("spool/*/*/*.json"):
            left = Cgroup(json.loads(path.read_text()).get("cgroups", ()))
            await left.clear()
            left.remove()

    # Its parts --------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """The process of a part, e.g. `api-1`, `postgres`, `nats`."""
        record = json.loads((self.data / "run" / f"{name}.pid").read_text())
        return int(record["process"]["pid"])

    def services(self) -> dict[str, int]:
        """The processes of the services."""
        names = [path.stem for path in (self.data / "run").glob("*-[0-9].pid")]
        return {name: self.pid(name) for name in names}

    def kill(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)

    def proxy(self) -> psutil.Process:
        """The configurable-http-proxy that serves our address."""
        for process in psutil.process_iter():
            try:
                if "configurable-http-proxy" in " ".join(process.cmdline()) and self._is_ours(process):
                    return process
            except psutil.Error:
                continue
        raise AssertionError("no proxy runs")

    def _is_ours(self, process: psutil.Process) -> bool:
        secrets = json.loads((self.data / "secrets.json").read_text())
        return process.environ().get("CONFIGPROXY_AUTH_TOKEN", "-") in str(secrets)

    def workloads(self) -> list[psutil.Process]:
        """Every live process that runs as one of this hub's servers."""
        mine = f"{self.data}/"
        found = []
        for process in psutil.process_iter():
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

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run `hubbub ...` on this hub's folder; its status and what it printed."""
        process = await asyncio.create_subprocess_exec(
            str(HUBBUB),
            *arguments,
            "--data",
            str(self.data),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
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


async def eventually(check: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """What *check* returns once that is true. It asks again and again: for what no event tells a test."""
    ends = time.monotonic() + seconds
    while True:
        if found := await check():
            return found
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.05)


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
    made = Hub(data, [*arguments, *more], {"HUBBUB_LEASE_SECONDS": "2", **(environ or {})})
    try:
        if start:
            await made.start()
        yield made
    finally:
        await made.close()
