"""Whoever is about to end takes no more questions, and owes nobody an answer."""

import asyncio

from hubbub import bus as buses
from hubbub.testing.nats import NatsServer
from hubbub.watch_messages import Lease, Leased

LEASE = "hub.rpc.lease.poller.poller-1"
ASKED = Lease(name="sweep", seconds=1)


async def test_what_was_asked_is_answered_and_what_comes_goes_to_others(nats: NatsServer):
    asked, may_answer = asyncio.Event(), asyncio.Event()
    counts = {"old": 0, "new": 0}

    async def slow(subject: str, payload: bytes) -> Leased:
        counts["old"] += 1
        asked.set()
        await may_answer.wait()
        return Leased(granted=True)

    async def quick(subject: str, payload: bytes) -> Leased:
        counts["new"] += 1
        return Leased(granted=False)

    api, poller = nats.url("api"), nats.url("poller")
    async with buses.connect(api, "old") as old, buses.connect(api, "new") as new, buses.connect(poller, "p") as one:
        await old.answer("hub.rpc.lease.*.*", slow, queue="api")
        await old.arrived()
        first = asyncio.create_task(one.ask(LEASE, ASKED, Leased))
        await asked.wait()
        await new.answer("hub.rpc.lease.*.*", quick, queue="api")
        await new.arrived()
        retiring = asyncio.create_task(old.retire(10))
        while counts["new"] < 20:  # the server may send a few to the old one before it hears
            asking = asyncio.create_task(one.ask(LEASE, ASKED, Leased))
            await asyncio.wait({asking}, timeout=1)
        assert not retiring.done()
        before = counts["old"]
        assert [await one.ask(LEASE, ASKED, Leased) for _ in range(20)] == [Leased(granted=False)] * 20
        assert counts["old"] == before
        may_answer.set()
        assert await first == Leased(granted=True)
        await asyncio.wait_for(retiring, 5)


async def test_nobody_waits_for_an_answer_that_does_not_come(nats: NatsServer):
    async def never(subject: str, payload: bytes) -> Leased:
        await asyncio.Event().wait()
        raise AssertionError

    async with buses.connect(nats.url("api"), "old") as old, buses.connect(nats.url("poller"), "p") as one:
        await old.answer("hub.rpc.lease.*.*", never, queue="api")
        await old.arrived()
        asking = asyncio.create_task(one.ask(LEASE, ASKED, Leased, timeout=5))
        await one.arrived()
        await asyncio.wait_for(old.retire(0.2), 5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for task in old._answering:
            task.cancel()
