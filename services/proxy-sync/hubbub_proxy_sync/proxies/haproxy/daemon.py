"""The HAProxy that we run: found again, begun, reloaded under open connections, and noticed when it dies or hangs."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
import structlog

from hubbub_proxy_sync.proxies.chp_command import reached
from hubbub_proxy_sync.proxies.haproxy import configuration, listing, machine
from hubbub_proxy_sync.proxies.haproxy.folder import CONFIGURATION, Folder
from hubbub_proxy_sync.proxies.haproxy.runtime import Runtime
from hubbub_proxy_sync.proxies.process import Program, Running
from hubbub_proxy_sync.proxies.proxy import ProxyUnavailable

log = structlog.get_logger()

#: Seconds: for a new one to answer, for one from the record, and for one that is to end.
START_TIMEOUT, FIND_TIMEOUT, GRACE = 15.0, 3.0, 5.0


class Daemon:
    """*files*: what it is to begin with, by name; with the mark by which `show info` tells which of these it has."""

    def __init__(
        self, program: Program, folder: Folder, runtime: Runtime, bind_url: str, files: Callable[[], dict[str, bytes]]
    ) -> None:
        self.running: Running | None = None
        self.reloads = 0
        self._program = program
        self._folder = folder
        self._runtime = runtime
        self._bind_url = bind_url
        self._files = files
        self._opened: aiohttp.ClientSession | None = None

    async def find_or_begin(self) -> str:
        """What is wrong; "" when it is there, with today's configuration."""
        with self._folder.alone() as alone:
            return await self._find_or_begin() if alone else "another proxy-sync is about to start it"

    async def _find_or_begin(self) -> str:
        found = self._program.find()
        if found and not (self._program.is_of(found) and await self._is_up(found, FIND_TIMEOUT)):
            await self.end(found)
            found = None
        if found is None:
            return await self._begin()
        self.running = found
        log.info("proxy.found", pid=found.pid)
        return await self._renew()

    async def renew(self) -> str:
        """Reload it if it does not run with today's configuration. What is wrong, "" if nothing is."""
        with self._folder.alone() as alone:
            return await self._renew() if alone else "another proxy-sync is about to do it"

    async def _renew(self) -> str:
        files = self._files()
        try:
            if (await self._runtime.info()).get("description") == _mark(files):
                return ""
        except ProxyUnavailable as error:
            return str(error)
        if complaint := await self._refused(files):
            # It goes on with what it has, which is better than nothing.
            log.error("proxy.not_reloaded", error=complaint)
            return ""
        return await self._reload(files)

    async def end(self, running: Running | None = None) -> None:
        """*running*: else the one that there is. With it end those that a reload has left to their open connections."""
        running = running or self.running or self._program.find()
        self.running = None
        if running:
            await running.end(GRACE)
            machine.end_session(running.pid)

    async def is_healthy(self) -> bool:
        """Whether it answers at the public address."""
        try:
            url = f"{reached(self._bind_url)}{configuration.HEALTH}"
            async with self._session.get(url, ssl=False) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def close(self) -> None:
        if self.running:
            self.running.let_go()
        if self._opened:
            await self._opened.close()

    # Beginning ------------------------------------------------------------------------------

    async def _begin(self) -> str:
        if self.running:
            machine.end_session(self.running.pid)
            self.running = None
        if self._is_taken():
            return f"somebody else listens at {self._bind_url}"
        others = listing.left_by_others(self._folder.read(configuration.MAP))
        self._folder.write(self._files() | {configuration.MAP: others.encode()})
        begun = self._program.begin()
        if await self._is_up(begun, START_TIMEOUT):
            log.info("proxy.started", pid=begun.pid)
            self.running = begun
            return ""
        reason = "does not answer"
        if begun.gone.is_set():
            reason = f"ended at once: {await self._refused(self._files()) or 'nobody knows why'}"
        await self.end(begun)
        return f"{' '.join(self._program.command)} {reason} (see {self._program.log})"

    async def _is_up(self, running: Running, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not running.gone.is_set():
                    with suppress(ProxyUnavailable):
                        await self._runtime.info()
                        if await self.is_healthy():
                            return True
                    await asyncio.sleep(0.01)
        return False

    def _is_taken(self) -> bool:
        parts = urlsplit(self._bind_url)
        return machine.is_taken(self._bind_url, parts.port or (443 if parts.scheme == "https" else 80))

    # Reloading ------------------------------------------------------------------------------

    async def _refused(self, files: Mapping[str, bytes]) -> str:
        """What HAProxy has against *files*; they are tried out beside those in use."""
        try:
            beside = self._folder.write({**files, configuration.MAP: b""}, beside=True)
            arguments = (*self._program.command, "-C", str(beside), "-f", CONFIGURATION, "-c")
            pipe = asyncio.subprocess.PIPE
            trial = await asyncio.create_subprocess_exec(*arguments, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
            said, _ = await trial.communicate()
            return _alerts(said.decode(errors="replace")) if trial.returncode else ""
        except OSError as error:
            return str(error)
        finally:
            self._folder.forget_tried()

    async def _reload(self, files: Mapping[str, bytes]) -> str:
        """Its routes are in the new process from the first moment; the old one serves its connections to their end."""
        assert self.running
        try:
            routes = listing.as_file(await self._runtime.show())
            self._folder.write({**files, configuration.MAP: routes.encode()})
            os.kill(self.running.pid, signal.SIGUSR2)
            async with asyncio.timeout(START_TIMEOUT):
                while await self._described() != _mark(files):
                    await asyncio.sleep(0.01)
        except (ProxyUnavailable, ProcessLookupError, TimeoutError) as error:
            return f"HAProxy was not reloaded: {str(error) or 'it does not answer'} (see {self._program.log})"
        self.reloads += 1
        log.info("proxy.reloaded", pid=self.running.pid)
        return ""

    async def _described(self) -> str:
        try:
            return (await self._runtime.info()).get("description", "")
        except ProxyUnavailable:
            return ""

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            connector = aiohttp.TCPConnector(force_close=True)
            self._opened = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=2))
        return self._opened


def _mark(files: Mapping[str, bytes]) -> str:
    """As it is told in the configuration."""
    text = files[CONFIGURATION].decode()
    return text.partition("description ")[2].partition("\n")[0]


def _alerts(said: str) -> str:
    """What of its words says what is wrong."""
    lines = [line.partition(" : ")[2] for line in said.splitlines() if line.startswith("[ALERT]")]
    return "; ".join(lines) or said.strip()
