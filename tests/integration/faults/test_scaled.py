"""Several of every service at once: they share the load, and each may die."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from burst import all_stopped, settle_in, some_ready, starting, stop, without
from checks import five_checks, rows
from stack import Hub, eventually, hub

SCALE = "api=2,auth=2,spawner-worker=3,poller=2"
PEOPLE = [f"user-{number:02}" for number in range(30)]

CLAIMED = "select data::json ->> 'worker' from events where type = 'AttemptClaimed'"


async def holders(it: Hub) -> Counter[str]:
    return Counter(row["holder"] for row in await rows(it, "select holder from servers where holder is not null"))


@pytest.mark.long
async def test_workers_share_the_load_and_one_of_each_service_dies(tmp_path: Path):
    async with hub(tmp_path / "data", scale=SCALE) as it:
        await settle_in(it, PEOPLE)
        async with starting(it, PEOPLE, 90):
            await some_ready(it, 5)
            for name in ("api-1", "auth-2", "spawner-worker-2", "poller-1"):
                it.kill(name)
        share = Counter(row[0] for row in await rows(it, CLAIMED))
        assert len(share) == 3, share
        assert max(share.values()) <= 20, share
        await asyncio.gather(*(stop(it, name) for name in PEOPLE))
        await all_stopped(it, 60)
        await five_checks(it)


@pytest.mark.long
async def test_every_service_is_restarted_one_after_the_other(tmp_path: Path):
    async with hub(tmp_path / "data", scale=SCALE) as it:
        await settle_in(it, PEOPLE)
        async with starting(it, PEOPLE, 90):
            for number, name in enumerate(sorted(it.services())):
                await some_ready(it, 2 * number)
                it.kill(name)
        assert len(it.workloads()) == len(PEOPLE)


@pytest.mark.long
async def test_the_servers_of_a_worker_that_does_not_come_back_are_taken_over(tmp_path: Path):
    """By a colleague on the same host, while nobody starts the worker again."""
    async with hub(tmp_path / "data", scale="spawner-worker=2") as it:
        await settle_in(it, PEOPLE[:10])
        async with starting(it, PEOPLE[:10]):
            pass
        before = {process.pid for process in it.workloads()}
        async with without(it, "spawner-worker-1"):
            await _held_by(it, {"spawner-worker-2"})
            await five_checks(it)
            assert {process.pid for process in it.workloads()} == before


@pytest.mark.long
async def test_starts_of_a_worker_that_does_not_come_back_are_made_by_a_colleague(tmp_path: Path):
    async with hub(tmp_path / "data", scale="spawner-worker=2") as it:
        await settle_in(it, PEOPLE)
        async with starting(it, PEOPLE, 90):
            await some_ready(it, 5)
            async with without(it, "spawner-worker-1"):
                await some_ready(it, len(PEOPLE))
                await _held_by(it, {"spawner-worker-2"})


async def _held_by(it: Hub, names: set[str]) -> None:
    async def is_so() -> bool:
        return set(await holders(it)) == names

    await eventually(is_so, 30, f"all servers held by {names}")
