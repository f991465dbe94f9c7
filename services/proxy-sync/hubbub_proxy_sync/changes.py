"""What to change in the proxy, and the changing: as many at once as it can take, and nothing that is out of date."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import structlog

from hubbub import faults, telemetry
from hubbub.domain.route import Change, plan
from hubbub.route_messages import Wanted
from hubbub_proxy_sync.awake import Awake
from hubbub_proxy_sync.proxies.proxy import (
    Failures,
    Overtaken,
    Proxy,
    ProxyRoute,
    ProxyUnavailable,
    RouteRefused,
)
from hubbub_proxy_sync.stopwatch import Stopwatch
from hubbub_proxy_sync.table import Placed, Table, data_of

log = structlog.get_logger()

#: So many are worth a line of the log each; more are one event (see `RoutesCorrected`), told as one.
FEW = 20
#: Seconds in which a proxy makes changes, or is not there.
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`traces`: by server, of what has happened to it. `naps`: how often we had been away before *wanted* was asked."""

    wanted: Mapping[str, Wanted]
    found: Mapping[str, Placed]
    traces: Mapping[str, str]
    naps: int
    changes: list[Change] = field(init=False)

    def __post_init__(self) -> None:
        desired = {spec: route.target for spec, route in self.wanted.items()}
        actual = {spec: placed.target for spec, placed in self.found.items()}
        object.__setattr__(self, "changes", list(plan(desired, actual)))

    def owner(self, spec: str) -> str:
        """Whose route it will be, else was; "" if that was nobody's."""
        owner = self.wanted.get(spec) or self.found.get(spec)
        return owner.server if owner else ""

    @property
    def reasons(self) -> dict[str, str]:
        """By server."""
        return {self.owner(change.spec): change.reason for change in self.changes}


@dataclass
class Made:
    """What came of a plan. `left`: servers to which something happened meanwhile; `overtaken`: we were away, or the
    proxy was changed by others.
    """

    failed: Failures = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    overtaken: bool = False

    def add(self, other: "Made") -> None:
        self.failed |= other.failed
        self.left |= other.left
        self.overtaken |= other.overtaken


class Changes:
    """One task uses it, so that no route is changed twice at a time. *dirty*: servers of which there is news."""

    def __init__(
        self, proxy: Proxy, table: Table, awake: Awake, dirty: Mapping[str, str], stopwatch: Stopwatch
    ) -> None:
        self._proxy = proxy
        self._stopwatch = stopwatch
        self._table = table
        self._awake = awake
        self._dirty = dirty
        self._free = asyncio.Semaphore(proxy.concurrency)

    async def make(self, plan: Plan) -> Made:
        size = self._proxy.at_once
        pages = (plan.changes[start : start + size] for start in range(0, len(plan.changes), size))
        made = Made()
        for page in await asyncio.gather(*(self._some(page, plan) for page in pages)):
            made.add(page)
        return made

    async def _some(self, changes: Sequence[Change], plan: Plan) -> Made:
        async with self._free:
            began = time.monotonic()
            with ExitStack() as spans:
                for change in changes:
                    if trace := plan.traces.get(plan.owner(change.spec)):
                        spans.enter_context(telemetry.span("proxy.change", parent=trace, kind="client"))
                _before(changes)
                owners = {plan.owner(change.spec) for change in changes}
                # As late as can be: where a route of this plan leads to may be somebody else's by now.
                if not await self._holds(plan):
                    return Made(left=owners, overtaken=True)
                left = owners & self._dirty.keys()
                changes = [change for change in changes if plan.owner(change.spec) not in left]
                faults.point("proxy.before_sent")
                try:
                    failed = await self._change(changes, plan)
                except Overtaken:
                    return Made(left=owners, overtaken=True)
                _after(changes)
                self._note(changes, plan, failed, ms_since(began))
        return Made(failed=failed, left=left)

    async def _holds(self, plan: Plan) -> bool:
        """Whether we were here all the time since it was made; what has happened since then is heard."""
        if self._awake.naps() == plan.naps:
            await self._awake.abreast()
        return self._awake.naps() == plan.naps

    async def _change(self, changes: Iterable[Change], plan: Plan) -> Failures:
        """Whatever an operator's own class does: it fails, and we do not."""
        specs = [change.spec for change in changes]
        adding = [_route(spec, plan.wanted[spec]) for spec in specs if spec in plan.wanted]
        removing = [spec for spec in specs if spec not in plan.wanted]
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._proxy.change_routes(adding, removing)
        except TimeoutError:
            return dict.fromkeys(specs, ProxyUnavailable(f"no answer within {PATIENCE:g} s"))
        except ProxyUnavailable as error:
            return dict.fromkeys(specs, error)
        except Overtaken:
            raise
        except Exception as error:
            log.exception("proxy.failed")
            return dict.fromkeys(specs, RouteRefused(f"{type(error).__name__}: {error}"))

    def _note(self, changes: Iterable[Change], plan: Plan, failed: Failures, ms: float) -> None:
        told = log.info if len(plan.changes) <= FEW else log.debug
        for change in changes:
            spec, route, server = change.spec, plan.wanted.get(change.spec), plan.owner(change.spec)
            status = "failure" if spec in failed else "success"
            self._stopwatch.note("add" if route else "delete", ms / 1000, status)
            # The paths of people's servers name them.
            where = {"server": server} if _is_somebodys(server) else {"server": server, "spec": spec}
            if error := failed.get(spec):
                log.warning("route.failed", **where, target=change.target, error=str(error))
            elif route is None:
                self._table.drop(spec)
                told("route.removed", **where, reason=change.reason, ms=ms)
            else:
                self._table.put(spec, Placed.of(route))
                told("route.added", **where, reason=change.reason, ms=ms)


def _is_somebodys(server: str) -> bool:
    """Not the hub's, a service's, nobody's."""
    return bool(server) and server != "hub" and ":" not in server


def _before(changes: Iterable[Change]) -> None:
    for verb in {"delete" if change.target is None else "add" for change in changes}:
        faults.point(f"proxy.before_{verb}")


def _after(changes: Iterable[Change]) -> None:
    for verb in {"deleted" if change.target is None else "added" for change in changes}:
        faults.point(f"proxy.{verb}")


def _route(spec: str, wanted: Wanted) -> ProxyRoute:
    return ProxyRoute(routespec=spec, target=wanted.target, data=data_of(wanted))


def ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
