"""Draining workers, and what lost holders have left: what nobody else could look after is still theirs."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from msgspec import json as wire

from hubbub import house as the_house
from hubbub.domain.house import DrainWorker
from hubbub.domain.server_states import Stopping
from hubbub.rpc import Claim
from hubbub_api import keys
from hubbub_api.house import change
from hubbub_api.testing import BY_TEST


def ids(claimed: Any) -> list[str]:
    return [each.spec.server for each in claimed.inherited]


async def drained(worker: Any, name: str = "w1") -> None:
    command = DrainWorker(at=datetime.now(UTC), worker=name, deadline=None, message="")
    await change(worker.house.client.app, "user:root", command)


async def hears(worker: Any, *names: str) -> None:
    """The api that it asks hears the heartbeats of these."""
    for name in names:
        data = json.dumps({"service": "spawner-worker", "name": name, "pool": "default"}).encode()
        message: Any = SimpleNamespace(subject=f"hub.heartbeat.spawner-worker.{name}", data=data)
        await worker._claims._colleagues.hear(message)


async def test_what_it_alone_can_get_at_it_takes_back(crew: Any) -> None:
    """Containers of its host, after it was started again."""
    w1, w2 = crew("w1", host="h1", reach="host"), crew("w2", host="h2", reach="host")
    server, _ = await w1.runs("ada")
    await drained(w1)
    await w1.is_lost(server)
    for worker in (w1, w2):
        await hears(worker, "w1", "w2")
    assert ids(await w2.takes()) == []
    assert ids(await w1.takes()) == [server]


async def test_what_any_worker_of_the_pool_can_get_at_goes_to_others(crew: Any) -> None:
    w1, w2 = crew("w1"), crew("w2")
    server, _ = await w1.runs("ada")
    await drained(w1)
    await w1.is_lost(server)
    for worker in (w1, w2):
        await hears(worker, "w1", "w2")
    assert ids(await w1.takes()) == []
    assert ids(await w2.takes()) == [server]


@pytest.mark.parametrize("others", [[], ["w2"]])
async def test_unless_there_are_none(crew: Any, others: list[str]) -> None:
    """Those that there are drain, too."""
    w1 = crew("w1")
    server, _ = await w1.runs("ada")
    for name in ("w1", *others):
        await drained(w1, name)
    await w1.is_lost(server)
    await hears(w1, "w1", *others)
    assert ids(await w1.takes()) == [server]


async def test_it_is_told_that_it_drains_by_whatever_it_asks(crew: Any) -> None:
    w1 = crew("w1")
    assert not (await w1.takes()).draining
    await drained(w1)
    assert (await w1.takes()).draining
    await w1.asks("ada")
    claimed = await w1.takes(starts=3)
    assert (claimed.draining, claimed.specs, claimed.inherited) == (True, (), ())


async def test_a_claim_that_is_sent_again_gets_what_it_got_before_the_drain(crew: Any) -> None:
    """Else nobody would know of it."""
    w1 = crew("w1")
    server = await w1.asks("ada")
    hashes = uuid4().hex
    first = await takes(w1, hashes)
    assert [spec.server for spec in first.specs] == [server]
    await drained(w1)
    again = await takes(w1, hashes, again=True)
    assert ([spec.server for spec in again.specs], again.draining) == ([server], True)


async def takes(worker: Any, hashed: str, *, again: bool = False) -> Any:
    asked = Claim(host="h1", hashes=(hashed,), room=8, reach="pool", id=f"claim-{hashed}", again=again)
    return await worker._claims.claim(f"hub.rpc.claim.default.{worker.name}", wire.encode(asked))


async def test_at_the_deadline_it_is_told_to_stop_what_it_has(crew: Any) -> None:
    w1 = crew("w1")
    server, _ = await w1.runs("ada")
    state = await w1.state(server)
    app = w1.house.client.app

    async def drain_now(tx: Any) -> None:
        await tx.act(*the_house.KEY, DrainWorker(at=tx.now, worker="w1", deadline=tx.now, message=""))

    await app[keys.COMMITTER].submit(drain_now, BY_TEST.follow())
    await w1.sweep()
    now = await w1.state(server)
    assert isinstance(now, Stopping)
    assert (now.holder, now.attempt, w1.words.subjects) == ("w1", state.attempt, ["hub.holder.w1"])
