"""A worker is killed, stopped for too long, or loses the bus, at every step of a start, a stop and a taking over.

Whatever the step: the request is answered truthfully, one live workload counts, and older ones are gone in time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import product
from typing import TYPE_CHECKING, ClassVar

import pytest
import pytest_asyncio

import cuts
from burst import Faults
from checks import five_checks
from cuts import NAME, Cut, Stage
from stack import HERE, hub

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

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
ACTS: tuple[tuple[Act, dict[str, tuple[str, ...]], str], ...] = (
    (cuts.start, START, ""),
    (cuts.stop, STOP, ""),
    (cuts.take_over, TAKE_OVER, ""),
    (cuts.start, CLEAN, "worker.started"),
)


def cases(reach: str) -> "list[ParameterSet]":
    """All of one kind of spawner, each with its name; those that not every push is tried with are marked."""
    found = []
    for act, points, after in ACTS:
        for point, how in product([point for point, reaches in points.items() if reach in reaches], HOWS):
            cut = Cut(point=point, how=how, after=after)
            name = f"{act.__name__}-{cut}"
            found.append(pytest.param(act, cut, id=name, marks=() if f"{reach}-{name}" in SLICE else pytest.mark.long))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    assert metafunc.cls is not None
    metafunc.parametrize(("act", "cut"), cases(metafunc.cls.REACH))


@pytest.mark.asyncio(loop_scope="class")
class Cuts:
    """One hub for all the cuts of a kind of spawner; what it has logged is verified at the end."""

    REACH: ClassVar[str]

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def stage(cls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
        folder = tmp_path_factory.mktemp("cuts")
        faults = Faults(folder / "faults")
        environ = {**faults.environ, "TEST_REACH": cls.REACH, "HUBBUB_LEASE_SECONDS": "0.5"}
        async with hub(
            folder / "data", config=HERE / "config_cuts.py", scale="spawner-worker=2", environ=environ
        ) as made:
            await made.user(NAME)
            stage = Stage(made, faults)
            yield stage
            await stage.reset()
            await five_checks(made)

    async def test_it_is_made_good(self, stage: Stage, act: Act, cut: Cut):
        await stage.reset()
        try:
            await asyncio.wait_for(act(stage, cut), 110)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{error!r}\n{stage.hub.logs()}") from error


class TestProcess(Cuts):
    """Ours: a process of the host, which the host's workers know from any other."""

    REACH = "process"


class TestHost(Cuts):
    """JupyterHub's own: processes of a host, too, but known by what the spawner says alone."""

    REACH = "host"


class TestPool(Cuts):
    """Somebody's: a backend for all, in which a person's servers have the same name, attempt by attempt."""

    REACH = "pool"
