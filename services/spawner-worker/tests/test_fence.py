"""What cannot be told from the next attempt is not touched by a worker that may have lost it."""

import time
from types import SimpleNamespace

import pytest

from hubbub.domain.server_messages import ReportState
from hubbub.rpc import Answer, Refusal
from hubbub_spawner_worker.fence import NotOurs, fence, sure_after
from hubbub_spawner_worker.workload import Workload

LEASE = 0.4


class Attempted:
    """An attempt as far as the fence looks at it. *answers*: seconds that each takes, and whether it is refused."""

    def __init__(self, *answers, sure_until=0.0):
        self.spec = SimpleNamespace(attempt=3)
        self.workshop = SimpleNamespace(worker="w1")
        self.hosting = SimpleNamespace(lease=LEASE)
        self.sure_until = sure_until
        self.asked = []
        self._answers = list(answers)

    def report(self, report, seconds):
        return report

    async def send(self, report):
        self.asked.append(report)
        seconds, refused = self._answers.pop(0)
        time.sleep(seconds)  # noqa: ASYNC251  (it sleeps as a process that is stopped does)
        return Answer(refused=Refusal(kind="StaleAttempt", message="4 counts") if refused else None)


async def test_it_asks_and_does_not_ask_again_at_once():
    attempt = Attempted((0, False))
    await fence(attempt)
    await fence(attempt)
    assert attempt.asked == [ReportState(attempt=3, worker="w1")]


async def test_nothing_is_asked_just_after_a_claim():
    attempt = Attempted(sure_until=sure_after(time.monotonic(), LEASE))
    await fence(attempt)
    assert attempt.asked == []


async def test_an_answer_that_was_too_long_on_its_way_says_nothing():
    attempt = Attempted((LEASE, False), (0, False))
    await fence(attempt)
    assert len(attempt.asked) == 2


async def test_what_is_not_ours_is_said_to_be():
    with pytest.raises(NotOurs, match="4 counts"):
        await fence(Attempted((LEASE, False), (0, True)))


class Stubborn:
    """A leftover that never ends. Counts how often that was tried."""

    _try_to_stop = Workload._try_to_stop
    end_leftover = Workload.end_leftover

    def __init__(self):
        self.spec = SimpleNamespace(server="s1", attempt=3, hash="")
        self.workshop = SimpleNamespace(worker="w1")
        self.hosting = SimpleNamespace(lease=LEASE)
        self.hosted = self
        self.reach = "pool"
        self.sure_until = 0.0
        self.tries = 0

    async def open(self):
        return self

    async def stop(self):
        self.tries += 1
        return

    def report(self, report, seconds):
        return report

    async def send(self, report):
        return Answer(refused=Refusal(kind="StaleAttempt", message="it is stopped"))


async def test_a_leftover_is_not_touched_once_we_may_be_thought_to_be_lost():
    """By then somebody else may have ended it, and a new start may have taken its name."""
    late, soon = Stubborn(), Stubborn()
    assert not await late.end_leftover(time.monotonic() - LEASE)
    assert late.tries == 0
    began = time.monotonic()
    assert not await soon.end_leftover(began)
    assert soon.tries > 1
    assert time.monotonic() - began < 2 * LEASE
