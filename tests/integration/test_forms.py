"""Options forms with a real hub: a person fills one in, and the server is started with what came of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from browser import Browser
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

BYTES = b"\x00\xff what was noted"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["text", "callable", "async"])
async def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forms(tmp_path_factory: pytest.TempPathFactory, kind: str) -> AsyncIterator[Hub]:
    """One hub for all that is asked of each kind of form."""
    data = tmp_path_factory.mktemp(kind) / "data"
    async with hub(data, config=HERE / "config_forms.py", environ={"TEST_FORM": kind}) as made:
        yield made


async def fill_in(browser: Browser, path: str, **fields: Any) -> tuple[int, str]:
    form = aiohttp.FormData({"_xsrf": browser.cookie("_xsrf")}, default_to_multipart=True)
    for name, value in fields.items():
        extra = {"filename": "n.txt"} if isinstance(value, bytes) else {}
        form.add_field(name, value, **extra)
    place = browser.base.join(URL(f"/hub/spawn/{path}"))
    async with browser.session.post(place, data=form) as response:
        browser.url = response.url
        return response.status, await response.text()


async def started(house: Hub, name: str, server: str) -> dict[str, str]:
    """The environment of the server once it answers."""

    async def answers() -> Any:
        return await house.standin(name, server) if await house.is_ready(name, server) else None

    found: dict[str, str] = (await eventually(answers, 30, "the server has started"))["env"]
    return found


async def options_of(house: Hub, name: str, server: str) -> Any:
    return (await house.model(name))["servers"][server]["user_options"]


async def test_a_person_is_shown_the_form_and_the_server_has_what_they_chose(forms: Hub, kind: str) -> None:
    async with Browser(forms.url) as browser:
        await browser.login("ada", "password-of-everyone")
        assert browser.url.path == "/hub/spawn", browser.url
        status, page = await browser.get("/hub/spawn/ada/lab")
        assert status == 200
        assert (">document.getElementById" if kind == "text" else "ada asked for nothing, had []") in page
        status, _ = await fill_in(browser, "ada/lab?asked=much", size="2", notes=BYTES)
        assert browser.url.path.startswith("/hub/spawn-pending/ada/lab"), (status, browser.url)
        env = await started(forms, "ada", "lab")
        assert {name: env[f"STANDIN_{name}"] for name in ("SIZE", "NOTES", "ASKED", "BY")} == {
            "SIZE": "int",
            "NOTES": "bytes",
            "ASKED": "much",
            "BY": "ada",
        }
        stored = await options_of(forms, "ada", "lab")
        assert stored["size"] == 2
        assert stored["notes"]["__jupyterhub_bytes__"] is True


async def test_the_next_plain_start_uses_them_again_and_the_form_knows_them(forms: Hub, kind: str) -> None:
    async with Browser(forms.url) as browser:
        await browser.login("bob", "password-of-everyone")
        await fill_in(browser, "bob/lab", size="2", notes=BYTES)
        await started(forms, "bob", "lab")
        assert (await forms.api("DELETE", "/users/bob/servers/lab"))[0] in (202, 204)

        async def stopped() -> bool:
            return bool((await forms.model("bob"))["servers"]["lab"]["stopped"])

        await eventually(stopped, 20, "it has stopped")
        if kind != "text":
            _, page = await browser.get("/hub/spawn/bob/lab")
            assert "had [&#39;notes&#39;, &#39;size&#39;]" in page or "had ['notes', 'size']" in page
        status, _ = await forms.api("POST", "/users/bob/servers/lab")
        assert status == 201
        env = await started(forms, "bob", "lab")
        assert (env["STANDIN_SIZE"], env["STANDIN_NOTES"], env["STANDIN_BY"]) == ("int", "bytes", "")


async def test_what_is_no_good_is_said_above_the_form(forms: Hub, kind: str) -> None:
    async with Browser(forms.url) as browser:
        await browser.login("cleo", "password-of-everyone")
        status, page = await fill_in(browser, "cleo", size="3")
        assert status == 400
        assert "cleo may have 2 &lt;at most&gt;" in page
        assert 'name="size"' in page or "name='size'" in page
        status, page = await fill_in(browser, "cleo")
        assert (status, "KeyError" in page) == (400, True)
        assert (await forms.model("cleo"))["servers"][""]["stopped"]


async def test_a_link_may_bring_the_options(forms: Hub, kind: str) -> None:
    async with Browser(forms.url) as browser:
        await browser.login("dora", "password-of-everyone")
        status, page = await browser.get("/hub/spawn/dora/lab?opt-size=7")
        assert (status, "dora may have 2" in page) == (400, True), page
        await browser.get("/hub/spawn/dora/lab?opt-size=1&asked=else")
        assert browser.url.path == "/hub/spawn-pending/dora/lab"
        await started(forms, "dora", "lab")
        assert await options_of(forms, "dora", "lab") == {"size": 1}


async def test_a_program_need_not_fill_in_forms(forms: Hub) -> None:
    await forms.user("eve")
    status, _ = await forms.api("POST", "/users/eve/servers/lab", {"size": "any"})
    assert status == 201
    assert await options_of(forms, "eve", "lab") == {"size": "any"}


@pytest.mark.parametrize("kind", ["text"], indirect=True)  # no form is asked of it that differs
async def test_with_a_worker_that_hangs_the_page_says_so_and_does_not_hang(forms: Hub) -> None:
    worker = forms.pid("spawner-worker-1")
    async with Browser(forms.url) as browser:
        await browser.login("finn", "password-of-everyone")
        os.kill(worker, signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                status, page = await browser.get("/hub/spawn/finn/lab?opt-size=1")
        finally:
            os.kill(worker, signal.SIGCONT)
        assert (status, "No worker answers." in page) == (503, True)
        assert "lab" not in (await forms.model("finn"))["servers"]
