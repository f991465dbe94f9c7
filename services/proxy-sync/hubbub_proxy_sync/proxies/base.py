"""What proxy-sync needs of a proxy: three verbs for its routes, and some for its life."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypedDict
from urllib.parse import quote, unquote

from traitlets import Bool
from traitlets.config import LoggingConfigurable

from hubbub.internal_tls.files import Files

#: What no proxy can be trusted with: URLs resolve the dots away, and a route of somebody's else is replaced.
_UNROUTABLE = frozenset({".", "..", "__proto__"})
#: Seconds.
CHECK_INTERVAL = 5.0


class ProxyUnavailable(Exception):
    """The proxy does not answer, or not us; whether anything happened is not known."""


class RouteRefused(Exception):
    """The proxy answered, but did not do it."""


class ProxyRoute(TypedDict):
    """As in `GET /proxy`."""

    routespec: str
    target: str
    data: dict[str, Any]


class Proxy(LoggingConfigurable):
    """Add and delete may be repeated; their order for different routes does not matter.

    All of them raise ProxyUnavailable when nobody answers; add and delete raise RouteRefused.
    """

    should_start = Bool(True, help="Whether proxy-sync starts the proxy, or uses one that runs").tag(config=True)

    def secure(self, certificates: Mapping[str, Files]) -> None:
        """Before `start`, with internal TLS: *certificates* of `proxy-sync`, `proxy-api` and `proxy-client`."""

    async def start(self) -> None:
        """Return when the proxy answers: a running one, or a new one."""

    async def stop(self) -> None:
        """End the proxy, if this is ours to do. Its death cuts all users' connections."""

    async def close(self) -> None:
        """Let go of the proxy, and leave it running."""

    async def watch(self, returned: Callable[[], None]) -> None:
        """Keep the proxy running, for ever; call *returned* whenever it may have lost its routes."""
        there = True
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            was_there, there = there, await self.answers()
            if there and not was_there:
                returned()

    async def answers(self) -> bool:
        """Whether the proxy is there now."""
        return True

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        """Set or replace one. *data*: to be kept with the route."""
        raise NotImplementedError

    async def delete_route(self, routespec: str) -> None:
        """Remove one; one that is not there is no error."""
        raise NotImplementedError

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        """Ours alone, by routespec as `validate_routespec` returns it."""
        raise NotImplementedError

    def validate_routespec(self, routespec: str) -> str:
        """*routespec* in the one form in which it is compared: quoted, with a slash at each end.

        Raises ValueError if it cannot be a route.
        """
        if not routespec.startswith("/"):
            raise ValueError(f"route {routespec!r} does not begin with a slash")
        if "%2f" in routespec.lower():
            raise ValueError(f"route {routespec!r} has a quoted slash")
        path = unquote(routespec, errors="strict").removesuffix("/") + "/"
        if not _UNROUTABLE.isdisjoint(path.split("/")) or "//" in path:
            raise ValueError(f"route {routespec!r} has a part that cannot be routed")
        return quote(path, safe="/@~")
