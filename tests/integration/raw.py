"""HTTP/1.1 as bytes, for what clients would tidy up before they send it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

#: Seconds that an answer may take.
PATIENCE = 20


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """One connection. Answers come in the order of the requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self, *, of_head: bool = False) -> Answer:
        """The next one; *of_head*: to a HEAD request, which has no body. Interim ones are answers, too."""
        async with asyncio.timeout(PATIENCE):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            headers = tuple(
                (key, value.strip()) for key, _, value in (line.partition(":") for line in lines[1:] if line)
            )
            bodiless = of_head or status < 200 or status in (204, 304)
            return Answer(status, headers, b"" if bodiless else await self._body(dict(headers)))

    async def _body(self, headers: dict[str, str]) -> bytes:
        found = {key.lower(): value for key, value in headers.items()}
        if found.get("transfer-encoding", "").lower() == "chunked":
            return b"".join([piece async for piece in self.chunks()])
        if "content-length" in found:
            return await self.reader.readexactly(int(found["content-length"]))
        return await self.reader.read()

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self.reader.readline()).split(b";")[0], 16):
            yield await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readuntil(b"\r\n")


@asynccontextmanager
async def line(url: str) -> AsyncIterator[Line]:
    """To the host of the *url*."""
    place = urlsplit(url)
    made = Line(*await asyncio.open_connection(place.hostname, place.port, limit=2**20))
    try:
        yield made
    finally:
        made.writer.close()


def request(
    target: str | bytes, *headers: str, method: str = "GET", host: str = "hub.test", body: bytes = b""
) -> bytes:
    """As bytes, with *target* and *headers* as they are."""
    raw = target if isinstance(target, bytes) else target.encode()
    counted = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"Host: {host}", *headers, *counted]
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method.encode(), raw, "\r\n".join(lines).encode("latin-1"), body)


async def ask(url: str, target: str | bytes, *headers: str, method: str = "GET", **kwargs: Any) -> Answer:
    """One request on a connection of its own, to the host of the *url*."""
    async with line(url) as made:
        await made.send(request(target, *headers, "Connection: close", method=method, **kwargs))
        return await made.answer(of_head=method == "HEAD")


async def ask_all(url: str, targets: Iterable[str | bytes]) -> list[Answer]:
    return list(await asyncio.gather(*(ask(url, target) for target in targets)))
