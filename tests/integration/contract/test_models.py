"""What objects look like, field by field, and which scope reveals which."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from stage import Names, filled, set_up
from targets import Target

from stack import CONTAINERS

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAME = {"kind", "name"}
USER = NAME | {"admin", "user_info"}
ALL_OF_USER = USER | {"roles", "groups", "server", "pending", "created", "last_activity"}
SERVER = {
    "name", "display_name", "full_name", "last_activity", "started", "pending", "ready", "stopped", "url",
    "user_options", "progress_url", "full_url", "full_progress_url",
}  # fmt: skip
SHARE = {"server", "scopes", "user", "group", "kind", "created_at"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def names(target: Target) -> AsyncIterator[Names]:
    """A user in a group, with a running default server and one that stands."""
    made = await set_up(target, "user", "group", "member", "server", "running", "other", "share", "service")
    yield made
    await target.api("DELETE", f"/users/{made['user']}/server")


@pytest.mark.parametrize(
    ("scope", "keys"),
    [
        ("read:users", ALL_OF_USER),
        ("users", ALL_OF_USER),
        ("read:users:name", USER),
        ("list:users", USER),
        ("read:users:groups", NAME | {"groups"}),
        ("read:users:activity", NAME | {"last_activity"}),
        ("users:activity", NAME | {"last_activity"}),
        ("read:servers", USER | {"servers"}),
        ("servers", USER | {"servers"}),
        ("read:roles:users", NAME | {"roles", "admin"}),
        ("read:roles", NAME | {"roles", "admin"}),
        ("admin:users", ALL_OF_USER | {"auth_state"}),
    ],
)
@pytest.mark.parametrize("filter", ["", "!user={user}", "!group={group}"])
async def test_a_user_has_the_keys_that_its_reader_may_see(
    target: Target, names: Names, scope: str, keys: set[str], filter: str
) -> None:
    token = await target.token(filled(scope + filter, names))
    assert set(await target.done("GET", f"/users/{names['user']}", token=token)) == keys


@pytest.mark.parametrize(
    ("scope", "keys"),
    [
        ("list:users", USER),
        ("list:users read:users", ALL_OF_USER),
        ("list:users read:users!user={user}", ALL_OF_USER),
        ("list:users!group={group} read:users:groups", USER | {"groups"}),
        ("list:users!user={user} read:servers", USER | {"servers"}),
        ("list:users admin:auth_state", USER | {"auth_state"}),
    ],
)
async def test_so_it_is_in_a_list(target: Target, names: Names, scope: str, keys: set[str]) -> None:
    token = await target.token(*filled(scope, names).split())
    [found] = await target.done("GET", f"/users?name_filter={names['user']}", token=token)
    assert set(found) == keys


async def test_a_user(target: Target, names: Names) -> None:
    user = await target.done("GET", f"/users/{names['user']}")
    servers, active, created = user.pop("servers"), user.pop("last_activity"), user.pop("created")
    assert active > created
    assert user == {
        "kind": "user",
        "name": names["user"],
        "admin": False,
        "user_info": None,
        "groups": [names["group"]],
        "roles": ["user"],
        "server": f"/user/{names['user']}/",
        "pending": None,
        "auth_state": None,
    }
    assert set(servers) == {""}  # those that are active


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", False),
        ("?include_stopped_servers=0", False),
        ("?include_stopped_servers=False", False),
        ("?include_stopped_servers", True),
        ("?include_stopped_servers=", True),
        ("?include_stopped_servers=1", True),
        ("?include_stopped_servers=no", True),
    ],
)
async def test_stopped_servers_are_shown_on_request(target: Target, names: Names, query: str, shown: bool) -> None:
    expected = {"", names["server"]} if shown else {""}
    assert set((await target.done("GET", f"/users/{names['user']}{query}"))["servers"]) == expected
    joint = "&" if query else "?"
    [listed] = await target.done("GET", f"/users{query}{joint}name_filter={names['user']}")
    assert set(listed["servers"]) == expected


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ("read:servers!server={user}/", {""}),
        ("read:servers!server={user}/{server}", {"{server}"}),
        ("read:servers!user={user}", {"", "{server}"}),
        ("read:servers!group={group}", {"", "{server}"}),
        ("read:servers!user={other}", None),
        ("read:servers!server={other}/", None),
    ],
)
async def test_servers_are_shown_one_by_one(target: Target, names: Names, scope: str, shown: set[str] | None) -> None:
    token = await target.token("read:users:name", filled(scope, names))
    user = await target.done("GET", f"/users/{names['user']}?include_stopped_servers", token=token)
    expected = None if shown is None else {filled(name, names) for name in shown}
    assert (set(user["servers"]) if "servers" in user else None) == expected


async def test_a_server_that_runs(target: Target, names: Names) -> None:
    token = await target.token("read:servers")
    server = await target.done("GET", f"/users/{names['user']}/server", token=token)
    assert set(server) == SERVER
    assert server["started"] and server["last_activity"] >= server["started"]
    expected = {
        "name": "",
        "display_name": "",
        "full_name": f"{names['user']}/",
        "pending": None,
        "ready": True,
        "stopped": False,
        "url": f"/user/{names['user']}/",
        "user_options": {},
        "progress_url": f"/hub/api/users/{names['user']}/server/progress",
        "full_url": None,
        "full_progress_url": None,
    }
    assert server == server | expected


async def test_a_server_that_stands(target: Target, names: Names) -> None:
    token = await target.token("read:servers")
    user, server = names["user"], names["server"]
    found = await target.done("GET", f"/users/{user}/servers/{server}", token=token)
    assert found.pop("user_options") in (None, {})
    assert found == {
        "name": server,
        "display_name": server,
        "full_name": f"{user}/{server}",
        "last_activity": None,
        "started": None,
        "pending": None,
        "ready": False,
        "stopped": True,
        "url": f"/user/{user}/{server}/",
        "progress_url": f"/hub/api/users/{user}/servers/{server}/progress",
        "full_url": None,
        "full_progress_url": None,
    }


@pytest.mark.parametrize(
    ("scopes", "shown"),
    [
        ("read:servers", False),
        ("servers", False),
        ("read:servers admin:server_state", True),
        ("admin:servers", True),
        ("read:servers admin:server_state!user={user}", True),
        ("read:servers admin:server_state!server={user}/", True),
        ("read:servers admin:server_state!user={other}", False),
    ],
)
async def test_a_servers_state_is_for_few(target: Target, names: Names, scopes: str, shown: bool) -> None:
    token = await target.token(*filled(scopes, names).split())
    server = await target.done("GET", f"/users/{names['user']}/server", token=token)
    assert ("state" in server) == shown
    if shown:
        # A container has an id, a process a pid.
        assert server["state"]["object_id"] if CONTAINERS else isinstance(server["state"]["pid"], int)


@pytest.mark.parametrize(
    ("scope", "keys"),
    [
        ("read:groups", {"kind", "name", "users", "properties"}),
        ("groups", {"kind", "name", "users", "properties"}),
        ("read:groups:name", {"kind", "name"}),
        ("list:groups", {"kind", "name"}),
        ("read:roles:groups", {"kind", "name", "roles"}),
        ("read:roles", {"kind", "name", "roles"}),
        ("admin:groups", {"kind", "name", "users", "properties", "roles"}),
    ],
)
@pytest.mark.parametrize("filter", ["", "!group={group}"])
async def test_a_group_has_the_keys_that_its_reader_may_see(
    target: Target, names: Names, scope: str, keys: set[str], filter: str
) -> None:
    if scope == "read:roles" and filter:
        keys = {"kind", "name", "roles"}
    token = await target.token(filled(scope + filter, names))
    assert set(await target.done("GET", f"/groups/{names['group']}", token=token)) == keys


@pytest.mark.parametrize(
    ("scope", "keys"),
    [
        ("read:services", {"kind", "name", "admin", "url", "prefix", "command", "pid", "info", "display"}),
        ("read:services:name", {"kind", "name", "admin"}),
        ("list:services", {"kind", "name", "admin"}),
        ("read:roles:services", {"kind", "name", "admin", "roles"}),
    ],
)
@pytest.mark.parametrize("filter", ["", "!service={service}"])
async def test_a_service_has_the_keys_that_its_reader_may_see(
    target: Target, names: Names, scope: str, keys: set[str], filter: str
) -> None:
    token = await target.token(filled(scope + filter, names))
    assert set(await target.done("GET", f"/services/{names['service']}", token=token)) == keys


async def test_a_share(target: Target, names: Names) -> None:
    [share] = (await target.done("GET", f"/users/{names['other']}/shared"))["items"]
    assert set(share) == SHARE
    url = f"/user/{names['user']}/{names['server']}/"
    server = {"user": {"name": names["user"]}, "name": names["server"], "url": url, "full_url": None, "ready": False}
    assert (share["server"], share["user"], share["group"]) == (server, {"name": names["other"]}, None)


IDENTITY = {"token_id", "session_id", "scopes"}


@pytest.mark.parametrize(
    ("scopes", "keys"),
    [
        ([], USER | {"groups"}),
        (["read:users:name!user"], USER | {"groups"}),
        (["read:users!user"], ALL_OF_USER),
        (["read:servers!user"], USER | {"groups", "servers"}),
        (["inherit"], ALL_OF_USER | {"servers"}),
        (["self"], ALL_OF_USER | {"servers"}),
    ],
)
async def test_who_a_token_is(target: Target, names: Names, scopes: list[str], keys: set[str]) -> None:
    made = await target.done("POST", f"/users/{names['user']}/tokens", {"scopes": scopes})
    mine: dict[str, Any] = await target.done("GET", "/user", token=made["token"])
    assert set(mine) == keys | IDENTITY
    assert (mine["name"], mine["token_id"], mine["session_id"]) == (names["user"], made["id"], None)
    assert mine["scopes"] == sorted(mine["scopes"])
    assert set(mine["scopes"]) == set(made["scopes"])


async def test_who_a_services_token_is(target: Target) -> None:
    mine = await target.done("GET", "/user", token="token-of-the-plain-service")
    assert set(mine) == {"kind", "name", "admin"} | IDENTITY
    assert (mine["kind"], mine["name"], mine["admin"], mine["scopes"]) == ("service", "plain", False, [])
