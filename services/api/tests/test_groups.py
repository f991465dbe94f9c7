"""/groups over HTTP: who may do what with them, what that leads to, and what their members have by them."""

import asyncio
from typing import Any

import pytest

PAGED = {"Accept": "application/jupyterhub-pagination+json"}
MISSING = "Action is not authorized with current scopes; requires any of [{}]"
FILTERED = "No access to resources or resources not found"

TEACHER = {"load_roles": [{"name": "teacher", "scopes": ["list:users", "read:hub"], "groups": ["class"]}]}


@pytest.fixture
async def root(house) -> str:
    """A token of an administrator; there are ada, bob and eve too."""
    for name in ("ada", "bob", "eve"):
        await house.person(name)
    await house.person("root", admin=True)
    return await house.token("root")


async def said(house, path: str, token: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    answer = await house.ask(f"/hub/api{path}", token=token, method=method, **more)
    return answer.status, await answer.json() if await answer.read() else None


def error(status: int, message: str | None) -> tuple[int, Any]:
    return status, {"status": status, "message": message}


def group(name: str, *users: str, **properties: Any) -> dict[str, Any]:
    return {"kind": "group", "name": name, "users": list(users), "properties": properties, "roles": []}


async def test_a_group_from_its_making_to_its_end(house, root):
    made = await said(house, "/groups/class", root, "POST", json={"users": ["bob", "Ada "], "name": "x", "roles": []})
    assert made == (201, group("class", "bob", "ada"))
    added = await said(house, "/groups/class/users", root, "POST", json={"users": ["eve", "ada", "eve"]})
    assert added == (200, group("class", "bob", "ada", "eve"))
    removed = await said(house, "/groups/class/users", root, "DELETE", json={"users": ["bob", "root"]})
    assert removed == (200, group("class", "ada", "eve"))
    again = await said(house, "/groups/class/users", root, "POST", json={"users": ["bob"]})
    assert again == (200, group("class", "ada", "eve", "bob"))  # who comes back comes last
    changed = await said(house, "/groups/class/properties", root, "PUT", json={"year": {"of": 1}, "x": None})
    assert changed == (200, group("class", "ada", "eve", "bob", year={"of": 1}, x=None))
    emptied = await said(house, "/groups/class/properties", root, "PUT", json={})
    assert emptied == (200, group("class", "ada", "eve", "bob"))
    assert (await said(house, "/users/ada", root))[1]["groups"] == ["class"]
    assert await said(house, "/groups/class", root, "DELETE") == (204, None)
    assert await said(house, "/groups/class", root) == error(404, "No such group: class")
    assert (await said(house, "/users/ada", root))[1]["groups"] == []
    assert await said(house, "/groups/class", root, "POST") == (201, group("class"))  # nobody is in it any more


async def test_many_groups_are_made_together_or_not_at_all(house, root):
    body = {"groups": ["b", "a"], "users": ["eve", "ada"]}
    assert await said(house, "/groups", root, "POST", json=body) == (
        201,
        [group("b", "eve", "ada"), group("a", "eve", "ada")],
    )
    taken = await said(house, "/groups", root, "POST", json={"groups": ["c", "a", "b"]})
    assert taken == error(409, "Group a already exists")
    twice = await said(house, "/groups", root, "POST", json={"groups": ["c", "d", "c"]})
    assert twice == error(409, "Group c is named 2 times")
    unknown = await said(house, "/groups", root, "POST", json={"groups": ["c"], "users": ["ada", "zoe"]})
    assert unknown == error(400, "No such user: zoe")
    assert [each["name"] for each in (await said(house, "/groups", root))[1]] == ["b", "a"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/groups", None, 400, "Must specify at least one group to create"),
        ("POST", "/groups", {"users": ["ada"]}, 400, "Must specify at least one group to create"),
        ("POST", "/groups", {"groups": []}, 400, "Must specify at least one group to create"),
        ("POST", "/groups", ["x"], 400, "Must specify at least one group to create"),
        ("POST", "/groups", {"groups": "abc"}, 400, "Invalid body: Expected `array`, got `str` - at `$.groups`"),
        ("POST", "/groups", {"groups": ["x"], "colour": 1}, 400, "Invalid JSON keys: colour"),
        ("POST", "/groups", {"groups": ["a/b"]}, 400, "Invalid group name: 'a/b'"),
        ("POST", "/groups", {"groups": ["\0"]}, 400, "Invalid group name: '\\x00'"),
        ("POST", "/groups", {"groups": ["x"] * 10_001}, 400, "At most 10000 users, or groups times users"),
        ("POST", "/groups", {"groups": ["x"] * 101, "users": ["y"] * 100}, 400, "At most 10000 users"),
        ("POST", "/groups/class", None, 409, "Group class already exists"),
        ("POST", "/groups/new", {"users": ["zoe"]}, 400, "No such user: zoe"),
        ("POST", "/groups/new", {"users": ["a\0"]}, 400, "No such user: a\0"),
        ("POST", "/groups/new", {"properties": {}}, 400, "Invalid JSON keys: properties"),
        ("POST", "/groups/new", {"users": [1]}, 400, "Invalid body: Expected `str`, got `int` - at `$.users[0]`"),
        ("POST", "/groups/" + "x" * 256, None, 400, "Invalid group name: "),
        ("POST", "/groups/class/users", None, 400, "Must specify users to add"),
        ("POST", "/groups/class/users", {"users": ["ada", "zoe"]}, 400, "No such user: zoe"),
        ("POST", "/groups/class/users", {"users": ["ada"] * 10_001}, 400, "At most 10000 users"),
        ("POST", "/groups/none/users", {"users": ["ada"]}, 404, "No such group: none"),
        ("DELETE", "/groups/class/users", {}, 400, "Must specify users to delete"),
        ("DELETE", "/groups/class/users", {"users": ["zoe"]}, 400, "No such user: zoe"),
        ("DELETE", "/groups/none/users", {"users": []}, 404, "No such group: none"),
        ("PUT", "/groups/class/properties", None, 400, "Must specify properties"),
        ("PUT", "/groups/class/properties", [1], 400, "Must specify properties"),
        ("PUT", "/groups/class/properties", {"a": "x" * 65_536}, 400, "The properties of a group are 65536 bytes"),
        ("PUT", "/groups/none/properties", {}, 404, "No such group: none"),
        ("DELETE", "/groups/none", None, 404, "No such group: none"),
        ("GET", "/groups/none", None, 404, "No such group: none"),
        ("PATCH", "/groups/class", {}, 405, None),
    ],
)
async def test_a_refusal_says_why_and_changes_nothing(house, root, method, path, body, status, message):
    await said(house, "/groups/class", root, "POST", json={"users": ["bob"]})
    answered, refusal = await said(house, path, root, method, json=body)
    assert (answered, refusal["status"]) == (status, status)
    assert (refusal["message"] or "").startswith(message or "")
    assert await said(house, "/groups", root) == (200, [group("class", "bob")])


SUFFICES = [
    ("GET", "/groups", ["list:groups", "groups", "admin:groups"], ["read:groups"]),
    ("POST", "/groups", ["admin:groups"], ["groups"]),
    ("GET", "/groups/class", ["read:groups", "read:groups:name", "read:roles:groups", "groups"], ["list:users"]),
    ("POST", "/groups/new", ["admin:groups"], ["groups"]),
    ("POST", "/groups/class/users", ["groups", "admin:groups"], ["read:groups"]),
    ("DELETE", "/groups/class/users", ["groups", "admin:groups"], ["list:groups"]),
    ("PUT", "/groups/class/properties", ["groups", "admin:groups"], ["read:groups"]),
    ("DELETE", "/groups/class", ["delete:groups", "admin:groups"], ["groups"]),
]
NEEDS = {
    ("GET", "/groups/class"): "read:groups, read:groups:name, read:roles:groups",
    ("DELETE", "/groups/class"): "delete:groups",
    ("GET", "/groups"): "list:groups",
    ("POST", "/groups"): "admin:groups",
    ("POST", "/groups/new"): "admin:groups",
}


@pytest.mark.parametrize(("method", "path", "enough", "short"), SUFFICES)
async def test_each_needs_its_scope(house, root, method, path, enough, short):
    await said(house, "/groups/class", root, "POST")
    body = {"users": ["ada"]} if path.endswith("/users") else {}
    for scope in short:
        refused = await said(house, path, await house.token("root", scope), method, json=body)
        assert refused == error(403, MISSING.format(NEEDS.get((method, path), "groups")))
    assert await said(house, path, "", method, json=body) == error(403, "Missing or invalid credentials.")
    for scope in enough:
        body = {"groups": [f"with {scope}"]} if (method, path) == ("POST", "/groups") else body
        where = path.replace("new", scope)
        status, _ = await said(house, where, await house.token("root", scope), method, json=body)
        assert status in (200, 201, 204)
        await said(house, "/groups/class", root, "POST")
    if (method, path) == ("POST", "/groups"):
        for filter in ("group=other", "user=ada"):
            filtered = await house.token("root", f"admin:groups!{filter}")
            assert await said(house, path, filtered, method, json=body) == error(403, MISSING.format("admin:groups"))
    if path != "/groups":
        one_other = await house.token("root", f"{enough[-1]}!group=other")
        assert await said(house, path, one_other, method, json=body) == error(404, FILTERED)
        this_one = await house.token("root", f"{enough[-1]}!group={path.split('/')[2]}")
        assert (await said(house, path, this_one, method, json=body))[0] in (200, 201, 204)


@pytest.mark.parametrize(
    ("scopes", "fields"),
    [
        (["read:groups:name"], {"kind", "name"}),
        (["read:roles:groups"], {"kind", "name", "roles"}),
        (["read:groups"], {"kind", "name", "users", "properties"}),
        (["read:groups!group=class", "read:roles:groups"], {"kind", "name", "users", "properties", "roles"}),
        (["read:groups!group=other", "read:groups:name"], {"kind", "name"}),
    ],
)
async def test_a_field_is_for_those_who_may_read_it(house, root, scopes, fields):
    await said(house, "/groups", root, "POST", json={"groups": ["class", "other"], "users": ["ada"]})
    token = await house.token("root", *scopes)
    assert (await said(house, "/groups/class", token))[1].keys() == fields
    listing = await house.token("root", "list:groups", *scopes)
    assert (await said(house, "/groups", listing))[1][0].keys() == fields


async def test_a_list_shows_what_its_filter_lets_through_and_counts_all(house, root):
    await said(house, "/groups", root, "POST", json={"groups": [*"dcba"], "users": ["ada"]})
    token = await house.token("root", "list:groups!group=a", "list:groups!group=c", "list:groups!group=gone")
    status, page = await said(house, "/groups?limit=1", token, headers=PAGED)
    assert (status, page["items"]) == (200, [{"kind": "group", "name": "c"}])
    assert {key: page["_pagination"][key] for key in ("offset", "limit", "total")} == {
        "offset": 0,
        "limit": 1,
        "total": 4,
    }
    path = page["_pagination"]["next"]["url"].partition("/hub/api")[2]
    assert (await said(house, path, token))[1] == [{"kind": "group", "name": "a"}]
    beyond = (await said(house, "/groups?offset=9", token, headers=PAGED))[1]
    assert (beyond["items"], beyond["_pagination"]["total"]) == ([], 4)
    assert [each["name"] for each in (await said(house, "/groups?offset=1&limit=2", root))[1]] == ["c", "b"]
    assert (await said(house, "/groups?limit=x", root))[0] == 400
    unsuitable = await house.token("root", "list:groups!user=ada")
    assert await said(house, "/groups", unsuitable) == error(403, None)


@pytest.mark.parametrize("options", [TEACHER], indirect=True)
async def test_a_member_has_the_groups_roles_at_once_and_no_longer_than_they_are_in(house, colleague, root):
    ada = await house.token("ada")
    await house.settle(**TEACHER)
    assert (await said(house, "/groups/class", root))[1]["roles"] == ["teacher"]
    for asked in (house, colleague):
        assert (await said(asked, "/info", ada))[0] == 403
    await said(colleague, "/groups/class/users", root, "POST", json={"users": ["ada"]})
    for asked in (house, colleague):
        assert (await said(asked, "/info", ada))[0] == 200
        assert "read:hub" in (await said(asked, "/user", ada))[1]["scopes"]
    assert (await said(house, "/user", ada))[1]["groups"] == ["class"]
    await said(house, "/groups/class/users", root, "DELETE", json={"users": ["ada"]})
    for asked in (colleague, house):
        assert (await said(asked, "/info", ada))[0] == 403
    await said(house, "/groups/class/users", root, "POST", json={"users": ["ada"]})
    await said(house, "/groups/class", root, "DELETE")
    await said(house, "/groups/class", root, "POST", json={"users": ["ada"]})
    assert (await said(colleague, "/info", ada))[0] == 403  # another group of that name has not its role
    assert (await said(colleague, "/groups/class", root))[1]["roles"] == []


async def test_a_filter_by_group_reaches_those_who_are_in_it_now(house, colleague, root):
    await said(house, "/groups/class", root, "POST", json={"users": ["ada"]})
    token = await house.token("root", "list:users!group=class", "read:users!group=class")
    for asked in (house, colleague):
        assert [user["name"] for user in (await said(asked, "/users", token))[1]] == ["ada"]
        assert (await said(asked, "/users/ada", token))[1]["groups"] == ["class"]
        assert await said(asked, "/users/bob", token) == error(404, FILTERED)
    await said(house, "/groups/class/users", root, "POST", json={"users": ["bob"]})
    await said(house, "/groups/class/users", root, "DELETE", json={"users": ["ada"]})
    for asked in (colleague, house):
        assert [user["name"] for user in (await said(asked, "/users", token))[1]] == ["bob"]
        assert await said(asked, "/users/ada", token) == error(404, FILTERED)


async def test_of_two_who_make_the_same_group_one_is_told_that_it_is_there(house, colleague, root):
    answers = await asyncio.gather(
        *(said(asked, "/groups/class", root, "POST", json={"users": ["ada"]}) for asked in (house, colleague) * 3)
    )
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409, 409, 409]
    assert await said(house, "/groups", root) == (200, [group("class", "ada")])


async def test_whoever_repeats_a_request_gets_the_first_outcome(house, colleague, root):
    key = {"Idempotency-Key": "once"}
    first = await said(house, "/groups/class", root, "POST", json={"users": ["ada"]}, headers=key)
    await said(house, "/groups/class/users", root, "POST", json={"users": ["bob"]})
    assert await said(colleague, "/groups/class", root, "POST", json={"users": ["ada"]}, headers=key) == first
    assert (await said(house, "/groups/class", root))[1]["users"] == ["ada", "bob"]


async def test_many_users_come_and_go_in_a_few_statements(house, root, monkeypatch):
    names = [f"user-{n}" for n in range(300)]
    await said(house, "/users", root, "POST", json={"usernames": names})
    asked = []
    connection = house.committer._connection
    fetch = connection.fetch
    monkeypatch.setattr(type(connection), "fetch", lambda self, *a, **k: asked.append(a[0]) or fetch(*a, **k))
    assert (await said(house, "/groups/class", root, "POST", json={"users": names}))[1]["users"] == names
    assert (await said(house, "/groups/class/users", root, "DELETE", json={"users": names}))[1]["users"] == []
    assert 4 <= len(asked) < 20


async def test_a_user_who_is_deleted_is_in_no_group(house, root):
    await said(house, "/groups/class", root, "POST", json={"users": ["ada", "bob"]})
    await house.ask("/hub/api/users/ada", method="DELETE", token=root)
    await said(house, "/users/ada", root, "POST")
    assert await said(house, "/groups/class", root) == (200, group("class", "bob"))
