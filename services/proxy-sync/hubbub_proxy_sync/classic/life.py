"""A classic proxy's life: made and started on the floor, its process found again by the next proxy-sync.

JupyterHub's proxies end with their hub; here the users' connections are to outlive us. So what a class starts is looked
for among our children and noted down, and whoever finds it running uses the class as if others had started it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from traitlets import TraitError

from hubbub.floor import Floor
from hubbub.settings import give_up
from hubbub_proxy_sync.classic import children, known, probe, traefik
from hubbub_proxy_sync.classic.making import Making
from hubbub_proxy_sync.proxies.process import Program, Record, Running, alone

log = structlog.get_logger()

#: Seconds. JupyterHub has no limit; the longest of those that are known give up after 30.
MAKE, START, STOP, LIST = 30.0, 60.0, 30.0, 10.0
#: Seconds for a process from the record to answer, which may have been started a moment ago.
FIND_TIMEOUT = 5.0
#: Seconds between looks for the process that is being started.
_LOOK = 0.05
#: Looks after which one that ended is not followed by another.
_LAST_LOOKS = 10


@dataclass(kw_only=True)
class Life:
    """`proxy`: the operator's, once it is there. `running`: its process, if it has started one.

    `mark`: what all that is started here has in its environment.
    """

    making: Making
    floor: Floor
    record: Path
    bind_url: str
    mark: str = ""
    proxy: Any = None
    running: Running | None = None
    is_started: bool = False
    _fresh: bool = field(default=True, init=False)
    _noted: int = field(default=0, init=False)

    async def begin(self) -> str:
        """What is wrong; "" when the proxy is there: the running one, or a new one."""
        try:
            async with _alone(self.record.with_suffix(".lock")):
                return "" if await self._took_over() else await self._begin()
        except TraitError as error:
            give_up(f"c.{self.making.name}: {error}")
        except Exception as error:  # whatever its author had in mind
            self.proxy = None
            self.making.failed()
            return f"{self.making.name}: {type(error).__name__}: {error}"

    async def _took_over(self) -> bool:
        """Whether there was a process of an earlier self, or of another for the same proxy."""
        if (found := self._found()) is None:
            return False
        if found.arguments != self.making.arguments or not await self._is_up(found):
            await found.end()
            return False
        if self.proxy is None or self.is_started:
            self.proxy = await self._make(found=True)
        if found.gone.is_set():
            self.proxy = None
            return False
        self.running, self.is_started, self._fresh = found, False, False
        self._note({found.pid: 0})
        log.info("proxy.found", pid=found.pid)
        return True

    async def _begin(self) -> str:
        if self.proxy is None or not self.is_started:  # one that has been used for what others had started
            self.proxy = None
            self.proxy = await self._make()
        if not self.proxy.should_start:
            await self.floor.call(self.proxy.get_all_routes, patience=LIST)
            if await self.is_dead():
                raise RuntimeError("it cannot see its routes")
            return ""
        if self.mark:
            self._end(children.marked(self.mark))
        if self._fresh:
            await self.floor.call(traefik.forget, self.proxy, patience=LIST)
        self.running = None
        self.is_started = True
        await self._start()
        self._fresh = False
        log.info("proxy.started", pid=self.running.pid if self.running else None)
        return ""

    async def is_dead(self) -> bool:
        """Whether only another one can see what is there."""
        return self.proxy is not None and bool(await self.floor.call(known.is_dead, self.proxy, patience=LIST))

    async def _make(self, *, found: bool = False) -> Any:
        return await self.floor.call(lambda: self.making.make(found=found), patience=MAKE)

    async def _start(self) -> None:
        """Raises what it raises. Its process is noted as soon as it is there: we may die while it starts."""
        before, ended = children.of_ours(), children.failed()
        starting = asyncio.create_task(self.floor.call(self.proxy.start, patience=START))
        born: children.Found = {}
        try:
            lost = 0
            while not starting.done() and lost < _LAST_LOOKS:
                await asyncio.wait({starting}, timeout=_LOOK)
                self._note(born := children.without(children.of_ours(), before))
                lost = 0 if born or not children.without(children.failed(), ended) else lost + 1
            # What it then says itself, of a connection that was cut, leads nobody to the port.
            if not starting.done() or (starting.exception() and await self._has_ended(ended)):
                raise RuntimeError("its process has ended at once: is its port free?")
            starting.result()
            await self.floor.call(known.calm, self.proxy, patience=STOP)
            if not born and self.mark:
                born = children.marked(self.mark)  # it has left us, as daemons do
            # Not before: this would take from us how its process has ended.
            if (pid := self._note(born)) is not None:
                self.running = Running(pid, self.making.arguments)
        except BaseException:
            starting.cancel()
            await asyncio.wait({starting})
            self._end(children.without(children.of_ours(), before))
            raise

    async def _has_ended(self, earlier: children.Found) -> bool:
        """Whether one of our children has ended badly, or does so in a moment."""
        for _ in range(_LAST_LOOKS):
            if children.without(children.failed(), earlier):
                return True
            await asyncio.sleep(_LOOK)
        return False

    def _note(self, born: children.Found) -> int | None:
        """Returns the process that the next proxy-sync would find."""
        pid = children.newest(born)
        if pid is not None and pid != self._noted:
            self.record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            Record.of(pid, self.making.arguments).write(self.record)
            self._noted = pid
        return pid

    def _found(self) -> Running | None:
        """The process that was noted, else one that it has left behind, as daemons do."""
        if found := Program((), (), {}, record=self.record, log=self.record).find():
            return found
        record = Record.read(self.record)
        pid = children.newest(children.marked(self.mark)) if record and self.mark else None
        if record is None or pid is None:
            return None
        with suppress(OSError):
            return Running(pid, record.arguments)
        return None

    async def _is_up(self, running: Running) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(FIND_TIMEOUT):
                while not running.gone.is_set():
                    if await probe.answers(self.bind_url):
                        return True
                    await asyncio.sleep(_LOOK)
        return False

    async def stop(self) -> None:
        """End it: by its own method if this proxy-sync has started it."""
        running = self.running or self._found()
        if self.is_started:
            try:
                await self.floor.call(self.proxy.stop, patience=STOP)
            except Exception as error:
                log.warning("proxy.not_stopped", error=f"{type(error).__name__}: {error}")
        if running is not None:
            await running.end()
        if self.mark:
            self._end(children.marked(self.mark))
        self.running = None

    def lost(self) -> None:
        """Its process has ended, or it is dead."""
        if self.running is not None:
            self.running.let_go()
        self.running = None

    def _end(self, pids: Iterable[int]) -> None:
        """What a start that failed has left behind."""
        for pid in pids:
            log.info("proxy.stray_ended", pid=pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def close(self) -> None:
        if self.running is not None:
            self.running.let_go()
        self.floor.close()


@asynccontextmanager
async def _alone(lock: Path) -> AsyncIterator[None]:
    """While no other proxy-sync for the same proxy is here."""
    while True:
        with alone(lock) as alone_now:
            if alone_now:
                yield
                return
        await asyncio.sleep(_LOOK)
