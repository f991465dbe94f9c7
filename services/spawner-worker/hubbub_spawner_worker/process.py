"""A server's process: its end is learnt at once, and it is stopped with all that it has left in its session and cgroup.

A pid alone proves nothing: a descriptor (pidfd) is opened first, and then the start time and the user compared.
"""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from subprocess import Popen

import structlog

from hubbub.plugin import cancel
from hubbub_spawner_worker import proc
from hubbub_spawner_worker.cgroups import Cgroup

log = structlog.get_logger()

Step = tuple[signal.Signals, float]
"""A signal, and how many seconds to wait for its effect."""

_SCAN_DELAY = 0.005
_CLEARED_WITHIN = 5.0


class StillThere(Exception):
    """It has not ended, whatever was sent to it."""


class Sessions:
    """Ends what is left in the sessions whose leader has ended.

    There is no way to ask for the members of a session but to look at every process, so those who want to
    know at about the same time share one look.
    """

    def __init__(self) -> None:
        self._looks: dict[asyncio.AbstractEventLoop, asyncio.Task[dict[int, list[proc.Stat]]]] = {}
        """Under way, by the loop of those who wait for it: spawners live on two."""

    async def clear(self, leader: int, started: int) -> None:
        """Kill the members of the session of *leader*, which began at *started* and is dead by now."""
        try:
            async with asyncio.timeout(_CLEARED_WITHIN):
                while members := await self._members(leader, started):
                    for member in members:
                        _kill(member)
        except TimeoutError:
            log.warning("session.not_cleared", leader=leader)

    async def _members(self, leader: int, started: int) -> list[proc.Stat]:
        loop = asyncio.get_running_loop()
        if loop not in self._looks:
            self._looks[loop] = asyncio.create_task(self._scan())
        sessions = await asyncio.shield(self._looks[loop])
        members = sessions.get(leader, [])
        # While a session has members the kernel gives its number to nobody else. So if somebody else has
        # it now, these are his; and if its leader lives, it is not for us to clear.
        if any(member.pid == leader and (member.alive or member.started != started) for member in members):
            return []
        return [member for member in members if member.alive and member.pid != leader and member.started >= started]

    async def _scan(self) -> dict[int, list[proc.Stat]]:
        await asyncio.sleep(_SCAN_DELAY)
        del self._looks[asyncio.get_running_loop()]  # who comes from here on may have come too late for this one
        sessions = defaultdict(list)
        for found in proc.everybody():
            sessions[found.session].append(found)
        return sessions


class Process:
    """A process that leads its session, ours (*child*) or that of an earlier self."""

    def __init__(
        self,
        pid: int,
        started: int,
        descriptor: int,
        sessions: Sessions,
        cgroup: Cgroup,
        child: "Popen[bytes] | None" = None,
    ) -> None:
        """`starved`: the kernel has killed it for want of memory, as far as can be told."""
        self.pid = pid
        self.started = started
        self.status: int | None = None
        self.starved = False
        self._killed = False
        self._ended = asyncio.Event()
        self._descriptor = descriptor
        self._sessions = sessions
        self._cgroup = cgroup
        self._child = child
        self._finishing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._finish)

    @classmethod
    def of_child(cls, child: "Popen[bytes]", sessions: Sessions, cgroup: Cgroup | None = None) -> "Process":
        descriptor = os.pidfd_open(child.pid)
        found = proc.stat(child.pid)
        # Not reaped by anybody yet, so it has an entry, if only as a zombie.
        assert found is not None
        return cls(child.pid, found.started, descriptor, sessions, cgroup or Cgroup(), child)

    @classmethod
    def find(
        cls, pid: int, started: int, uid: int, sessions: Sessions, cgroup: Cgroup | None = None
    ) -> "Process | None":
        """The process that was recorded like this, if it is still alive."""
        try:
            descriptor = os.pidfd_open(pid)
        except (OSError, ValueError):
            return None
        found = proc.stat(pid)
        if found is None or not found.alive or found.started != started or proc.uid(pid) != uid:
            os.close(descriptor)
            return None
        return cls(pid, started, descriptor, sessions, cgroup or Cgroup())

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    async def wait(self) -> int | None:
        """Its exit status, negative for a signal. None if it was not our child: only its parent is told."""
        if asyncio.get_running_loop() is self._loop:
            await self._ended.wait()
        else:  # begun on the floor, waited for by the worker
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._ended.wait(), self._loop))
        return self.status

    def send(self, number: signal.Signals) -> None:
        if self._descriptor >= 0:
            self._killed = self._killed or number == signal.SIGKILL
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    async def stop(self, steps: Sequence[Step]) -> None:
        """Send one signal after the other until it has ended. Raises StillThere."""
        for number, patience in steps:
            self.send(number)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._ended.wait()
            if not self.alive:
                return
        raise StillThere(f"process {self.pid} does not end")

    def _finish(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._finishing = asyncio.create_task(self._clear())

    async def _clear(self) -> None:
        # Before it is reaped: until then nobody can get its number.
        await self._cgroup.clear()
        await self._sessions.clear(self.pid, self.started)
        os.close(self._descriptor)
        self._descriptor = -1
        if self._child is not None:
            self.status = self._child.poll()
        self.starved = self.status == -signal.SIGKILL and not self._killed and self._cgroup.oom_kills() > 0
        self._ended.set()

    async def forget(self) -> None:
        """Look no longer: what becomes of it is somebody else's business."""
        if self._finishing is not None:
            await cancel(self._finishing)
        if self._child is not None and self._child.returncode is None:
            self._child.returncode = 0  # or Popen would complain that it was not waited for, which is what is meant
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def _kill(member: proc.Stat) -> None:
    """By a descriptor, opened before the last look."""
    try:
        descriptor = os.pidfd_open(member.pid)
    except OSError:
        return
    try:
        now = proc.stat(member.pid)
        if now is not None and now.started == member.started:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
