"""Sessions on a whole hub with several apis and auths: seen, ended, and over when nobody uses them."""

from pathlib import Path
from typing import Any

from browser import Browser
from checks import rows
from stack import MANY, Hub, eventually, hub

HERE = Path(__file__).parent
PASSWORD = "password-of-everyone"


async def open_sessions(house: Hub) -> int:
    [row] = await rows(house, "select count(*) as n from sessions")
    return int(row["n"])


async def closed(house: Hub) -> list[Any]:
    query = "select data::json ->> 'reason' as reason from events where type = 'SessionClosed' order by position"
    return [row["reason"] for row in await rows(house, query)]


async def test_sessions_are_seen_ended_and_over_when_unused(tmp_path: Path) -> None:
    config = HERE / "config_sessions.py"
    async with (
        hub(tmp_path / "data", config=config, scale=MANY) as house,
        Browser(house.url) as first,
        Browser(house.url) as second,
    ):
        await first.login("ada", PASSWORD)
        await second.login("ada", "a guess")
        await second.login("ada", PASSWORD)
        status, page = await first.follow((await first.get("/hub/home"))[1], "^ada$")
        assert (status, first.url.path) == (200, "/hub/sessions")
        assert "name or password was wrong" in page
        status, page = await first.send(page, {"end": "others"})
        assert (status, first.url.path) == (200, "/hub/sessions")
        assert "Log out everywhere else" not in page
        await second.get("/hub/home")
        assert second.url.path == "/hub/login"
        assert await closed(house) == ["ended"]

        await second.login("ada", PASSWORD)

        async def only_the_used_one_is_left() -> bool:
            await first.get("/hub/sessions")
            return await open_sessions(house) == 1

        await eventually(only_the_used_one_is_left, 30, "the unused session is closed")
        assert await closed(house) == ["ended", "idle"]
        assert first.url.path == "/hub/sessions"
        await second.get("/hub/home")
        assert second.url.path == "/hub/login"
        await first.get("/hub/logout")
        assert await closed(house) == ["ended", "idle", "logout"]
        assert not await rows(house, "select 1 from activity where subject like 'session:%'")
        status, output = await house.command("verify")
        assert status == 0, output
