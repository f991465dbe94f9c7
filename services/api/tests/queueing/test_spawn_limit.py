"""How many starts may be on their way up at once, when those above wait."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest

from hubbub.domain.server_messages import (
    CreateServer,
    Failure,
    ReportFailed,
    StartServer,
)
from hubbub.eventlog import Context
from hubbub.service import end
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub_api.queue import Openings

SOON = datetime.now(UTC) + timedelta(minutes=5)
BY_TEST = Context.of("test")
CLASS = [f"pupil-{number:03}" for number in range(40)]
LIMITED = {"JupyterHub": {"concurrent_spawn_limit": 2}, "Hubbub": {"queue_spawns": True}}


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_no_more_are_handed_out_than_may_be_on_their_way(house: Any) -> None:
    await house.wish(*CLASS[:5])
    assert set(await house.claim(9)) == {CLASS[0], CLASS[1]}
    assert await house.claim(9) == []
    await house.runs(CLASS[0])
    assert await house.claim(9) == [CLASS[2]]
    failed = ReportFailed(attempt=1, worker="w1", failure=Failure(reason="x", message="x"), deadline=SOON)
    await house.committer.execute(SERVERS, CLASS[1], failed, BY_TEST)
    assert await house.claim(9) == [CLASS[3]]


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_of_many_workers_at_once_none_passes_the_limit(house: Any) -> None:
    await house.wish(*CLASS[:6])
    got = await asyncio.gather(*(house.claim(2, f"w{number}") for number in range(4)))
    assert len([*chain(*got)]) == 2


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_a_managed_service_waits_for_no_person(house: Any) -> None:
    await house.wish("ada", "bob", "cleo")
    await house.claim(9)

    async def service(tx: Transaction) -> None:
        tx.welcome("managed:board")
        await tx.act(SERVERS, "managed:board", CreateServer(user="", name="board"))
        start = StartServer(at=tx.now, pool="default", prefix="/services/board/", deadline=SOON)
        await tx.act(SERVERS, "managed:board", start)

    await house.committer.submit(service, BY_TEST)
    assert await house.claim(9) == ["managed:board"]


@pytest.mark.parametrize("options", [{"JupyterHub": {"concurrent_spawn_limit": 2}}], indirect=True)
async def test_without_a_queue_the_limit_is_for_those_who_ask(house: Any) -> None:
    await house.wish(*CLASS[:5])
    assert len(await house.claim(9)) == 5


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_workers_hear_that_one_more_may_start(house: Any, tickets: Any) -> None:
    await house.wish(*CLASS[:3])
    await house.wish("zoe", pool="gpu")
    assert len(await house.claim(9)) == 2
    openings = Openings(house.pool, tickets, house.options, lambda: True)
    async with house.following(openings.hear):
        telling = asyncio.create_task(openings.run())
        await house.runs(CLASS[0])
        async with asyncio.timeout(20):
            told = {await tickets.sent.get(), await tickets.sent.get()}
        await end(telling)
    assert told == {"hub.ticket.pool.default", "hub.ticket.pool.gpu"}
