"""configurable-http-proxy: its options, its life, and its routes."""

import asyncio
import shlex
import shutil
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import structlog
from traitlets import Bool, CaselessStrEnum, Float, Integer, List, Unicode, Union, default

from hubbub import public_tls
from hubbub.internal_tls.files import Files, asking
from hubbub_proxy_sync.proxies import chp_command
from hubbub_proxy_sync.proxies.chp_api import Api
from hubbub_proxy_sync.proxies.process import Program, Running
from hubbub_proxy_sync.proxies.proxy import Proxy, ProxyRoute, ProxyUnavailable, RouteRefused

log = structlog.get_logger()

#: Seconds for a new proxy to answer. One whose port is taken does not end: it stays, and never answers.
START_TIMEOUT = 15.0
#: Seconds for one from the record, which may have been started a moment ago.
FIND_TIMEOUT = 5.0
#: Seconds to take our routes out of a proxy that we leave.
LEAVE_TIMEOUT = 5.0


class ConfigurableHTTPProxy(Proxy):
    """Options have the names and meanings that they have in JupyterHub; `docs/proxies/configurable-http-proxy.md`."""

    api_url = Unicode("http://127.0.0.1:8001", help="Where its REST API listens").tag(config=True)
    auth_token = Unicode(help="What its REST API asks for").tag(config=True)
    check_running_interval = Float(5.0, help="Seconds between looks at what no event tells of").tag(config=True)
    command = Union([List(Unicode()), Unicode()], help="The program, and words that go before ours").tag(config=True)
    command_umask = Integer(0o007, help="The umask that it is started with").tag(config=True)
    debug = Bool(False, help="The same as `log_level` debug").tag(config=True)
    log_level = CaselessStrEnum(["debug", "info", "warn", "error"], "info", help="What it logs").tag(config=True)
    pid_file = Unicode(help="Where its process id is written; {instance} is the name of this proxy").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        """Raises ValueError, with a sentence, if it cannot be meant so."""
        super().__init__(**kwargs)
        # Where there are several, each has an address of its own, which a file that all of them read cannot say.
        self.api_url = (self.site.api_url or self.api_url).rstrip("/")
        self.auth_token = self.auth_token or self.site.token
        self._check()
        #: Where it began: it may be moved, and back.
        self._home = (self.api_url, self.auth_token, self.should_start)
        self.complaint = ""
        self._certificates: Mapping[str, Files] = {}
        self._tls: ssl.SSLContext | None = None
        self._running: Running | None = None
        self._api = self._reach()
        self._moved = asyncio.Event()

    @default("auth_token")
    def _usual_token(self) -> str:
        return self.site.token

    @default("command")
    def _usual_command(self) -> list[str]:
        return list(self.site.command) or ["configurable-http-proxy"]

    def _check(self) -> None:
        if not self.auth_token:
            raise ValueError(
                "the proxy has no token: CONFIGPROXY_AUTH_TOKEN is not set, nor c.ConfigurableHTTPProxy.auth_token"
            )
        words = self._words()
        if not words:
            raise ValueError("c.ConfigurableHTTPProxy.command is empty")
        if self.should_start and shutil.which(words[0]) is None:
            raise ValueError(
                f"c.ConfigurableHTTPProxy.command is {shlex.join(words)}, but there is no program {words[0]}"
            )

    def _words(self) -> list[str]:
        return [self.command] if isinstance(self.command, str) else list(self.command)

    def secure(self, certificates: Mapping[str, Files]) -> None:
        self._tls = asking(certificates["proxy-sync"])
        self._certificates = certificates
        self._api = self._reach()

    def _reach(self) -> Api:
        return Api(self.api_url, self.auth_token, concurrency=self.concurrency, tls=self._tls)

    @property
    def _public(self) -> str:
        return chp_command.reached(self.public_url)

    def _program(self) -> Program:
        level = "debug" if self.debug else self.log_level
        name, folder = f"proxy-{self.site.name}", self.site.folder
        return Program(
            self._words(),
            chp_command.arguments(self.site, self.api_url, log_level=level, certificates=self._certificates),
            chp_command.environment(self.auth_token),
            record=folder / "run" / f"{name}.json",
            log=folder / "log" / f"{name}.log",
            umask=self.command_umask,
            mark=self._certificate(),
        )

    def _certificate(self) -> str:
        """It reads the files once, at its start."""
        return public_tls.state_of(self.ssl_key, self.ssl_cert)

    # Life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Use the proxy that runs and answers our token; else start one, again and again until it answers."""
        pause = 0.1
        while complaint := await self._find_or_begin():
            if complaint != self.complaint:
                log.error("proxy.unusable", error=complaint)
            self.complaint = complaint
            await self._unless_moved(pause)
            pause = min(pause * 2, 5.0)
        self.complaint = ""

    async def stop(self) -> None:
        if running := self._running or (self._program().find() if self.should_start else None):
            await running.end()
            self._note_pid(None)

    async def close(self) -> None:
        if self._running:
            self._running.let_go()
        await self._api.close()

    async def watch(self, returned: Callable[[], None]) -> None:
        while True:
            await self._until_lost()
            log.warning("proxy.lost")
            await self.start()
            returned()

    async def answers(self) -> bool:
        return await (self._api.is_healthy(self._public) if self.should_start else self._api.knows_us())

    async def answers_at(self, api_url: str, token: str) -> bool:
        there = Api(api_url.rstrip("/") or self.api_url, token or self.auth_token, concurrency=1, tls=self._tls)
        try:
            return await there.knows_us()
        finally:
            await there.close()

    async def move(self, api_url: str, token: str) -> None:
        """What is left runs on, but leads to nobody's server any more."""
        to = (api_url.rstrip("/") or self.api_url, token or self.auth_token)
        if to == (self.api_url, self.auth_token):
            return
        log.info("proxy.moved", was=self.api_url, now=to[0])
        left, self._running = self._running, None
        if left:
            left.let_go()
        self.api_url, self.auth_token = to
        self.should_start = self._home[2] and to == self._home[:2]
        old, self._api = self._api, self._reach()
        self._moved.set()
        if old.url != self.api_url:
            await self._clear(old)
        await old.close()

    async def _clear(self, api: Api) -> None:
        """Of our routes, as far as may be."""
        with suppress(TimeoutError, ProxyUnavailable, RouteRefused):
            async with asyncio.timeout(LEAVE_TIMEOUT):
                ours = [path for path, data in (await api.routes()).items() if data.get("jupyterhub")]
                await asyncio.gather(*(api.remove(path) for path in ours), return_exceptions=True)

    async def _find_or_begin(self) -> str:
        """What is wrong; "" when the proxy is there."""
        if not self.should_start:
            return "" if await self._api.knows_us() else f"{self.api_url} does not answer us"
        program = self._program()
        with program.alone() as alone:
            return await self._find_or_begin_one(program) if alone else "another proxy-sync is about to start it"

    async def _find_or_begin_one(self, program: Program) -> str:
        found = program.find()
        if found and program.is_of(found) and await self._is_up(found, FIND_TIMEOUT):
            log.info("proxy.found", pid=found.pid)
        elif found:
            await found.end()
            return await self._begin(program)
        elif await self._api.knows_us():
            if not await self._api.is_healthy(self._public):
                return f"the proxy at {self.api_url} is not ours and does not answer at {self._public}"
            log.info("proxy.found", pid=None)
        else:
            return await self._begin(program)
        self._running = found
        self._note_pid(found)
        return ""

    async def _begin(self, program: Program) -> str:
        begun = program.begin()
        if await self._is_up(begun, START_TIMEOUT):
            log.info("proxy.started", pid=begun.pid)
            self._running = begun
            self._note_pid(begun)
            return ""
        reason = "ended at once" if begun.gone.is_set() else "does not answer, are its ports free?"
        await begun.end()
        return f"{' '.join(program.command)} {reason} (see {program.log})"

    async def _is_up(self, running: Running, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not running.gone.is_set() and self.should_start:
                    if await self._api.knows_us() and await self._api.is_healthy(self._public):
                        return True
                    await asyncio.sleep(0.02)
        return False

    async def _until_lost(self) -> None:
        """Returns when it is gone, or has to be started again."""
        while True:
            running = self._running
            if running:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.check_running_interval):
                        await running.gone.wait()
            else:
                await self._unless_moved(self.check_running_interval)
            if running is not self._running:
                continue
            if running and not running.gone.is_set() and await self._has_to_end(running):
                await running.end()
            if running.gone.is_set() if running else not await self._api.knows_us():
                self._running = None
                return

    async def _has_to_end(self, running: Running) -> bool:
        if self._is_renewed(running):
            log.info("proxy.certificate_renewed", certificate=self.ssl_cert)
            return True
        # It does not end when somebody else's has its ports, who may be gone by now.
        return await self._api.is_refused()

    def _is_renewed(self, running: Running) -> bool:
        """Whether the certificate is another one by now, and whole."""
        now = self._certificate()
        return now not in ("", running.mark) and not public_tls.mismatch(self.ssl_key, self.ssl_cert)

    async def _unless_moved(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        self._moved.clear()

    def _note_pid(self, running: Running | None) -> None:
        """For the operator, who may want to signal it; we ourselves have its record."""
        if not self.pid_file:
            return
        file = Path(self.pid_file.replace("{instance}", self.site.name))
        try:
            file.write_text(f"{running.pid}\n") if running else file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("proxy.pid_file", error=str(error))

    # Routes ---------------------------------------------------------------------------------

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        await self._api.set(self._path(routespec), {**data, "target": target, "jupyterhub": True})

    async def delete_route(self, routespec: str) -> None:
        await self._api.remove(self._path(routespec))

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        found: dict[str, ProxyRoute] = {}
        for path, data in (await self._api.routes()).items():
            if data.pop("jupyterhub", False):
                spec = self._spec(path)
                found[spec] = ProxyRoute(routespec=spec, target=str(data.pop("target", "")), data=data)
        return found

    def _path(self, routespec: str) -> str:
        """As it is in the proxy's table: unquoted, without a slash at the end; a host is its first part."""
        return "/" + unquote(self.validate_routespec(routespec)).strip("/")

    def _spec(self, path: str) -> str:
        spec = quote(path.rstrip("/") + "/", safe="/@~")
        return spec.lstrip("/") or "/" if self.host_routing else spec
