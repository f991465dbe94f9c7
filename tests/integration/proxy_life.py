"""Of the proxies' suite: what people see when something is not there, who was active, and restarts of everything."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import psutil

import raw
from browser import Browser
from burst import killed, without
from checks import five_checks
from proxy_stage import PASSWORD, Stage
from proxy_streams import echoes, socket
from stack import eventually

#: Seconds until all routes are back, once the proxy is: two, and room for a machine that is busy with other tests.
FILLED = 5.0


class Visits:
    """Somebody who asks again and again: `failed` says what was no answer of whom it was to be."""

    def __init__(self, stage: Stage, whose: str) -> None:
        self._stage = stage
        self._whose = whose
        self.number = 0
        self.failed: list[str] = []

    async def go_on(self) -> None:
        while True:
            try:
                answer = await self._stage.ask(self._stage.places[self._whose])
                if self._stage.whose(answer) != self._whose:
                    self.failed.append(f"{answer.status} of {self._stage.whose(answer)}")
            except (OSError, EOFError) as error:
                self.failed.append(repr(error))
            self.number += 1
            await asyncio.sleep(0.02)


@asynccontextmanager
async def visited(stage: Stage, *names: str) -> AsyncIterator[None]:
    """While the block runs, these servers answer without a break."""
    visits = [Visits(stage, name) for name in names]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(visit.go_on()) for visit in visits]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
    for visit in visits:
        assert visit.number > 0 and not visit.failed, (visit.number, visit.failed)


class Life:
    # What is not there ----------------------------------------------------------------------

    async def test_a_server_that_does_not_answer_has_the_page_of_the_hub(self, stage: Stage):
        async with stage.running("cleo") as place:
            await stage.ask(f"{place}_hide")
            for target in (place, f"{place}lab?x=1", f"{place}api/contents"):
                answer = await stage.ask(target)
                assert answer.status in stage.kind.no_server, answer
                if stage.kind.hub_page:
                    page = answer.body.decode()
                    assert "503" in page and "Hubbub" in page and "/hub/static/" in page, page[:500]

    async def test_a_server_that_hangs_up_is_an_error_of_the_gateway(self, stage: Stage):
        answer = await stage.ask(f"{stage.places['ada']}_hang_up")
        assert answer.status in (502, 503), answer
        assert stage.kind.hub_page == (b"/hub/static/" in answer.body), answer
        assert await stage.answers_at("ada")

    async def test_people_without_a_server_get_a_page_and_programs_json(self, stage: Stage):
        async with Browser(stage.hub.url) as browser:
            await _log_in(browser, "carl")
            status, page = await browser.get("/user/carl/lab/tree/x")
            assert (status, browser.url.path) == (424, "/hub/user/carl/lab/tree/x")
            assert "/hub/spawn/carl" in page
        token = "Authorization: token token-of-the-test-service"
        moved = await stage.ask("/user/carl/api/kernels", token, "Accept: application/json")
        answer = await stage.ask(moved.header("Location"), token, "Accept: application/json")
        assert answer.status == 424 and "/user/carl/" in json.loads(answer.body)["message"]

    async def test_a_server_that_dies_has_the_hub_answer_for_it(self, stage: Stage):
        place = await stage.start("cora")
        os.kill((await stage.ask(place)).json()["pid"], signal.SIGKILL)
        stage.places.pop("cora")

        async def is_left_to_the_hub() -> bool:
            return stage.whose(await stage.ask(place)) == "hub"

        await eventually(is_left_to_the_hub, 5, "the route to go")

    async def test_without_an_api_the_servers_answer_and_the_rest_waits_for_the_next_one(self, stage: Stage):
        """The hub's port stays open while its only api is away."""
        async with socket(stage, "ada") as opened, visited(stage, "ada", "jürgen", "service"):
            async with without(stage.hub, "api-1"):
                asking = asyncio.create_task(stage.ask("/hub/home"))
                await echoes(opened, "nobody at home")
                assert not asking.done()
            assert stage.whose(await asking) == "hub"
            await eventually(lambda: stage.hub.is_ready("ada"), 20, "the hub's return")

    # Who was active -------------------------------------------------------------------------

    async def test_requests_to_a_server_are_activity(self, stage: Stage):
        """Seen by the proxy, or reported by the server as JupyterHub's single-user servers do by themselves."""
        before = await _last_activity(stage, "ada")
        asked = "" if stage.kind.counts else "_report"

        async def has_moved() -> bool:
            await stage.ask(stage.places["ada"] + asked)
            return await _is_active_since(stage, "ada", before)

        await eventually(has_moved, 20, "last_activity to move")

    # The real thing -------------------------------------------------------------------------

    async def test_somebody_works_in_jupyterlab(self, stage: Stage):
        status, body = await stage.hub.api("POST", "/users/real/server", {"user_options": {"real": 1}})
        assert status in (201, 202), (status, body)
        await eventually(lambda: stage.hub.is_ready("real"), 60, "JupyterLab ready")
        async with Browser(stage.hub.url) as browser:
            await _log_in(browser, "real")
            status, page = await browser.get("/user/real/lab")
            assert (status, browser.url.path) == (200, "/user/real/lab")
            assert "jupyter-config-data" in page
            before = await _last_activity(stage, "real")
            assert await browser.compute("/user/real/", "6*7") == "42"
            await eventually(lambda: _is_active_since(stage, "real", before), 20, "last_activity to move")
        assert (await stage.hub.api("DELETE", "/users/real/server"))[0] in (202, 204)
        await eventually(lambda: _is_gone(stage, "/user/real/"), 30, "its route to go")

    # Restarts -------------------------------------------------------------------------------

    async def test_when_proxy_sync_begins_anew_nobody_notices(self, stage: Stage):
        before = [process.pid for process in stage.hub.proxies()]
        async with socket(stage, "ada") as opened, visited(stage, "ada", "jürgen", "service"):
            old = stage.hub.pid("proxy-sync-1")
            stage.hub.kill("proxy-sync-1")
            await killed(old)
            await echoes(opened, "between two")
            async with stage.running("curt"):  # ready when its successor has routed it
                assert await stage.answers_at("curt")
            await echoes(opened, "the same")
        assert [process.pid for process in stage.hub.proxies()] == before

    async def test_a_proxy_that_died_is_back_with_all_its_routes(self, stage: Stage):
        before = stage.hub.proxies()
        for process in before:
            process.kill()
        for process in before:
            await killed(process.pid)
        await eventually(lambda: _takes_connections(stage), 20, "a new proxy")
        await stage.until_all_answer(FILLED)
        assert {process.pid for process in before}.isdisjoint(process.pid for process in stage.hub.proxies())
        await five_checks(stage.hub, verify=False)

    async def test_a_restart_of_the_whole_hub_cuts_nobody_off(self, stage: Stage):
        before = [process.pid for process in stage.hub.proxies()]
        async with (
            socket(stage, "ada") as hers,
            socket(stage, "bob") as his,
            visited(stage, "ada", "jürgen", "service"),
        ):
            await stage.hub.stop()
            await echoes(hers, "nobody at home")
            await stage.hub.start()
            await echoes(his, "all home again")
            await eventually(lambda: stage.hub.is_ready("ada"), 20, "the hub to know its servers")
            async with stage.running("curt"):
                await echoes(hers, "the same")
        assert [process.pid for process in stage.hub.proxies()] == before
        await stage.until_all_answer(FILLED)
        await five_checks(stage.hub)

    async def test_after_all_of_it_no_upstream_has_seen_what_is_not_its_own(self, stage: Stage):
        for whose in stage.places:
            assert (await stage.seen(whose))["strays"] == [], whose
        assert all(psutil.pid_exists(process.pid) for process in stage.hub.workloads())


async def _log_in(browser: Browser, name: str) -> None:
    """By a way that does not start their server."""
    _, page = await browser.get("/hub/login?next=%2Fhub%2Fhome")
    status, _ = await browser.send(page, {"username": name, "password": PASSWORD})
    assert (status, browser.url.path) == (200, "/hub/home")


async def _last_activity(stage: Stage, name: str) -> datetime:
    model = await stage.hub.model(name)
    return datetime.fromisoformat(model["servers"][""]["last_activity"])


async def _is_active_since(stage: Stage, name: str, then: datetime) -> bool:
    return await _last_activity(stage, name) > then


async def _is_gone(stage: Stage, spec: str) -> bool:
    return spec not in await stage.routes()


async def _takes_connections(stage: Stage) -> bool:
    with suppress(OSError):
        async with raw.line(stage.hub.url):
            return True
    return False
