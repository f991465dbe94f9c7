"""A server that this worker holds: does what is owed to it until nothing is, and hears when that changes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import structlog

from hubbub import faults, telemetry
from hubbub.domain.server_states import Server
from hubbub.plugin import cancel
from hubbub.rpc import Answer, Report
from hubbub_spawner_worker.workload import Deed, Watch, Workload, owed

log = structlog.get_logger()

_GONE = ("StaleAttempt", "NotFound")
_PAUSE = 1.0


class Lost(Exception):
    """The attempt does not count any more, or somebody else holds it."""


class Holding:
    """`state`: the last that we heard of it. `told`: it may be old."""

    def __init__(
        self,
        workload: Workload,
        state: Server,
        send: Callable[[Report], Awaitable[Answer]],
        changed: Callable[[], None],
    ) -> None:
        self.workload = workload
        self.state = state
        self.told = asyncio.Event()
        self.over = asyncio.Event()
        self._trace = workload.spec.traceparent or telemetry.traceparent()
        self._send = send
        self._changed = changed

    @property
    def attempt(self) -> int:
        return self.workload.spec.attempt

    async def run(self) -> None:
        """Until nothing is owed. Raises Lost."""
        while deed := owed(self.state):
            with self._span(deed):
                self._is(await self._perform(deed))

    def tell(self) -> None:
        """The state may have changed."""
        self.told.set()

    def _span(self, deed: Deed) -> AbstractContextManager[object]:
        if isinstance(deed, Watch):
            return nullcontext()  # it may take weeks, and a span is seen when it ends
        return telemetry.span(f"worker.{type(deed).__name__}", parent=self._trace, server=self.workload.spec.server)

    async def _perform(self, deed: Deed) -> Server:
        """What is true after *deed*, or after something else came to be owed instead."""
        doing = asyncio.create_task(self.workload.perform(deed))
        try:
            while not doing.done():
                await self._done_or_told(doing)
                if self.told.is_set() and not doing.done():
                    self.told.clear()
                    state = await self._report(self.workload.question())
                    if owed(state) != deed:
                        return state
        finally:
            await cancel(doing)
        report = doing.result()
        name = type(report.report).__name__
        faults.point(f"worker.telling.{name}")
        state = await self._report(report)
        faults.point(f"worker.told.{name}")
        return state

    async def _done_or_told(self, doing: asyncio.Task[Report]) -> None:
        telling = asyncio.create_task(self.told.wait())
        try:
            await asyncio.wait({doing, telling}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()

    async def _report(self, report: Report) -> Server:
        while True:
            answer = await self._send(report)
            if answer.state is not None:
                return answer.state
            refused = answer.refused
            if refused is not None and refused.kind in _GONE:
                raise Lost(refused.message)
            log.warning(
                "report.refused",
                server=report.server,
                attempt=self.attempt,
                report=type(report.report).__name__,
                refused=refused.message if refused else "no state",
            )
            await asyncio.sleep(_PAUSE)
            report = self.workload.question()

    def _is(self, state: Server) -> None:
        if type(state) is not type(self.state):
            log.info(f"server.{type(state).__name__.lower()}", server=self.workload.spec.server, attempt=self.attempt)
        self.state = state
        self._changed()
