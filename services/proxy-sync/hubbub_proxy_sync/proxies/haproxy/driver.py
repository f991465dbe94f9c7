"""HAProxy: its options, its life, and its routes as entries of a map that it looks each request up in."""

import asyncio
import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from traitlets import CaselessStrEnum, Integer, List, Unicode, Union

from hubbub import public_tls
from hubbub.internal_tls.files import Files, asking
from hubbub_proxy_sync.proxies.chp_command import environment
from hubbub_proxy_sync.proxies.haproxy import configuration, machine, pages
from hubbub_proxy_sync.proxies.haproxy.configuration import Wishes
from hubbub_proxy_sync.proxies.haproxy.daemon import Daemon
from hubbub_proxy_sync.proxies.haproxy.folder import CONFIGURATION, Folder, joined, mark_of
from hubbub_proxy_sync.proxies.haproxy.routing import Routing
from hubbub_proxy_sync.proxies.haproxy.runtime import Runtime
from hubbub_proxy_sync.proxies.process import Program
from hubbub_proxy_sync.proxies.proxy import Failures, Proxy, ProxyRoute, ProxyUnavailable

log = structlog.get_logger()

#: Seconds between looks at whether it answers; after as many without an answer it is killed.
PROBE, HUNG = 1.0, 10.0
#: Seconds between looks at the certificate and the names of upstreams; and at the hub's pages.
LOOK, PAGES = 5.0, 600.0
LEVELS = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]


class HAProxy(Proxy):
    """`docs/proxies/haproxy.md`."""

    command = Union(
        [List(Unicode()), Unicode()], default_value=["haproxy"], help="The program, and words that go before ours"
    ).tag(config=True)
    socket = Unicode(help="The runtime socket of a HAProxy that others run: a path, or host:port").tag(config=True)
    maxconn = Integer(0, min=0, help="The most connections at once; 0 for what the limit of open files allows").tag(
        config=True
    )
    log_level = CaselessStrEnum(LEVELS, "warning", help="What it logs; from info on each request").tag(config=True)
    extra_global = Unicode(help="Lines for the section `global` of its configuration").tag(config=True)
    extra_frontend = Unicode(help="Lines for its frontend, before ours about where a request leads").tag(config=True)

    #: One page after the other: what was true when a page was sent is to be true when it is carried out.
    concurrency = Integer(1, help="How many changes of up to 200 routes are under way at once").tag(config=True)
    at_once = 200

    def __init__(self, **kwargs: Any) -> None:
        """Raises ValueError, with a sentence, if it cannot be meant so."""
        super().__init__(**kwargs)
        self._check()
        self.complaint = ""
        self._folder = Folder(self.site.folder.absolute() / "run" / f"haproxy-{self.site.name}")
        self._runtime = Runtime(str(self._folder.path / configuration.SOCKET) if self.should_start else self.socket)
        self._routing = Routing(self._runtime, self.validate_routespec, self.hub.host)
        self._routing.https = not self.should_start or bool(machine.authorities())
        self._daemon: Daemon | None = None
        self._certificates: Mapping[str, Files] = {}
        self._pages = pages.all_plain()
        self._opened: aiohttp.ClientSession | None = None
        self._one_at_a_time = asyncio.Lock()
        self._pid = ""

    def _check(self) -> None:
        words = self._words()
        if not self.should_start:
            if not self.socket:
                raise ValueError("c.HAProxy.should_start is False, but c.HAProxy.socket does not say where HAProxy is")
        elif not words or shutil.which(words[0]) is None:
            raise ValueError(f"c.HAProxy.command is {shlex.join(words)!r}, but there is no such program")

    def _words(self) -> list[str]:
        return [self.command] if isinstance(self.command, str) else list(self.command)

    def secure(self, certificates: Mapping[str, Files]) -> None:
        self._certificates = certificates
        self._routing.secure = self._routing.https = True

    def validate_routespec(self, routespec: str) -> str:
        host, slash, path = super().validate_routespec(routespec).partition("/")
        # A host is the same with a dot at its end.
        return f"{host.rstrip('.')}{slash}{path}"

    # Routes ---------------------------------------------------------------------------------

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        route = ProxyRoute(routespec=routespec, target=target, data=dict(data))
        _raise_one(await self.change_routes([route], []))

    async def delete_route(self, routespec: str) -> None:
        _raise_one(await self.change_routes([], [routespec]))

    async def change_routes(self, wanted: Sequence[ProxyRoute], unwanted: Sequence[str]) -> Failures:
        return await self._routing.change(wanted, unwanted)

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        return await self._routing.all()

    # Life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Use the one that runs, with today's configuration; else begin one, again and again until it answers."""
        if self.should_start and self._daemon is None:
            self._pages |= pages.kept(self._folder.path) or await self._get_pages()
            self._daemon = Daemon(self._program(), self._folder, self._runtime, self.public_url, self._files)
        pause = 0.1
        while complaint := await self._ready():
            if complaint != self.complaint:
                log.error("proxy.unusable", error=complaint)
            self.complaint = complaint
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        self.complaint = ""

    async def stop(self) -> None:
        if self._daemon:
            await self._daemon.end()

    async def close(self) -> None:
        if self._daemon:
            await self._daemon.close()
        if self._opened:
            await self._opened.close()

    async def answers(self) -> bool:
        try:
            await self._runtime.info()
        except ProxyUnavailable:
            return False
        return self._daemon is None or await self._daemon.is_healthy()

    async def watch(self, returned: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_running(returned) if self._daemon else self._follow(returned))
            tasks.create_task(self._keep_current(returned))

    async def _ready(self) -> str:
        """What is wrong; "" when the proxy is there and takes routes."""
        try:
            if self._daemon:
                async with self._one_at_a_time:
                    if complaint := await self._daemon.find_or_begin():
                        return complaint
            self._pid = (await self._runtime.info())["Pid"]
            await self._routing.all()
        except (ProxyUnavailable, OSError) as error:
            return str(error)
        return ""

    async def _keep_running(self, returned: Callable[[], None]) -> None:
        assert self._daemon
        heard = time.monotonic()
        while True:
            running = self._daemon.running
            ended = running.gone if running else asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE):
                    await ended.wait()
            if not ended.is_set():
                with suppress(ProxyUnavailable):
                    # Not whether it takes connections: it may have as many as it may have.
                    await self._runtime.info()
                    heard = time.monotonic()
            if ended.is_set() or time.monotonic() - heard >= HUNG:
                log.warning("proxy.lost", hung=not ended.is_set())
                if not ended.is_set():
                    await self._daemon.end()
                await self.start()
                heard = time.monotonic()
                returned()

    async def _follow(self, returned: Callable[[], None]) -> None:
        """One that others run, and may start again."""
        while True:
            with suppress(ProxyUnavailable):
                now = (await self._runtime.info())["Pid"]
                was, self._pid = self._pid, now
                if was != now:
                    returned()
            await asyncio.sleep(PROBE)

    async def _keep_current(self, returned: Callable[[], None]) -> None:
        """Certificates are renewed, names get other addresses, and the hub may have other pages."""
        certificate, due, loop = self._certificate(), 0.0, asyncio.get_running_loop()
        while True:
            if self._daemon:
                if loop.time() >= due:
                    got = await self._get_pages()
                    due = loop.time() + (PAGES if got else LOOK)
                    if got:
                        self._pages |= got
                        await self._renew(returned)
                if self._certificate() != certificate:
                    certificate = self._certificate()
                    log.info("proxy.certificate_changed")
                    await self._renew(returned)
            await self._routing.refresh_names()
            await self._follow_hub()
            await asyncio.sleep(LOOK)

    async def _renew(self, returned: Callable[[], None]) -> None:
        assert self._daemon
        async with self._one_at_a_time:
            if not self._daemon.running or self._daemon.running.gone.is_set():
                return
            before = self._daemon.reloads
            try:
                complaint = await self._daemon.renew()
            except (OSError, ValueError) as error:
                complaint = str(error)
        if complaint:
            log.error("proxy.not_reloaded", error=complaint)
        if complaint or self._daemon.reloads > before:
            returned()

    # What it begins with --------------------------------------------------------------------

    def _program(self) -> Program:
        # By the same name as any other proxy of ours: a change of `proxy_class` ends the one before.
        name, folder = f"proxy-{self.site.name}", self.site.folder.absolute()
        return Program(
            self._words(),
            ["-W", "-C", str(self._folder.path), "-f", CONFIGURATION],
            environment(self.site.token),
            record=folder / "run" / f"{name}.json",
            log=folder / "log" / f"{name}.log",
        )

    def write(self, path: Path) -> None:
        """All that a HAProxy needs that others run, and that is not started in that folder."""
        folder = Folder(path)
        files = self._files(str(path))
        folder.write(files if folder.read(configuration.MAP) else {**files, configuration.MAP: b""})

    def _files(self, folder: str = "") -> dict[str, bytes]:
        """Raises OSError or ValueError if a certificate cannot be read."""
        files = dict(self._pages)
        if self.ssl_cert:
            files[configuration.PUBLIC_PEM] = joined(self.ssl_key, self.ssl_cert)
        if self._certificates:
            shown = self._certificates["proxy-client"]
            files[configuration.CLIENT_PEM] = joined(shown.keyfile, shown.certfile)
            files[configuration.CLIENT_CA] = shown.cafile.read_bytes()
        wishes = self._wishes(folder)
        mark = mark_of(files | {CONFIGURATION: configuration.render(wishes).encode()})
        return files | {CONFIGURATION: configuration.render(replace(wishes, mark=mark)).encode()}

    def _wishes(self, folder: str) -> Wishes:
        return Wishes(
            bind_url=self.public_url,
            maxconn=self.maxconn or machine.maxconn(),
            host_routing=self.host_routing,
            tls=bool(self.ssl_cert),
            secure=bool(self._certificates),
            authorities=machine.authorities(),
            ipv6=machine.has_ipv6(),
            log_level=self.log_level,
            extra_global=self.extra_global,
            extra_frontend=self.extra_frontend,
            folder=folder,
        )

    def _certificate(self) -> str:
        return public_tls.state_of(self.ssl_key, self.ssl_cert)

    async def _follow_hub(self) -> None:
        try:
            await self._routing.follow_hub()
        except ProxyUnavailable as error:
            log.debug("proxy.unavailable", error=str(error))

    async def _get_pages(self) -> dict[str, bytes]:
        """The hub's, none if it is not there."""
        if self._opened is None:
            tls = asking(self._certificates["proxy-client"]) if self._certificates else True
            self._opened = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, force_close=True))
        return await pages.of_hub(self._opened, self.hub.url)


def _raise_one(failed: Failures) -> None:
    for error in failed.values():
        raise error
