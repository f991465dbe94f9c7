"""HAProxy's runtime socket: one connection a question, since it closes them as it likes."""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from hubbub_proxy_sync.proxies.haproxy.configuration import MAP
from hubbub_proxy_sync.proxies.proxy import ProxyUnavailable

#: Bytes in a question, below `tune.bufsize`; HAProxy as others run it may take half of that.
LONGEST = 15_000
#: The most that the path of a Unix socket may have.
_PATH = 100
T = TypeVar("T")
_LISTED = re.compile(rb"^(-?\d+) \((.*)\) pattern loaded from file", re.MULTILINE)


class Runtime:
    """*address*: a path, or `host:port`. All raise ProxyUnavailable if nobody answers in time."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._map = ""

    async def ask(self, question: str, seconds: float = 5.0) -> bytes:
        """What it answers to one line, or to some commands with `;` between them."""
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(question)
        except (OSError, TimeoutError) as error:
            self._map = ""
            raise ProxyUnavailable(f"{self.address}: {str(error) or 'it does not answer'}") from None

    async def check(self) -> None:
        """Whether it answers just now."""
        await self.ask("show map", 1.0)

    async def info(self) -> dict[str, str]:
        """`show info`."""
        lines = (await self.ask("show info", 2.0)).decode(errors="replace").splitlines()
        found = dict(line.split(": ", 1) for line in lines if ": " in line)
        if "Pid" not in found:
            raise ProxyUnavailable(f"{self.address} is not the runtime socket of HAProxy")
        return found

    async def show(self) -> bytes:
        """The whole map, a line for each entry: its place in memory, its key, its value."""
        return await self.ask(f"show map {await self._name()}")

    async def add(self, entries: Sequence[tuple[str, str]]) -> str:
        """Those that the map has not. Returns what it complains of."""
        lines = "".join(f"{key} {value}\n" for key, value in entries)
        return await self._told(f"add map {await self._name()} <<\n{lines}")

    async def set(self, entries: Iterable[tuple[str, str]]) -> str:
        """Those that it has."""
        name = await self._name()
        return await self._told(";".join(f"set map {name} {key} {value}" for key, value in entries))

    async def delete(self, keys: Iterable[str]) -> str:
        """A key, or `#` and a place in memory."""
        name = await self._name()
        return await self._told(";".join(f"del map {name} {key}" for key in keys))

    async def replace(self, entries: Iterable[tuple[str, str]]) -> None:
        """Everything by *entries*, from one moment to the next."""
        name = await self._name()
        version = (await self.ask(f"prepare map {name}")).decode().rpartition(":")[2].strip()
        for chunk in chunks((len(key) + len(value) + 2, (key, value)) for key, value in entries):
            lines = "".join(f"{key} {value}\n" for key, value in chunk)
            await self._told(f"add map @{version} {name} <<\n{lines}")
        await self._told(f"commit map @{version} {name}")

    async def _told(self, question: str) -> str:
        answer = (await self.ask(question)).decode(errors="replace")
        if "nknown map" in answer:
            self._map = ""
            raise ProxyUnavailable(f"{self.address} knows no map {MAP}")
        return " ".join(answer.split())

    async def _name(self) -> str:
        """How HAProxy calls our map: by the file that it was told of."""
        if not self._map:
            listed = (name.decode() for _, name in _LISTED.findall(await self.ask("show map")))
            found = [name for name in listed if name.rpartition("/")[2] == MAP]
            if len(found) != 1:
                raise ProxyUnavailable(f"HAProxy at {self.address} has {len(found)} maps of the name {MAP}, not one")
            self._map = found[0]
        return self._map

    async def _ask(self, question: str) -> bytes:
        reader, writer = await self._connect()
        try:
            writer.write(f"{question}\n".encode())
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, colon, port = self.address.rpartition(":")
        if colon and "/" not in self.address:
            return await asyncio.open_connection(host.strip("[]"), int(port))
        if len(os.fsencode(self.address)) < _PATH:
            return await asyncio.open_unix_connection(self.address)
        folder, _, name = self.address.rpartition("/")
        opened = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            return await asyncio.open_unix_connection(f"/proc/self/fd/{opened}/{name}")
        finally:
            os.close(opened)


def chunks(items: Iterable[tuple[int, T]]) -> Iterator[list[T]]:
    """What fits into one question each, of those with their length."""
    chunk: list[T] = []
    size = 0
    for length, item in items:
        if chunk and size + length > LONGEST:
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += length
    if chunk:
        yield chunk
