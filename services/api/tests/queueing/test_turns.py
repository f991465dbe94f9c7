"""Whose start is next: those who ask take turns."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from msgspec import json as wire

from hubbub.domain.server_messages import (
    Reach,
    ReportOrphanRemoved,
)
from hubbub.eventlog import Context
from hubbub.rpc import Claim
from hubbub.views import SERVERS
from hubbub.watch_messages import Heartbeat, Sweep
from hubbub_api.activity import Activities
from hubbub_api.expiry import expire
from hubbub_api.hellos import lose
from hubbub_api.managed import ManagedServices
from hubbub_api.sweeps import Sweeps

BY_TEST = Context.of("test")
CLASS = [f"pupil-{number:03}" for number in range(40)]


async def test_a_worker_gets_no_start_of_another_pool(house: Any) -> None:
    await house.wish("ada", pool="gpu")
    assert await house.claim(9) == []
    assert await house.claim(9, pool="gpu") == ["ada"]


async def test_those_who_ask_for_one_each_go_in_the_order_of_asking(house: Any) -> None:
    await house.wish("cleo", "ada", "bob")
    assert [await house.claim(1) for _ in range(4)] == [["cleo"], ["ada"], ["bob"], []]


async def test_a_class_does_not_keep_one_person_waiting(house: Any) -> None:
    """By one free place at a time, which is when the first of the class would always be the oldest."""
    await house.wish(*CLASS, asker="instructor")
    assert await house.claim(1) == [CLASS[0]]
    await house.wish("ada")
    await house.wish("bob")
    assert [(await house.claim(1))[0] for _ in range(4)] == [CLASS[1], "ada", "bob", CLASS[2]]


async def test_many_persons_do_not_keep_a_class_waiting_either(house: Any) -> None:
    await house.wish(*CLASS[:3], asker="instructor")
    taken = []
    for person in ("ada", "bob", "cleo", "dan"):
        await house.wish(person)
        taken += await house.claim(1)
    assert taken == [CLASS[0], "ada", CLASS[1], "bob"]


async def test_a_claim_for_many_gives_everybody_one_before_anybody_gets_two(house: Any) -> None:
    await house.wish(*CLASS, asker="instructor")
    await house.wish("x1", "x2", "x3", asker="service:x")
    await house.wish("ada")
    assert set(await house.claim(6)) == {CLASS[0], "x1", "ada", CLASS[1], "x2", CLASS[2]}


async def test_one_whose_worker_is_lost_has_the_place_that_it_had(house: Any) -> None:
    await house.wish("ada", "bob", "cleo")
    assert await house.claim(1) == ["ada"]
    await lose(house.committer, house.options, "w1", "ada", "it is lost")
    assert [await house.claim(1, "w2") for _ in range(3)] == [["ada"], ["bob"], ["cleo"]]


async def test_so_has_one_of_a_class(house: Any) -> None:
    await house.wish(*CLASS[:3], asker="instructor")
    await house.wish("ada")
    assert await house.claim(1) == [CLASS[0]]
    await lose(house.committer, house.options, "w1", CLASS[0], "it is lost")
    assert [await house.claim(1, "w2") for _ in range(3)] == [[CLASS[0]], ["ada"], [CLASS[1]]]


async def test_a_claim_sent_again_takes_nobodys_turn(house: Any) -> None:
    await house.wish("ada", "bob")
    payload = wire.encode(Claim(host="h", hashes=("hash-1",)))
    first, again = [await house.claims.claim("hub.rpc.claim.default.w1", payload) for _ in range(2)]
    assert [spec.server for spec in first.specs] == [spec.server for spec in again.specs] == ["ada"]
    assert await house.claim(9) == ["bob"]


async def test_workers_that_claim_at_once_get_all_of_it_once(house: Any) -> None:
    await house.wish(*CLASS, asker="instructor")
    got = await asyncio.gather(*(house.claim(10, f"w{number}") for number in range(5)))
    assert sorted(chain(*got)) == sorted(CLASS)


async def test_each_worker_gets_its_share_and_is_told_what_is_left(house: Any) -> None:
    for worker in ("w1", "w2"):
        beat = Heartbeat(service="spawner-worker", name=worker, pool="default")
        message: Any = type("M", (), {"data": wire.encode(beat), "subject": f"hub.heartbeat.spawner-worker.{worker}"})
        await house.colleagues.hear(message)
    await house.wish(*CLASS[:6], asker="instructor")
    claimed = await house.claimed(9)
    assert (len(claimed.specs), claimed.waiting) == (3, 3)


async def test_turns_are_kept_for_a_day(house: Any) -> None:
    await house.wish("ada", "bob")
    await house.claim(2)
    await house.pool.execute("update turns set at = at - interval '25 hours' where asker = 'ada'")
    await expire(house.pool, house.committer)
    assert [row["asker"] for row in await house.pool.fetch("select asker from turns")] == ["bob"]


async def test_one_that_nobody_takes_in_time_is_told_where_it_waited(house: Any, tickets: Any) -> None:
    keeper = ManagedServices(house.pool, house.committer, tickets, house.options, {})
    sweeps = Sweeps(house.pool, house.committer, tickets, house.options, Activities(house.pool), keeper)
    await house.wish("ada", pool="gpu", deadline=datetime.now(UTC) - timedelta(seconds=1))
    await sweeps.sweep("hub.rpc.sweep.poller.p1", wire.encode(Sweep()))
    state = json.loads(await house.pool.fetchval("select state from servers where id = 'ada'"))
    assert (state["type"], state["failure"]["message"]) == (
        "Stopped",
        "No worker of the pool 'gpu' took it in time",
    )


async def loses(house: Any, reach: Reach) -> None:
    """The worker w1 of the host h goes while it starts ada's server."""
    await house.wish("ada")
    claim = Claim(host="h", hashes=("hash-1",), reach=reach)
    assert len((await house.claims.claim("hub.rpc.claim.default.w1", wire.encode(claim))).specs) == 1
    await lose(house.committer, house.options, "w1", "ada", "it is lost")


async def test_a_start_waits_where_it_could_be_taken_for_what_is_left_of_another(house: Any) -> None:
    await loses(house, "pool")
    assert await house.claim(9, "w2") == []
    removed = ReportOrphanRemoved(attempt=1, host="h")
    await house.committer.execute(SERVERS, "ada", removed, BY_TEST)
    assert await house.claim(9, "w2") == ["ada"]


async def test_on_another_host_it_cannot_be_taken_for_it(house: Any) -> None:
    await loses(house, "host")
    assert await house.claim(9, "w2") == []
    assert await house.claim(9, "w3", host="another") == ["ada"]


async def test_nothing_waits_for_a_process_that_says_which_attempt_it_is(house: Any) -> None:
    await loses(house, "process")
    assert await house.claim(9, "w2") == ["ada"]
