"""What those who watch over the house say: leases, sweeps and activity (`hub.rpc.lease.poller.<name>` and so on), and
the signals that nothing waits for.
"""

from datetime import datetime

from hubbub.rpc import Message


class Lease(Message, frozen=True):
    """Asks to be the one that does *name* for the next *seconds*."""

    name: str
    seconds: float


class Leased(Message, frozen=True):
    granted: bool


class Sweep(Message, frozen=True):
    """Asks for what is overdue to be settled. `lost`: workers not heard of for a lease; `gone`: for long;
    `lost_proxies`: proxy-syncs not heard of for a lease.
    """

    lost: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    lost_proxies: tuple[str, ...] = ()


class Swept(Message, frozen=True):
    """`holders`: workers that hold servers now; `proxies`: those that have joined. All of them are to be watched."""

    settled: int = 0
    holders: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()


class Activity(Message, frozen=True):
    """When something was last heard of each route, by its routespec."""

    routes: dict[str, datetime]


class Heartbeat(Message, frozen=True):
    """On `hub.heartbeat.<service>.<name>`, several times a lease."""

    service: str
    name: str
    host: str = ""
    pool: str = ""
    holds: int = 0


class Liveness(Message, frozen=True):
    """On `hub.liveness.<service>.<name>`, when it changes."""

    alive: bool


class Head(Message, frozen=True):
    """On `hub.heartbeat.log`, every second: how far the log has been sent."""

    epoch: str
    position: int


#: The key of a frame that nobody is shown before the server is ready: what `progress_ready_hook` has made of the last
#: one. It is published last, before ReportResponded.
