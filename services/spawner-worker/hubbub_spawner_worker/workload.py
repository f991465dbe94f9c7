"""What a worker does for one attempt of one server: start it, wait for its first answer, watch it, stop it."""

import asyncio
import signal
import time
from typing import TypeAlias, assert_never

import msgspec
import structlog

from hubbub import faults
from hubbub.domain.server_messages import Failure, ReportMoved, ReportOrphan, ReportResponded, ReportState
from hubbub.domain.server_states import AwaitResponse, Effect, Held, Running, Server, StartProcess, StopProcess, react
from hubbub.plugin import cancel
from hubbub.rpc import Answer, Report
from hubbub_spawner_worker import strays
from hubbub_spawner_worker.attempt import ANY_TIME, Attempt
from hubbub_spawner_worker.fence import fence, sure_after
from hubbub_spawner_worker.hosted import Hosted
from hubbub_spawner_worker.progress import publish_ready
from hubbub_spawner_worker.starting import LOST, start

log = structlog.get_logger()

__all__ = ["LOST", "Watch", "Workload", "owed"]

_EARLY_ROUND = 2.0
"""Seconds between polls of what has started, but does not answer yet."""
_LEFTOVER_ROUND = 1.0
_ORPHAN_PATIENCE = 15.0
"""Seconds for a process that does not count to end in: SIGINT and SIGTERM have more time, which it may not have."""
_CHILD_ROUND = 1.0


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed to a server that runs: to notice its end, and that it has moved away from *url*."""

    attempt: int
    url: str = ""


Deed: TypeAlias = Effect | Watch


def owed(server: Server) -> Deed | None:
    return Watch(attempt=server.attempt, url=server.url) if isinstance(server, Running) else react(server)


class Workload(Attempt):
    async def perform(self, deed: Deed) -> Report:
        """Do it, and say how it went."""
        match deed:
            case StartProcess():
                return await start(self)
            case AwaitResponse(url=url):
                return await self._respond(url)
            case Watch(url=url):
                return await self._watch(url)
            case StopProcess():
                return await self._stop()
            case _:
                assert_never(deed)

    def question(self) -> Report:
        """Asks for what is true now."""
        return self.report(ReportState(attempt=self.spec.attempt, worker=self.workshop.worker), 0)

    async def _respond(self, url: str) -> Report:
        hosted = await self.open()
        if hosted is None:
            return self.exited(None)
        if url:
            hosted.at(url)
        patience = hosted.spawner.http_timeout
        answered = asyncio.create_task(self.hosting.version_of(hosted, url) if url else _nothing_to_ask())
        ended = asyncio.create_task(self._ended(hosted))
        try:
            await asyncio.wait({answered, ended}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return await self._gone(hosted, ended.result())
            if not answered.done():
                text = f"The server did not answer at {url}{self.spec.prefix} within {patience:g} seconds"
                return self.failed(Failure(reason="timeout", message=text))
            version = answered.result()
        except Exception as error:
            text = f"The server cannot be asked: {type(error).__name__}: {error}"
            return self.failed(self.without_token(Failure(reason="error", message=text)))
        finally:
            await self.end_progress()
            await cancel(answered)
            await cancel(ended)
        await publish_ready(hosted, self.spec, self.workshop.publish)
        faults.point("worker.responded")
        responded = ReportResponded(
            attempt=self.spec.attempt, worker=self.workshop.worker, deadline=ANY_TIME, version=version
        )
        return self.report(responded, self.workshop.options.ours.route_timeout)

    async def _ended(self, hosted: Hosted) -> str | None:
        if hosted.reach == "process":
            return await hosted.ended()
        while (status := await self._poll(hosted)) is None:
            await asyncio.sleep(_EARLY_ROUND)
        return status

    # While it runs --------------------------------------------------------------------------

    async def _watch(self, url: str) -> Report:
        hosted = await self.open()
        if hosted is None:
            return self.exited(None)
        if hosted.reach == "process":
            return await self._gone(hosted, await hosted.ended())
        hosted.at(url)
        while True:
            if report := await self._looked(hosted, url):
                return report
            if (pause := hosted.pause()) == 0:
                await asyncio.Event().wait()  # never asked again: the operator wants it so
            await asyncio.sleep(pause)

    async def _poll(self, hosted: Hosted) -> str | None:
        """None also if it cannot be told: a backend that does not answer has not ended anything."""
        try:
            return await hosted.poll()
        except Exception as error:
            log.warning("server.poll_failed", server=self.spec.server, error=f"{type(error).__name__}: {error}")
            return None

    async def _looked(self, hosted: Hosted, url: str) -> Report | None:
        """A report, if it is gone or listens somewhere else than at *url*. A new state is told in passing.

        A backend that does not answer has not ended anything.
        """
        try:
            found = await hosted.look()
        except Exception as error:
            log.warning("server.poll_failed", server=self.spec.server, error=f"{type(error).__name__}: {error}")
            return None
        if found.status is not None:
            return await self._gone(hosted, found.status)
        if found.url and found.url != url:
            sealed = self.workshop.seal(found.state)
            moved = ReportMoved(attempt=self.spec.attempt, worker=self.workshop.worker, url=found.url, sealed=sealed)
            return self.report(moved, 0)
        if news := self.news(found.state):
            await self.send(news)
        return None

    # Stopping ------------------------------------------------------------------------------

    async def _stop(self) -> Report:
        """Until it is gone: a failure here is not reported, but tried again."""
        await self.end_progress()
        if self.flaw is not None or not self.begun:
            self.leave()
            return self.exited(None)
        pause = 0.1
        while (status := await self._try_to_stop()) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        faults.point("worker.stopped")
        assert self.hosted is not None
        return await self._gone(self.hosted, status)

    async def _try_to_stop(self) -> str | None:
        faults.point("worker.before_stop")
        try:
            hosted = await self.open()
            assert hosted is not None
            if hosted.reach != "process":
                await fence(self)
            return await hosted.stop()
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            log.warning("server.stop_failed", server=self.spec.server, attempt=self.spec.attempt, error=told)
            return None

    async def _gone(self, hosted: Hosted, status: str | None) -> Report:
        resumes = hosted.resumes
        self.leave()
        await hosted.leave()
        return self.exited(status, resumes=resumes, sealed=await self._kept(hosted))

    async def _kept(self, hosted: Hosted) -> str:
        """What is left of its state, sealed: the next start is told so (the name of a volume, say)."""
        if hosted.reach == "process":
            return ""
        try:
            state = await hosted.state()
        except Exception as error:
            log.warning("server.state_unknown", server=self.spec.server, error=f"{type(error).__name__}: {error}")
            return ""
        return self.workshop.seal(state) if state else ""

    async def remove(self) -> bool:
        """It does not count any more. End it if it can be told from its successor: whether there was something.

        What has no process of this host is left alone, and only told: others name their things after the person, so
        that stopping "it" might stop the attempt that counts. The api knows when that cannot be.
        """
        await self.end_progress()
        if self.hosted is not None and self.hosted.reach != "process":
            return await self._remove_other(self.hosted)
        record = self.workshop.spool.read(self.spec.server, self.spec.attempt)
        if record is None or record.pid is None or self.hosted is None:
            self.leave()
            return False
        try:
            async with asyncio.timeout(_ORPHAN_PATIENCE):
                await self._stop()
        except TimeoutError:
            self.hosted.spawner.process.send(signal.SIGKILL)
            await self._stop()
        return True

    async def _remove_other(self, hosted: Hosted) -> bool:
        if not self.begun:
            return False
        answer = await self._tell_leftover(hosted)
        if hosted.reach != "host":
            return False
        if isinstance(answer.state, Held) and answer.state.attempt == self.spec.attempt:
            self.forsaken = True
            return False
        await strays.end(self.spec.hash)
        return await self._poll(hosted) is not None

    async def attend(self) -> None:
        """Somebody else holds it. It may be a child of this process, which is not gone before it was asked after."""
        assert self.hosted is not None
        while await self._poll(self.hosted) is None:
            await asyncio.sleep(_CHILD_ROUND)

    async def _tell_leftover(self, hosted: Hosted) -> Answer:
        found = ReportOrphan(
            attempt=self.spec.attempt,
            host=self.workshop.host,
            pool=self.workshop.pool,
            reach=hosted.reach,
            reason="its worker was thought to be lost",
            sealed=await self._kept(hosted),
        )
        return await self.send(self.report(found, 0))

    async def end_leftover(self, asked: float) -> bool:
        """End what is left of an attempt that is over; whether nothing is. *asked*: when, by the monotonic clock, it
        was asked for: it is ours for as long as we are not thought to be lost, and then anybody's. What is tried in
        vain until then is handed out again.
        """
        self.sure_until = sure_after(asked, self.hosting.lease)
        while await self._try_to_stop() is None:
            if time.monotonic() >= self.sure_until:
                return False
            await asyncio.sleep(min(_LEFTOVER_ROUND, self.hosting.lease / 4))
        assert self.hosted is not None
        if self.hosted.reach == "host":
            await strays.end(self.spec.hash)
        await self._gone(self.hosted, None)
        return True

    async def set_port(self, port: int) -> None:
        """The server has chosen where to listen: a spawner that waits for it finds it in its `port`."""
        if self.hosted is not None:
            await self.hosted.seat.call(setattr, self.hosted.spawner, "port", port, patience=5)

    async def release(self) -> None:
        """The worker ends; the server goes on."""
        await self.end_progress()
        if self.hosted is not None:
            await self.hosted.release()


async def _nothing_to_ask() -> str:
    """A service without a URL needs only to run."""
    return ""
