"""What proxy-sync asks of the api, and tells it."""

from collections.abc import Sequence

import structlog

from hubbub import faults
from hubbub.bus import Bus
from hubbub.route_messages import Corrected, Routed, RouteReport, Routes, Wanted, WantRoutes
from hubbub.rpc import Done
from hubbub.subjects import token
from hubbub_proxy_sync.stopwatch import Stopwatch

log = structlog.get_logger()

#: Reports in one message, which stays far below the largest payload.
BATCH = 400
#: Seconds. What was under way when the bus died is never answered, and routes should be right within 2 s.
PATIENCE = 2.0


class House:
    """Every question is repeated until there is an answer."""

    def __init__(self, bus: Bus, proxy: str, stopwatch: Stopwatch) -> None:
        self._bus = bus
        self._stopwatch = stopwatch
        self._proxy = token(proxy)
        self._position = -1  # that the last answer about all routes was true at

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
                if servers is None:
                    self._position = first.position
                return wanted, first.epoch, first.position
            question = WantRoutes(servers=servers, after=page.next)

    async def report(self, reports: Sequence[RouteReport], *, joined: bool, corrected: Corrected | None = None) -> None:
        """Returns when it is in the log. *joined* is said with the last of them, which makes it true."""
        pages = [tuple(reports[start : start + BATCH]) for start in range(0, len(reports), BATCH)]
        if (joined or corrected) and not pages:
            pages = [()]
        for number, page in enumerate(pages, start=1):
            is_last = number == len(pages)
            message = Routed(
                routes=page,
                joined=joined and is_last,
                position=self._position,
                corrected=corrected if is_last else None,
                figures=self._stopwatch.take() if joined and is_last else None,
            )
            done = await self._bus.ask_until_answered(
                f"hub.rpc.routed.proxy.{self._proxy}", message, Done, timeout=PATIENCE
            )
            faults.point("proxy.reported")
            if done.refused:
                log.error("sync.report_refused", kind=done.refused.kind, error=done.refused.message)
