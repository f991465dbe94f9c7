"""What JupyterHub's published advisories were about, where this release touches it."""

import pytest

from browser import Browser
from stack import TOKEN, Hub

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
        ("GET", "/users/victim/server/log", None),
        ("GET", "/users/victim/tokens", None),
        ("POST", "/users/victim/tokens", {}),
        ("POST", "/users/victim/activity", {"last_activity": "2026-01-01T00:00:00Z"}),
    ):
        status, answer = await shared_house.api(method, path, body, token=mallory)
        assert status == 404, (method, path, answer)
    for method, path, body in (
        ("PATCH", "/users/mallory", {"admin": True}),
        ("POST", "/users", {"usernames": ["friend"], "admin": True}),
        ("GET", "/users", None),
        ("GET", "/proxy", None),
        ("POST", "/shutdown", {}),
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


async def test_a_cookie_alone_changes_nothing(shared_house: Hub) -> None:
    async with Browser(shared_house.url) as browser:
        await browser.login("cara", PASSWORD)
        origin = {"Origin": "https://evil.example", "Sec-Fetch-Mode": "cors"}
        start = browser.base / "hub/api/users/cara/servers/forged"
        async with browser.session.post(start, headers=origin) as response:
            assert response.status == 403
        async with browser.session.get(browser.base / "hub/api/user", headers=origin) as response:
            assert response.status == 403
        async with browser.session.post(start, data={"x": "y"}, headers=browser.xsrf()) as response:
            assert response.status == 403  # a form of somebody's page, not JSON of ours
        anonymous = Browser(shared_house.url)
        async with anonymous:
            await anonymous.get("/hub/login")
            stolen = anonymous.xsrf()  # a token of another browser
        async with browser.session.post(start, json={}, headers={**origin, **stolen}) as response:
            assert response.status == 403
        assert "forged" not in (await shared_house.model("cara"))["servers"]


async def test_a_login_gets_a_session_of_its_own(shared_house: Hub) -> None:
    async with Browser(shared_house.url) as browser:
        browser.session.cookie_jar.update_cookies({"jupyterhub-session-id": "chosen-by-somebody"}, browser.base)
        await browser.login("dora", PASSWORD)
        assert browser.cookie("jupyterhub-session-id") not in ("", "chosen-by-somebody")


async def test_nobody_is_sent_elsewhere_after_the_login(shared_house: Hub) -> None:
    async with Browser(shared_house.url) as browser:
        await browser.login("eve", PASSWORD)
        for place in ("//evil.example", "https://evil.example/", "/\\evil.example", "///evil.example"):
            async with browser.session.get(
                browser.base / "hub/login", params={"next": place}, allow_redirects=False
            ) as response:
                assert response.status == 302
                assert "evil.example" not in response.headers["Location"].replace("/%5Cevil.example", "")


async def test_pages_cannot_be_framed_and_load_nothing_from_elsewhere(shared_house: Hub) -> None:
    async with shared_house.session.get(f"{shared_house.url}hub/login") as response:
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "<script>" not in await response.text()
