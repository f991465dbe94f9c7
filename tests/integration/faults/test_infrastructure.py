"""The bus, the database or the proxy may go away and come back while servers start; the bus may lose everything.

No service dies of it.
"""

import os
import shutil
import signal
from pathlib import Path

import pytest

from burst import PEOPLE, killed, pids, settle_in, some_ready, starting
from checks import all_ready, five_checks
from stack import Hub, eventually, hub


async def test_the_bus_is_killed(tmp_path: Path):
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it):
            await some_ready(it, 5)
            services = it.services()
            it.kill("nats")
        assert it.services() == services


async def test_the_bus_loses_its_disk(tmp_path: Path):
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it):
            await some_ready(it, 5)
            services = it.services()
            _lose_the_disk_of_the_bus(it)
        assert it.services() == services


@pytest.mark.long
async def test_the_bus_loses_its_disk_while_nothing_happens(tmp_path: Path):
    """What comes after still finds its streams, tickets and routes."""
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it, PEOPLE[:5]):
            pass
        _lose_the_disk_of_the_bus(it)
        async with starting(it, PEOPLE[:10]):
            pass


def _lose_the_disk_of_the_bus(it: Hub) -> None:
    """It stands still while its disk is emptied, so it never sees half of it; then it is killed."""
    pid = it.pid("nats")
    os.kill(pid, signal.SIGSTOP)
    shutil.rmtree(it.data / "nats")
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
async def test_the_database_goes_and_comes_back(tmp_path: Path, number: signal.Signals):
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it):
            await some_ready(it, 5)
            services = it.services()
            os.kill(it.pid("postgres"), number)
        assert it.services() == services


async def test_the_proxy_is_killed(tmp_path: Path):
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it):
            await some_ready(it, 5)
            services = it.services()
            it.proxy().kill()
        assert it.services() == services
        await _all_answer(it)


@pytest.mark.long
@pytest.mark.parametrize("part", ["nats", "postgres", "proxy"])
async def test_running_servers_do_not_notice(tmp_path: Path, part: str):
    """They stay the same processes behind the same addresses."""
    async with hub(tmp_path / "data") as it:
        await settle_in(it)
        async with starting(it):
            pass
        before = await pids(it, PEOPLE)
        victim = it.proxy().pid if part == "proxy" else it.pid(part)
        os.kill(victim, signal.SIGKILL)
        await killed(victim)
        await _all_answer(it)
        await all_ready(it, PEOPLE, 30)
        await five_checks(it)
        assert await pids(it, PEOPLE) == before


async def _all_answer(it: Hub) -> None:
    async def answer() -> bool:
        return all((await pids(it, PEOPLE)).values())

    await eventually(answer, 30, "every server answers at its public address")
