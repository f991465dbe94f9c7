"""What a proxy-sync and the api say to each other: `hub.rpc.routes.proxy.<proxy>`, `hub.rpc.routed...`, and so on."""

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


class Correction(Message, frozen=True):
    """What was found in the proxy, and made of it: targets, null for no route. `server`: whose it is, "" nobody's."""

    spec: str
    server: str
    found: str | None
    made: str | None


class Corrected(Message, frozen=True):
    """What a proxy had otherwise than it should, without anything having happened to those servers.

    `id`: of this report, however often it is sent. `count`: how many routes that were, of which `routes` are the first.
    """

    id: str
    reason: str
    count: int
    routes: tuple[Correction, ...]


#: Seconds up to which durations are counted.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Took(Message, frozen=True):
    """How long something took: `add` or `delete` a route (`status`: success, failure), `poll` the proxy for all of
    them, `check` all of them. `counts`: how many took up to each of `BOUNDS` and longer than the one before; the last:
    longer than all.
    """

    what: str
    counts: tuple[int, ...]
    seconds: float
    status: str = ""


class Figures(Message, frozen=True):
    """What this *run* of a proxy-sync has counted since its part before *number*."""

    run: str
    number: int
    took: tuple[Took, ...]


class Routed(Message, frozen=True):
    """`joined`: everything that was wanted at `position` of the log is there, so this proxy counts from now on."""

    routes: tuple[RouteReport, ...] = ()
    joined: bool = False
    position: int = -1
    corrected: Corrected | None = None
    figures: Figures | None = None


# hub.rpc.moved.proxy.<proxy> ------------------------------------------------------------


class WhereMoved(Message, frozen=True):
    """Asks where the proxy is. *key*: public, of a `hubbub.sealed_box.Box` that only who asks can open."""

    key: str


class Moved(Message, frozen=True):
    """`id`: of the move, "" if it has never been moved. `api_url` "": where it is configured. `sealed`: its token, for
    who asked; "" for the configured one.
    """

    id: str = ""
    api_url: str = ""
    sealed: str = ""


# Signals ----------------------------------------------------------------------------------


class Missed(Message, frozen=True):
    """On `hub.missed`: a request reached the hub that should have reached this server, or `service:<id>`."""

    server: str = ""


class Compare(Message, frozen=True):
    """On `hub.compare`: compare all routes with what they should be, now."""

    id: str


class Compared(Message, frozen=True):
    """On `hub.compared.<proxy>`: *id*, of a `Compare` or of a move, is done; with a `problem`, all is as it was."""

    id: str
    problem: str = ""
