"""Any service may be killed at any moment while twenty servers start or stop: all of them arrive, and none twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from burst import PEOPLE, Faults, all_stopped, emptied, settle_in, some_ready, starting, stop
from checks import five_checks
from stack import Hub, hub

SERVICES = ["api-1", "auth-1", "spawner-worker-1", "proxy-sync-1", "poller-1"]

#: Every await on a server's way up after which the process that comes to it may be gone.
WAY_UP = [
    "api.claimed",
    "api.reported",
    "log.before_commit",
    "log.after_commit",
    "relay.before_publish",
    "relay.published",
    "worker.claimed",
    "worker.spooled",
    "worker.started",
    "worker.responded",
    "proxy.before_add",
    "proxy.added",
    "proxy.reported",
]

#: And on its way down.
WAY_DOWN = [
    "api.reported",
    "log.before_commit",
    "log.after_commit",
    "relay.before_publish",
    "worker.before_stop",
    "worker.stopped",
    "proxy.before_delete",
    "proxy.deleted",
    "proxy.reported",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Whoever is killed in it, it is whole again at the end."""
    async with hub(tmp_path_factory.mktemp("lasting") / "data") as it:
        await settle_in(it)
        yield it


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_killed_when_a_third_are_ready_is_not_missed(lasting: Hub, service: str):
    async with starting(lasting):
        await some_ready(lasting, 7)
        lasting.kill(service)
    await emptied(lasting)


@pytest.mark.long
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("point", WAY_UP)
async def test_a_death_at_any_point_of_a_start_is_made_good(tmp_path: Path, point: str, number: int):
    faults = Faults(tmp_path / "faults")
    async with hub(tmp_path / "data", environ=faults.environ) as it:
        await settle_in(it)
        faults.arm(point, number)
        async with starting(it):
            pass
        assert faults.struck


@pytest.mark.long
@pytest.mark.parametrize("point", WAY_DOWN)
async def test_a_death_at_any_point_of_a_stop_is_made_good(tmp_path: Path, point: str):
    faults = Faults(tmp_path / "faults")
    async with hub(tmp_path / "data", environ=faults.environ) as it:
        await settle_in(it)
        async with starting(it):
            pass
        faults.arm(point, 2)
        await asyncio.gather(*(stop(it, name) for name in PEOPLE))
        await all_stopped(it, 60)
        await five_checks(it)
        assert faults.struck
