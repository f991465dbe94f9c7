"""Containers are killed, cut off, started again: servers stay reachable, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import aiohttp
import pytest
import pytest_asyncio
from compose_hub import ComposeHub

from browser import Browser
from burst import without
from checks import all_ready, five_checks, rows
from stack import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

PEOPLE = [f"person-{number}" for number in range(8)]
LATER = iter(f"later-{number}" for number in range(1000))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(house: ComposeHub) -> AsyncIterator[list[str]]:
    """Who has a server all the while."""
    await asyncio.gather(*(started(house, name) for name in PEOPLE))
    yield PEOPLE


async def started(house: ComposeHub, name: str, **options: object) -> None:
    """A start is asked for until it is answered: a 2xx means that it will not be lost."""

    async def accepted() -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            status, body = await house.api("POST", f"/users/{name}")
            assert status in (201, 409, 502, 503), (status, body)
            if status not in (201, 409):
                return False
            status, body = await house.api("POST", f"/users/{name}/server", dict(options))
            assert status in (201, 202, 400, 502, 503), (status, body)  # 400: it runs already
            return status in (201, 202, 400)
        return False

    await eventually(accepted, 90, f"the start of {name} accepted")
    await all_ready(house, [name], 60)


async def killed(house: ComposeHub, *names: str) -> None:
    """And started again by the engine, as what has crashed."""
    before = {name: house.container(name) for name in names}
    for name in before:
        house.kill(name)

    async def back() -> bool:
        for container in before.values():
            await asyncio.to_thread(container.reload)
        states = [(container.attrs["RestartCount"], container.status) for container in before.values()]
        return all(count >= 1 and status == "running" for count, status in states)

    await eventually(back, 30, f"{names} started again")


@contextmanager
def cut_off(house: ComposeHub, name: str, service: str) -> Iterator[None]:
    """From everybody. When it is back, it has other addresses."""
    cut = house.cut(name)
    try:
        yield
    finally:
        house.mend(cut, service)


@asynccontextmanager
async def untouched(house: ComposeHub, names: list[str]) -> AsyncIterator[None]:
    """Their servers are reached all the while, and are the same containers at the end."""
    before = {one.environ()["JUPYTERHUB_SERVICE_PREFIX"]: one.container.id for one in house.workloads()}
    missed: list[str] = []

    async def visit(name: str) -> None:
        while True:
            if await house.standin(name) is None:
                missed.append(name)
            await asyncio.sleep(0.2)

    visits = [asyncio.create_task(visit(name)) for name in names]
    try:
        yield
        assert missed == []
        after = {one.environ()["JUPYTERHUB_SERVICE_PREFIX"]: one.container.id for one in house.workloads()}
        assert before.items() <= after.items()
    finally:
        for task in visits:
            task.cancel()


async def test_a_workers_container_is_killed(house: ComposeHub, people: list[str]) -> None:
    async with untouched(house, people):
        await killed(house, "spawner-worker-1")
        await started(house, next(LATER))
        await five_checks(house, verify=False)


async def test_workers_are_killed_while_servers_start(house: ComposeHub, people: list[str]) -> None:
    names = [next(LATER) for _ in range(6)]
    async with untouched(house, people):
        starts = [asyncio.create_task(started(house, name, delay=2)) for name in names]
        await eventually(_some_spawn(house, names), 30, "some on their way")
        await killed(house, "spawner-worker-2", "spawner-worker-3")
        await asyncio.gather(*starts)
        await five_checks(house, verify=False)


async def test_the_bus_is_killed(house: ComposeHub, people: list[str]) -> None:
    async with untouched(house, people):
        name = next(LATER)
        start = asyncio.create_task(started(house, name, delay=1))
        await killed(house, "nats")
        await start
        await five_checks(house, verify=False)


async def test_a_worker_is_cut_off(house: ComposeHub, people: list[str]) -> None:
    """It lives, and neither hears nor is heard: others take over what it holds, and it learns so when it is back."""
    async with untouched(house, people):
        with cut_off(house, "spawner-worker-4", "spawner-worker"):
            await started(house, next(LATER))
            await five_checks(house, verify=False)
        await started(house, next(LATER))
        await five_checks(house, verify=False)


async def test_the_bus_is_cut_off(house: ComposeHub, people: list[str]) -> None:
    async with untouched(house, people):
        with cut_off(house, "nats", "nats"):
            start = asyncio.create_task(started(house, next(LATER)))
            await asyncio.sleep(3)  # longer than a lease: nothing tells of words that do not arrive
        await start
        await five_checks(house, verify=False)


async def logged_in(house: ComposeHub, name: str) -> bool:
    """By the password that all have, with an auth that is there."""
    password = (house.store / "login-password").read_text().strip()
    with suppress(aiohttp.ClientError, TimeoutError, AssertionError, ValueError):
        async with Browser(house.url) as browser:
            return (await browser.login(name, password))[0] == 200
    return False


async def leader(house: ComposeHub) -> str:
    """The api that sends the log to the bus: Postgres does not hear that it is cut off."""
    query = """
        select host(a.client_addr) as address from pg_stat_activity a join pg_locks l on l.pid = a.pid
        where l.locktype = 'advisory' and l.granted and a.application_name like 'hubbub-relay%'
    """
    [row] = await rows(house, query)
    return next(name for name in ("api-1", "api-2") if house.address(name) == row["address"])


@pytest.mark.parametrize("service", ["auth", "api", "proxy-sync", "poller"])
async def test_one_of_the_others_is_cut_off(house: ComposeHub, people: list[str], service: str) -> None:
    """When it is back, under another address, it does all the work of its kind alone."""
    gone = await leader(house) if service == "api" else f"{service}-1"
    async with untouched(house, people):
        with cut_off(house, gone, service):
            await started(house, next(LATER))
        async with without(house, f"{service}-{3 - int(gone[-1])}"):
            name = next(LATER)
            await started(house, name)
            await eventually(lambda: logged_in(house, name), 40, "a login")
        await five_checks(house, verify=False)


async def test_an_api_is_killed(house: ComposeHub, people: list[str]) -> None:
    async with untouched(house, people):
        start = asyncio.create_task(started(house, next(LATER), delay=1))
        await killed(house, "api-1")
        await start
        await five_checks(house, verify=False)


@pytest.mark.parametrize("name", ["auth-1", "proxy-sync-1", "poller-1"])
async def test_one_of_the_others_is_killed(house: ComposeHub, people: list[str], name: str) -> None:
    async with untouched(house, people):
        await killed(house, name)
        await started(house, next(LATER))
        await five_checks(house, verify=False)


async def test_the_database_starts_again(house: ComposeHub, people: list[str]) -> None:
    async with untouched(house, people):
        start = asyncio.create_task(started(house, next(LATER), delay=1))
        await asyncio.to_thread(house.container("postgres").restart)
        await start
        await five_checks(house)


def _some_spawn(house: ComposeHub, names: list[str]) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        prefixes = {one.environ()["JUPYTERHUB_SERVICE_PREFIX"] for one in house.workloads()}
        return any(f"/user/{name}/" in prefixes for name in names)

    return found
