"""What proxy-sync asks of the api, and tells it."""

from collections.abc import Sequence

import structlog

from hubbub import faults
from hubbub.bus import Bus
from hubbub.route_messages import Routed, RouteReport, Routes, Wanted, WantRoutes
from hubbub.rpc import Done
from hubbub.subjects import token

log = structlog.get_logger()

#: Reports in one message, which stays far below the largest payload.
BATCH = 400
#: Seconds. What was under way when the bus died is never answered, and routes should be right within 2 s.
PATIENCE = 2.0


class House:
    """Every question is repeated until there is an answer."""

    def __init__(self, bus: Bus, proxy: str) -> None:
        self._bus = bus
        self._proxy = token(proxy)

    async def wanted(self, servers: tuple[str, ...] | None) -> tuple[list[Wanted], str, int]:
        """The routes that should be there, of these servers or all; the epoch and position since which that is so."""
        wanted: list[Wanted] = []
        question = WantRoutes(servers=servers)
        first: Routes | None = None
        while True:
            page = await self._bus.ask_until_answered(
                f"hub.rpc.routes.proxy.{self._proxy}", question, Routes, timeout=PATIENCE
            )
            first = first or page
            wanted += page.wanted
            if not page.next:
                return wanted, first.epoch, first.position
            question = WantRoutes(servers=servers, after=page.next)

    async def report(self, reports: Sequence[RouteReport], *, joined: bool) -> None:
        """Returns when it is in the log. *joined* is said with the last of them, which makes it true."""
        pages = [tuple(reports[start : start + BATCH]) for start in range(0, len(reports), BATCH)]
        if joined and not pages:
            pages = [()]
        for number, page in enumerate(pages, start=1):
            message = Routed(routes=page, joined=joined and number == len(pages))
            done = await self._bus.ask_until_answered(
                f"hub.rpc.routed.proxy.{self._proxy}", message, Done, timeout=PATIENCE
            )
            faults.point("proxy.reported")
            if done.refused:
                log.error("sync.report_refused", kind=done.refused.kind, error=done.refused.message)
