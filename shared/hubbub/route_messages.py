"""What a proxy-sync and the api say to each other: `hub.rpc.routes.proxy.<proxy>`, `hub.rpc.routed...`."""

from msgspec import field

from hubbub.rpc import Message


class WantRoutes(Message, frozen=True):
    """*servers*: only these; null for all of them, from the server after *after* on, in pages."""

    servers: tuple[str, ...] | None = None
    after: str = ""


class Wanted(Message, frozen=True):
    """A route that should be there. `server`: its id; `hub`, `service:<name or id>` for others."""

    server: str
    attempt: int
    spec: str
    target: str
    data: dict[str, str | bool] = field(default_factory=dict)


class Routes(Message, frozen=True):
    """`position`: the log position that this is true at. `next`: where the next page begins, "" for none."""

    wanted: tuple[Wanted, ...]
    position: int
    epoch: str
    next: str = ""


class RouteReport(Message, frozen=True):
    """`target` null: the proxy has no route of this server."""

    server: str
    attempt: int
    target: str | None
    reason: str = ""
    traceparent: str = ""


class Routed(Message, frozen=True):
    """`joined`: everything that was wanted is there, so this proxy counts from now on."""

    routes: tuple[RouteReport, ...] = ()
    joined: bool = False
