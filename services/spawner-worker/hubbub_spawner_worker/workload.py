"""One attempt of one server on this host: starts it, waits for its first answer, watches it, stops it."""

import asyncio
from datetime import UTC, datetime
from typing import Any, TypeAlias, assert_never
from urllib.parse import urlsplit

import msgspec
import structlog

from hubbub import faults, telemetry
from hubbub.domain.server_messages import (
    Failure,
    ReportExit,
    ReportFailed,
    ReportResponded,
    ReportStarted,
    ReportState,
)
from hubbub.domain.server_states import AwaitResponse, Effect, Running, Server, StartProcess, StopProcess, react
from hubbub.rpc import Report, ServerReport, Spec
from hubbub_spawner_worker import response
from hubbub_spawner_worker.place import LocalPlace
from hubbub_spawner_worker.plugin import Overdue, call, cancel
from hubbub_spawner_worker.progress import publish_progress
from hubbub_spawner_worker.spawners import Spawner
from hubbub_spawner_worker.spawners.service import ServiceSpawner
from hubbub_spawner_worker.spool import Record
from hubbub_spawner_worker.workshop import Workshop

log = structlog.get_logger()

_EVERYWHERE = ("", "0.0.0.0", "::")
_POLL_PATIENCE = 30.0
ANY_TIME = datetime.fromtimestamp(0, UTC)
"""The api puts the true deadline in its place, by its own clock: see `hubbub.rpc.Report`."""


LOST = Failure(reason="lost", message="The worker was restarted before the server was")


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed to a server that runs: to notice its end."""

    attempt: int


Deed: TypeAlias = Effect | Watch


def owed(server: Server) -> Deed | None:
    return Watch(attempt=server.attempt) if isinstance(server, Running) else react(server)


class Workload:
    """*spawner* null: the log says that we hold it, but nothing of it is here; *flaw* says why."""

    def __init__(
        self,
        workshop: Workshop,
        spec: Spec,
        spawner: Spawner | None,
        record: Record | None = None,
        flaw: Failure = LOST,
    ) -> None:
        self.spec = spec
        self._flaw = flaw
        self.place = LocalPlace(workshop=workshop, spec=spec, record=record)
        self._workshop = workshop
        self._spawner = spawner
        self._progress: asyncio.Task[None] | None = None
        if spawner is not None:
            spawner.place = self.place

    async def perform(self, deed: Deed) -> Report:
        """Do it, and say how it went."""
        match deed:
            case StartProcess():
                return await self._start()
            case AwaitResponse(url=url):
                return await self._respond(url)
            case Watch():
                return await self._watch()
            case StopProcess():
                return await self._stop()
            case _:
                assert_never(deed)

    def question(self) -> Report:
        """Asks for what is true now."""
        return self._report(ReportState(attempt=self.spec.attempt, worker=self._workshop.worker), 0)

    async def _start(self) -> Report:
        spawner = self._spawner
        if spawner is None or not spawner.api_token:
            return self._failed(self._flaw.reason, self._flaw.message, None)
        if not self.spec.service:  # nobody looks at a service
            self._progress = asyncio.create_task(publish_progress(spawner, self.spec, self._workshop.publish))
        try:
            address = await call(spawner.start, patience=spawner.start_timeout)
            url = url_of(address, spawner)
            sealed = self._remember(spawner, url)
        except Overdue:
            return self._failed("timeout", f"The server did not start within {spawner.start_timeout:g} seconds", None)
        except Exception as error:
            return self._failed("error", f"Spawner failed to start: {type(error).__name__}", error)
        faults.point("worker.started")
        started = ReportStarted(
            attempt=self.spec.attempt, worker=self._workshop.worker, url=url, deadline=ANY_TIME, sealed=sealed
        )
        return self._report(started, spawner.http_timeout + 10)

    def _remember(self, spawner: Spawner, url: str) -> str:
        """Complete the record of what `start` has made; the spawner's state, sealed."""
        state = spawner.get_state()
        sealed = self._workshop.seal(state)
        record = self.place.record
        if record is None:
            self.place.write(url=url, port=self.place.port, sealed=sealed)
        elif record.url != url or state != {"pid": record.pid}:
            self.place.record = msgspec.structs.replace(record, url=url, sealed=sealed)
            self._workshop.spool.write(self.place.record)
        return sealed

    async def _respond(self, url: str) -> Report:
        spawner = self._spawner
        if spawner is None:
            return self._exited(None)
        answered = asyncio.create_task(response.version_of(f"{url}{spawner.probe}") if url else _nothing_to_ask())
        ended = asyncio.create_task(spawner.ended())
        try:
            await asyncio.wait({answered, ended}, timeout=spawner.http_timeout, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                self._leave(spawner)
                return self._exited(ended.result())
            if not answered.done():
                text = f"The server did not answer at {url}{self.spec.prefix} within {spawner.http_timeout:g} seconds"
                return self._failed("timeout", text, None)
            version = answered.result()
        except Exception as error:
            return self._failed("error", f"The server cannot be asked: {type(error).__name__}", error)
        finally:
            await self._end_progress()
            await cancel(answered)
            await cancel(ended)
        faults.point("worker.responded")
        responded = ReportResponded(
            attempt=self.spec.attempt, worker=self._workshop.worker, deadline=ANY_TIME, version=version
        )
        return self._report(responded, self._workshop.options.ours.route_timeout)

    async def _watch(self) -> Report:
        if self._spawner is None:
            return self._exited(None)
        status = await self._spawner.ended()
        self._leave(self._spawner)
        return self._exited(status)

    async def _stop(self) -> Report:
        """Until it is gone: a failure here is not reported, but tried again."""
        await self._end_progress()
        if self._spawner is None:
            self.place.leave()
            return self._exited(None)
        pause = 0.1
        while (status := await self._try_to_stop(self._spawner)) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        faults.point("worker.stopped")
        self._leave(self._spawner)
        return self._exited(status)

    async def _try_to_stop(self, spawner: Spawner) -> str | None:
        faults.point("worker.before_stop")
        try:
            status = await call(spawner.poll, patience=_POLL_PATIENCE)
            if status is None:
                await call(spawner.stop, patience=spawner.stop_patience)
                status = await call(spawner.poll, patience=_POLL_PATIENCE)
        except Exception as error:
            log.warning("server.stop_failed", server=self.spec.server, attempt=self.spec.attempt, error=str(error))
            return None
        return None if status is None else str(status)

    async def remove(self) -> bool:
        """It does not count any more. End it if it can be told from its successor: whether there was something.

        What is not recorded with a process of this host is left alone: other spawners name their things
        after the person, so that stopping "it" might stop the attempt that counts.
        """
        await self._end_progress()
        record = self._workshop.spool.read(self.spec.server, self.spec.attempt)
        if record is None or record.pid is None or self._spawner is None:
            self.place.leave()
            return False
        await self._stop()
        return True

    def set_port(self, port: int) -> None:
        """The server has chosen where to listen: a spawner that waits for it finds it in its `port`."""
        if self._spawner is not None:
            self._spawner.port = port

    async def release(self) -> None:
        """The worker ends; the server goes on."""
        await self._end_progress()
        if self._spawner is not None:
            await self._spawner.release()

    def _leave(self, spawner: Spawner) -> None:
        self.place.leave()
        try:
            spawner.clear_state()
        except Exception:
            log.exception("spawner.clear_state_failed", server=self.spec.server)

    async def _end_progress(self) -> None:
        if self._progress is not None:
            await cancel(self._progress)
            self._progress = None

    # Reports ----------------------------------------------------------------------------

    def _failed(self, reason: str, text: str, error: Exception | None) -> Report:
        message = f"{text}: {told}" if (told := self._told(error)) else text
        log.warning(
            "server.start_failed", server=self.spec.server, attempt=self.spec.attempt, reason=reason, error=message
        )
        failed = ReportFailed(
            attempt=self.spec.attempt,
            worker=self._workshop.worker,
            failure=Failure(reason=reason, message=message),
            deadline=ANY_TIME,
        )
        return self._report(failed, self._stop_seconds)

    def _told(self, error: Exception | None) -> str:
        """What the exception says, without the one secret that it may have got hold of."""
        text = str(getattr(error, "jupyterhub_message", None) or error or "")
        token = self._spawner.api_token if self._spawner is not None else ""
        return (text.replace(token, "...") if token else text)[:1000]

    def _exited(self, status: Any) -> Report:
        told = None if status is None else str(status)
        log.info("server.ended", server=self.spec.server, attempt=self.spec.attempt, status=told)
        exited = ReportExit(attempt=self.spec.attempt, worker=self._workshop.worker, status=told, deadline=ANY_TIME)
        return self._report(exited, self._stop_seconds)

    @property
    def _stop_seconds(self) -> float:
        return 30.0 if self._spawner is None else self._spawner.stop_patience

    def _report(self, report: ServerReport, seconds: float) -> Report:
        trace = telemetry.traceparent() if telemetry.trace_id() else self.spec.traceparent
        return Report(server=self.spec.server, report=report, seconds=seconds, traceparent=trace)


async def _nothing_to_ask() -> str:
    """A service without a URL needs only to run."""
    return ""


def url_of(address: Any, spawner: Spawner) -> str:
    """*address*: what a spawner's start returned. As scheme://host:port, without a path; raises TypeError.

    "" for a service without a URL.
    """
    match address:
        case "" if isinstance(spawner, ServiceSpawner):
            return ""
        case str():
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise TypeError(f"start() returned {address!r}, which is no URL of a server")
            return f"{parts.scheme}://{parts.netloc}"
        case (str(ip), int(port)) if 0 < port < 65536:
            ip = "127.0.0.1" if ip in _EVERYWHERE else ip
            return f"http://[{ip}]:{port}" if ":" in ip else f"http://{ip}:{port}"
        case None if spawner.port:
            return url_of((spawner.ip, spawner.port), spawner)
        case _:
            raise TypeError(f"start() returned {address!r}, neither a URL nor (ip, port)")
