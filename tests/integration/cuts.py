"""One cut of a worker at a named point, and what has to be true afterwards."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from burst import Faults, ask, killed
from checks import five_checks, rows
from stack import Hub, eventually

NAME = "ada"
SERVER = f"/users/{NAME}/server"
LEASE = 0.5
#: Seconds for which a worker is stopped, or cut off: until everything of it is given up, which for processes of its
#: host is after six leases.
AWAY = {"process": 3.5, "host": 2.5, "pool": 2.5}
#: Seconds in which what does not count has to be gone, and what was asked for to be so.
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a worker is struck, and *how*: `kill`, `stop` or `cut` (see `hubbub.faults`). `after`: where one is killed
    before, for it to get there.
    """

    point: str
    how: str
    after: str = ""

    def __str__(self) -> str:
        return f"{self.point.removeprefix('worker.')}-{self.how}" + (f"-after-{self.after}" if self.after else "")


class Stage:
    """A hub with two workers, and the one server that is tried. `reach`: of its spawner."""

    def __init__(self, hub: Hub, faults: Faults, reach: str) -> None:
        self.hub = hub
        self.reach = reach
        self.faults = faults

    async def reset(self) -> None:
        """Nothing runs, and nobody is stopped: whatever the test before has left."""
        for pid in self.workers():
            os.kill(pid, signal.SIGCONT)
        self.faults.disarm()
        await ask(self.hub, "DELETE", SERVER)
        await eventually(self._is_clean, PATIENCE, "a clean stage")

    def workers(self) -> list[int]:
        return [pid for name, pid in self.hub.services().items() if name.startswith("spawner-worker")]

    async def run(self) -> int:
        """Start the server; its process."""
        status, body = await ask(self.hub, "POST", SERVER)
        assert status == 201, (status, body)
        [workload] = self.hub.workloads()
        return workload.pid

    async def kill_holder(self) -> None:
        [row] = await rows(self.hub, "select holder from servers where holder is not null")
        pid = self.hub.pid(row["holder"])
        os.kill(pid, signal.SIGKILL)
        await killed(pid)

    @asynccontextmanager
    async def struck(self, cut: Cut) -> AsyncIterator[None]:
        """The block brings a worker to where it is cut; this ends when that is over."""
        if cut.after:
            self.faults.arm(cut.after)
        else:
            self._arm(cut)
        striking = asyncio.create_task(self._strike(cut))
        try:
            yield
            await striking
        finally:
            striking.cancel()

    async def _strike(self, cut: Cut) -> None:
        if cut.after:
            await eventually(self._was_struck, PATIENCE, f"a worker at {cut.after}")
            self._arm(cut)
        pid = await eventually(self._was_struck, PATIENCE, f"a worker at {cut.point}")
        if cut.how != "kill":
            await asyncio.sleep(AWAY[self.reach])  # that is the fault
        if cut.how == "stop":
            os.kill(pid, signal.SIGCONT)

    def _arm(self, cut: Cut) -> None:
        self.faults.arm(cut.point, how=str(AWAY[self.reach]) if cut.how == "cut" else cut.how)

    async def _was_struck(self) -> int:
        return self.faults.struck

    async def _is_clean(self) -> bool:
        return not self.hub.workloads() and await self._is_stopped() and not await self.leftovers()

    async def _is_stopped(self) -> bool:
        return not await rows(self.hub, "select id from servers where kind <> 'Stopped'")

    async def leftovers(self) -> list[Any]:
        return await rows(self.hub, "select id, state from servers where leftovers > 0")

    async def given_up(self, cut: Cut) -> bool:
        """Whether the log says that the server crashed: a process that ran, and whose worker was away for too long."""
        crashed = """
            select s.id from events e join servers s on e.stream = 'server-' || s.id
            where e.type = 'ServerCrashed' and (e.data::json ->> 'attempt')::int = s.attempt
        """
        return self.reach == "process" and cut.how != "kill" and bool(await rows(self.hub, crashed))

    # What has to be true ------------------------------------------------------------------

    async def check_running(self) -> None:
        began = time.monotonic()
        await eventually(lambda: self.hub.is_ready(NAME), PATIENCE, "it is ready")
        await five_checks(self.hub, PATIENCE, verify=False)
        assert time.monotonic() - began < PATIENCE
        [workload] = self.hub.workloads()
        said = await self.hub.standin(NAME)
        assert said is not None and said["pid"] == workload.pid

    async def check_stopped(self) -> None:
        await eventually(self._is_clean, PATIENCE, "it is gone, and nothing is left of any attempt")
        await five_checks(self.hub, PATIENCE, verify=False)
        assert await self.hub.standin(NAME) is None


async def start(stage: Stage, cut: Cut) -> None:
    """Start a server while a worker is cut there."""
    async with stage.struck(cut):
        status, body = await ask(stage.hub, "POST", SERVER, seconds=90)
    assert status in (201, 202), (status, body)
    if await stage.given_up(cut):
        await stage.check_stopped()
    else:
        await stage.check_running()
        await stop_it(stage)


async def stop(stage: Stage, cut: Cut) -> None:
    """Stop a server while a worker is cut there; and start it again before that worker is back."""
    await stage.run()
    async with stage.struck(cut):
        status, body = await ask(stage.hub, "DELETE", SERVER, seconds=90)
        assert status == 204, (status, body)
        assert not stage.hub.workloads() or cut.how != "kill"
        status, body = await ask(stage.hub, "POST", SERVER, seconds=90)
        assert status == 201, (status, body)
    await stage.check_running()
    await stop_it(stage)


async def take_over(stage: Stage, cut: Cut) -> None:
    """The worker that holds a server dies, and one that takes part in the taking over is cut there."""
    workload = await stage.run()
    async with stage.struck(cut):
        await stage.kill_holder()
    if await stage.given_up(cut):
        await stage.check_stopped()
    else:
        await stage.check_running()
        assert [process.pid for process in stage.hub.workloads()] == [workload]
        await stop_it(stage)


async def stop_it(stage: Stage) -> None:
    status, body = await ask(stage.hub, "DELETE", SERVER)
    assert status in (202, 204), (status, body)
    await stage.check_stopped()
