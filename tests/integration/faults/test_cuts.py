"""A worker is killed, stopped for too long, or loses the bus, at every step of a start, a stop and a taking over.

Whatever the step: the request is answered truthfully, one live workload counts, and older ones are gone in time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio

import cuts
from burst import Faults
from checks import five_checks
from cuts import NAME, Cut, Stage
from stack import HERE, hub

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
    "process-start-spooled-kill",
    "process-start-started-stop",
    "process-start-told.ReportStarted-cut",
    "process-stop-stopped-kill",
    "host-start-state_told-kill",
    "host-start-prepared-stop",
    "host-stop-before_stop-cut",
    "pool-start-started-kill",
    "pool-take_over-inherited-kill",
    "pool-stop-before_stop-stop",
}

Act = Callable[[Stage, Cut], Awaitable[None]]


def cases() -> Iterator[tuple[str, Act, Cut]]:
    for reach in OURS + CLASSIC:
        tables: list[tuple[Act, dict[str, tuple[str, ...]], str]] = [
            (cuts.start, START, ""),
            (cuts.stop, STOP, ""),
            (cuts.take_over, TAKE_OVER, ""),
            (cuts.start, CLEAN, "worker.started"),
        ]
        for act, points, after in tables:
            for point, reaches in points.items():
                if reach in reaches:
                    yield from ((reach, act, Cut(point=point, how=how, after=after)) for how in HOWS)


def named() -> Iterator["pytest.ParameterSet"]:
    for reach, act, cut in cases():
        name = f"{reach}-{act.__name__}-{cut}"
        yield pytest.param(reach, act, cut, id=name, marks=() if name in SLICE else pytest.mark.long)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One hub for all the cuts of a kind of spawner; what it has logged is verified at the end."""
    folder = tmp_path_factory.mktemp("cuts")
    faults = Faults(folder / "faults")
    environ = {**faults.environ, "TEST_REACH": request.param, "HUBBUB_LEASE_SECONDS": "0.5"}
    config = HERE / "config_cuts.py"
    async with hub(folder / "data", config=config, scale="spawner-worker=2", environ=environ) as made:
        await made.user(NAME)
        yield Stage(made, faults)
        await five_checks(made)


@pytest.mark.parametrize(("stage", "act", "cut"), named(), indirect=["stage"])
async def test_a_cut_is_made_good(stage: Stage, act: Act, cut: Cut):
    await stage.reset()
    try:
        await asyncio.wait_for(act(stage, cut), 110)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{error}\n{stage.hub.logs()}") from None
