"""A proxy in memory, for tests: it behaves as the real one does, and fails when it is told to."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from hubbub_proxy_sync.proxies.proxy import Proxy, ProxyRoute, ProxyUnavailable, RouteRefused


class FakeProxy(Proxy):
    """`up`: whether it answers. `refuses`: routes that it does not take. `calls`: what it was asked to change."""

    def __init__(self) -> None:
        super().__init__()
        self.routes: dict[str, ProxyRoute] = {}
        self.calls: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.up = True
        self.returned = asyncio.Event()

    async def watch(self, returned: Callable[[], None]) -> None:
        while True:
            await self.returned.wait()
            self.returned.clear()
            returned()

    async def answers(self) -> bool:
        return self.up

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        spec = self._asked("add", routespec)
        self.routes[spec] = ProxyRoute(routespec=spec, target=target, data=dict(data))

    async def delete_route(self, routespec: str) -> None:
        self.routes.pop(self._asked("delete", routespec), None)

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        self._check()
        return dict(self.routes)

    def _asked(self, verb: str, routespec: str) -> str:
        self._check()
        spec = self.validate_routespec(routespec)
        self.calls.append((verb, spec))
        if spec in self.refuses:
            raise RouteRefused(spec)
        return spec

    def _check(self) -> None:
        if not self.up:
            raise ProxyUnavailable("the fake proxy is down")
