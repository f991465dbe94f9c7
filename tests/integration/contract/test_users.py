"""Users: making, listing, changing and deleting them, and their activity."""

from typing import Any

import pytest
from refusals import KEYS, Refused, row_id
from stage import filled, set_up
from targets import Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

U = ("user",)

REFUSED = [
    Refused("GET /users?state=odd", None, (400, ["odd"])),
    Refused("GET /users?sort=admin", None, (400, ...)),
    Refused("GET /users?sort=--name", None, (400, ...)),
    Refused("POST /users", None, (400, ...)),
    Refused("POST /users", {}, (400, ...)),
    Refused("POST /users", {"usernames": []}, (400, ...)),
    Refused("POST /users", ["{new}"], (400, ...)),
    Refused("POST /users", {"usernames": ["a/b"]}, (400, ["a/b"])),
    Refused("POST /users", {"usernames": ["a/b", "{new}", "c/d"]}, (400, ["a/b", "c/d"])),
    Refused("POST /users", {"usernames": [""]}, (400, ...)),
    Refused("POST /users", {"usernames": ["{new}"], "frob": 1}, (400, KEYS)),
    Refused("POST /users", {"usernames": ["{new}"], "admin": "yes"}, (400, ...)),
    Refused("POST /users", {"usernames": ["{user}"]}, (409, ...), U),
    Refused("POST /users", {"usernames": ["{user}", "{other}"]}, (409, ...), ("user", "other")),
    Refused("POST /users", {"usernames": ["{new}"], "admin": True}, (403, ...)),
    Refused("POST /users", {"usernames": [1]}, "a user's name that is a number"),
    Refused("POST /users/{user}", None, (409, ["{user}"]), U),
    Refused("POST /users/{new}", {"frob": 1}, (400, KEYS)),
    Refused("POST /users/{new}", {"admin": 1}, (400, ...)),
    Refused("POST /users/{new}", [1], (400, ...)),
    Refused("POST /users/{new}", {"admin": True}, (403, ...)),
    Refused("POST /users/a%2Fb", None, (400, ...)),
    Refused("PATCH /users/{user}", None, (400, ...), U),
    Refused("PATCH /users/{user}", {"frob": 1}, (400, KEYS), U),
    Refused("PATCH /users/{user}", {"name": 1}, (400, ...), U),
    Refused("PATCH /users/{user}", {"name": "a/b"}, (400, ["a/b"]), U),
    Refused(
        "PATCH /users/{user}",
        {"name": "{other}"},
        (400, ["{other}"]),
        ("user", "other"),
    ),
    Refused("PATCH /users/{user}", {"admin": True}, (403, ...), U),
    Refused("PATCH /users/root", {"admin": False}, (403, ...)),
    Refused("PATCH /users/root", {"name": "{new}"}, (403, "Only admins can modify other admins")),
    Refused("PATCH /users/{user}", {"auth_state": None}, (400, ["auth_state"]), U),
    Refused("PATCH /users/{user}", {"groups": ["crew"]}, "groups of a user by PATCH", U),
    Refused("PATCH /users/{user}", {"roles": ["lab"]}, "roles of a user by PATCH", U),
    Refused("DELETE /users/root", None, (400, ...), (), ("delete:users",)),
    Refused("POST /users/{user}/activity", None, (400, ...), U),
    Refused("POST /users/{user}/activity", [], (400, ...), U),
    Refused("POST /users/{user}/activity", {}, (400, ...), U),
    Refused("POST /users/{user}/activity", {"last_activity": "soon"}, (400, ...), U),
    Refused("POST /users/{user}/activity", {"servers": []}, (400, ...), U),
    Refused("POST /users/{user}/activity", {"servers": {"{new}": {"last_activity": "2026-01-01"}}}, (400, ...), U),
    Refused("POST /users/{user}/activity", {"last_activity": "2100-01-01T00:00:00Z"}, (400, ...), U),
    Refused("POST /users/{user}/admin-access", None, (403, ...), U),
]


@pytest.mark.parametrize("row", REFUSED, ids=row_id)
async def test_is_refused(target: Target, row: Refused) -> None:
    await row.hold(target)


async def test_names_are_made_small(target: Target) -> None:
    name = target.fresh("user")
    [made] = await target.done("POST", "/users", {"usernames": [name.upper()]})
    assert made["name"] == name


async def test_a_name_in_the_address_is_taken_as_it_is(target: Target) -> None:
    name = target.fresh("user")
    made = await target.done("POST", f"/users/Up%20{name}")
    assert made["name"] == f"Up {name}"


async def test_who_exists_is_passed_over(target: Target) -> None:
    names = await set_up(target, "user")
    answer = await target.api("POST", "/users", {"usernames": [names["user"], names["new"]]})
    assert (answer.status, [user["name"] for user in answer.json]) == (201, [names["new"]])


async def test_groups_and_roles_are_read_and_ignored(target: Target) -> None:
    name = target.fresh("user")
    body = {"usernames": [name], "groups": ["crew"], "roles": ["lab"], "auth_state": {"a": 1}, "name": "x"}
    [made] = await target.done("POST", "/users", body)
    assert (made["name"], made["groups"], made["roles"]) == (name, [], ["user"])
    assert (await target.done("GET", f"/users/{name}"))["auth_state"] is None


async def test_a_string_of_names(target: Target) -> None:
    """JupyterHub takes each letter for a name."""
    answer = await target.api("POST", "/users", {"usernames": "\u0101\u0113\u012b"})
    assert answer.status == target.answers("names in one string")


@pytest.mark.parametrize("path", ["/users", "/users/{}"])
async def test_an_admin_makes_admins(target: Target, path: str) -> None:
    name = target.fresh("user")
    token = await target.token("admin:users", "read:roles")
    body = {"usernames": [name], "admin": True} if path == "/users" else {"admin": True}
    await target.done("POST", path.format(name), body, token=token)
    found = await target.done("GET", f"/users/{name}")
    assert found["admin"] is True and set(found["roles"]) == {"user", "admin"}
    await target.done("PATCH", f"/users/{name}", {"admin": False}, token=token)
    found = await target.done("GET", f"/users/{name}")
    assert found["admin"] is False and found["roles"] == ["user"]


async def test_a_renamed_user_keeps_what_it_has(target: Target) -> None:
    names = await set_up(target, "user", "group", "member", "server", "token", "other", "share")
    user, new = names["user"], names["new"]
    before = await target.done("GET", f"/users/{user}?include_stopped_servers=1")
    after = await target.done("PATCH", f"/users/{user}", {"name": new})
    assert (after["name"], after["created"], after["groups"]) == (new, before["created"], [names["group"]])
    assert (await target.api("GET", f"/users/{user}")).status == 404
    mine = await target.done("GET", "/user", token=names["token"])
    assert (mine["name"], f"read:users!user={new}" in mine["scopes"]) == (new, True)
    assert (await target.done("GET", f"/users/{new}/servers/{names['server']}"))[
        "full_name"
    ] == f"{new}/{names['server']}"
    [share] = (await target.done("GET", f"/users/{names['other']}/shared"))["items"]
    assert share["server"]["user"] == {"name": new}
    assert share["scopes"] == [f"access:servers!server={new}/{names['server']}"]


async def test_a_new_name_is_made_small(target: Target) -> None:
    names = await set_up(target, "user")
    renamed = await target.done("PATCH", f"/users/{names['user']}", {"name": names["new"].upper()})
    assert renamed["name"] == names["new"]


async def test_its_own_name_changes_nothing(target: Target) -> None:
    names = await set_up(target, "user")
    answer = await target.api("PATCH", f"/users/{names['user']}", {"name": names["user"]})
    assert (answer.status, answer.json["name"]) == (200, filled(target.answers("its own name"), names))


async def test_auth_state_is_kept_and_shown_to_few(target: Target) -> None:
    names = await set_up(target, "user")
    path = f"/users/{names['user']}"
    patched = await target.done("PATCH", path, {"auth_state": {"secret": ["s", 1]}})
    assert patched["auth_state"] == {"secret": ["s", 1]}
    assert (await target.done("GET", path))["auth_state"] == {"secret": ["s", 1]}
    assert "auth_state" not in await target.done("GET", path, token=await target.token("users"))
    [listed] = await target.done("GET", f"/users?name_filter={names['user']}")
    assert listed["auth_state"] is None


async def test_a_patch_answers_with_the_auth_state_in_any_case(target: Target) -> None:
    names = await set_up(target, "user")
    made = await target.done("PATCH", f"/users/{names['user']}", {"admin": False})
    assert made["auth_state"] is None and made["name"] == names["user"]


@pytest.mark.parametrize("how", ["nothing", "running", "server"])
async def test_a_deleted_user_is_gone(target: Target, how: str) -> None:
    names = await set_up(target, "user", "token", *([] if how == "nothing" else [how]))
    assert (await target.api("DELETE", f"/users/{names['user']}")).status == 204
    assert (await target.api("GET", f"/users/{names['user']}")).status == 404
    assert (await target.api("GET", "/user", token=names["token"])).status == 403
    routes = (await target.done("GET", "/proxy?limit=12&offset=0")).keys()
    assert f"/user/{names['user']}/" not in routes


async def test_a_user_with_a_running_named_server_is_deleted(target: Target) -> None:
    names = await set_up(target, "user", "server")
    started = await target.api("POST", f"/users/{names['user']}/servers/{names['server']}")
    assert started.status == 201
    answer = await target.api("DELETE", f"/users/{names['user']}")
    assert answer.status == target.answers("deleting a user whose named server runs")
    await target.api("DELETE", f"/users/{names['user']}/servers/{names['server']}")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=name", "abc"),
        ("sort=-name", "cba"),
        ("sort=id", "bca"),
        ("sort=-id", "acb"),
        ("sort=last_activity", "bac"),
        ("sort=-last_activity", "cab"),
        ("", "bca"),
    ],
)
async def test_lists_are_sorted(target: Target, query: str, expected: str) -> None:
    """b, c and a were made in this order; b was never active, c last."""
    prefix = target.fresh("sort")
    await target.done("POST", "/users", {"usernames": [f"{prefix}-{letter}" for letter in "bca"]})
    for letter, year in (("a", 2020), ("c", 2021)):
        await target.done("POST", f"/users/{prefix}-{letter}/activity", {"last_activity": f"{year}-01-01"})
    found = await target.done("GET", f"/users?name_filter={prefix}&{query}")
    assert "".join(user["name"][-1] for user in found) == expected


async def test_lists_are_filtered_by_name_and_state(target: Target) -> None:
    prefix = target.fresh("state")
    names = {state: f"{prefix}-{state}" for state in ("ready", "pending", "idle")}
    await target.done("POST", "/users", {"usernames": list(names.values())})
    assert (await target.api("POST", f"/users/{names['ready']}/server")).status == 201
    assert (await target.api("POST", f"/users/{names['pending']}/server", {"delay": 600})).status == 202

    async def found(query: str) -> set[str]:
        listed = await target.done("GET", f"/users?name_filter={prefix.upper()}&{query}")
        return {user["name"].rpartition("-")[2] for user in listed}

    assert await found("") == {"ready", "pending", "idle"}
    assert await found("state=active") == {"ready", "pending"}
    assert await found("state=ready") == {"ready"}
    assert await found("state=inactive") == {"idle"}
    assert await target.done("GET", f"/users?name_filter={prefix}-nobody") == []
    await target.api("DELETE", f"/users/{names['pending']}/server")


async def test_activity_moves_forward_only(target: Target) -> None:
    names = await set_up(target, "user", "server")
    path = f"/users/{names['user']}"

    async def tell(when: str, server: str) -> Any:
        body = {"last_activity": when, "servers": {names["server"]: {"last_activity": server}}}
        answer = await target.api("POST", f"{path}/activity", body)
        assert (answer.status, answer.text) == (200, ""), answer
        model = await target.done("GET", f"{path}?include_stopped_servers")
        return model["last_activity"], model["servers"][names["server"]]["last_activity"]

    later, sooner = "2021-02-03T04:05:06Z", "2020-02-03T04:05:06Z"
    assert await tell(sooner, sooner) == (sooner, sooner)
    assert await tell(later, later) == (later, later)
    assert await tell(sooner, sooner) == (later, later)
