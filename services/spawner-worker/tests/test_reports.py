"""Reports go together, until they are answered, and one that cannot be digested holds up no other."""

import asyncio
import contextlib

import pytest

from hubbub.bus import BusUnavailable, Remote
from hubbub.domain.server_messages import ReportState
from hubbub.rpc import Answer, Answers, Refusal, Report
from hubbub_spawner_worker.reports import Reporter


class Bus:
    """`batches`: the servers of each request; *poison* is a server that fails whatever comes with it."""

    def __init__(self, *, failures=0, poison=""):
        self.batches = []
        self.failures = failures
        self.poison = poison
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, _subject, message, _reply):
        servers = [report.server for report in message.reports]
        self.batches.append(servers)
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise BusUnavailable("nobody there")
        if self.poison in servers:
            raise Remote("I cannot digest that")
        return Answers(answers=tuple(Answer(refused=Refusal(kind="Busy", message=server)) for server in servers))


@pytest.fixture
async def begin():
    async with contextlib.AsyncExitStack() as stack:

        def start(bus):
            reporter = Reporter(bus, "subject")
            task = asyncio.create_task(reporter.run())
            stack.callback(task.cancel)
            return reporter

        yield start


def report(server):
    return Report(server=server, report=ReportState(attempt=1, worker="w"))


async def test_each_gets_its_own_answer(begin):
    reporter = begin(Bus())
    answers = await asyncio.gather(*(reporter.send(report(f"s{number}")) for number in range(5)))
    assert [answer.refused.message for answer in answers] == ["s0", "s1", "s2", "s3", "s4"]


async def test_what_comes_while_one_is_under_way_goes_together_a_hundred_at_most(begin):
    bus = Bus()
    reporter = begin(bus)
    bus.gate.clear()
    first = asyncio.create_task(reporter.send(report("first")))
    while not bus.batches:
        await asyncio.sleep(0)
    others = [asyncio.create_task(reporter.send(report(f"s{number}"))) for number in range(150)]
    await asyncio.sleep(0)
    bus.gate.set()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in bus.batches] == [1, 100, 50]


async def test_one_is_sent_until_it_is_answered(begin):
    bus = Bus(failures=2)
    answer = await begin(bus).send(report("s1"))
    assert answer.refused.message == "s1"
    assert bus.batches == [["s1"]] * 3


async def test_one_that_the_api_cannot_digest_holds_up_no_other(begin):
    bus = Bus(poison="bad")
    reporter = begin(bus)
    bad = asyncio.create_task(reporter.send(report("bad")))
    good = [asyncio.create_task(reporter.send(report(f"s{number}"))) for number in range(3)]
    async with asyncio.timeout(10):
        await asyncio.gather(*good)
    assert not bad.done()
    bad.cancel()
