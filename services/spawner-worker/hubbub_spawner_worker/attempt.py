"""One attempt of one server, as those see it who start it, watch it or stop it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from hubbub import telemetry
from hubbub.domain.server_messages import Failure, ReportExit, ReportFailed, ReportState
from hubbub.plugin import cancel
from hubbub.rpc import Answer, Report, ServerReport, Spec
from hubbub_spawner_worker.hosted import Hosted
from hubbub_spawner_worker.hosting import Hosting
from hubbub_spawner_worker.place import LocalPlace
from hubbub_spawner_worker.spool import Record

log = structlog.get_logger()

ANY_TIME = datetime.fromtimestamp(0, UTC)
"""The api puts the true deadline in its place, by its own clock: see `hubbub.rpc.Report`."""

Send = Callable[[Report], Awaitable[Answer]]


class Attempt:
    """What every step of an attempt needs: what it is, its place on this host, its spawner, and how to report of it.

    *token*: the API token, known only to who starts it. *hosted*: its spawner, if there is one already.

    *flaw*: the log says that we hold it, but nothing of it is here; and why. `sure_until`: see `fence`. `forsaken`:
    it runs on, but a colleague of this host holds it.
    """

    def __init__(
        self,
        hosting: Hosting,
        spec: Spec,
        send: Send,
        *,
        token: str = "",
        record: Record | None = None,
        flaw: Failure | None = None,
    ) -> None:
        self.spec = spec
        self.hosted: Hosted | None = None
        self.hosting = hosting
        self.workshop = hosting.workshop
        self.place = LocalPlace(workshop=self.workshop, spec=spec, record=record)
        self.send = send
        self.token = token
        self.flaw = flaw
        self.begun = not token
        self.sure_until = 0.0
        self.forsaken = False
        self.told: dict[str, Any] = {}
        self.progress: asyncio.Task[None] | None = None

    async def open(self) -> Hosted | None:
        """Its spawner, made now if need be, from its newest state; None if there is none."""
        if self.hosted is None and self.flaw is None:
            state = self.place.record.sealed if self.place.record else ""
            self.hosted = await self.hosting.host(self.spec, self.place, state=state)
        return self.hosted

    async def new_state(self, hosted: Hosted) -> Report | None:
        """As `news`, of its state now."""
        return self.news(await hosted.state())

    def news(self, state: dict[str, Any]) -> Report | None:
        """A report of *state*, if that is not what was told last."""
        if not state or state == self.told:
            return None
        self.told = state
        sealed = self.workshop.seal(state)
        return self.report(ReportState(attempt=self.spec.attempt, worker=self.workshop.worker, sealed=sealed), 0)

    def leave(self) -> None:
        """Nothing of it is here any more."""
        self.place.leave()
        self.hosting.forget(self.spec)

    async def end_progress(self) -> None:
        if self.progress is not None:
            await cancel(self.progress)
            self.progress = None

    # Reports ----------------------------------------------------------------------------

    def failed(self, failure: Failure, spent: dict[str, float] | None = None) -> Report:
        """*spent*: by its start, if that is what failed."""
        log.warning(
            "server.start_failed",
            server=self.spec.server,
            attempt=self.spec.attempt,
            reason=failure.reason,
            error=failure.message,
        )
        failed = ReportFailed(
            attempt=self.spec.attempt,
            worker=self.workshop.worker,
            failure=failure,
            deadline=ANY_TIME,
            spent=spent or {},
        )
        return self.report(failed, self.stop_seconds)

    def without_token(self, failure: Failure) -> Failure:
        """What an exception says may hold the one secret that it may have got hold of."""
        tokens = {self.token, self.hosted.spawner.api_token if self.hosted else ""} - {""}
        message, html = failure.message[:1000], failure.html[:4000]
        for token in tokens:
            message, html = message.replace(token, "..."), html.replace(token, "...")
        return msgspec.structs.replace(failure, message=message, html=html)

    def exited(self, status: str | None, *, resumes: bool = False, sealed: str = "") -> Report:
        log.info("server.ended", server=self.spec.server, attempt=self.spec.attempt, status=status)
        exited = ReportExit(
            attempt=self.spec.attempt,
            worker=self.workshop.worker,
            status=status,
            deadline=ANY_TIME,
            resumes=resumes,
            sealed=sealed,
        )
        return self.report(exited, self.stop_seconds)

    @property
    def stop_seconds(self) -> float:
        return 30.0 if self.hosted is None else self.hosted.stop_patience

    def report(self, report: ServerReport, seconds: float) -> Report:
        trace = telemetry.traceparent() if telemetry.trace_id() else self.spec.traceparent
        return Report(server=self.spec.server, report=report, seconds=seconds, traceparent=trace)
