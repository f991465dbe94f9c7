"""What does not count any more: ended and told, or told to be left, whatever goes wrong on the way."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from hubbub.domain.server_messages import ReportOrphan, ReportOrphanRemoved
from hubbub.rpc import Answer, Person, Spec
from hubbub_spawner_worker.removals import Removals

SPEC = Spec(
    server="s1",
    attempt=2,
    name="",
    person=Person(id="u", number=1, name="ada", admin=False),
    prefix="/user/ada/",
    hash="",
    sealed="",
    deadline=datetime.now(UTC),
    client_id="",
    token_scopes=(),
    access_scopes=(),
    reach="pool",
)


class Left:
    """A workload of which something may be left. *outcome*: whether it could be ended, or what that raises."""

    spec = SPEC
    forsaken = False

    def __init__(self, outcome, *, forsaken=False):
        self._outcome = outcome
        self.forsaken = forsaken
        self.attended = False
        self.begun = asyncio.Event()

    async def remove(self):
        return self._said()

    async def end_leftover(self, asked):
        return self._said()

    async def attend(self):
        self.attended = True

    def _said(self):
        self.begun.set()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@pytest.fixture
async def house():
    told, tasks = [], []

    async def send(report):
        told.append(report.report)
        return Answer()

    def spawn(coroutine):
        tasks.append(asyncio.create_task(coroutine))

    async def rest():
        """Until nothing is under way, not even what that has begun."""
        while any(not task.done() for task in tasks):
            await asyncio.gather(*tasks)

    workshop = SimpleNamespace(host="h1", pool="default")
    return SimpleNamespace(removals=Removals(workshop, send, spawn), told=told, rest=rest)


async def test_what_could_be_ended_is_told(house):
    house.removals.clear(Left(True), 0.0, None)
    assert house.removals.under_way("s1", 2)
    await house.rest()
    assert house.told == [ReportOrphanRemoved(attempt=2, host="h1")]
    assert not house.removals.under_way("s1", 2)


@pytest.mark.parametrize("outcome", [False, RuntimeError("the backend is away")])
async def test_what_could_not_be_ended_is_told_too(house, outcome):
    house.removals.clear(Left(outcome), 0.0, None)
    await house.rest()
    assert house.told == [ReportOrphan(attempt=2, host="h1", pool="default", reach="pool")]


async def test_what_this_worker_still_does_for_the_attempt_is_over_first(house):
    left, over = Left(True), asyncio.Event()
    house.removals.clear(left, 0.0, over)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(left.begun.wait(), 0.05)
    over.set()
    await house.rest()
    assert house.told == [ReportOrphanRemoved(attempt=2, host="h1")]


async def test_what_a_colleague_holds_is_attended_to(house):
    left = Left(False, forsaken=True)
    house.removals.begin(left)
    await house.rest()
    assert left.attended and house.told == []


async def test_a_mistake_ends_nobody_else(house):
    house.removals.begin(Left(RuntimeError("no state")))
    await house.rest()
    assert house.told == [] and not house.removals.under_way("s1", 2)
