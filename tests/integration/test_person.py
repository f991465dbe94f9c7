"""A person with a browser: log in, start, work in a real JupyterLab, log out."""

from pathlib import Path

import pytest

from browser import Browser, password_in
from stack import MANY, eventually, hub


@pytest.mark.parametrize(
    "scale", ["", pytest.param(MANY, marks=pytest.mark.long)], ids=["one of each", "several of each"]
)
async def test_a_person_works_in_jupyterlab(tmp_path: Path, scale: str) -> None:
    async with hub(tmp_path / "data", config=None, scale=scale) as house, Browser(house.url) as browser:
        status, page = await browser.login("Ada", password_in(house.lines))
        assert status == 200 and browser.url.path == "/hub/home", browser.url
        assert "ada" in page

        status, _ = await browser.get("/hub/spawn")
        assert status == 200 and browser.url.path in ("/hub/spawn-pending/ada", "/hub/spawn")
        events = await browser.progress("/hub/api/users/ada/server/progress")
        assert events[0]["progress"] == 0
        assert any(event["progress"] == 50 for event in events)
        assert events[-1]["ready"] is True and events[-1]["url"] == "/user/ada/"

        status, page = await browser.get("/user/ada/lab")
        assert status == 200 and browser.url.path == "/user/ada/lab", (browser.url, page[:500])
        assert "jupyter-config-data" in page
        assert await browser.compute("/user/ada/", "1+1") == "2"

        other = Browser(house.url)
        async with other:
            await other.login("mallory", password_in(house.lines))
            status, _ = await other.get("/user/ada/lab")
            assert status in (403, 404)

        status, _ = await browser.get("/hub/logout")
        assert status == 200
        status, _ = await browser.get("/user/ada/api/kernels", allow_redirects=False)
        assert status in (302, 403)
        status, page = await browser.get("/user/ada/lab")
        assert browser.url.path == "/hub/login", browser.url


async def test_cancel_stops_a_start_that_is_under_way(tmp_path: Path) -> None:
    async with hub(tmp_path / "data") as house, Browser(house.url) as browser:
        await browser.login("ada", "password-of-everyone")
        headers = {**browser.xsrf(), "Content-Type": "application/json", "Origin": house.url.rstrip("/")}
        start = browser.base / "hub/api/users/ada/servers/slow"
        async with browser.session.post(start, json={"delay": 30}, headers=headers) as response:
            assert response.status == 202, await response.text()
        async with browser.session.delete(start, headers=headers) as response:
            assert response.status in (202, 204)

        async def stopped() -> bool:
            model = await house.model("ada")
            return bool(model["servers"]["slow"]["stopped"])

        await eventually(stopped, 20, "the cancelled start is over")
        places = [process.environ()["JUPYTERHUB_SERVICE_PREFIX"] for process in house.workloads()]
        assert "/user/ada/slow/" not in places
        status, page = await browser.get("/hub/spawn-pending/ada/slow")
        assert status == 200 and "not running" in page.lower()
