"""What does not count any more is ended here, or said to be left."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from hubbub import faults
from hubbub.domain.server_messages import ReportOrphan, ReportOrphanRemoved
from hubbub.rpc import Report, Spec
from hubbub_spawner_worker.attempt import Send
from hubbub_spawner_worker.workload import Workload
from hubbub_spawner_worker.workshop import Workshop

log = structlog.get_logger()

_PATIENCE = 10.0

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Removals:
    """Of one worker. *spawn*: runs something beside everything else."""

    def __init__(self, workshop: Workshop, send: Send, spawn: Spawn) -> None:
        self._workshop = workshop
        self._send = send
        self._spawn = spawn
        self._under_way: set[tuple[str, int]] = set()

    def under_way(self, server: str, attempt: int) -> bool:
        return (server, attempt) in self._under_way

    def begin(self, workload: Workload) -> None:
        """What is left of an attempt that does not count any more, and which was found here."""
        self._under_way.add((workload.spec.server, workload.spec.attempt))
        self._spawn(self.remove(workload))

    def clear(self, workload: Workload, asked: float, after: asyncio.Event | None) -> None:
        """End what is left of an attempt that is over. *asked*: when we asked for such work; *after*: what we do for
        that attempt ourselves has to be over.
        """
        self._under_way.add((workload.spec.server, workload.spec.attempt))
        self._spawn(self._clear(workload, asked, after))

    async def remove(self, workload: Workload) -> None:
        spec = workload.spec
        try:
            if await workload.remove():
                log.info("server.orphan_removed", server=spec.server, attempt=spec.attempt)
                await self._tell_removed(spec)
            elif workload.forsaken:
                self._spawn(workload.attend())
        except TimeoutError:
            log.info("server.orphan_not_told", server=spec.server, attempt=spec.attempt)
        except Exception:  # a mistake of ours must not end all the others
            log.exception("server.orphan_not_removed", server=spec.server, attempt=spec.attempt)
        finally:
            self._under_way.discard((spec.server, spec.attempt))

    async def _clear(self, workload: Workload, asked: float, after: asyncio.Event | None) -> None:
        spec = workload.spec
        try:
            if after is not None:
                async with asyncio.timeout(_PATIENCE):
                    await after.wait()
            if await self._ended(workload, asked):
                log.info("server.leftover_ended", server=spec.server, attempt=spec.attempt)
                faults.point("worker.leftover_ended")
                await self._tell_removed(spec)
            else:
                await self._tell_left(spec)
        except Exception as error:  # it will be handed out again
            log.warning("server.leftover_failed", server=spec.server, attempt=spec.attempt, error=str(error))
            with suppress(TimeoutError):
                await self._tell_left(spec)
        finally:
            self._under_way.discard((spec.server, spec.attempt))

    async def _ended(self, workload: Workload, asked: float) -> bool:
        """Whether nothing is left of it. What is on a spool of this host is its worker's, and ends by that."""
        spec = workload.spec
        if spec.reach == "process":
            return not self._workshop.spool.knows(spec.server, spec.attempt)
        return await workload.end_leftover(asked)

    async def _tell_removed(self, spec: Spec) -> None:
        removed = ReportOrphanRemoved(attempt=spec.attempt, host=self._workshop.host)
        async with asyncio.timeout(_PATIENCE):
            await self._send(Report(server=spec.server, report=removed, traceparent=spec.traceparent))
        faults.point("worker.removal_told")

    async def _tell_left(self, spec: Spec) -> None:
        """Sooner than by our silence somebody else may try."""
        left = ReportOrphan(attempt=spec.attempt, host=self._workshop.host, pool=self._workshop.pool, reach=spec.reach)
        async with asyncio.timeout(_PATIENCE):
            await self._send(Report(server=spec.server, report=left, traceparent=spec.traceparent))
