"""What those who watch over the house say: leases, sweeps and activity (`hub.rpc.lease.poller.<name>` and so on), and
the signals that nothing waits for.
"""

from datetime import datetime

import msgspec

from hubbub.rpc import Message
from hubbub.vitals import Vitals


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
    """When something was last heard of each route, by its routespec.

    Of a proxy-sync: with `proxy`, its name, this is one of `pages` that together are all that it knew `at` that time.
    Of the poller: `told` says of each proxy until when all that it has heard has been handed on with this and before.
    """

    routes: dict[str, datetime]
    proxy: str = ""
    at: datetime | None = None
    page: int = 0
    pages: int = 0
    told: dict[str, datetime] = msgspec.field(default_factory=dict)


class Heartbeat(Message, frozen=True):
    """On `hub.heartbeat.<service>.<name>`, several times a lease. Of a worker: `machine` is what its host is called,
    `capacity` how many servers it holds at most (0: any number), `starts` how many of them may be on their way up,
    `began` when its process did.
    """

    service: str
    name: str
    host: str = ""
    pool: str = ""
    holds: int = 0
    machine: str = ""
    version: str = ""
    capacity: int = 0
    starts: int = 0
    began: datetime | None = None
    vitals: Vitals | None = None


class Liveness(Message, frozen=True):
    """On `hub.liveness.<service>.<name>`, when it changes."""

    alive: bool


class Head(Message, frozen=True):
    """On `hub.heartbeat.log`, every second: how far the log has been sent."""

    epoch: str
    position: int


#: The key of a frame that nobody is shown before the server is ready: what `progress_ready_hook` has made of the last
#: one. It is published last, before ReportResponded.
