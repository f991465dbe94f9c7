"""A classic proxy, driven: JupyterHub's interface for proxies on one side, ours on the other.

It lives on the floor: what blocks there, or calls `sys.exit`, does not keep us from telling that we are there.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from hubbub.config import Options
from hubbub.floor import Floor
from hubbub.internal_tls.files import Files
from hubbub.plugin import Overdue, settled
from hubbub_proxy_sync.classic import listing, probe, traefik
from hubbub_proxy_sync.classic.life import LIST, Life
from hubbub_proxy_sync.classic.making import Making
from hubbub_proxy_sync.proxies.proxy import (
    CHECK_INTERVAL,
    Failures,
    Overtaken,
    Proxy,
    ProxyRoute,
    ProxyUnavailable,
    RouteRefused,
)
from hubbub_proxy_sync.proxies.site import Site

log = structlog.get_logger()

#: Seconds for one change.
CHANGE = 25.0
#: Seconds in which nothing has come back from the floor, after which something there blocks for good.
STUCK = 60.0
#: None of the business of what a class starts, which inherits our environment.
_SECRETS = frozenset(
    f"HUBBUB_{name}" for name in ("BUS_KEY", "COOKIE_SECRET", "FORWARD_KEY", "NATS_URL", "POSTGRES_URL", "VAULT_KEY")
)
_MARK = "HUBBUB_PROXY"


def host(kind: type[Any], options: Options, site: Site) -> Proxy:
    """A proxy of the class *kind*, which is derived from `jupyterhub.proxy.Proxy`."""
    site = replace(site, folder=site.folder / "proxy")
    whose = f"{site.name} {site.token} {site.folder.resolve()}"
    mark = f"{site.name}:{hashlib.sha256(whose.encode()).hexdigest()[:32]}"
    os.environ[_MARK] = mark
    for name in _SECRETS - ({"HUBBUB_NATS_URL"} if "HUBBUB_FAULT" in os.environ else set()):
        os.environ.pop(name, None)
    return ClassicProxy(Making(kind, options, site), site, mark=f"{_MARK}={mark}")


class ClassicProxy(Proxy):
    """Ours on the outside, with theirs inside."""

    def __init__(self, making: Making, site: Site, *, mark: str = "") -> None:
        super().__init__(site=site, concurrency=1)
        self._making = making
        self._floor = Floor()
        self._life = Life(
            making=making,
            floor=self._floor,
            record=site.folder / f"classic-{site.name}.json",
            bind_url=site.bind_url,
            mark=mark,
        )
        self._heard = time.monotonic()
        self._free = asyncio.Semaphore(10)
        self.complaint = ""
        #: One call changes as many; how many of these are under way together is up to theirs.
        self.at_once = traefik.AT_ONCE if traefik.takes_many(making.kind) else 20

    def __repr__(self) -> str:
        return self._making.name

    def secure(self, certificates: Mapping[str, Files]) -> None:
        self._making.certificates = dict(certificates)

    # Life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        pause = 0.1
        while complaint := await self._life.begin():
            if complaint != self.complaint:
                log.error("proxy.unusable", error=complaint)
            self.complaint = complaint
            await self._look_at_floor()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        self.complaint = ""
        self._heard = time.monotonic()
        many = getattr(self._life.proxy, "concurrency", None)
        self._free = asyncio.Semaphore(many if isinstance(many, int) and many > 0 else 10)
        home = asyncio.get_running_loop()

        async def compare(*_: Any, **__: Any) -> None:
            """Theirs would ask a database."""
            home.call_soon_threadsafe(lambda: home.create_task(self.check_routes()))

        self._life.proxy.check_routes = self._life.proxy.restore_routes = compare

    async def stop(self) -> None:
        await self._life.stop()

    async def close(self) -> None:
        self._life.close()

    async def watch(self, returned: Callable[[], None]) -> None:
        was_there = there = True
        silent = 0
        while True:
            running = self._life.running
            ended = running.gone if running else asyncio.Event()
            try:
                async with asyncio.timeout(CHECK_INTERVAL):
                    await ended.wait()
            except TimeoutError:
                was_there, there = there, await self.answers()
                silent = 0 if there else silent + 1
                await self._look_at_floor()
            # One whose process is not known has to be started again by what shows from outside.
            unknown = self._life.is_started and running is None
            if ended.is_set() or (unknown and silent > 1) or await self._is_dead():
                log.warning("proxy.lost", proxy=repr(self))
                self._life.lost()
                await self.start()
                was_there, there, silent = True, True, 0
                returned()
            elif there and silent == 0 and not was_there:
                returned()

    async def answers(self) -> bool:
        """Of what we have started: somebody answers at the public address. Else: its routes can be had."""
        running = self._life.running
        if running is not None and running.gone.is_set():
            return False
        if running is not None or self._life.is_started:
            return await probe.answers(self.site.bind_url)
        try:
            await self._list()
        except ProxyUnavailable:
            return False
        return True

    async def _is_dead(self) -> bool:
        with suppress(Overdue):
            return await self._life.is_dead()
        return False

    async def _look_at_floor(self) -> None:
        """Raises RuntimeError, which ends us, if nothing can be asked of it any more: our successor has a new floor."""
        if self._floor.exited.is_set():
            raise RuntimeError(f"{self} wanted to end the process")
        if time.monotonic() > self._heard + STUCK:
            try:
                await self._ask(time.monotonic, patience=LIST)
            except Overdue:
                raise RuntimeError(f"{self} blocks for good") from None

    # Routes ---------------------------------------------------------------------------------

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        spec = self.validate_routespec(routespec)
        async with self._free:
            await self._change("add_route", spec, target, dict(data))

    async def delete_route(self, routespec: str) -> None:
        async with self._free:
            await self._change("delete_route", self.validate_routespec(routespec))

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        return await self._list(is_base=True)

    async def _list(self, *, is_base: bool = False) -> dict[str, ProxyRoute]:
        """*is_base*: changes will be worked out from it."""
        theirs = self._theirs()

        async def listed() -> dict[str, ProxyRoute]:
            found = await settled(theirs.get_all_routes())
            if is_base:
                traefik.listed(theirs)
            return listing.ours(found, self.validate_routespec)

        try:
            found: dict[str, ProxyRoute] = await self._ask(listed, patience=LIST)
        except Exception as error:
            raise ProxyUnavailable(_told(self, "get_all_routes", error)) from None
        if await self._is_dead():
            raise ProxyUnavailable(f"{self!r} cannot see its routes any more")
        return found

    async def in_effect(self) -> None:
        if traefik.takes_many(self._making.kind):
            try:
                await self._change("in_effect")
            except (RouteRefused, Overtaken) as error:
                raise ProxyUnavailable(str(error)) from None

    async def change_routes(self, wanted: Sequence[ProxyRoute], unwanted: Sequence[str]) -> Failures:
        if traefik.takes_many(self._making.kind):
            return await self._change_many(wanted, unwanted)
        changes = [super(ClassicProxy, self).change_routes([route], []) for route in wanted]
        changes += [super(ClassicProxy, self).change_routes([], [spec]) for spec in unwanted]
        return {spec: error for failed in await asyncio.gather(*changes) for spec, error in failed.items()}

    async def _change_many(self, wanted: Sequence[ProxyRoute], unwanted: Sequence[str]) -> Failures:
        routes = [{**route, "routespec": self.validate_routespec(route["routespec"])} for route in wanted]
        specs = [self.validate_routespec(spec) for spec in unwanted]
        try:
            await self._change("change_routes", routes, specs)
        except (ProxyUnavailable, RouteRefused) as error:
            return dict.fromkeys([*(route["routespec"] for route in wanted), *unwanted], error)
        return {}

    async def _change(self, verb: str, *arguments: Any) -> None:
        method = getattr(self._theirs(), verb)
        try:
            await self._ask(method, *arguments, patience=CHANGE)
        except (OSError, Overdue) as error:
            raise ProxyUnavailable(_told(self, verb, error)) from None
        except Overtaken:
            raise
        except Exception as error:
            raise RouteRefused(_told(self, verb, error)) from None

    async def _ask(self, function: Callable[..., Any], *arguments: Any, patience: float) -> Any:
        answer = await self._floor.call(function, *arguments, patience=patience)
        self._heard = time.monotonic()
        return answer

    def _theirs(self) -> Any:
        if self._life.proxy is None:
            raise ProxyUnavailable(f"{self} is not there")
        return self._life.proxy


def _told(proxy: Proxy, verb: str, error: Exception) -> str:
    return f"{proxy!r}.{verb}: {type(error).__name__}: {error}"
