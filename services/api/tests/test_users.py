"""/users over HTTP: what is kept of a login, who may change whom, and when somebody was last there."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from hubbub_api.activity import Activities

STATE = {"access_token": "it-is-secret", "scopes": ["a", "b"]}
FIRST = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
async def root(house) -> str:
    """A token of an administrator; there is ada, too."""
    await house.person("ada")
    await house.person("root", admin=True)
    return await house.token("root")


async def said(house, path: str, token: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    answer = await house.ask(f"/hub/api{path}", token=token, method=method, **more)
    return answer.status, await answer.json() if await answer.read() else None


async def test_auth_state_is_kept_sealed_and_goes_with_its_person(house, root):
    before = await house.pool.fetchval("select count(*) from events")
    _, patched = await said(house, "/users/ada", root, "PATCH", json={"auth_state": STATE})
    assert patched["auth_state"] == STATE
    assert await house.pool.fetchval("select count(*) from events") == before
    kept = await house.pool.fetchval("select value from vault where key like 'auth_state:%'")
    assert b"secret" not in kept
    _, renamed = await said(house, "/users/ada", root, "PATCH", json={"name": "Grace"})
    assert (renamed["name"], renamed["auth_state"]) == ("grace", STATE)
    assert (await said(house, "/users/grace", root))[1]["auth_state"] == STATE
    assert "auth_state" not in (await said(house, "/users/grace", await house.token("grace")))[1]
    assert await said(house, "/users/grace", root, "DELETE") == (204, None)
    assert await house.pool.fetchval("select count(*) from vault where key like 'auth_state:%'") == 0


@pytest.mark.parametrize("value", [None, [1], "text"])
async def test_auth_state_is_an_object(house, root, value):
    assert (await said(house, "/users/ada", root, "PATCH", json={"auth_state": value}))[0] == 400


@pytest.mark.parametrize(
    "options",
    [{"services": [{"name": "portal", "api_token": "token-of-the-portal"}],
      "load_roles": [{"name": "portal", "services": ["portal"], "scopes": ["admin:users"]}]}],
    indirect=True,
)  # fmt: skip
@pytest.mark.parametrize("body", [{"name": "toor"}, {"admin": True}, {"admin": False}, {"auth_state": {}}])
async def test_only_an_administrator_changes_another_one(house, root, body):
    await house.settle()
    refused = {"status": 403, "message": "Only admins can modify other admins"}
    assert await said(house, "/users/root", "token-of-the-portal", "PATCH", json=body) == (403, refused)
    may = body.get("admin") is not True
    assert (await said(house, "/users/ada", "token-of-the-portal", "PATCH", json=body))[0] == (200 if may else 403)


async def test_a_name_that_is_ones_own_in_capitals_is_taken(house, root):
    refused = {"status": 400, "message": "User ada already exists, username must be unique"}
    assert await said(house, "/users/ada", root, "PATCH", json={"name": "ADA"}) == (400, refused)
    assert (await said(house, "/users/ada", root, "PATCH", json={"name": "ada"}))[1]["name"] == "ada"


@pytest.mark.parametrize("options", [{"admin_access": True}], indirect=True)
async def test_access_for_administrators_can_be_asked_for_where_that_is_allowed(house, root):
    assert await said(house, "/users/ada/admin-access", root, "POST") == (200, None)
    assert await said(house, "/users/eve/admin-access", root, "POST") == (404, {"status": 404, "message": None})


async def test_what_is_being_written_is_known():
    """Between memory and the database nothing is forgotten."""
    reached, may_go_on = asyncio.Event(), asyncio.Event()

    class Slow:
        async def execute(self, *_: Any) -> None:
            reached.set()
            await may_go_on.wait()

    activities = Activities(Slow())  # type: ignore[arg-type]
    activities.heard("user:1", at=FIRST)
    writing = asyncio.create_task(activities.write())
    await reached.wait()
    assert activities.newer("user:1", None) == FIRST
    may_go_on.set()
    await writing
    assert activities.newer("user:1", None) is None


async def test_a_list_by_activity_has_what_was_heard_just_now(house, root):
    await house.person("bob")
    for name, day in (("bob", 2), ("ada", 1)):
        body = {"last_activity": f"2021-01-0{day}"}
        assert await said(house, f"/users/{name}/activity", root, "POST", json=body) == (200, None)
    found = (await said(house, "/users?sort=last_activity", root))[1]
    assert [user["name"] for user in found] == ["ada", "bob", "root"]
