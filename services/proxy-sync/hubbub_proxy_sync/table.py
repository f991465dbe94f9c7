"""What the proxy has, what the house wants, and what of it the house has not been told yet."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from hubbub.route_messages import RouteReport, Wanted
from hubbub_proxy_sync.proxies.proxy import ProxyRoute

#: Kept with each route in the proxy, so that whoever finds it there knows whose it is.
SERVER, ATTEMPT = "server_id", "attempt"


class Placed(msgspec.Struct, frozen=True):
    """A route that the proxy has. `server` is "" for one that nobody here has set."""

    server: str
    attempt: int
    target: str

    @classmethod
    def of(cls, wanted: Wanted) -> "Placed":
        return cls(wanted.server, wanted.attempt, wanted.target)

    @classmethod
    def found(cls, route: ProxyRoute) -> "Placed":
        attempt = route["data"].get(ATTEMPT)
        return cls(str(route["data"].get(SERVER, "")), attempt if isinstance(attempt, int) else 0, route["target"])


def data_of(wanted: Wanted) -> dict[str, str | bool | int]:
    """What is kept in the proxy with this route."""
    return {**wanted.data, SERVER: wanted.server, ATTEMPT: wanted.attempt}


class Table:
    """`routes`: what the proxy has of ours, by routespec."""

    def __init__(self) -> None:
        self.routes: dict[str, Placed] = {}
        self._told: dict[str, Placed | None] = {}
        self._dropped: dict[str, int] = {}

    def read(self, routes: Mapping[str, ProxyRoute]) -> None:
        self.routes = {spec: Placed.found(route) for spec, route in routes.items()}

    def differs(self, routes: Mapping[str, ProxyRoute]) -> bool:
        """Whether the proxy has other routes than we have left there. Of which attempt they are does not matter."""
        if routes.keys() != self.routes.keys():
            return True
        return any(routes[spec]["target"] != placed.target for spec, placed in self.routes.items())

    def put(self, spec: str, placed: Placed) -> None:
        self.routes[spec] = placed

    def drop(self, spec: str) -> None:
        if placed := self.routes.pop(spec, None):
            self._dropped[placed.server] = placed.attempt

    def of(self, servers: Collection[str], specs: Collection[str]) -> dict[str, Placed]:
        """The routes of these servers, and these routes."""
        return {spec: placed for spec, placed in self.routes.items() if placed.server in servers or spec in specs}

    def servers(self) -> set[str]:
        """All those that the proxy has a route of, or that the house thinks it has."""
        return {placed.server for placed in self.routes.values()} | self._told.keys() | self._dropped.keys()

    def untold(
        self, servers: Iterable[str], traces: Mapping[str, str], reasons: Mapping[str, str]
    ) -> Iterator[RouteReport]:
        """What the house should hear of these servers: of each that has changed since it was told."""
        placed = {route.server: route for route in self.routes.values()}
        for server in servers:
            now = placed.get(server)
            if not _is_reported(server) or (server in self._told and self._told[server] == now):
                continue
            yield RouteReport(
                server=server,
                attempt=now.attempt if now else self._dropped.get(server, 0),
                target=now.target if now else None,
                reason=reasons.get(server, ""),
                traceparent=traces.get(server, ""),
            )

    def tell(self, reports: Iterable[RouteReport]) -> None:
        """These were heard."""
        for report in reports:
            self._dropped.pop(report.server, None)
            told = None if report.target is None else Placed(report.server, report.attempt, report.target)
            self._told[report.server] = told

    def forget_removed(self) -> None:
        """Of servers that have had no route for a while, nothing needs to be remembered; if the house knows it."""
        told = self._told
        self._told = {server: placed for server, placed in told.items() if placed}
        self._dropped = {
            server: attempt for server, attempt in self._dropped.items() if _is_reported(server) and server not in told
        }

    def forget_told(self) -> None:
        """The house may have lost what it heard, or take it for lost."""
        for server, told in self._told.items():
            if told:
                self._dropped.setdefault(server, told.attempt)
        self._told = {}


def _is_reported(owner: str) -> bool:
    """All but the operator's own, which lead to nothing that the house knows, and those that nobody here has set."""
    return bool(owner) and not owner.startswith("extra:")
