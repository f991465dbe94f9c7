"""The authenticator hears of everybody: when an auth starts, and when others make or delete somebody."""

import json
from typing import Any, ClassVar

import pytest

from hubbub.testing.eventually import eventually
from hubbub_auth import greeting
from hubbub_auth.authenticators import Authenticator
from hubbub_auth.testing import House, with_


class Picky(Authenticator):
    """Remembers whom it was told of, and has something against some."""

    heard: ClassVar[list[tuple[str, str, int]]] = []

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str:
        return data["username"]

    async def add_user(self, user: Any) -> None:
        self.heard.append(("add", user.name, user.id))
        if user.name.startswith("bad"):
            raise ValueError(f"{user.name} has no account")

    def delete_user(self, user: Any) -> None:
        self.heard.append(("delete", user.name, user.id))
        if user.name.startswith("kept"):
            raise RuntimeError


class Deaf(Authenticator):
    async def authenticate(self, handler: Any, data: dict[str, str]) -> str:
        return data["username"]


@pytest.fixture(autouse=True)
def heard() -> list[tuple[str, str, int]]:
    Picky.heard = []
    return Picky.heard


def config(kind: type[Authenticator] = Picky, **options: Any) -> dict[str, Any]:
    return with_({"authenticator_class": kind}, Authenticator={"allow_all": True, **options})


async def people(house: House, *names: str) -> dict[str, int]:
    """Users who are in the hub already, and their numbers."""
    pool = await house.pool()
    for number, name in enumerate(names, 1):
        await pool.execute(
            "insert into users (id, number, version, position, state, name, admin) "
            "values ($1, $2, 1, $2, '{}', $3, false)",
            f"id-of-{name}",
            number,
            name,
        )
    return {name: number for number, name in enumerate(names, 1)}


async def refused(house: House) -> list[str]:
    return [row["user_id"] for row in await (await house.pool()).fetch("select user_id from refused order by 1")]


async def tell(browser: Any, **greet: Any) -> dict[str, Any]:
    answer = await browser.post("/hub/internal/users", json.dumps(greet))
    assert answer.status == 200
    said: dict[str, Any] = json.loads(answer.text)
    return {name: value for name, value in said.items() if value}


async def test_everybody_is_greeted_at_the_start_in_order(house: House, heard, monkeypatch):
    monkeypatch.setattr(greeting, "AT_ONCE", 2)
    await people(house, "ada", "bad", "eve", "gus", "out")
    await house.auth(config(blocked_users={"out"}))
    await eventually(lambda: len(heard) == 4)
    assert heard == [("add", "ada", 1), ("add", "bad", 2), ("add", "eve", 3), ("add", "gus", 4)]
    assert await refused(house) == []


async def test_whom_it_refuses_then_is_named_if_they_are_to_be_deleted(house: House, heard):
    await people(house, "bad", "ada", "bad2", "no way")
    await house.auth(config(delete_invalid_users=True, username_pattern=r"\w+$"))
    await eventually(lambda: _has_refused(house, ["id-of-bad", "id-of-bad2", "id-of-no way"]))
    assert ("add", "no way", 4) not in heard


async def test_an_authenticator_that_does_not_care_is_asked_only_whom_it_could_have(house: House):
    await people(house, "ada", "no way")
    auth = await house.auth(config(Deaf))
    assert greeting.HOSTED in auth.app and not auth.app[greeting.HOSTED].policy.greets
    await house.auth(config(Deaf, delete_invalid_users=True, username_pattern=r"\w+$"))
    await eventually(lambda: _has_refused(house, ["id-of-no way"]))


async def _has_refused(house: House, ids: list[str]) -> bool:
    return await refused(house) == ids


async def test_apis_are_told_what_it_says(house: House, heard):
    numbers = await people(house, "kept")
    browser = await house.browser(config=config(username_pattern=r"\w+$"))
    await eventually(lambda: heard)
    heard.clear()
    assert await tell(browser, name="ada") == {}
    assert await tell(browser, name="bad") == {"refused": "bad has no account"}
    assert await tell(browser, name="no way") == {"refused": "Invalid username", "invalid": True}
    assert await tell(browser, name="kept", user="id-of-kept", gone=True) == {"refused": "RuntimeError"}
    assert await tell(browser, name="ada", gone=True) == {}
    assert heard == [("add", "ada", 0), ("add", "bad", 0), ("delete", "kept", numbers["kept"]), ("delete", "ada", 0)]


async def test_what_is_no_greeting_is_refused(house: House):
    browser = await house.browser(config=config())
    for body in ("", "{", "[]", '{"name": 1}', '{"name": "a"', "\\xff"):
        assert (await browser.post("/hub/internal/users", body)).status == 400


CROOKED = ["x/../internal/users", "./internal/users", "/internal/users", "x/%2e%2e/internal/users"]


@pytest.mark.parametrize("path", CROOKED)
async def test_no_other_path_leads_there(house: House, heard, path):
    """Apis keep what is `internal` from browsers by its name: there must be no other."""
    browser = await house.browser(config=config())
    answer = await browser.post(f"/hub/{path}", json.dumps({"name": "ada"}))
    assert answer.status == 404 and heard == []
