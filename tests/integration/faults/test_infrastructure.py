"""The bus, the database or the proxy may go away and come back while servers start; the bus may lose everything.

No service dies of it.
"""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from burst import PEOPLE, emptied, killed, pids, settle_in, some_ready, starting
from checks import all_ready, five_checks
from stack import Hub, eventually, hub


def _lose_the_disk_of_the_bus(it: Hub) -> None:
    """It stands still while its disk is emptied, so it never sees half of it; then it is killed."""
    pid = it.pid("nats")
    os.kill(pid, signal.SIGSTOP)
    for path in (it.data / "nats").iterdir():  # the folder itself may be the volume of a container
        shutil.rmtree(path)
    os.kill(pid, signal.SIGKILL)


#: What is done while servers start.
WRONGS: dict[str, Callable[[Hub], None]] = {
    "the bus is killed": lambda it: it.kill("nats"),
    "the bus loses its disk": _lose_the_disk_of_the_bus,
    "the database is killed": lambda it: it.kill("postgres"),
    "the database is stopped": lambda it: os.kill(it.pid("postgres"), signal.SIGINT),
    "the proxy is killed": lambda it: it.proxy().kill(),
}
AT_LENGTH = {"the database is stopped"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Whatever happens to it, it is whole again at the end."""
    async with hub(tmp_path_factory.mktemp("lasting") / "data") as it:
        await settle_in(it)
        yield it


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "wrong", [pytest.param(name, marks=pytest.mark.long if name in AT_LENGTH else ()) for name in WRONGS]
)
async def test_no_service_dies_and_no_start_is_lost_when(lasting: Hub, wrong: str):
    async with starting(lasting):
        await some_ready(lasting, 5)
        services = lasting.services()
        WRONGS[wrong](lasting)
    assert lasting.services() == services
    await _all_answer(lasting)
    await emptied(lasting)


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
