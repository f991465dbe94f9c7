"""Taking back what an earlier self has left running on this host, and taking over from dead colleagues."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import structlog

from hubbub import faults
from hubbub.bus import Bus
from hubbub.domain.server_messages import ReportFound
from hubbub.domain.server_states import Server
from hubbub.rpc import Answer, Found, Hello, Report, Welcome
from hubbub_spawner_worker.attempt import ANY_TIME
from hubbub_spawner_worker.cgroups import Cgroup
from hubbub_spawner_worker.hosted import Hosted
from hubbub_spawner_worker.hosting import Hosting
from hubbub_spawner_worker.process import Process
from hubbub_spawner_worker.spool import Record
from hubbub_spawner_worker.workload import Workload

log = structlog.get_logger()

_LOCK_PAUSE = 0.05
_FINDING_PATIENCE = 10.0
_GONE = ("StaleAttempt", "NotFound")


class WrongConfiguration(Exception):
    """The api runs by another configuration than this worker."""


class Holds(Protocol):
    """Who takes on what is found."""

    def holds(self, server: str, attempt: int) -> bool: ...

    def files(self) -> set[str]:
        """Of what is held, as they are named on the spool."""

    def hold(self, workload: Workload, state: Server) -> None: ...

    def remove(self, workload: Workload) -> None: ...


class Adoption:
    def __init__(
        self, bus: Bus, hosting: Hosting, pool: str, holder: Holds, send: Callable[[Report], Awaitable[Answer]]
    ) -> None:
        self._bus = bus
        self._hosting = hosting
        self._workshop = hosting.workshop
        self._subject = f"hub.rpc.hello.{pool}.{self._workshop.worker}"
        self._holder = holder
        self._send = send

    async def hello(self) -> None:
        """Say what is here, and take it back. Raises WrongConfiguration."""
        await self._own_lock()
        found = [workload for record in self._workshop.spool.records() if (workload := await self.find(record))]
        message = Hello(
            host=self._workshop.host,
            found=tuple(_found(workload) for workload in found),
            options=self._workshop.options.hashes,
        )
        faults.point("worker.hello")
        welcome = await self._bus.ask_until_answered(self._subject, message, Welcome)
        faults.point("worker.welcomed")
        if welcome.refused is not None:
            raise WrongConfiguration(welcome.refused.message)
        if len(welcome.answers) != len(found):
            log.error("worker.welcome_unusable", found=len(found), answers=len(welcome.answers))
        for workload, answer in zip(found, welcome.answers, strict=False):
            await self._settle(workload, answer)

    async def colleagues(self) -> None:
        """Take over what dead workers of this host have left, and whatever else on the spool nobody attends to."""
        for lock in self._workshop.spool.dead_colleagues():
            with lock:
                await self.leftovers()
        await self.leftovers()

    async def leftovers(self) -> None:
        attended = self._holder.files()
        found = [
            workload
            for record in self._workshop.spool.records(attended.__contains__)
            if not self._holder.holds(*record.key) and (workload := await self.find(record))
        ]
        answers = await asyncio.gather(*(self._send(self._report(workload)) for workload in found))
        for workload, answer in zip(found, answers, strict=True):
            await self._settle(workload, answer)

    async def find(self, record: Record) -> Workload | None:
        """What is on the spool, if it is still alive; if not, its traces are removed."""
        workload = Workload(self._hosting, record.spec, self._send, record=record)
        hosted = await self._opened(record, workload)
        if hosted is None:
            return None
        # There, since that is the loop that will hear of its end.
        process = await hosted.seat.call(self._process, record, patience=_FINDING_PATIENCE)
        if process is None:
            log.info("server.dead", server=record.server, attempt=record.attempt, pid=record.pid)
            workload.leave()
            return None
        hosted.spawner.adopt(process)
        return workload

    async def _opened(self, record: Record, workload: Workload) -> Hosted | None:
        try:
            return await workload.open()
        except Exception as error:  # damaged, or the spawner does not take its own state back
            log.warning("server.state_unusable", server=record.server, attempt=record.attempt, error=str(error))
        workload.spec = msgspec.structs.replace(record.spec, sealed="")
        workload.place.record = msgspec.structs.replace(record, sealed="")
        try:
            return await workload.open()
        except Exception:
            log.exception("server.not_adopted", server=record.server, attempt=record.attempt)
            return None

    async def _process(self, record: Record) -> Process | None:
        pid = record.pid
        if pid is None or record.boot_id != self._workshop.boot:
            return None
        cgroup = Cgroup(record.cgroups)
        found = Process.find(pid, record.start_time, record.uid, self._workshop.sessions, cgroup)
        if found is None:
            await cgroup.clear()
            await self._workshop.sessions.clear(pid, record.start_time)
        return found

    async def _settle(self, workload: Workload, answer: Answer) -> None:
        spec = workload.spec
        if answer.state is not None:
            log.info("server.adopted", server=spec.server, attempt=spec.attempt)
            self._holder.hold(workload, answer.state)
        elif answer.refused is not None and answer.refused.kind in _GONE:
            self._holder.remove(workload)
        else:
            # An error of the moment: it is on the spool, and so will be reported again.
            log.warning("server.not_adopted", server=spec.server, attempt=spec.attempt, answer=str(answer.refused))
            await workload.release()

    def _report(self, workload: Workload) -> Report:
        found = _found(workload)
        report = ReportFound(
            attempt=found.attempt,
            worker=self._workshop.worker,
            host=self._workshop.host,
            deadline=ANY_TIME,
            url=found.url,
        )
        seconds = self._workshop.options.spawner.http_timeout + 10
        return Report(server=found.server, report=report, seconds=seconds, traceparent=workload.spec.traceparent)

    async def _own_lock(self) -> None:
        """A colleague that has just taken over our files has it until they are reported as its own."""
        tries = 0
        while not self._workshop.spool.lock.take():
            tries += 1
            if tries % 100 == 0:
                log.warning("worker.name_taken", worker=self._workshop.worker)
            await asyncio.sleep(_LOCK_PAUSE)


def _found(workload: Workload) -> Found:
    record = workload.place.record
    return Found(server=workload.spec.server, attempt=workload.spec.attempt, url=record.url if record else "")
