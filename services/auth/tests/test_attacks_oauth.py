"""Codes, states, verifiers and addresses of the OAuth provider that are stolen, swapped, injected or used again."""

import asyncio
import json
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from hubbub.testing.redirects import EVIL, HOSTILE, lands_on
from hubbub_auth.testing import CHALLENGE, PKCE, TOKEN, VERIFIER, Answer, Browser, House, RunningServer, code_for, query

CALLBACK = "/user/ada/oauth_callback"


async def error(browser: Browser, fields: dict[str, str]) -> tuple[int, str]:
    answer = await browser.post(TOKEN, fields)
    return answer.status, json.loads(answer.text)["error"]


async def tokens(house: House) -> list[str]:
    """Whose tokens were given for a code."""
    rows = await (await house.pool()).fetch(
        "select u.name from tokens t join users u on u.id = t.user_id where t.session <> '' order by t.number"
    )
    return [row["name"] for row in rows]


ELSEWHERE = [
    "/user/ada/oauth_callback/",
    "/user/ada/oauth_callback/../../eve/oauth_callback",
    "/user/ada/./oauth_callback",
    "/user/ada//oauth_callback",
    "/user/ADA/oauth_callback",
    "/user/ada/oauth_callback#",
    "/user/ada/oauth_callback#x",
    "/user/ada/oauth_callback?",
    "/user/ada/oauth_callback?code=x",
    "/user/ada/oauth_callback;x",
    "/user/ada/oauth_callback%00",
    "/user/ada/oauth_callback%2f",
    "/user/ada/%6fauth_callback",
    "/user%2fada/oauth_callback",
    "/user/ada/oauth_callback ",
    " /user/ada/oauth_callback",
    "/user/ada/oauth_callback\\",
    "\\user\\ada\\oauth_callback",
    "/user/ada",
    "/",
    "user/ada/oauth_callback",
    f"//{EVIL}/user/ada/oauth_callback",
    f"https://{EVIL}/user/ada/oauth_callback",
    f"https://hubbub.invalid@{EVIL}/user/ada/oauth_callback",
    "https://hubbub.invalid.evil.example/user/ada/oauth_callback",
    "https://hubbub.invalid/user/ada/oauth_callback/x",
    "urn:ietf:wg:oauth:2.0:oob",
    *HOSTILE,
]


async def test_a_code_is_sent_to_its_client_alone(browser: Browser, server: RunningServer):
    """To the letter of its one address; to a page of the hub if that is not the one that is asked for."""
    for place in ELSEWHERE:
        answer = await browser.get(server.authorize() + f"&redirect_uri={quote(place, errors='surrogatepass')}")
        assert answer.status == 400, place
        where = f"{server.authorize(redirect_uri='-')}&redirect_uri={quote(place, errors='surrogatepass')}"
        answer = await browser.get(where)
        assert (answer.status, answer.location) == (400, ""), place


async def test_the_address_of_our_own_making_is_no_way_around(browser: Browser, server: RunningServer):
    """oauthlib is shown absolute addresses; one that says the same is the same, and no other."""
    answer = await browser.get(server.authorize(redirect_uri=f"https://hubbub.invalid{CALLBACK}"))
    assert answer.status == 400 or answer.location.startswith(f"{CALLBACK}?")


async def test_a_code_is_not_brought_with_another_address(browser: Browser, server: RunningServer):
    code = await code_for(browser, server)
    for place in ELSEWHERE[:30]:
        assert (await error(browser, server.exchange(code, redirect_uri=place)))[0] == 400, place
    assert (await browser.post(TOKEN, server.exchange(code))).status == 200


async def test_whose_code_it_is_his_token_is(house: House, browser: Browser, server: RunningServer):
    """Injected into the session of somebody else, a code is still of whoever it was given to."""
    root = await house.browser(address="198.51.100.1")
    await root.log_in("root")
    page = await root.get(server.authorize())
    code = query((await root.post(server.authorize(), {"_xsrf": page.xsrf})).location)["code"]
    assert (await browser.post(TOKEN, server.exchange(code))).status == 200
    assert await tokens(house) == ["root"]


async def test_a_code_of_another_client_or_attempt_is_no_code(house: House, browser: Browser, server: RunningServer):
    lab = await house.start("ada", "lab")
    mine, others = await code_for(browser, server, **PKCE), await code_for(browser, lab)
    refused = (400, "invalid_grant")
    assert await error(browser, server.exchange(others)) == refused
    assert await error(browser, lab.exchange(mine, code_verifier=VERIFIER)) == refused
    assert await error(browser, server.exchange(mine, code_verifier="w" * 50)) == refused
    assert await error(browser, server.exchange(mine, code_verifier=CHALLENGE)) == refused
    assert (await error(browser, server.exchange(mine)))[0] == 400
    # Secrets of others, and what is no secret of a client.
    for secret in (lab.secret, browser.cookies["jupyterhub-session-id"], mine, "", server.secret.upper()):
        assert await error(browser, server.exchange(mine, client_secret=secret)) == (401, "invalid_client")
    assert await tokens(house) == []
    assert (await browser.post(TOKEN, server.exchange(mine, code_verifier=VERIFIER))).status == 200


async def test_a_verifier_of_another_attempt_is_none(browser: Browser, server: RunningServer):
    """Two attempts in one browser, whose states and codes somebody has mixed up."""
    plain = "p" * 43
    first = await browser.get(server.authorize(state="first", **PKCE))
    second = await browser.get(server.authorize(state="second", code_challenge=plain, code_challenge_method="plain"))
    assert [query(answer.location)["state"] for answer in (first, second)] == ["first", "second"]
    codes = [query(answer.location)["code"] for answer in (first, second)]
    for code, verifier in ((codes[0], plain), (codes[1], VERIFIER)):
        assert await error(browser, server.exchange(code, code_verifier=verifier)) == (400, "invalid_grant")
    for code, verifier in ((codes[0], VERIFIER), (codes[1], plain)):
        assert (await browser.post(TOKEN, server.exchange(code, code_verifier=verifier))).status == 200


async def test_a_code_is_good_once(house: House, browser: Browser, server: RunningServer):
    code = await code_for(browser, server)
    assert (await browser.post(TOKEN, server.exchange(code))).status == 200
    for again in (server.exchange(code), server.exchange(code, redirect_uri="-")):
        assert await error(browser, again) == (400, "invalid_grant")
    assert await tokens(house) == ["ada"]


async def test_a_code_ends_with_the_login_that_it_was_given_in(house: House, browser: Browser, server: RunningServer):
    """Also if the same person has logged in again meanwhile, in the same browser."""
    code, other = await code_for(browser, server), await code_for(browser, server)
    await browser.get("/hub/logout")
    await browser.log_in("ada")
    assert await error(browser, server.exchange(code)) == (400, "invalid_grant")
    # One more login, without a log-out.
    fields = {"username": "ada", "password": "open sesame", "_xsrf": browser.cookies["_xsrf"]}
    third = await code_for(browser, server)
    assert (await browser.post("/hub/login", fields)).status == 302
    for code in (other, third):
        assert await error(browser, server.exchange(code)) == (400, "invalid_grant")
    assert await tokens(house) == []


async def test_a_code_that_comes_while_its_session_ends_gives_nothing_that_stays(
    house: House, browser: Browser, server: RunningServer
):
    """Either it was too late, or its token has ended with the session."""
    for _ in range(5):
        code = await code_for(browser, server)
        answer, _ = await asyncio.gather(browser.post(TOKEN, server.exchange(code)), browser.get("/hub/logout"))
        assert answer.status in (200, 400)
        assert await tokens(house) == []
        await browser.log_in("ada")


STATES = [
    "",
    "a b+c&d=e#f?g",
    "\r\nLocation: https://evil.example/",
    "\r\n\r\n<script>alert(1)</script>",
    "&code=planted",
    "x" * 3000,
    "\u20ac\U0001f600",
    f"//{EVIL}",
    "%0d%0a%00",
    "s1&state=s2",
]


@pytest.mark.parametrize("state", STATES)
async def test_a_state_comes_back_as_it_was_and_as_nothing_else(browser: Browser, server: RunningServer, state):
    for more in ({}, {"scope": "no:such:scope"}):
        answer = await browser.get(server.authorize(state=state, **more))
        assert answer.status == 302
        assert answer.location.startswith(f"{CALLBACK}?")
        assert lands_on(answer.location) == lands_on("/")
        assert answer.location.isascii()
        assert answer.location.isprintable()
        told = parse_qsl(urlsplit(answer.location).query, keep_blank_values=True)
        assert sorted({name for name, _ in told} - {"error_description"}) == sorted(
            ({"code"} if not more else {"error"}) | ({"state"} if state else set())
        )
        assert len(told) == len(dict(told))
        assert dict(told).get("state", "") == state


async def test_nobody_agrees_for_somebody_else(house: House, browser: Browser, server: RunningServer):
    """Consent is asked for in a form with a token of this very session, and given to the client it names."""
    root = await house.browser(address="198.51.100.1")
    await root.log_in("root")
    page = await root.get(server.authorize())
    for token in ("", browser.cookies["_xsrf"], "x"):
        assert (await root.post(server.authorize(), {"_xsrf": token})).status == 403
    stranger = await house.browser(address="198.51.100.2")
    assert (await stranger.post(server.authorize(), {"_xsrf": page.xsrf})).location.startswith("/hub/login?next=")
    place = server.authorize(redirect_uri=f"https://{EVIL}/")
    assert (await root.post(place, {"_xsrf": page.xsrf})).status == 400
    assert (await root.get(server.authorize())).status == 200  # nothing was agreed to
    assert await tokens(house) == []


async def test_a_refusal_names_nobodys_address(browser: Browser, server: RunningServer):
    """A client that nobody knows is no reason to send a browser anywhere, whatever else is right."""
    for client in (
        "service-unknown",
        "jupyterhub-user-eve",
        "",
        "\0",
        "jupyterhub-user-ada\u200b",
        "JUPYTERHUB-USER-ADA",
    ):
        answer: Answer = await browser.get(server.authorize(client_id=client, redirect_uri=f"https://{EVIL}/"))
        assert (answer.status, answer.location) == (400, ""), client
        assert (await browser.get(server.authorize(client_id=client))).status == 400, client
