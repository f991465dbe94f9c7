"""Groups: making, reading and deleting them, their members and properties."""

from typing import Any

import pytest
from refusals import KEYS, Refused, row_id
from stage import set_up
from targets import Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

G = ("group",)
NO_USER = (400, ["{new}"])

REFUSED = [
    Refused("POST /groups", None, (400, ...)),
    Refused("POST /groups", {}, (400, ...)),
    Refused("POST /groups", {"groups": []}, (400, ...)),
    Refused("POST /groups", ["{new}"], (400, ...)),
    Refused("POST /groups", {"groups": ["{new}"], "frob": 1}, (400, KEYS)),
    Refused("POST /groups", {"groups": ["{other}"], "users": ["{new}"]}, NO_USER),
    Refused("POST /groups", {"groups": ["{new}"], "users": "all"}, (400, ...)),
    Refused("POST /groups", {"groups": ["{new}", "{group}"]}, (409, ["{group}"]), G),
    Refused("POST /groups/{group}", None, (409, ["{group}"]), G),
    Refused("POST /groups/{other}", {"users": ["{new}"]}, NO_USER),
    Refused("POST /groups/{new}", {"frob": 1}, (400, KEYS)),
    Refused("POST /groups/{new}", [1], (400, ...)),
    Refused("POST /groups/{group}/users", None, (400, ...), G),
    Refused("POST /groups/{group}/users", {}, (400, ...), G),
    Refused("POST /groups/{group}/users", {"users": "all"}, (400, ...), G),
    Refused("POST /groups/{group}/users", {"users": ["{new}"]}, NO_USER, G),
    Refused("POST /groups/{group}/users", {"users": ["root"], "frob": 1}, (400, KEYS), G),
    Refused("DELETE /groups/{group}/users", None, (400, ...), G),
    Refused("DELETE /groups/{group}/users", {}, (400, ...), G),
    Refused("DELETE /groups/{group}/users", {"users": ["{new}"]}, NO_USER, G),
    Refused("PUT /groups/{group}/properties", None, (400, ...), G),
    Refused("PUT /groups/{group}/properties", ["a"], (400, ...), G),
    Refused("PUT /groups/{group}/properties", "a", (400, ...), G),
]


@pytest.mark.parametrize("row", REFUSED, ids=row_id)
async def test_is_refused(target: Target, row: Refused) -> None:
    await row.hold(target)


async def test_what_is_left_of_many_groups_when_one_exists(target: Target) -> None:
    names = await set_up(target, "group")
    answer = await target.api("POST", "/groups", {"groups": [names["new"], names["group"], names["other"]]})
    assert answer.status == 409
    first = await target.api("GET", f"/groups/{names['new']}")
    assert first.status == target.answers("a group named before one that exists")
    assert (await target.api("GET", f"/groups/{names['other']}")).status == 404


@pytest.mark.parametrize("how", ["one", "many"])
async def test_a_group_is_made_with_its_members(target: Target, how: str) -> None:
    names = await set_up(target, "user", "other")
    users = [names["user"], names["other"].upper()]
    if how == "one":
        made = await target.done("POST", f"/groups/{names['new']}", {"users": users})
    else:
        [made] = await target.done("POST", "/groups", {"groups": [names["new"]], "users": users})
    assert made["name"] == names["new"]
    assert sorted(made["users"]) == sorted([names["user"], names["other"]])
    assert (await target.done("GET", f"/users/{names['user']}"))["groups"] == [names["new"]]


async def test_names_of_groups_are_taken_as_they_are(target: Target) -> None:
    name = f"Group {target.fresh('x')}"
    made = await target.done("POST", f"/groups/{name.replace(' ', '%20')}")
    assert made == {"kind": "group", "name": name, "users": [], "roles": [], "properties": {}}


async def test_members_come_and_go(target: Target) -> None:
    names = await set_up(target, "user", "other", "group")
    path = f"/groups/{names['group']}/users"

    async def change(method: str, *users: str) -> Any:
        return sorted((await target.done(method, path, {"users": list(users)}))["users"])

    user, other = names["user"], names["other"]
    assert await change("POST", user) == [user]
    assert await change("POST", user, other) == sorted([user, other])
    assert await change("DELETE", user) == [other]
    assert await change("DELETE", user, other) == []
    assert await change("POST") == []


async def test_properties_are_replaced(target: Target) -> None:
    names = await set_up(target, "group")
    path = f"/groups/{names['group']}/properties"
    for properties in ({"a": 1, "b": {"c": [None, True]}}, {"d": "e"}, {}):
        answer = await target.done("PUT", path, properties)
        assert answer["properties"] == properties
        assert (await target.done("GET", f"/groups/{names['group']}"))["properties"] == properties


async def test_a_deleted_group_leaves_its_members(target: Target) -> None:
    names = await set_up(target, "user", "group", "member")
    assert (await target.api("DELETE", f"/groups/{names['group']}")).status == 204
    assert (await target.done("GET", f"/users/{names['user']}"))["groups"] == []


async def test_a_deleted_user_leaves_its_groups(target: Target) -> None:
    names = await set_up(target, "user", "group", "member")
    await target.api("DELETE", f"/users/{names['user']}")
    assert (await target.done("GET", f"/groups/{names['group']}"))["users"] == []


async def test_groups_of_the_configuration(target: Target) -> None:
    crew = await target.done("GET", "/groups/crew")
    assert crew == {"kind": "group", "name": "crew", "users": ["gustav"], "roles": ["lab"], "properties": {"floor": 3}}
    every = await target.done("GET", "/groups?limit=3")
    assert [group["name"] for group in every] == ["crew", "teachers", "pupils"]


@pytest.mark.parametrize("filter", ["user=gustav", "server=gustav/"])
async def test_a_list_of_groups_is_not_filtered_by_other_things(target: Target, filter: str) -> None:
    answer = await target.api("GET", "/groups", token=await target.token(f"list:groups!{filter}"))
    assert answer.status == 403 and answer.message is None
