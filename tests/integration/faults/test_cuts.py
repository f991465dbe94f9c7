"""A worker is killed, stopped for too long, or loses the bus, at every step of a start, a stop and a taking over.

Whatever the step: the request is answered truthfully, one live workload counts, and older ones are gone in time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import product
from traceback import format_exception
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

import cuts
from burst import Faults
from checks import five_checks
from cuts import LEASE, NAME, Cut, Stage
from stack import HERE, hub

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: In this order, so that a worker that was killed has time to be counted as steady before the next is.
HOWS = ("kill", "stop", "cut")
#: Who can get at what they start: `hubbub.domain.server_messages.Reach`.
OURS, CLASSIC = ("process",), ("host", "pool")

#: Every await that leaves the process on the way up, and where it comes to it: by the reach of the spawner.
START = {
    "worker.claiming": OURS + CLASSIC,
    "worker.claimed": OURS + CLASSIC,
    "worker.hooks_told": CLASSIC,
    "worker.prepared": OURS + CLASSIC,
    "worker.spooled": OURS,
    "worker.state_told": CLASSIC,
    "worker.started": OURS + CLASSIC,
    "worker.told.ReportStarted": OURS + CLASSIC,
    "worker.responded": OURS + CLASSIC,
    "worker.told.ReportResponded": OURS + CLASSIC,
}
#: And on the way down.
STOP = {
    "worker.before_stop": OURS + CLASSIC,
    "worker.stopped": OURS + CLASSIC,
    "worker.telling.ReportExit": OURS + CLASSIC,
    "worker.told.ReportExit": OURS + CLASSIC,
}
#: And when somebody's servers are taken over.
TAKE_OVER = {
    "worker.hello": OURS + CLASSIC,
    "worker.welcomed": OURS + CLASSIC,
    "worker.inherited": CLASSIC,
}
#: And when what is left of an attempt is ended, whose worker died when it had started.
CLEAN = {
    "worker.before_stop": CLASSIC,
    "worker.leftover_ended": CLASSIC,
    "worker.removal_told": CLASSIC,
}

#: What every push is tried with.
SLICE = {
    "start-spooled-kill",
    "start-prepared-stop",
    "start-started-kill",
    "start-told.ReportStarted-stop",
    "stop-before_stop-stop",
    "stop-stopped-cut",
    "take_over-inherited-kill",
}

Act = Callable[[Stage, Cut], Awaitable[None]]
ACTS: tuple[tuple[Act, dict[str, tuple[str, ...]], str], ...] = (
    (cuts.start, START, ""),
    (cuts.stop, STOP, ""),
    (cuts.take_over, TAKE_OVER, ""),
    (cuts.start, CLEAN, "worker.started"),
)


def cases() -> "list[ParameterSet]":
    """All, each with its name; those that not every push is tried with are marked."""
    found = []
    for act, points, after in ACTS:
        for point, how in product(points, HOWS):
            cut = Cut(point=point, how=how, after=after)
            name = f"{act.__name__}-{cut}"
            marks = () if name in SLICE else pytest.mark.long
            found.append(pytest.param(act, cut, points[point], id=name, marks=marks))
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Stage]]:
    """One hub for all the cuts of a kind of spawner; what it has logged is verified at the end."""
    async with AsyncExitStack() as stack:

        async def stage(reach: str) -> Stage:
            folder = tmp_path_factory.mktemp(reach)
            faults = Faults(folder / "faults")
            environ = {**faults.environ, "TEST_REACH": reach, "HUBBUB_LEASE_SECONDS": str(LEASE)}
            config = HERE / "config_cuts.py"
            running = hub(folder / "data", config=config, scale="spawner-worker=2", environ=environ)
            made = await stack.enter_async_context(running)
            await made.user(NAME)
            return Stage(made, faults, reach)

        found = {reach: await stage(reach) for reach in OURS + CLASSIC}
        yield found
        await asyncio.gather(*(each.reset() for each in found.values()))
        for each in found.values():
            await five_checks(each.hub)


@pytest.mark.parametrize(("act", "cut", "reaches"), cases())
async def test_it_is_made_good(stages: dict[str, Stage], act: Act, cut: Cut, reaches: tuple[str, ...]):
    """For every kind of spawner at the same time: most of it is waiting."""

    async def one(stage: Stage) -> str:
        await stage.reset()
        try:
            await asyncio.wait_for(act(stage, cut), 90)
        except Exception as error:
            return f"{stage.reach}: {error!r}\n{''.join(format_exception(error))}\n{stage.hub.logs()}"
        return ""

    wrong = await asyncio.gather(*(one(stages[reach]) for reach in reaches))
    assert not any(wrong), "\n".join(wrong)
