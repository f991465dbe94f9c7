"""Servers by the dozen, in one process, each of which says who it is.

As a program it reads orders, a JSON object a line, and answers each with one: `{"open": NAME, "port": 0}` with
`{"port": N}`, `{"close": PORT}` with `{}` when nothing listens there any more and all connections are cut.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

NAME = "X-Name"


class Upstreams:
    """The process, for a test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self.ports: dict[str, int] = {}

    @classmethod
    async def begin(cls) -> "Upstreams":
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(sys.executable, __file__, stdin=pipe, stdout=pipe))

    async def open(self, name: str, port: int = 0) -> int:
        """*port*: of another that was closed."""
        self.ports[name] = int((await self._order({"open": name, "port": port}))["port"])
        return self.ports[name]

    async def close(self, name: str) -> int:
        """The port that is free now."""
        port = self.ports.pop(name)
        await self._order({"close": port})
        return port

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _order(self, order: dict[str, str | int]) -> dict[str, int]:
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._turn, asyncio.timeout(20):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            answer: dict[str, int] = json.loads(await self._process.stdout.readline())
            return answer


def _named(name: str) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Answers everything with its name, WebSockets with it before each message; `hub` as for somebody unknown."""

    async def attend(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(text=name, headers={NAME: name}, status=404 if name == "hub" else 200)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(f"{name}:{message.data}")
        return socket

    return attend


async def main() -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    runners: dict[int, web.ServerRunner] = {}
    while line := await orders.readline():
        order = json.loads(line)
        if "close" in order:
            await runners.pop(order["close"]).cleanup()
            await asyncio.sleep(0)
            # Whoever came in just then is held open, and never read, by an exception of asyncio's that nobody sees.
            gc.collect()
            answer = {}
        else:
            runner = web.ServerRunner(web.Server(_named(order["open"])), shutdown_timeout=0.01)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", order["port"], backlog=512)
            await site.start()
            port = runner.addresses[0][1]
            runners[port] = runner
            answer = {"port": port}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
