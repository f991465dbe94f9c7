"""An auth may die just before or after whatever it commits about accounts: who tries again has what they meant."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from browser import Browser
from burst import AGAIN, Faults
from checks import five_checks, rows
from stack import HERE, Hub, hub

FIRST, SECOND, THIRD = "rain tent violin", "mango ledger ice", "candle otter spoon"
PATIENCE = 30.0


class Story:
    """One hub, its administrator, and the death that waits for each of their deeds."""

    def __init__(self, hub: Hub, faults: Faults, point: str) -> None:
        self.hub = hub
        self.faults = faults
        self.point = point

    async def done(self, deed: Callable[[], Awaitable[tuple[int, str]]], *, cut: bool = True) -> tuple[int, str]:
        """What *deed* came to in the end; whoever is told that nobody is there tries again."""
        if cut:
            self.faults.arm(self.point)
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                status, page = await deed()
            except (aiohttp.ClientError, TimeoutError):
                status, page = 503, ""
            if status not in AGAIN:
                break
            assert time.monotonic() < ends, page
            await asyncio.sleep(0.1)
        if cut:
            assert self.faults.struck, "nobody came to the cut"
            self.faults.disarm()
        return status, page

    async def fill(self, browser: Browser, path: str, fields: dict[str, str], *, cut: bool = True) -> tuple[int, str]:
        async def deed() -> tuple[int, str]:
            status, page = await browser.get(path)
            asked = status == 200 and all(f'name="{name}"' in page for name in fields)
            return await browser.send(page, fields) if asked else (status, page)

        return await self.done(deed, cut=cut)

    async def press(self, browser: Browser, what: str, name: str) -> tuple[int, str]:
        """A button of the page of accounts, beside *name*."""

        async def deed() -> tuple[int, str]:
            status, page = await browser.get("/hub/accounts")
            form = re.search(rf'name="account" value="(\w+)">\s*<button[^>]*value="{what}"[^>]*: {name}"', page)
            if form is None:
                return status, page
            token = re.search(r'name="_xsrf" value="([^"]+)"', page)
            assert token
            fields = {"_xsrf": token[1], "account": form[1], "do": what}
            async with browser.session.post(browser.url, data=fields) as response:
                return response.status, await response.text()

        return await self.done(deed)

    async def log_in(self, browser: Browser, name: str, password: str) -> int:
        """The status of the page that they come to."""
        fields = {"username": name, "password": password}
        return (await self.fill(browser, "/hub/login", fields, cut=False))[0]

    async def password_link(self, name: str) -> str:
        status, output = await self.hub.command("password", name)
        assert status == 0, output
        return "/hub/" + output.strip().rpartition("/hub/")[2]


def _link(page: str) -> str:
    found = re.search(r'<code id="link">[^<]+(/hub/password\?link=[^<]+)</code>', page)
    assert found, page
    return found[1]


def _chosen(password: str) -> dict[str, str]:
    return {"new": password, "again": password}


@pytest.mark.parametrize("point", ["auth.after_account", pytest.param("auth.before_account", marks=pytest.mark.long)])
async def test_a_death_beside_any_commit_is_made_good(tmp_path: Path, point: str):
    faults = Faults(tmp_path / "faults")
    config = HERE / "config_passwords.py"
    async with (
        hub(tmp_path / "data", config=config, scale="auth=2", environ=faults.environ) as it,
        Browser(it.url) as root,
        Browser(it.url) as ada,
    ):
        story = Story(it, faults, point)
        await story.fill(root, await story.password_link("root"), _chosen(FIRST))
        assert await story.log_in(root, "root", FIRST) == 200

        status, page = await story.fill(ada, "/hub/signup", {"name": "ada", **_chosen(FIRST)})
        assert (status, "now waits for approval" in page) == (200, True)
        assert [row["approved"] for row in await rows(it, "select approved from accounts order by number")] == [
            True,
            False,
        ]

        await story.press(root, "approve", "ada")
        assert await story.log_in(ada, "ada", FIRST) == 200
        await story.fill(ada, "/hub/password", {"old": FIRST, **_chosen(SECOND)})
        assert await story.log_in(ada, "ada", SECOND) == 200

        _, page = await story.press(root, "reset", "ada")
        assert await _is_out(ada)
        await story.fill(ada, _link(page), _chosen(THIRD))
        assert await story.log_in(ada, "ada", THIRD) == 200

        await story.press(root, "remove", "ada")
        assert await _is_out(ada)
        assert [row["name"] for row in await rows(it, "select name from accounts")] == ["root"]
        assert len(await rows(it, "select key from vault where key like 'password:%'")) == 1
        await five_checks(it)


async def _is_out(browser: Browser) -> bool:
    _, page = await browser.get("/hub/home")
    return 'name="password"' in page
