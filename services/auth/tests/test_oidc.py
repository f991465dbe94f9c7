"""Logins at a real OpenID provider, in a process of its own."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from openid_round import CALLBACK, LOGIN, at_provider, begin, config, in_progress, log_in

from hubbub.testing.eventually import eventually
from hubbub_auth.testing import House

ALICE = {"sub": "alice", "preferred_username": "Alice.L", "groups": ["physics"], "email": "alice@example.org"}
BOB = {"sub": "bob", "preferred_username": "bob", "groups": ["/staff", "a/b"]}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory) -> Iterator[str]:
    """oidc-provider-mock; it makes a user of whatever name is typed, and knows more of two of them."""
    said = tmp_path_factory.mktemp("provider") / "stderr"
    users = [word for user in (ALICE, BOB) for word in ("--user-claims", json.dumps(user))]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", "0", *users]
    with said.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, stdout=subprocess.DEVNULL)
    try:
        yield asyncio.run(_listening(process, said))
    finally:
        process.terminate()
        process.wait(10)


async def _listening(process, said) -> str:
    def address() -> str:
        assert process.poll() is None, said.read_text()
        found = re.search(r"running on (http://\S+)", said.read_text())
        return found[1] if found else ""

    return await eventually(address, 30)


def at(issuer: str, **section):
    return config("hubbub-oidc", {"issuer": issuer, "client_id": "hub", "client_secret": "x", **section})


async def person(house: House):
    query = """
        select u.*, array(select g.name from members m join groups g on g.id = m.group_id
                          where m.user_id = u.id order by g.name) as groups from users u
    """
    (row,) = await (await house.pool()).fetch(query)
    return row


async def test_a_login_there_is_a_login_here(house: House, issuer):
    browser = await house.browser(config=at(issuer))
    page = await browser.get("/hub/login?next=/user/alice.l/lab?x=1")
    assert "Log in with OpenID Connect" in page.text
    assert 'href="/hub/oidc_login?next=%2Fuser%2Falice.l%2Flab%3Fx%3D1"' in page.text
    there = await begin(browser, f"{LOGIN}?next=%2Fuser%2Falice.l%2Flab%3Fx%3D1")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
    assert there.startswith(f"{issuer}/oauth2/authorize?")
    assert asked["redirect_uri"] == f"http://{browser.host}{CALLBACK}"
    assert (asked["scope"], asked["code_challenge_method"]) == ("openid profile email", "S256")
    assert len(asked["state"]) >= 32 and len(asked["nonce"]) >= 32 and asked["response_type"] == "code"
    answer = await browser.get(await at_provider(there, {"sub": "alice"}))
    assert (answer.status, answer.location) == (302, "/user/alice.l/lab?x=1")
    assert {"jupyterhub-hub-login", "jupyterhub-session-id"} <= set(browser.cookies)
    assert not in_progress(browser)
    assert (await person(house))["name"] == "alice.l"
    assert (await browser.get("/hub/login")).status == 302


async def test_the_cookie_of_a_login_in_progress_is_for_the_hub_alone(house: House, issuer):
    browser = await house.browser(config=at(issuer))
    answer = await browser.get(LOGIN, headers={"X-Forwarded-Proto": "https"})
    (cookie,) = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("hubbub-login-")
    for word in ("HttpOnly", "Path=/hub/", "SameSite=Lax", "Secure", "Max-Age=600"):
        assert word in cookie, cookie
    assert "Domain" not in cookie
    assert answer.headers["Cache-Control"] == "no-store"
    assert parse_qs(urlsplit(answer.location).query)["redirect_uri"] == [f"https://{browser.host}{CALLBACK}"]


async def test_another_auth_finishes_what_one_has_begun(house: House, issuer):
    """As after a restart in the middle; the key is of the house, not of the process."""
    browser = await house.browser(config=at(issuer))
    back = await at_provider(await begin(browser), {"sub": "alice"})
    other = await house.browser(config=at(issuer))
    cookies = "; ".join(f"{name}={browser.cookies[name]}" for name in in_progress(browser))
    answer = await other.get(back.replace(browser.host, other.host), headers={"Cookie": cookies})
    assert (answer.status, answer.location) == (302, "/hub/")


async def test_an_administrator_by_group(house: House, issuer):
    section = at(issuer, admin_groups={"staff"}, allowed_groups={"nobody"}, manage_groups=True)
    answer = await log_in(await house.browser(config=section), fields={"sub": "bob"})
    assert answer.status == 302
    row = await person(house)
    assert (row["name"], row["admin"], row["groups"]) == ("bob", True, ["staff"])


async def test_whoever_is_in_no_group_that_may_is_refused(house: House, issuer):
    browser = await house.browser(config=at(issuer, allowed_groups={"staff"}))
    answer = await log_in(browser, fields={"sub": "alice"})
    assert (answer.status, "You may not log in here" in answer.text) == (403, True)
    assert not await (await house.pool()).fetch("select 1 from users")
    (row,) = await (await house.pool()).fetch("select why from login_attempts")
    assert row["why"] == "not allowed"


async def test_whoever_has_no_name_there_is_refused(house: House, issuer):
    answer = await log_in(await house.browser(config=at(issuer)), fields={"sub": "carol"})
    assert (answer.status, "there is no claim preferred_username" in answer.text) == (403, True)


async def test_what_was_learnt_is_kept_and_asked_again(house: House, issuer):
    section = at(issuer, enable_auth_state=True, manage_groups=True)
    browser = await house.browser(config=section)
    await log_in(browser, fields={"sub": "alice"})
    row = await person(house)
    assert row["groups"] == ["physics"]
    assert await refreshed(browser, row["id"]) == {"fresh": True}
    async with aiohttp.ClientSession() as session:
        changed = {**ALICE, "groups": ["chemistry"]}
        assert (await session.put(f"{issuer}/users/alice", json=changed)).status == 204
        assert await refreshed(browser, row["id"]) == {"fresh": True}
        assert (await person(house))["groups"] == ["chemistry"]
        assert (await session.post(f"{issuer}/users/alice/revoke-tokens")).status == 204
        assert await refreshed(browser, row["id"]) == {"fresh": False}
        assert (await session.put(f"{issuer}/users/alice", json=ALICE)).status == 204
    assert not await house.problems()


async def refreshed(browser, user: str) -> dict:
    answer = await browser.send("POST", "/hub/internal/refresh", json={"user": user, "force": True})
    found = json.loads(answer.text)
    found.pop("seconds", None)
    return found


async def test_a_logout_goes_on_at_the_provider(house: House, issuer):
    section = at(
        issuer, enable_auth_state=True, logout_at_provider=True, post_logout_redirect_url="https://example.org/"
    )
    browser = await house.browser(config=section)
    await log_in(browser, fields={"sub": "alice"})
    answer = await browser.get("/hub/logout")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.location).query).items()}
    assert answer.location.startswith(f"{issuer}/oauth2/end_session?")
    assert asked["post_logout_redirect_uri"] == "https://example.org/"
    assert asked["client_id"] == "hub"
    assert asked["id_token_hint"].count(".") == 2
    assert "jupyterhub-hub-login" not in browser.cookies


async def test_nothing_secret_is_in_the_log(house: House, issuer, capsys):
    section = at(issuer, enable_auth_state=True)
    browser = await house.browser(config=section)
    back = await at_provider(await begin(browser), {"sub": "alice"})
    await browser.get(back)
    rows = await (await house.pool()).fetch("select data, meta from events")
    text = "".join(row["data"] + row["meta"] for row in rows)
    code = parse_qs(urlsplit(back).query)["code"][0]
    printed = capsys.readouterr()
    assert "auth.login" in printed.out
    for secret in ("alice@example.org", "access_token", code, "eyJ"):
        assert secret not in text
        assert secret not in printed.out + printed.err
