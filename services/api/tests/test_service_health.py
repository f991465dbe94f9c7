"""Whether services answer: looked at by one api for all, and said when it changes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs
from traitlets.config import Config

from hubbub.config import Options
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.postgres import Database
from hubbub_api.service_health import HealthChecks, answers

OFTEN = 0.05


class Page:
    """A service that counts its visitors, and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.visits = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.visits += 1
        headers = {"Location": "http://127.0.0.1:1/"} if self.status == 302 else {}
        return web.Response(status=self.status, headers=headers)


@pytest.fixture
async def page() -> AsyncIterator[tuple[Page, str]]:
    page, app = Page(), web.Application()
    app.router.add_get("/services/lab/", page.answer)
    async with TestServer(app) as server:
        yield page, f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize(("status", "up"), [(200, True), (302, True), (403, True), (404, True), (500, False)])
async def test_anything_but_a_5xx_will_do(page: tuple[Page, str], status: int, up: bool):
    there, url = page
    there.status = status
    assert await answers(f"{url}/services/lab/", 0.3) is up


async def test_nobody_answers_where_nobody_is():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not await answers(f"http://127.0.0.1:{port}/", 0.2)
    assert not await answers(f"http://127.0.0.1:{port}/", 0.2)
    assert not await answers("http://no-such-host.invalid/", 0.2)


@asynccontextmanager
async def checking(
    database: Database, url: str, *, apis: int = 1, every: float = OFTEN
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """Apis that look after the service lab: the task of each, by what it holds the lease as."""
    services = [{"name": "lab", "url": url, "timeout": 1}, {"name": "without"}]
    options = Options(Config({"JupyterHub": {"services": services, "service_check_interval": every}}))
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(database.api_dsn, min_size=1, max_size=2))
        checks = [HealthChecks(pool, options) for _ in range(apis)]
        tasks = {each.holder: asyncio.create_task(each.run()) for each in checks}
        stack.push_async_callback(end, *tasks.values())
        yield tasks


async def test_it_is_said_when_it_changes(database: Database, page: tuple[Page, str]):
    there, url = page
    with capture_logs() as lines:
        async with checking(database, url):
            for status in (200, 503, 404):
                there.status = status
                changes = len(lines) + 1
                await eventually(lambda: len(lines) >= changes)  # noqa: B023 - it is over before the next turn
                seen = there.visits
                await eventually(lambda: there.visits > seen + 2)  # noqa: B023
    assert [(line["event"], line["name"]) for line in lines] == [
        ("service.reachable", "lab"),
        ("service.unreachable", "lab"),
        ("service.reachable", "lab"),
    ]


async def test_one_api_asks_for_all_and_another_when_it_is_gone(
    database: Database, page: tuple[Page, str], monkeypatch: pytest.MonkeyPatch
):
    there, url = page
    monkeypatch.setattr("hubbub_api.service_health.GRACE", 0.0)
    with capture_logs() as lines:
        async with checking(database, url, apis=3) as tasks:
            await eventually(lambda: there.visits > 5)
            assert len(lines) == 1  # each of them would have said so
            await end(tasks[await holder(database)])
            seen = there.visits
            await eventually(lambda: there.visits > seen + 2)
    assert [line["event"] for line in lines] == ["service.reachable"] * 2


async def holder(database: Database) -> str:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return str(await connection.fetchval("select holder from leases where name = 'service-health'"))
    finally:
        await connection.close()


async def test_an_interval_of_nothing_means_never(database: Database, page: tuple[Page, str]):
    there, url = page
    async with checking(database, url, every=0) as tasks:
        [task] = tasks.values()
        await asyncio.wait({task}, timeout=0.3)
        assert (task.done(), there.visits) == (False, 0)
