"""Secrets change while people work: nobody is refused, nobody is logged out, no start is lost."""

import json
from pathlib import Path

import asyncpg
import pytest

from browser import Browser
from checks import five_checks
from rolling import Crowd
from stack import HERE, Hub, hub

PASSWORD = "password-of-everyone"


async def rotated(house: Hub, kind: str) -> str:
    status, output = await house.command("rotate", kind, seconds=200)
    assert status == 0, output
    return output


def secrets(house: Hub) -> dict[str, str]:
    found: dict[str, str] = json.loads((house.data / "secrets.json").read_text())
    return found


@pytest.mark.timeout(300)
async def test_nobody_notices_that_secrets_change(tmp_path: Path) -> None:
    async with hub(tmp_path / "data", config=HERE / "config_several.py") as house, Browser(house.url) as early:
        await early.login("early", PASSWORD)
        old = secrets(house)
        crowd = Crowd(house, 4)
        async with crowd.working() as work:
            assert "nats: done" in await rotated(house, "nats")
            assert "signed with the new secret" in await rotated(house, "cookie")
        assert work.failed == []
        assert all(work.done[kind] for kind in ("websocket", "api", "page", "login")), work.done

        assert (await early.get("/hub/token"))[0] == 200
        assert early.url.path == "/hub/token"
        new = secrets(house)
        assert old["nats api"] not in new.values()
        assert new["cookie_secret"].endswith(f";{old['cookie_secret']}")
        assert old["nats api"] not in (house.data / "nats-users.conf").read_text()

        # In the end the old cookie secret goes, and with it whoever has not come back since.
        assert "cookie: done" in await rotated(house, "cookie")
        await early.get("/hub/token")
        assert early.url.path == "/hub/login"
        await crowd.settle()
        await five_checks(house)


@pytest.mark.timeout(300)
@pytest.mark.long
async def test_nor_that_the_database_has_others_and_the_keys_by_which_things_are_sealed(tmp_path: Path) -> None:
    async with hub(tmp_path / "data", config=HERE / "config_several.py") as house:
        old, told = secrets(house), house.running()
        crowd = Crowd(house, 10)
        async with crowd.working() as work:
            for kind in ("postgres", "crypt", "bus"):
                assert f"{kind}: done" in await rotated(house, kind)
        assert work.failed == []
        assert not {old["postgres hubbub_api"], old["vault_key"], old["bus_key"]} & set(secrets(house).values())
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(told["api_dsn"])
        await crowd.settle()
        await five_checks(house)
