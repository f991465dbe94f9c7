"""What proxy-sync needs of a proxy: three verbs for its routes, and some for its life.

The names are those of JupyterHub's documented interface for proxies; a class of an operator's own is derived from
`Proxy` and has to have `add_route`, `delete_route` and `get_all_routes`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from traitlets import Bool, Dict, Instance, Integer
from traitlets.config import LoggingConfigurable

from hubbub.internal_tls.files import Files
from hubbub_proxy_sync.proxies.routespec import in_one_form
from hubbub_proxy_sync.proxies.site import Hub, Site

#: Seconds.
CHECK_INTERVAL = 5.0


class ProxyUnavailable(Exception):
    """The proxy does not answer, or not us; whether anything happened is not known."""


class RouteRefused(Exception):
    """The proxy answered, but did not do it."""


class Overtaken(Exception):
    """Somebody else has changed the routes since they were listed last, so nothing was done: it may be out of date."""


class ProxyRoute(TypedDict):
    """As in `GET /proxy`."""

    routespec: str
    target: str
    data: dict[str, Any]


#: What became of each of many changes that did not work, by its routespec.
Failures = dict[str, ProxyUnavailable | RouteRefused]


class Proxy(LoggingConfigurable):
    """Add and delete may be repeated; their order for different routes does not matter.

    All of them raise ProxyUnavailable when nobody answers; add and delete raise RouteRefused. `change_routes` of one
    that can tell raises Overtaken.
    """

    should_start = Bool(True, help="Whether proxy-sync starts the proxy, or uses one that runs").tag(config=True)
    extra_routes = Dict(help="Routes that are kept besides: routespec -> target").tag(config=True)
    concurrency = Integer(10, help="How many changes are under way at once").tag(config=True)
    site = Instance(Site, ())

    #: How many routes `change_routes` is best given at a time.
    at_once = 1

    # What the house is, by JupyterHub's names ------------------------------------------------

    @property
    def public_url(self) -> str:
        """Where people come in, and the proxy listens."""
        return self.site.bind_url

    @property
    def ssl_key(self) -> str:
        return self.site.ssl_key

    @property
    def ssl_cert(self) -> str:
        return self.site.ssl_cert

    @property
    def host_routing(self) -> bool:
        """Whether routespecs begin with a host."""
        return self.site.host_routing

    @property
    def hub(self) -> Hub:
        return self.site.hub

    # Life -----------------------------------------------------------------------------------

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

    async def answers_at(self, api_url: str, token: str) -> bool:
        """Whether there is a proxy that this could be moved to: see `move`."""
        return True

    async def move(self, api_url: str, token: str) -> None:
        """From now on it is the proxy at *api_url*, which takes *token*, and which others keep running.

        Either may be "": as it was. Raises RouteRefused for a proxy that has no such address.
        """
        raise RouteRefused(f"a proxy of the class {type(self).__name__} cannot be moved")

    # Routes ---------------------------------------------------------------------------------

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        """Set or replace one. *data*: to be kept with the route."""
        raise NotImplementedError

    async def delete_route(self, routespec: str) -> None:
        """Remove one; one that is not there is no error."""
        raise NotImplementedError

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        """Ours alone, by routespec as `validate_routespec` returns it."""
        raise NotImplementedError

    async def in_effect(self) -> None:
        """Return when requests follow what was listed last: most proxies list nothing else. Raises ProxyUnavailable."""

    async def get_route(self, routespec: str) -> ProxyRoute | None:
        return (await self.get_all_routes()).get(self.validate_routespec(routespec))

    async def change_routes(self, wanted: Sequence[ProxyRoute], unwanted: Sequence[str]) -> Failures:
        """Set all of *wanted* and remove all of *unwanted*, at most `at_once` together. Returns what did not work."""
        failed: Failures = {}
        for route in wanted:
            try:
                await self.add_route(route["routespec"], route["target"], route["data"])
            except (ProxyUnavailable, RouteRefused) as error:
                failed[route["routespec"]] = error
        for routespec in unwanted:
            try:
                await self.delete_route(routespec)
            except (ProxyUnavailable, RouteRefused) as error:
                failed[routespec] = error
        return failed

    def validate_routespec(self, routespec: str) -> str:
        """*routespec* in the one form in which it is compared: quoted, with a slash at each end, or after its host.

        Raises ValueError if it cannot be a route.
        """
        return in_one_form(routespec, host_routing=self.host_routing)

    async def check_routes(self, *_: Any) -> None:
        """Has all routes compared with what they should be, soon."""
        if self._compare is not None:
            self._compare()

    _compare: Callable[[], None] | None = None

    def compares(self, compare: Callable[[], None]) -> None:
        """*compare*: what `check_routes` asks for."""
        self._compare = compare
