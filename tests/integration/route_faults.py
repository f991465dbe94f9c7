"""What must not go wrong with any proxy, whatever dies or is changed behind our back: the faults that all stand.

A kind of proxy is tested by a class derived from `RouteFaults`, with a class-scoped fixture `front`, and the number of
its routes. Whatever happens, nobody is answered by somebody else's server, WebSockets stay open unless the proxy itself
has died, and in the end the proxy has what is wanted.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from burst import Faults
from proxy_rig import Front, Rig, rig
from proxy_sync_process import ProxySync
from route_clients import is_still, until

#: How much slower than a quiet one the machine of the tests may be.
ROOM = 4.0
#: Seconds in which what was changed behind our back is right again.
NOTICED = 2.0


class Stage:
    """A rig, and the proxy-sync that is the victim. `refill`: seconds that all of it may take to be routed again."""

    def __init__(self, rig: Rig, faults: Faults, refill: float) -> None:
        self.rig = rig
        self.front = rig.front
        self.faults = faults
        self.refill = refill * ROOM
        self.size = len(rig.house.wanted)
        self.sync = rig.proxy_sync(faults=faults.environ)

    async def calm(self) -> None:
        """Everything runs and is right, whatever the test before has left."""
        self.faults.disarm()
        self.rig.house.silent = False
        if self.sync.runs:
            self.sync.send(signal.SIGCONT)
        else:
            await self.begins(self.sync)
        await self.rig.restore()
        await self.rig.settles(30 + self.refill)
        await self.rig.all_served()
        await self.rig.talk()

    async def begins(self, sync: ProxySync) -> None:
        """It is started, and has compared everything: that somebody has, the house is told by others, too."""
        before = self._begun()
        await sync.start()
        await until(lambda: self._begun() > before, 20 + self.refill, "a proxy-sync has compared everything")

    def _begun(self) -> int:
        """How many proxy-syncs have, since they were started."""
        log = self.rig.folder / "proxy-sync.log"
        return log.read_text().count('"proxy-sync.ready"') if log.exists() else 0

    async def well(self, seconds: float, *, cut_off: bool = False) -> None:
        """The proxy is right within *seconds*. *cut_off*: whether WebSockets are allowed to be."""
        await self.rig.settles(seconds)
        await self.rig.all_served()
        assert self.rig.astray() == {}
        assert self.rig.cut_off() == [] or cut_off

    async def struck(self) -> int:
        """The process that came to where it was to be struck."""
        await until(lambda: self.faults.struck != 0, 30, "proxy-sync comes to where it is struck")
        await until(lambda: is_still(self.faults.struck), 10, "it is struck")
        return self.faults.struck

    async def without_route(self) -> str:
        """One of those who are asked for that the proxy has no route of, nor gets one by what is under way already;
        and nobody has a WebSocket open there.
        """
        found = await self.front.table()
        quiet = [name for name in self.rig.names if name not in self.rig.talks]
        return [name for name in quiet if f"/user/{name}/" not in found][5]


@asynccontextmanager
async def paused(sync: ProxySync) -> AsyncIterator[None]:
    sync.send(signal.SIGSTOP)
    try:
        await until(lambda: is_still(sync.pid), 10, "it is stopped")
        yield
    finally:
        sync.send(signal.SIGCONT)


class RouteFaults:
    size = 1000
    #: Seconds to set as many routes, on a quiet machine.
    refill = 1.5

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def rigged(cls, front: Front, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
        folder: Path = tmp_path_factory.mktemp("rig")
        async with rig(folder, front, cls.size) as made:
            stage = Stage(made, Faults(folder / "faults"), cls.refill)
            stage.faults.disarm()
            try:
                await stage.begins(stage.sync)
                await made.settles(20 + stage.refill)
                made.ask()
                yield stage
            finally:
                await stage.sync.kill()

    @pytest_asyncio.fixture(loop_scope="class")
    async def stage(self, rigged: Stage) -> Stage:
        await rigged.calm()
        return rigged

    # The proxy ------------------------------------------------------------------------------

    async def test_a_proxy_that_is_killed_is_filled_when_it_is_back(self, stage: Stage) -> None:
        stage.rig.kill_proxy()
        await stage.rig.returns()
        await stage.well(stage.refill, cut_off=True)

    async def test_a_table_that_is_wiped_is_filled_again(self, stage: Stage) -> None:
        await stage.front.wipe()
        await stage.well(NOTICED * ROOM + stage.refill)

    async def test_a_table_that_is_wiped_is_filled_by_who_has_found_the_proxy(self, stage: Stage) -> None:
        await stage.sync.kill()
        await stage.begins(stage.sync)
        await stage.front.wipe()
        await stage.well(NOTICED * ROOM + stage.refill)

    async def test_a_route_of_a_server_that_does_not_run_is_taken_away(self, stage: Stage) -> None:
        port = stage.rig.upstreams.ports[stage.rig.names[0]]
        data = {"user": "zoe", "server_name": "", "server_id": "zoe", "attempt": 1}
        await stage.front.put("/user/zoe/", f"http://127.0.0.1:{port}", data)
        await stage.well(NOTICED * ROOM)
        assert "/user/zoe/" not in await stage.front.table()

    async def test_a_route_that_is_deleted_is_set_again(self, stage: Stage) -> None:
        for name in stage.rig.names[:3]:
            await stage.front.remove(f"/user/{name}/")
        await stage.well(NOTICED * ROOM)

    async def test_a_route_that_leads_elsewhere_is_set_right(self, stage: Stage) -> None:
        name = stage.rig.names[7]
        data = {"user": name, "server_name": "", "server_id": name, "attempt": 1}
        await stage.front.put(f"/user/{name}/", "http://127.0.0.1:9", data)
        await stage.well(NOTICED * ROOM)

    async def test_what_is_somebody_elses_is_left_alone(self, stage: Stage) -> None:
        await stage.front.put_foreign()
        await stage.sync.kill()
        await stage.front.remove(f"/user/{stage.rig.names[0]}/")
        await stage.sync.start()
        await stage.well(20 + stage.refill)
        assert await stage.front.has_foreign()

    # proxy-sync -----------------------------------------------------------------------------

    @pytest.mark.parametrize("point", ["proxy.before_add", "proxy.added"])
    async def test_a_refill_that_is_cut_short_is_gone_on_with(self, stage: Stage, point: str) -> None:
        stage.faults.arm(point, stage.front.middle[1])
        await stage.front.wipe()
        await stage.struck()
        await stage.sync.kill()
        await stage.sync.start()
        await stage.well(20 + stage.refill)

    async def test_who_was_away_in_the_middle_of_a_refill_does_not_go_on_with_what_was_true_before(
        self, stage: Stage
    ) -> None:
        stage.faults.arm(*stage.front.middle, "stop")
        await stage.front.wipe()
        await stage.struck()
        late = await stage.without_route()
        moved = next(name for name in stage.rig.names[1:3] if name != late)
        port = await stage.rig.stops(late)
        await stage.rig.starts("zed", port)  # has no route that anybody could have waited to be gone
        await stage.rig.stops(moved)
        await stage.rig.starts(moved)
        await asyncio.sleep(1.5)  # that is the fault
        async with stage.rig.asked_eagerly(late):
            stage.sync.send(signal.SIGCONT)
            await stage.rig.settles(stage.refill)
        assert stage.rig.astray() == {}

    async def test_ports_that_move_in_the_middle_of_a_refill_lead_to_nobody_else(self, stage: Stage) -> None:
        """Nobody is away here: what has happened since the plan was made is heard while it is carried out."""
        await stage.front.wipe()
        late = stage.rig.names[-1]
        await until(lambda: _is_filling(stage), 20, "a refill under way")
        since = len(stage.rig.house.told)
        port = await stage.rig.stops(late)
        if not stage.front.in_steps:  # it may still have what was in the file
            await stage.rig.house.until(lambda: None in _told(stage, late, since))
        async with stage.rig.asked_eagerly(late):
            await stage.rig.starts("zed", port)
            await stage.rig.settles(NOTICED * ROOM + stage.refill)
        await stage.rig.starts(late)
        await stage.well(NOTICED * ROOM)

    @pytest.mark.parametrize("how", ["kill", "stop"])
    async def test_of_two_for_one_proxy_the_other_goes_on(self, stage: Stage, how: str) -> None:
        await self.struck_beside_another(stage, *stage.front.middle, how)

    async def struck_beside_another(self, stage: Stage, point: str, number: int, how: str) -> None:
        """One of two proxy-syncs is struck there, in the middle of a refill. One that is stopped goes on as soon as
        what it was about to do leads to somebody else: on a quick machine that is after less than a second.
        """
        second = stage.rig.proxy_sync()
        try:
            await stage.begins(second)
            stage.faults.arm(point, number, how)
            async with paused(second):  # or it may be quicker
                await stage.front.wipe()
                await stage.struck()
                late = await stage.without_route()
            since = len(stage.rig.house.told)
            port = await stage.rig.stops(late)
            await stage.rig.settles(NOTICED * ROOM + stage.refill)
            # The proxy may still have what its table has no more; before it is told, a port is given to nobody.
            await until(lambda: None in _told(stage, late, since), 20 + stage.refill, "its end is told")
            await stage.rig.starts("zed", port)
            async with stage.rig.asked_eagerly(late):
                if how == "stop":
                    joined = stage.rig.house.joined
                    stage.sync.send(signal.SIGCONT)
                    await until(lambda: stage.rig.house.joined > joined, 20 + stage.refill, "all is compared")
                await stage.rig.settles(NOTICED * ROOM)
            await stage.rig.starts(late)
            await stage.well(NOTICED * ROOM)
        finally:
            await second.kill()

    async def test_two_for_one_proxy_that_is_killed_have_one_again(self, stage: Stage) -> None:
        second = stage.rig.proxy_sync()
        try:
            await stage.begins(second)
            stage.rig.kill_proxy()
            await stage.rig.returns()
            await stage.well(NOTICED * ROOM + stage.refill, cut_off=True)
            assert stage.sync.runs and second.runs
        finally:
            await second.kill()

    # What they talk to ----------------------------------------------------------------------

    async def test_a_bus_that_dies_in_the_middle_of_a_refill(self, stage: Stage) -> None:
        await stage.front.wipe()
        await until(lambda: _is_filling(stage), 20, "a refill under way")
        stage.rig.nats.kill()
        name = stage.rig.names[5]
        stopped = stage.rig.house.wanted.pop(name)
        await asyncio.sleep(1)  # that is the fault
        await asyncio.to_thread(stage.rig.nats.start)
        await stage.rig.settles(NOTICED * ROOM + stage.refill)
        stage.rig.house.wanted[name] = stopped
        await stage.rig.house.happens("ServerResponded", name)
        await stage.well(NOTICED * ROOM)

    async def test_an_api_that_is_silent_for_a_while(self, stage: Stage) -> None:
        """Servers stay reachable; what happens meanwhile is made good when it answers."""
        stage.rig.house.silent = True
        name = stage.rig.names[6]
        port = await stage.rig.stops(name)
        await stage.rig.starts(name)
        await asyncio.sleep(2.5)  # that is the fault: longer than a question is waited for
        others = {each: asker.served for each, asker in stage.rig.askers.items() if each != name}
        await until(
            lambda: all(stage.rig.askers[each].served > n for each, n in others.items()), 5, "all others served"
        )
        stage.rig.house.silent = False
        await stage.well(NOTICED * ROOM)
        await stage.rig.starts("zed", port)
        await stage.well(NOTICED * ROOM)

    async def test_ports_that_move_lead_to_nobody_else(self, stage: Stage) -> None:
        """A server ends, and when the proxy has no route of it any more its port is somebody else's."""
        names = stage.rig.names[11:20]  # nobody has a WebSocket open there
        for name, other in pairwise(names):
            since = len(stage.rig.house.told)
            port = await stage.rig.stops(name)
            await stage.rig.house.until(lambda name=name, since=since: None in _told(stage, name, since))
            freed = await stage.rig.stops(other)
            await stage.rig.starts(other, port)
            here = f"http://127.0.0.1:{port}"
            await stage.rig.house.until(lambda other=other, here=here: _told(stage, other, 0)[-1] == here)
            await stage.rig.starts(name, freed)
        await stage.well(NOTICED * ROOM)


async def _is_filling(stage: Stage) -> bool:
    there = len(await stage.front.table())
    return there < stage.size // 2 and (there > 0 or not stage.front.in_steps)


def _told(stage: Stage, name: str, since: int) -> list[str | None]:
    return [report.target for report in stage.rig.house.told[since:] if report.server == name]
