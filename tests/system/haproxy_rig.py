"""Real HAProxies, what they lead to, and clients that send what they are told to the letter."""

import asyncio
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from traitlets.config import Config

from hubbub.free_port import free_port
from hubbub_proxy_sync.proxies.haproxy import HAProxy, machine
from hubbub_proxy_sync.proxies.process import Record
from hubbub_proxy_sync.proxies.site import Hub, Site

TOKEN = "token-of-the-proxy"


class Yard:
    """Where HAProxies of one test are. What they have started is ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.drivers: list[HAProxy] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def driver(self, *, site: Mapping[str, Any] | None = None, **options: Any) -> HAProxy:
        usual = {
            "name": "one",
            "bind_url": f"{self.url}/",
            "folder": self.folder,
            "token": TOKEN,
            "hub": Hub(url=f"http://127.0.0.1:{free_port()}/hub/"),
        }
        self.drivers.append(HAProxy(config=Config({"HAProxy": options}), site=Site(**usual | dict(site or {}))))
        return self.drivers[-1]

    def master(self) -> int:
        """The pid of the process that is ours to start."""
        record = Record.read(self.folder / "run" / "proxy-one.json")
        assert record
        return record.pid

    def workers(self) -> list[int]:
        text = Path(f"/proc/{self.master()}/task/{self.master()}/children").read_text()
        return [int(pid) for pid in text.split()]

    async def close(self) -> None:
        for driver in self.drivers:
            await driver.close()
        for path in self.folder.glob("run/proxy-*.json"):
            if record := Record.read(path):
                for pid in (record.pid, -record.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                machine.end_session(record.pid)


@dataclass(frozen=True)
class Heard:
    """What an upstream says of a request: whose it is, and what has arrived."""

    status: int
    name: str = ""
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


@asynccontextmanager
async def upstream(name: str, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Its URL. It says who it is and what it was asked; `.../ws` echoes, `.../slow` sends a line each 20 ms."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _echo(request)
        if request.path.endswith("/slow"):
            return await _slow(request)
        peer = request.get_extra_info("peercert") or {}
        text = {"name": name, "path": request.raw_path, "headers": [*request.headers.items()], "peer": str(peer)}
        return web.json_response(text | {"size": len(await request.read())})

    runner = web.ServerRunner(web.Server(answer, max_line_size=65536, max_field_size=65536))
    await runner.setup()
    await web.TCPSite(runner, host, 0, ssl_context=tls).start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()


async def _echo(request: web.BaseRequest) -> web.WebSocketResponse:
    channel = web.WebSocketResponse()
    await channel.prepare(request)
    async for message in channel:
        if message.type is WSMsgType.TEXT:
            await channel.send_str(message.data)
    return channel


async def _slow(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(150):
        await response.write(f"{number}\n".encode())
        await asyncio.sleep(0.02)
    return response


async def ask(
    port: int, target: str | bytes, *, host: str = "127.0.0.1", method: str = "GET", headers: tuple[str, ...] = ()
) -> Heard:
    """What an upstream heard of exactly this request target."""
    line = target if isinstance(target, bytes) else target.encode()
    more = "".join(f"{header}\r\n" for header in headers)
    sent = b"%s %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n" % (
        method.encode(),
        line,
        host.encode(),
        more.encode(),
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            writer.write(sent)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    status = int(head.split(b" ", 2)[1]) if head else 0
    if b"chunked" in head.lower() and body:
        body = body.split(b"\r\n", 2)[1]
    with suppress(ValueError, KeyError, TypeError):
        found = json.loads(body)
        return Heard(status, found["name"], found["path"], tuple((name, value) for name, value in found["headers"]))
    return Heard(status)


async def eventually(is_true: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not is_true():
            await asyncio.sleep(0.01)


def watched(proxy: HAProxy, stack: AsyncExitStack) -> asyncio.Event:
    """Set whenever it has returned."""
    returned = asyncio.Event()
    task = asyncio.create_task(proxy.watch(returned.set))

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
    return returned


async def in_time(event: asyncio.Event, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()
