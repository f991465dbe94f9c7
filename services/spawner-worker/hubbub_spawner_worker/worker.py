"""The worker: what it holds, what it hears, and what it does every few seconds whatever it heard."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from hubbub import faults
from hubbub.bus import Bus, BusUnavailable, Remote
from hubbub.domain.server_messages import Failure, Reach
from hubbub.domain.server_states import Running, Server, Spawning, Started, Stopping
from hubbub.floor import PluginExited
from hubbub.rpc import Done, Held, Holdings, Inherited, Refusal, Spec, Word
from hubbub.vitals import vitals
from hubbub_spawner_worker import log_streams
from hubbub_spawner_worker.adoption import Adoption
from hubbub_spawner_worker.auth_states import AuthStates
from hubbub_spawner_worker.certificates import Issuer
from hubbub_spawner_worker.claims import Claims
from hubbub_spawner_worker.farewells import Farewells
from hubbub_spawner_worker.fence import sure_after
from hubbub_spawner_worker.forms import Forms
from hubbub_spawner_worker.guesses import nobodys, spawning
from hubbub_spawner_worker.holding import Holding, Lost
from hubbub_spawner_worker.hosting import Hosting
from hubbub_spawner_worker.logs import Backend
from hubbub_spawner_worker.removals import Removals
from hubbub_spawner_worker.reports import Reporter
from hubbub_spawner_worker.spawners import LocalProcessSpawner
from hubbub_spawner_worker.spool import name_of
from hubbub_spawner_worker.workload import LOST, Workload, owed
from hubbub_spawner_worker.workshop import Workshop

log = structlog.get_logger()

ROUND = 2.0
"""Seconds between looks at what we hold, at most."""
CHECK = 20.0
"""Seconds after which even a server that nothing is owed to is asked about: we may have lost it unheard."""
ANY_NUMBER = 1_000_000
"""How many servers a worker holds that has no limit."""
_SWEEP = 30.0
_AT_ONCE = 4000
"""Ids of servers that go into one message."""


class Worker:
    def __init__(self, bus: Bus, workshop: Workshop, *, pool: str, lease: float, issuer: Issuer | None = None) -> None:
        """*lease*: seconds. *issuer*: of certificates, with internal TLS."""
        self._bus = bus
        self._workshop = workshop
        self._hosting = Hosting(workshop, AuthStates(bus, pool, workshop).save, issuer, lease=lease)
        self._pool = pool
        self._lease = lease
        self._round = min(ROUND, lease / 4)
        self._size = workshop.options.size_of(pool)
        self._held: dict[str, Holding] = {}
        self._unasked: list[str] = []
        self._compared = time.monotonic()
        self._tasks: asyncio.TaskGroup | None = None
        name = workshop.worker
        self._log_streams = log_streams.LogStreams(workshop.logs, workshop.publish, self._backend_of)
        self.reporter = Reporter(bus, f"hub.rpc.report.{pool}.{name}")
        self.claims = Claims(bus, pool=pool, worker=name, host=workshop.host, taker=self, reach=self._hosting.reach)
        self.claims.on_reconnect = self.check_all
        self._removals = Removals(workshop, self.reporter.send, self._spawn)
        self._forms = Forms(bus, self._hosting, workshop.sealer, pool=pool)
        self._farewells = Farewells(bus, self._hosting, workshop.kind, workshop.sealer, pool=pool)
        self._adoption = Adoption(bus, self._hosting, pool, self, self.reporter.send)

    @property
    def reach(self) -> Reach:
        """Of what it starts."""
        return self._hosting.reach

    async def run(self, ready: Callable[[], None]) -> None:
        """Take back what is here, then work; *ready* is called in between."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._spawn(self.reporter.run())
                self._spawn(self._beat())
                await self._bus.answer(f"hub.holder.{self._workshop.worker}", self._hear)
                await self._adoption.hello()
                await self._forms.listen()
                await self._farewells.listen()
                ready()
                self._spawn(self.claims.listen())
                self._spawn(self.claims.run())
                self._spawn(self._rounds())
        finally:
            await self._log_streams.close()
            for holding in list(self._held.values()):
                await holding.workload.release()
            self._hosting.floor.close()

    # What claims and adoption need --------------------------------------------------------

    def free(self) -> int:
        """How many more it could start now: none, if too many have failed in a row, or it is about to end or drains."""
        if self._hosting.failures.exceeded or self._hosting.floor.exited.is_set() or self.claims.draining:
            return 0
        return min(self._size.starts - self._starting(), self.room())

    def room(self) -> int:
        """How many more servers it could hold."""
        return (self._size.capacity or ANY_NUMBER) - len(self._held)

    def _starting(self) -> int:
        return sum(isinstance(holding.state, Spawning | Started) for holding in self._held.values())

    def take(self, spec: Spec, token: str) -> None:
        held = self._held.get(spec.server)
        if held is not None and held.attempt == spec.attempt:
            held.tell()
            return
        workload = self._workload(spec, token=token)
        workload.sure_until = sure_after(self.claims.asked, self._lease)
        self.hold(workload, spawning(spec, self._workshop))

    def inherit(self, inherited: Inherited) -> None:
        """What its holder was lost to, and this worker can reach."""
        spec, held = inherited.spec, self._held.get(inherited.spec.server)
        log.info("server.inherited", server=spec.server, attempt=spec.attempt)
        if held is not None and held.attempt == spec.attempt:
            held.tell()
            return
        faults.point("worker.inherited")
        self.hold(self._workload(spec), inherited.state)

    def clear(self, spec: Spec) -> None:
        """End what is left of an attempt that is over: first of all here, if we have not heard that it is."""
        if self._removals.under_way(spec.server, spec.attempt):
            return
        held = self._held.get(spec.server)
        ours = held if held is not None and held.attempt == spec.attempt else None
        if ours:
            ours.tell()
        self._removals.clear(self._workload(spec), self.claims.asked, ours.over if ours else None)

    def holds(self, server: str, attempt: int) -> bool:
        held = self._held.get(server)
        return (held is not None and held.attempt == attempt) or self._removals.under_way(server, attempt)

    def files(self) -> set[str]:
        return {name_of(server, holding.attempt) for server, holding in self._held.items()}

    def hold(self, workload: Workload, state: Server) -> None:
        earlier = self._held.get(workload.spec.server)
        holding = Holding(workload, state, self.reporter.send, self.claims.room)
        self._held[workload.spec.server] = holding
        self._spawn(self._keep(holding, earlier))

    def remove(self, workload: Workload) -> None:
        """What is left of an attempt that does not count any more."""
        self._removals.begin(workload)

    # One server --------------------------------------------------------------------------

    async def _keep(self, holding: Holding, earlier: Holding | None) -> None:
        if earlier is not None:
            # An attempt begins when nothing of the one before is left.
            earlier.tell()
            await earlier.over.wait()
        spec = holding.workload.spec
        try:
            await self._run(holding)
        except Lost as error:
            log.info("server.lost", server=spec.server, attempt=spec.attempt, reason=str(error))
            await self._removals.remove(holding.workload)
        finally:
            if self._held.get(spec.server) is holding:
                del self._held[spec.server]
            holding.over.set()
            self.claims.room()

    async def _run(self, holding: Holding) -> None:
        while True:
            try:
                return await holding.run()
            except Lost:
                raise
            except Exception:  # a mistake of ours must not end all the others
                log.exception("worker.failed", server=holding.workload.spec.server)
                await asyncio.sleep(1)

    def _workload(self, spec: Spec, *, token: str = "", flaw: Failure | None = None) -> Workload:
        return Workload(self._hosting, spec, self.reporter.send, token=token, flaw=flaw)

    # What is heard -------------------------------------------------------------------------

    async def _hear(self, _: str, data: bytes) -> msgspec.Struct:
        word = msgspec.json.decode(data, type=Word)
        if word.verb in log_streams.VERBS:
            return await self._log_streams.hear(word)
        held = self._held.get(word.server)
        if word.verb == "port":
            if held is None or held.attempt != word.attempt:
                return Done(refused=Refusal(kind="StaleAttempt", message="it is not held here"))
            await held.workload.set_port(word.port)
            return Done()
        if word.verb != "changed":
            raise ValueError(f"there is no verb {word.verb!r}")
        if held:
            held.tell()
        return Done()

    def _backend_of(self, server: str) -> Backend | None:
        """Of one that we hold, and whose log is not in our files."""
        held = self._held.get(server)
        hosted = held.workload.hosted if held else None
        return None if hosted is None or isinstance(hosted.spawner, LocalProcessSpawner) else hosted.log

    def check_all(self) -> None:
        """We may have been unheard for long enough to lose what we hold."""
        for holding in self._held.values():
            holding.tell()

    # Every few seconds ---------------------------------------------------------------------

    async def _rounds(self) -> None:
        swept = last = time.monotonic()
        while True:
            await asyncio.sleep(self._round)
            now = time.monotonic()
            if now - last > self._round + self._lease / 2:
                self.check_all()  # we were not running ourselves
            last = now
            self._end_if_left()
            try:
                await self._look()
                await self._adoption.colleagues()
                if now - swept > _SWEEP:
                    swept = now
                    self._workshop.logs.rotate(list(self._held))
                    self._workshop.ports.sweep(self._workshop.spool.ports)
                    self._workshop.cgroups.sweep(self._workshop.spool.names)
            except (BusUnavailable, Remote, msgspec.MsgspecError, OSError) as error:
                log.warning("worker.round_failed", error=str(error))

    def _end_if_left(self) -> None:
        """A plug-in wanted to end the hub (KubeSpawner does, when its watch is broken): end, when nobody is on the way
        up, and let the next self start afresh with what this one holds.
        """
        if self._hosting.floor.exited.is_set() and not self._starting():
            raise PluginExited("a spawner class wanted to end the process")

    async def _look(self) -> None:
        """Compare what the log says that we hold and owe with what we think."""
        claims = self.claims.made
        subject = f"hub.rpc.holdings.{self._pool}.{self._workshop.worker}"
        counted = self._workshop.counts.part()
        held = await self._bus.ask(subject, Holdings(held=self._due(), counted=counted if counted.sums else None), Held)
        self._workshop.counts.told(counted)
        for server in held.lost:
            if ours := self._held.get(server):
                ours.tell()
        for server, state in held.servers.items():
            if ours := self._held.get(server):
                if owed(ours.state) != owed(state):
                    ours.tell()
            elif (
                not self.claims.open
                and claims == self.claims.made
                and isinstance(state, Spawning | Started | Running | Stopping)
            ):
                self._hold_nothing(server, state)

    def _due(self) -> tuple[str, ...]:
        """Those that have not been asked about for long: we may have lost them unheard."""
        now = time.monotonic()
        if now - self._compared < CHECK or (not self._unasked and not self._held):
            return ()
        self._unasked = self._unasked or list(self._held)
        asked, self._unasked = self._unasked[:_AT_ONCE], self._unasked[_AT_ONCE:]
        if not self._unasked:
            self._compared = now
        return tuple(asked)

    def _hold_nothing(self, server: str, state: Spawning | Started | Running | Stopping) -> None:
        """The log says that it is ours; unless it is on the spool, there is nothing of it."""
        if self.holds(server, state.attempt):
            return
        if state.reach != "process" and not isinstance(state, Spawning):
            return  # it is not forgotten, and comes with the next claim once we are thought to be lost
        if self._workshop.spool.read(server, state.attempt) is None:
            log.warning("server.unknown", server=server, attempt=state.attempt)
            self.hold(self._workload(nobodys(server, state), flaw=LOST), state)

    async def _beat(self) -> None:
        name = self._workshop.worker
        beat = self._workshop.heartbeat(self._pool)
        while True:
            beat = msgspec.structs.replace(beat, holds=len(self._held), vitals=vitals())
            await self._bus.signal(f"hub.heartbeat.spawner-worker.{name}", beat)
            await asyncio.sleep(self._lease / 4)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None
        self._tasks.create_task(coroutine)
