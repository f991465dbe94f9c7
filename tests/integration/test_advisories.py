"""One test at least for each class of fault that JupyterHub's published advisories are about.

Elsewhere: redirects, forged requests, planted cookies and log-out (test_browsers_made_use_of.py); share codes and stale
shares (services/api/tests/test_shares.py); roles and groups that were taken away (services/api/tests/test_groups.py);
guesses and log-out (services/auth/tests/test_login.py); secrets in logs and on the bus (faults/test_secrets.py).
"""

from urllib.parse import quote

import asyncpg
import pytest

from browser import Browser
from stack import TOKEN, Hub, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
PASSWORD = "password-of-everyone"


async def token_of(house: Hub, name: str, scopes: list[str] | None = None) -> str:
    await house.user(name)
    status, made = await house.api("POST", f"/users/{name}/tokens", {"scopes": scopes} if scopes else {})
    assert status == 201, made
    return str(made["token"])


async def test_a_token_is_only_taken_from_its_header(shared_house: Hub) -> None:
    for headers, query in (
        ({}, f"?token={TOKEN}"),
        ({"Authorization": f"Basic {TOKEN}"}, ""),
        ({"Authorization": TOKEN}, ""),
    ):
        async with shared_house.session.get(f"{shared_house.url}hub/api/users{query}", headers=headers) as response:
            assert response.status == 403


async def test_one_user_can_do_nothing_to_another(shared_house: Hub) -> None:
    mallory = await token_of(shared_house, "mallory")
    await shared_house.user("victim")
    for method, path, body in (
        ("GET", "/users/victim", None),
        ("POST", "/users/victim/server", None),
        ("DELETE", "/users/victim/server", None),
        ("GET", "/users/victim/server/progress", None),
        ("GET", "/users/victim/tokens", None),
        ("POST", "/users/victim/activity", {"last_activity": "2026-01-01T00:00:00Z"}),
    ):
        status, answer = await shared_house.api(method, path, body, token=mallory)
        assert status == 404, (method, path, answer)
    for method, path, body in (
        ("PATCH", "/users/mallory", {"admin": True}),
        ("POST", "/users", {"usernames": ["friend"], "admin": True}),
        ("GET", "/users", None),
        ("GET", "/proxy", None),
        ("POST", "/users/victim/tokens", {}),
        ("POST", "/shutdown", {}),
        ("GET", "/users/victim/server/log", None),
    ):
        status, answer = await shared_house.api(method, path, body, token=mallory)
        assert status == 403, (method, path, answer)


async def test_a_token_cannot_be_given_more_than_its_owner_has(shared_house: Hub) -> None:
    weak = await token_of(shared_house, "weak")
    status, answer = await shared_house.api("POST", "/users/weak/tokens", {"scopes": ["admin:users"]}, token=weak)
    assert (status, "admin:users" in answer["message"]) == (400, True)


async def test_a_deleted_users_token_and_a_revoked_one_count_no_more(shared_house: Hub) -> None:
    token = await token_of(shared_house, "gone")
    _, tokens = await shared_house.api("GET", "/users/gone/tokens")
    second = await token_of(shared_house, "gone")
    assert (await shared_house.api("DELETE", f"/users/gone/tokens/{tokens['api_tokens'][0]['id']}"))[0] == 204
    assert (await shared_house.api("GET", "/user", token=token))[0] == 403
    assert (await shared_house.api("GET", "/user", token=second))[0] == 200
    assert (await shared_house.api("DELETE", "/users/gone"))[0] == 204
    assert (await shared_house.api("GET", "/user", token=second))[0] == 403


async def test_whoever_may_administer_users_makes_no_administrators(shared_house: Hub) -> None:
    """The service has `admin:users`, as an administrator of people may, and is no administrator itself."""
    await shared_house.user("climber")
    _, before = await shared_house.api("GET", "/users/climber")
    for method, path, body in (
        ("PATCH", "/users/climber", {"admin": True}),
        ("POST", "/users/another", {"admin": True}),
        ("POST", "/users", {"usernames": ["another"], "admin": True}),
    ):
        status, answer = await shared_house.api(method, path, body)
        assert (status, answer["message"]) == (403, "Only admins can grant admin permissions")
    for body in ({"scopes": ["admin:users"]}, {"roles": ["admin"]}):
        assert (await shared_house.api("POST", "/users/climber/tokens", body))[0] == 400
    assert (await shared_house.api("PATCH", "/users/climber", {"roles": ["admin"]}))[0] == 400
    _, after = await shared_house.api("GET", "/users/climber")
    assert after == before
    assert (await shared_house.api("GET", "/users/another"))[0] == 404


async def test_a_token_that_should_end_at_once_is_not_made_for_ever(shared_house: Hub) -> None:
    await shared_house.user("ada")
    for never in (0, -1, False):
        status, answer = await shared_house.api("POST", "/users/ada/tokens", {"expires_in": never})
        assert (status, "positive" in answer["message"]) == (400, True)
    status, made = await shared_house.api("POST", "/users/ada/tokens", {"expires_in": 1})
    assert status == 201

    async def is_over() -> bool:
        return (await shared_house.api("GET", "/user", token=made["token"]))[0] == 403

    await eventually(is_over, 10, "the token is over after its second")


async def test_a_name_is_one_name_however_it_is_written(shared_house: Hub) -> None:
    async with Browser(shared_house.url) as browser:
        await browser.login("  NoRmA ", PASSWORD)
        async with browser.session.get(browser.base / "hub/api/user", headers=browser.xsrf()) as response:
            assert (await response.json())["name"] == "norma"
    assert (await shared_house.api("POST", "/users", {"usernames": ["NORMA", " norma"]}))[0] == 409
    # `admin` is of the configuration, and nobody else is by another spelling.
    assert (await shared_house.api("POST", "/users", {"usernames": ["Admin", "ADMIN "]}))[0] == 409
    _, users = await shared_house.api("GET", "/users")
    names = [user["name"] for user in users]
    assert len({name.lower() for name in names}) == len(names)
    for name in ("..", ".", "%2e%2e", "__proto__", "a\u202eb", "a/b", "\u00a0", "a\nb"):
        if name.strip("."):  # others never arrive as they were written
            status, answer = await shared_house.api("POST", f"/users/{quote(name, safe='')}")
            assert status == 400, (name, answer)
        assert (await shared_house.api("POST", "/users", {"usernames": [name]}))[0] == 400, name


async def test_names_of_any_length_leave_short_lines(shared_house: Hub) -> None:
    """Unbounded names in logs, and in the answers that repeat them."""
    long = "x" * 7000
    async with Browser(shared_house.url) as browser:
        await browser.login(long, PASSWORD)
        await browser.get(f"/hub/user/{long}/")
        await browser.get(f"/hub/spawn/{long}")
        await browser.get(f"/hub/api/oauth2/authorize?client_id={long[:4000]}&state={long[:2000]}")
    for method, path in (
        ("GET", f"/users/{long}"),
        ("POST", f"/users/{long}"),
        ("GET", f"/users/{long[:3000]}/servers/{long[:3000]}"),
        ("PUT", f"/users/admin/servers/{long}"),
        ("GET", f"/users/admin/tokens/{long}"),
        ("POST", f"/users/{long}/tokens"),
        ("GET", f"/users?state={long}"),
        ("GET", f"/{long}"),
    ):
        status, answer = await shared_house.api(method, path)
        assert 400 <= status < 500, (method, path[:30], status)
        assert len(str(answer["message"])) < 1100, (method, path[:30])
    status, answer = await shared_house.api("POST", "/users", {"usernames": [long] * 50})
    assert (status, len(answer["message"]) < 1100) == (400, True)
    for log in (shared_house.data / "log").glob("*.log"):
        if log.name.startswith(("api", "auth", "spawner", "proxy-sync", "poller")):
            assert long[:1001] not in log.read_text(errors="replace"), log


async def test_options_that_cannot_be_read_any_more_take_nobody_with_them(shared_house: Hub) -> None:
    """Of one server, kept under a key that is gone: every list with it in it still answers, and it can be deleted."""
    await shared_house.user("rusty")
    body = {"user_options": {"x": 1}}
    assert (await shared_house.api("PUT", "/users/rusty/servers/old", body))[0] == 201
    await at_rest(shared_house, "update vault set value = 'nonsense' where key like 'options:%'")
    assert (await shared_house.model("rusty"))["servers"]["old"]["user_options"] in (None, {})
    assert (await shared_house.api("GET", "/users?include_stopped_servers=1"))[0] == 200
    assert (await shared_house.api("DELETE", "/users/rusty/servers/old", {"remove": True}))[0] == 204


async def at_rest(house: Hub, statement: str) -> None:
    connection = await asyncpg.connect(house.running()["owner_dsn"])
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_whoever_gets_a_name_gets_nothing_of_who_had_it(shared_house: Hub) -> None:
    """Renamed or deleted and made again: tokens, servers and scopes belong to people, not to names."""
    first = await token_of(shared_house, "heir")
    assert (await shared_house.api("PUT", "/users/heir/servers/own"))[0] == 201
    assert (await shared_house.api("PATCH", "/users/heir", {"name": "elder"}))[0] == 200
    await shared_house.user("heir")
    _, mine = await shared_house.api("GET", "/user", token=first)
    assert mine["name"] == "elder"
    assert not any(scope.endswith("=heir") for scope in mine["scopes"]), mine["scopes"]
    assert (await shared_house.api("GET", "/users/heir", token=first))[0] == 404
    assert (await shared_house.model("heir"))["servers"].keys() == {""}  # everybody has that one
    assert (await shared_house.api("GET", "/users/heir/tokens"))[1] == {"api_tokens": []}
    assert (await shared_house.api("DELETE", "/users/elder"))[0] == 204
    await shared_house.user("elder")
    assert (await shared_house.api("GET", "/user", token=first))[0] == 403
    assert (await shared_house.model("elder"))["servers"].keys() == {""}
