"""Roles and scopes: what holds what, for whom, and how a token's meet its owner's."""

import pytest
from stage import set_up
from targets import Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Every scope with all that it holds, itself left out.
TREE = {
    "read:hub": "",
    "read:metrics": "",
    "proxy": "",
    "shutdown": "",
    "admin-ui": "",
    "admin:users": "admin:auth_state users read:users list:users read:users:name read:users:groups read:users:activity "
    "users:activity read:roles:users delete:users",
    "admin:auth_state": "",
    "users": "read:users list:users read:users:name read:users:groups read:users:activity users:activity",
    "list:users": "read:users:name",
    "read:users": "read:users:name read:users:groups read:users:activity",
    "users:activity": "read:users:activity",
    "delete:users": "",
    "read:roles": "read:roles:users read:roles:services read:roles:groups",
    "admin:servers": "admin:server_state servers read:servers start:servers delete:servers read:users:name",
    "servers": "read:servers start:servers delete:servers read:users:name",
    "read:servers": "read:users:name",
    "start:servers": "",
    "delete:servers": "",
    "tokens": "read:tokens",
    "admin:groups": "groups read:groups list:groups read:groups:name read:roles:groups delete:groups",
    "groups": "read:groups list:groups read:groups:name",
    "list:groups": "read:groups:name",
    "read:groups": "read:groups:name",
    "admin:services": "list:services read:services read:services:name read:roles:services",
    "list:services": "read:services:name",
    "read:services": "read:services:name",
    "access:servers": "",
    "access:services": "",
    "shares": "access:servers read:shares users:shares read:users:shares groups:shares read:groups:shares",
    "users:shares": "read:users:shares",
    "groups:shares": "read:groups:shares",
}
SELF = {
    "access:servers", "delete:servers", "read:servers", "read:shares", "read:tokens", "read:users",
    "read:users:activity", "read:users:groups", "read:users:name", "read:users:shares", "servers", "start:servers",
    "tokens", "users:activity", "users:shares",
}  # fmt: skip


async def scopes_of(target: Target, user: str, *scopes: str) -> set[str]:
    """What a token with *scopes* has at last."""
    made = await target.done("POST", f"/users/{user}/tokens", {"scopes": list(scopes)})
    return set((await target.done("GET", "/user", token=made["token"]))["scopes"])


def identity(user: str) -> set[str]:
    """What every token has for its owner."""
    return {f"read:users:name!user={user}", f"read:users:groups!user={user}"}


@pytest.mark.parametrize("scope", TREE)
async def test_a_scope_holds_those_below_it(target: Target, scope: str) -> None:
    expected = {scope, *TREE[scope].split()}
    found = await scopes_of(target, "root", scope)
    assert found - identity("root") == expected
    assert identity("root") - found <= {f"{held}!user=root" for held in expected}


@pytest.mark.parametrize("filter", ["!user=root", "!user", "!group=crew"])
async def test_a_filter_goes_down_the_tree(target: Target, filter: str) -> None:
    resolved = "!user=root" if filter == "!user" else filter
    found = await scopes_of(target, "root", f"users{filter}")
    assert found - identity("root") == {f"{scope}{resolved}" for scope in ("users", *TREE["users"].split())} - identity(
        "root"
    )


async def test_a_server_filter_drops_what_concerns_users(target: Target) -> None:
    found = await scopes_of(target, "root", "servers!server=root/x")
    assert found - identity("root") == {
        f"{what}!server=root/x" for what in ("servers", "read:servers", "start:servers", "delete:servers")
    }


async def test_self_is_ones_own(target: Target) -> None:
    names = await set_up(target, "user")
    own = {f"{scope}!user={names['user']}" for scope in SELF}
    assert await scopes_of(target, names["user"], "self") == own
    assert await scopes_of(target, names["user"], "inherit") == own
    async with await target.login(names["user"]) as browser:
        assert set((await browser.ask("GET", "hub/api/user")).json["scopes"]) == own


@pytest.mark.parametrize("meta", ["self", "inherit"])
async def test_metascopes_of_an_admin(target: Target, meta: str) -> None:
    found = await scopes_of(target, "root", meta)
    assert ("admin:users" in found) == (meta == "inherit")
    everything = {scope for scope in TREE if scope != "access:services"} | {"access:services"}
    assert meta == "self" or everything <= found
    assert meta == "inherit" or found == {f"{scope}!user=root" for scope in SELF}


async def test_services_have_no_self(target: Target) -> None:
    mine = await target.done("GET", "/user", token="token-of-the-reader-service")
    assert mine["scopes"] == ["list:users", "read:users:name"]


async def test_nothing_is_enough_to_be_known(target: Target) -> None:
    names = await set_up(target, "user")
    assert await scopes_of(target, names["user"], "read:users:name!user") == identity(names["user"])


@pytest.mark.parametrize(
    "asked",
    [["read:users"], ["servers!user={other}"], ["inherit", "read:hub"], ["list:users!group=crew"], ["custom:lab:read"]],
)
async def test_no_token_is_given_more_than_its_owner_has(target: Target, asked: list[str]) -> None:
    names = await set_up(target, "user", "other")
    scopes = [scope.replace("{other}", names["other"]) for scope in asked]
    answer = await target.api("POST", f"/users/{names['user']}/tokens", {"scopes": scopes})
    assert answer.status == 400 and answer.message, answer


async def test_roles_of_a_group_are_its_members(target: Target) -> None:
    teacher = await scopes_of(target, "tina", "inherit")
    assert {"read:users!group=pupils", "list:users!group=pupils", "read:users:name!group=pupils"} <= teacher
    token = (await target.done("POST", "/users/tina/tokens"))["token"]
    assert (await target.done("GET", "/users/paul", token=token))["groups"] == ["pupils"]
    assert [user["name"] for user in await target.done("GET", "/users", token=token)] == ["paul"]
    assert (await target.api("GET", "/users/gustav", token=token)).status == 404


async def test_a_token_weakens_with_its_owner(target: Target) -> None:
    names = await set_up(target, "user")
    await target.done("POST", "/groups/teachers/users", {"users": [names["user"]]})
    token = (await target.done("POST", f"/users/{names['user']}/tokens", {"scopes": ["read:users!group=pupils"]}))[
        "token"
    ]
    assert (await target.api("GET", "/users/paul", token=token)).status == 200
    await target.done("DELETE", "/groups/teachers/users", {"users": [names["user"]]})
    assert (await target.api("GET", "/users/paul", token=token)).status == 404
    assert (await target.api("GET", "/user", token=token)).status == 200


async def test_an_admin_who_is_none_any_more_loses_all(target: Target) -> None:
    names = await set_up(target, "user")
    admin = await target.token("admin:users")
    await target.done("PATCH", f"/users/{names['user']}", {"admin": True}, token=admin)
    token = (await target.done("POST", f"/users/{names['user']}/tokens", {"scopes": ["list:users", "read:hub"]}))[
        "token"
    ]
    assert (await target.api("GET", "/info", token=token)).status == 200
    await target.done("PATCH", f"/users/{names['user']}", {"admin": False}, token=admin)
    assert (await target.api("GET", "/info", token=token)).status == 403


@pytest.mark.parametrize(
    ("asked", "target_", "status"),
    [
        ("read:users!group=pupils", "paul", 200),
        ("read:users!user=paul", "paul", 200),
        ("read:users!user=gustav", "paul", 404),
        ("read:users!group=crew", "paul", 404),
    ],
)
async def test_a_user_is_in_its_groups_filter(target: Target, asked: str, target_: str, status: int) -> None:
    names = await set_up(target, "user")
    await target.done("POST", "/groups/teachers/users", {"users": [names["user"]]})
    answer = await target.api("POST", f"/users/{names['user']}/tokens", {"scopes": [asked]})
    if asked in ("read:users!group=pupils", "read:users!user=paul"):  # the group holds its member
        assert answer.status == 201
        assert (await target.api("GET", f"/users/{target_}", token=answer.json["token"])).status == status
    else:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("group=crew", ["gustav"]),
        ("user=paul", ["paul"]),
        ("group=crew user=paul", ["gustav", "paul"]),
        ("user=none", []),
    ],
)
async def test_lists_are_of_what_the_filters_cover(target: Target, filter: str, expected: list[str]) -> None:
    token = await target.token(*(f"list:users!{part}" for part in filter.split()))
    assert [user["name"] for user in await target.done("GET", "/users", token=token)] == expected


@pytest.mark.parametrize("filter", ["server=paul/", "service=web"])
async def test_a_list_of_users_is_not_filtered_by_other_things(target: Target, filter: str) -> None:
    answer = await target.api("GET", "/users", token=await target.token(f"list:users!{filter}"))
    assert answer.status == 403 and answer.message is None


@pytest.mark.parametrize(
    ("user", "asked", "expected"),
    [
        ("gustav", ["custom:lab:write"], {"custom:lab:write", "custom:lab:read"}),
        ("gustav", ["custom:lab:read"], {"custom:lab:read"}),
    ],
)
async def test_custom_scopes(target: Target, user: str, asked: list[str], expected: set[str]) -> None:
    assert await scopes_of(target, user, *asked) - identity(user) == expected


async def test_several_filters_of_one_scope_are_a_union(target: Target) -> None:
    token = await target.token("read:users!user=paul", "read:users!group=crew")
    for name, status in (("paul", 200), ("gustav", 200), ("tina", 404)):
        assert (await target.api("GET", f"/users/{name}", token=token)).status == status


async def test_roles_stand_in_models(target: Target) -> None:
    roles = {name: set((await target.done("GET", f"/users/{name}"))["roles"]) for name in ("root", "gustav", "tina")}
    assert roles == {"root": {"user", "admin"}, "gustav": {"user", "lab"}, "tina": {"user"}}
    assert (await target.done("GET", "/groups/teachers"))["roles"] == ["teacher"]
    assert (await target.done("GET", "/services/reader"))["roles"] == ["reader"]
