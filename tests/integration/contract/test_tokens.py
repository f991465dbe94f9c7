"""Tokens: making, reading and deleting them."""

from datetime import datetime
from typing import Any

import pytest
from refusals import Refused, row_id, says
from stage import set_up
from targets import PASSWORD, Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

U = ("user",)
MINE = "/users/{user}/tokens"

REFUSED = [
    Refused(f"POST {MINE}", [1], (400, ...), U),
    Refused(f"POST {MINE}", {"scopes": "read:users"}, (400, ...), U),
    Refused(f"POST {MINE}", {"scopes": [1]}, (400, ...), U),
    Refused(f"POST {MINE}", {"roles": {}}, (400, ...), U),
    Refused(f"POST {MINE}", {"scopes": ["nonsense"]}, (400, ...), U),
    Refused(f"POST {MINE}", {"scopes": ["custom:unknown:x"]}, (400, ...), U),
    Refused(f"POST {MINE}", {"scopes": ["read:users!odd=x"]}, (400, ...), U),
    Refused(f"POST {MINE}", {"scopes": ["admin:users"]}, (400, ...), U),
    Refused(f"POST {MINE}", {"scopes": ["read:users!user=root"]}, (400, ...), U),
    Refused(f"POST {MINE}", {"roles": ["nonsense"]}, (400, ...), U),
    Refused(f"POST {MINE}", {"roles": ["admin"]}, (400, ...), U),
    Refused(f"POST {MINE}", {"roles": ["token"], "scopes": ["inherit"]}, (400, ...), U),
    Refused(f"POST {MINE}", {"expires_in": "soon"}, (400, ...), U),
    Refused(f"POST {MINE}", {"expires_in": 1.5}, (400, ...), U),
    Refused(f"POST {MINE}", {"expires_in": 0}, (400, ...), U),
    Refused(f"POST {MINE}", {"expires_in": -5}, (400, ...), U),
    Refused(f"POST {MINE}", {"expires_in": 86401}, (400, ["86400"]), U),
    Refused("POST /users/{new}/tokens", {}, (403, ["{new}"])),
    Refused(
        "POST /users/{new}/tokens",
        {},
        (403, ["{new}"]),
        (),
        ("tokens",),
    ),
    Refused(
        f"POST {MINE}",
        {},
        (403, ["{user}"]),
        U,
        ("read:tokens",),
    ),
    Refused(f"GET {MINE}/x1", None, (404, ["{user}"]), U),
    Refused(f"GET {MINE}/a", None, (404, ["{user}"]), U),
    Refused("GET /users/root/tokens/{token_id}", None, (404, ...), ("user", "token")),
    Refused("DELETE /users/root/tokens/{token_id}", None, (404, ...), ("user", "token")),
]


@pytest.mark.parametrize("row", REFUSED, ids=row_id)
async def test_is_refused(target: Target, row: Refused) -> None:
    await row.hold(target)


@pytest.mark.parametrize(
    ("body", "note", "lives"),
    [
        (None, "Requested via api by service contract", 86400),
        ({}, "Requested via api by service contract", 86400),
        ({"note": ""}, "Requested via api by service contract", 86400),
        ({"note": "mine"}, "mine", 86400),
        ({"expires_in": 600}, "Requested via api by service contract", 600),
        ({"expires_in": None}, "Requested via api by service contract", 86400),
    ],
)
async def test_a_token_is_made(target: Target, body: Any, note: str, lives: int) -> None:
    names = await set_up(target, "user")
    answer = await target.api("POST", f"/users/{names['user']}/tokens", body)
    assert answer.status == 201, answer
    made = answer.json
    assert len(made["token"]) == 32 and (made["note"], made["user"]) == (note, names["user"])
    read = await target.done("GET", f"/users/{names['user']}/tokens/{made['id']}")
    assert set(made) - set(read) == {"token"}
    assert seconds(made["created"], made["expires_at"]) == pytest.approx(lives, abs=2)
    assert (await target.done("GET", "/user", token=made["token"]))["token_id"] == made["id"]


def seconds(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


async def test_ones_own_token_is_noted_as_such(target: Target) -> None:
    names = await set_up(target, "user", "token")
    made = await target.done("POST", f"/users/{names['user']}/tokens", token=names["token"])
    assert made["note"] == "Requested via api"


@pytest.mark.parametrize("roles", [["token"], ["user"]])
async def test_roles_stand_for_their_scopes(target: Target, roles: list[str]) -> None:
    names = await set_up(target, "user")
    made = await target.done("POST", f"/users/{names['user']}/tokens", {"roles": roles})
    assert made["roles"] == []
    mine = await target.done("GET", "/user", token=made["token"])
    assert f"servers!user={names['user']}" in mine["scopes"]


async def test_a_list_of_tokens(target: Target) -> None:
    names = await set_up(target, "user", "token")
    path = f"/users/{names['user']}/tokens"
    second = await target.done("POST", path, {"note": "second", "scopes": ["read:users:name!user"]})
    found = await target.done("GET", path)
    assert set(found) == {"api_tokens"}
    listed = {token["note"]: token for token in found["api_tokens"]}
    assert set(listed) == {"of the stage", "second"}
    token = listed["second"]
    assert set(token) == {
        "user", "id", "kind", "roles", "scopes", "created", "last_activity", "expires_at", "note", "session_id",
        "oauth_client",
    }  # fmt: skip
    assert (token["kind"], token["roles"], token["oauth_client"]) == ("api_token", [], "JupyterHub")
    assert (token["id"], token["session_id"], token["last_activity"]) == (second["id"], None, None)
    assert set(token["scopes"]) == {f"read:users:{what}!user={names['user']}" for what in ("name", "groups")}


async def test_lists_begin_with_what_was_used_longest_ago(target: Target) -> None:
    names = await set_up(target, "user", "token")
    path = f"/users/{names['user']}/tokens"
    await target.done("POST", path, {"note": "second"})
    await target.done("GET", "/user", token=names["token"])  # used after the second was made
    found = await target.done("GET", path)
    assert [token["note"] for token in found["api_tokens"]] == ["second", "of the stage"]


async def test_a_deleted_token_is_worthless(target: Target) -> None:
    names = await set_up(target, "user", "token")
    answer = await target.api("DELETE", f"/users/{names['user']}/tokens/{names['token_id']}")
    assert (answer.status, answer.text) == (204, "")
    assert (await target.api("GET", "/user", token=names["token"])).status == 403
    assert (await target.api("GET", f"/users/{names['user']}/tokens/{names['token_id']}")).status == 404


async def test_a_token_may_delete_itself(target: Target) -> None:
    names = await set_up(target, "user", "token")
    place = f"/users/{names['user']}/tokens/{names['token_id']}"
    assert (await target.api("DELETE", place, token=names["token"])).status == 204
    assert (await target.api("GET", "/user", token=names["token"])).status == 403


async def test_a_password_makes_a_token_for_its_owner(target: Target) -> None:
    names = await set_up(target, "user", "other")
    body = {"auth": {"username": names["user"], "password": PASSWORD}, "note": "by password"}
    answer = await target.api("POST", f"/users/{names['user']}/tokens", body, token=None)
    assert (answer.status, answer.json["note"]) == (201, "by password")
    says(
        await target.api("POST", f"/users/{names['other']}/tokens", body, token=None),
        403,
        [names["other"]],
    )


@pytest.mark.parametrize(
    "auth",
    [None, {}, {"username": "root", "password": "wrong"}, {"username": "root"}, "root", {"token": "t"}],
)
async def test_without_a_good_password_there_is_none(target: Target, auth: Any) -> None:
    answer = await target.api("POST", "/users/root/tokens", {"auth": auth}, token=None)
    assert (answer.status, answer.message) == (403, None)


async def test_the_deprecated_look_up_of_a_token(target: Target) -> None:
    names = await set_up(target, "user", "token")
    found = await target.done("GET", f"/authorizations/token/{names['token']}")
    assert (found["kind"], found["name"]) == ("user", names["user"])
    says(await target.api("GET", "/authorizations/token/unknown-token"), 404, None)
    assert (await target.api("GET", f"/authorizations/token/{names['token']}", token=None)).status == 403
    says(await target.api("POST", "/authorizations/token", {}), 404, ...)


async def test_the_deprecated_look_up_of_a_cookie(target: Target) -> None:
    async with await target.login("cookie-owner") as browser:
        value = browser.cookie("jupyterhub-hub-login")
        assert value
        found = await target.done("GET", f"/authorizations/cookie/jupyterhub-hub-login/{value.replace('|', '%7C')}")
        assert found["name"] == "cookie-owner"
    says(await target.api("GET", "/authorizations/cookie/jupyterhub-hub-login/wrong"), 404, None)
    assert (await target.api("GET", "/authorizations/cookie/x/y", token=None)).status == 403
