"""A server that says what reached it, to the letter: what proxies are tested with.

It answers with its environment, as standin.py does, and with the request as it came. The last part of the path may
ask for something else: see `_ASKED`. `Upstream` is the same in a test's own process. By hand, and in one file,
since a framework would tidy up what is to be seen, and take longer to start.
"""

import asyncio
import gzip
import hashlib
import json
import os
import posixpath
import signal
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

PIECE = 65536
#: Of which kernels know the first.
SUBPROTOCOLS = ("v1.kernel.websocket.jupyter.org", "plain")
#: What `_gzip` answers, whoever asks.
ZIPPED = gzip.compress(b"as it came" * 500, mtime=0)


class Request:
    """`target` and `headers` as they came. `body`: its pieces, as they come."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = head
        self.reader = reader
        self.writer = writer
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]
        path, _, query = self.target.partition("?")
        self.asked = path.rpartition("/")[2]
        self.query = {key: values[-1] for key, values in parse_qs(query).items()}

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    async def body(self) -> AsyncIterator[bytes]:
        if self.header("expect").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.header("transfer-encoding").lower() == "chunked":
            while size := int(await self.reader.readline(), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readuntil(b"\r\n")
            return
        left = int(self.header("content-length") or 0)
        while left:
            piece = await self.reader.read(min(left, PIECE))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece


class Upstream:
    """*prefix*: all that it should ever be asked for, quoted. *said*: what it says of itself."""

    def __init__(self, prefix: str, said: dict[str, Any]) -> None:
        self._prefix = unquote_to_bytes(prefix)
        self._said = said
        #: By the `id` of the request: bytes of an upload so far; and who went away before the end.
        self.seen: dict[str, Any] = {"uploads": {}, "left": [], "strays": []}
        self._server: asyncio.Server | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    async def listen(self, host: str, port: int) -> int:
        """The port that it got."""
        self._server = await asyncio.start_server(self._meet, host, port, limit=2**20)
        return int(self._server.sockets[0].getsockname()[1])

    def hide(self) -> None:
        """Be there no more, for anybody but the one who asked for it."""
        if self._server is not None:
            self._server.close()
        for task in self._under_way - {asyncio.current_task()}:
            task.cancel()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            while True:
                request = Request(await reader.readuntil(b"\r\n\r\n"), reader, writer)
                self._look_out_for_strays(request.target)
                await _ASKED.get(request.asked, Upstream._echo)(self, request)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            self._under_way.discard(task)
            writer.close()

    def _look_out_for_strays(self, target: str) -> None:
        """What is not ours, neither as it stands nor after its dots are resolved."""
        path = unquote_to_bytes(urlsplit(target).path if target.startswith("http") else target.partition("?")[0]) + b"/"
        if not path.startswith(self._prefix) and not (posixpath.normpath(path) + b"/").startswith(self._prefix):
            self.seen["strays"].append(target)

    # What can be asked for ------------------------------------------------------------------

    async def _echo(self, request: Request) -> None:
        digest, size = await self._swallow(request)
        said = {"method": request.method, "target": request.target, "headers": request.headers}
        _answer(request, {**self._said, **said, "sha256": digest, "bytes": size})

    async def _tell(self, request: Request) -> None:
        await self._swallow(request)
        _answer(request, self.seen)

    async def _zip(self, request: Request) -> None:
        _send(request, ZIPPED, "Content-Type: text/plain", "Content-Encoding: gzip")

    async def _set_cookies(self, request: Request) -> None:
        _send(request, b"", "Set-Cookie: one=1; Path=/", 'Set-Cookie: two="a b, c"; Path=/; HttpOnly')

    async def _hide(self, request: Request) -> None:
        self.hide()
        _send(request, b"", "Connection: close")
        raise asyncio.IncompleteReadError(b"", None)

    async def _hang_up(self, request: Request) -> None:
        raise asyncio.IncompleteReadError(b"", None)

    async def _report(self, request: Request) -> None:
        """Tell the hub that somebody is busy here, as single-user servers do now and then."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        env = self._said["env"]
        body = {"servers": {env["JUPYTERHUB_SERVER_NAME"]: {"last_activity": now}}, "last_activity": now}
        headers = {"Authorization": f"token {env['JUPYTERHUB_API_TOKEN']}", "Content-Type": "application/json"}
        post = urllib.request.Request(env["JUPYTERHUB_ACTIVITY_URL"], json.dumps(body).encode(), headers)
        answer = await asyncio.to_thread(urllib.request.urlopen, post, timeout=10)
        _answer(request, {"status": answer.status})

    async def _download(self, request: Request) -> None:
        """`bytes` of it, each piece another; its hash is at its end, in the trailer of a chunked answer."""
        left, digest = int(request.query["bytes"]), hashlib.sha256()
        _begin(request, "Transfer-Encoding: chunked", "Content-Type: application/octet-stream")
        while left:
            piece = (left.to_bytes(8) * (PIECE // 8))[: min(left, PIECE)]
            digest.update(piece)
            left -= len(piece)
            await _chunk(request, piece)
        await _chunk(request, digest.hexdigest().encode())
        await _chunk(request, b"")

    async def _think(self, request: Request) -> None:
        """Events, and not a byte of the answer before they come."""
        await asyncio.sleep(float(request.query["still"]))
        await self._events(request)

    async def _events(self, request: Request) -> None:
        """`number` of events, one every `pause` seconds after the first `still` ones, with the time of each."""
        _begin(request, "Transfer-Encoding: chunked", "Content-Type: text/event-stream", "Cache-Control: no-cache")
        await _chunk(request, b": open\n\n")
        if request.asked != "_think":
            await asyncio.sleep(float(request.query.get("still", 0)))
        for _ in range(int(request.query["number"])):
            await _chunk(request, f"data: {time.time()}\n\n".encode())
            await asyncio.sleep(float(request.query.get("pause", 0.05)))
        await _chunk(request, b"")

    async def _endless(self, request: Request) -> None:
        """Until the client goes away."""
        _begin(request, "Transfer-Encoding: chunked")
        gone = asyncio.create_task(request.reader.read(1))
        try:
            while not gone.done():
                await _chunk(request, b"more")
                await asyncio.wait({gone}, timeout=0.1)
        finally:
            gone.cancel()
            self.seen["left"].append(request.query["id"])

    async def _web_socket(self, request: Request) -> None:
        """Sends back all that comes; closes at the text `close <code> <reason>`."""
        from websockets.frames import Opcode
        from websockets.protocol import OPEN
        from websockets.server import ServerProtocol

        def chosen(_: ServerProtocol, offered: list[Any]) -> Any:
            return next((name for name in offered if name in SUBPROTOCOLS), None)

        protocol = ServerProtocol(select_subprotocol=chosen, max_size=None)
        protocol.receive_data(request.head)
        [greeting] = protocol.events_received()
        protocol.send_response(protocol.accept(greeting))  # type: ignore[arg-type]
        echo = {
            Opcode.TEXT: protocol.send_text,
            Opcode.BINARY: protocol.send_binary,
            Opcode.CONT: protocol.send_continuation,
        }
        while True:
            for piece in protocol.data_to_send():
                request.writer.write(piece) if piece else request.writer.write_eof()
            await request.writer.drain()
            received = await request.reader.read(PIECE)
            if not received:
                raise asyncio.IncompleteReadError(b"", None)
            protocol.receive_data(received)
            for frame in protocol.events_received():
                if frame.opcode is Opcode.TEXT and frame.data.startswith(b"close "):
                    _, code, reason = frame.data.decode().split(" ", 2)
                    protocol.send_close(int(code), reason)
                elif frame.opcode in echo and protocol.state is OPEN:
                    echo[frame.opcode](frame.data, frame.fin)

    async def _swallow(self, request: Request) -> tuple[str, int]:
        """The hash of its body, and how long it was."""
        digest, size, name = hashlib.sha256(), 0, request.query.get("id", "")
        async for piece in request.body():
            digest.update(piece)
            size += len(piece)
            self.seen["uploads"][name] = size
        return digest.hexdigest(), size


_ASKED: dict[str, Callable[[Upstream, Request], Awaitable[None]]] = {
    "_seen": Upstream._tell,
    "_gzip": Upstream._zip,
    "_cookies": Upstream._set_cookies,
    "_hide": Upstream._hide,
    "_hang_up": Upstream._hang_up,
    "_report": Upstream._report,
    "_download": Upstream._download,
    "_events": Upstream._events,
    "_think": Upstream._think,
    "_endless": Upstream._endless,
    "_ws": Upstream._web_socket,
}


def _begin(request: Request, *headers: str) -> None:
    lines = ("HTTP/1.1 200 OK", "X-Standin: 1", *headers)
    request.writer.write("\r\n".join((*lines, "", "")).encode())


def _send(request: Request, body: bytes, *headers: str) -> None:
    _begin(request, f"Content-Length: {len(body)}", *headers)
    if request.method != "HEAD":
        request.writer.write(body)


def _answer(request: Request, said: dict[str, Any]) -> None:
    _send(request, json.dumps(said).encode(), "Content-Type: application/json")


async def _chunk(request: Request, piece: bytes) -> None:
    request.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    await request.writer.drain()


async def _serve() -> None:
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    shown = {key: value for key, value in os.environ.items() if "JUPYTERHUB" in key or "STANDIN" in key}
    said = {"pid": os.getpid(), "cwd": os.getcwd(), "args": sys.argv[1:], "env": shown}
    upstream = Upstream(os.environ["JUPYTERHUB_SERVICE_PREFIX"], said)
    await asyncio.sleep(float(os.environ.get("STANDIN_DELAY") or 0))
    if os.environ.get("STANDIN_FAIL"):
        sys.exit(int(os.environ["STANDIN_FAIL"]))
    await upstream.listen(url.hostname or "127.0.0.1", url.port or 0)
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
