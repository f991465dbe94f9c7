"""Exchanging a code for a token (contract, 4.2 and 4.3)."""

import asyncio
import base64
import json

import pytest

from hubbub.tokens import token_hash
from hubbub_auth.testing import PKCE, TOKEN, VERIFIER, Browser, House, RunningServer, code_for, query, with_


@pytest.mark.parametrize("pkce", [True, False])
async def test_a_person_gets_into_their_own_server(house: House, browser: Browser, server: RunningServer, pkce):
    answer = await browser.get(server.authorize(**(PKCE if pkce else {})))
    assert answer.status == 302
    assert answer.location.startswith("/user/ada/oauth_callback?")
    assert query(answer.location)["state"] == "s1"
    code = query(answer.location)["code"]
    fields = server.exchange(code, **({"code_verifier": VERIFIER} if pkce else {}))
    given = await browser.post(TOKEN, fields, headers={"Authorization": f"token {server.secret}"})
    token = json.loads(given.text)
    assert given.status == 200
    assert given.headers["Cache-Control"] == "no-store"
    assert token.pop("scope").split() == [
        "access:servers!server=ada/",
        "read:users:groups!user",
        "read:users:name!user",
    ]
    made = token.pop("access_token")
    assert token == {"expires_in": 1209600, "token_type": "Bearer"}
    (row,) = await (await house.pool()).fetch("select * from tokens where hash = $1", token_hash(made))
    assert (row["client"], row["server"]) == ("jupyterhub-user-ada", server.id)
    assert row["session"] == browser.cookies["jupyterhub-session-id"]
    events = "".join(r["data"] for r in await (await house.pool()).fetch("select data from events"))
    assert made not in events
    assert code not in events
    assert "jupyterhub-user-ada" not in events


async def test_the_redirect_uri_may_be_left_out(browser: Browser, server: RunningServer):
    code = await code_for(browser, server, redirect_uri="-")
    assert (await browser.post(TOKEN, server.exchange(code, redirect_uri="-"))).status == 200
    code = await code_for(browser, server)
    assert (await browser.post(TOKEN, server.exchange(code, redirect_uri="-"))).status == 200


async def told(browser: Browser, fields) -> tuple[int, str]:
    answer = await browser.post(TOKEN, fields)
    return answer.status, json.loads(answer.text)["error"]


async def test_each_thing_wrong_with_an_exchange(browser: Browser, server: RunningServer):
    code = await code_for(browser, server, **PKCE)
    good = server.exchange(code, code_verifier=VERIFIER)

    async def error(**wrong: str) -> tuple[int, str]:
        return await told(browser, {n: v for n, v in (good | wrong).items() if v != "-"})

    assert await error(client_secret="wrong") == (401, "invalid_client")
    assert await error(client_secret="-") == (401, "invalid_client")
    assert await error(client_secret="x" * 100) == (401, "invalid_client")
    assert await error(client_id="-") == (401, "invalid_client")
    assert await error(client_id="jupyterhub-user-nobody") == (401, "invalid_client")
    assert await error(grant_type="-") == (400, "unsupported_grant_type")
    assert await error(grant_type="refresh_token") == (400, "unsupported_grant_type")
    assert await error(grant_type="client_credentials") == (400, "unsupported_grant_type")
    assert await error(code="-") == (400, "invalid_request")
    assert await error(code="wrong") == (400, "invalid_grant")
    assert await error(code_verifier="-") == (400, "invalid_request")
    assert await error(code_verifier="w" * 50) == (400, "invalid_grant")
    assert await error(redirect_uri="/user/ada/other") == (400, "invalid_request")
    assert await error(code="x" * 5000) == (400, "invalid_request")
    assert (await browser.post(TOKEN, good)).status == 200
    assert await told(browser, good) == (400, "invalid_grant")


async def test_the_missing_verifier_is_named(browser: Browser, server: RunningServer):
    answer = await browser.post(TOKEN, server.exchange(await code_for(browser, server, **PKCE)))
    assert json.loads(answer.text) == {"error": "invalid_request", "error_description": "Code verifier required."}


async def test_a_challenge_that_was_taken_out_on_its_way_is_missed(browser: Browser, server: RunningServer):
    code = await code_for(browser, server)
    assert await told(browser, server.exchange(code, code_verifier=VERIFIER)) == (400, "invalid_grant")


async def test_basic_authentication_is_not_a_way(browser: Browser, server: RunningServer):
    fields = server.exchange(await code_for(browser, server), client_secret="-", client_id="-")
    basic = base64.b64encode(f"{server.client}:{server.secret}".encode()).decode()
    answer = await browser.post(TOKEN, fields, headers={"Authorization": f"Basic {basic}"})
    assert answer.status == 401


async def test_what_is_no_form_is_an_invalid_request(browser: Browser, server: RunningServer):
    fields = server.exchange(await code_for(browser, server))
    for answer in (
        await browser.send("POST", TOKEN, json=fields),
        await browser.send("POST", TOKEN),
        await browser.post(f"{TOKEN}?code=x", fields),
        await browser.post(TOKEN, b"\xff", headers={"Content-Type": "application/x-www-form-urlencoded"}),
        await browser.post(TOKEN, {**fields, "x": "y" * 100_000}),
        await browser.post(TOKEN, [*fields.items(), ("client_id", "x")]),
    ):
        assert answer.status in (400, 401), answer.text
        assert "error" in json.loads(answer.text)
    assert (await browser.get(TOKEN)).status == 405
    assert (await browser.send("OPTIONS", TOKEN)).status == 200


async def test_pkce_may_be_required(house: House):
    browser = await house.browser(config=with_({"oauth_require_pkce": True}))
    await browser.log_in("ada")
    server = await house.start("ada")
    assert query((await browser.get(server.authorize())).location)["error"] == "invalid_request"
    code = await code_for(browser, server, **PKCE)
    assert (await browser.post(TOKEN, server.exchange(code, code_verifier=VERIFIER))).status == 200


async def test_a_code_is_good_for_five_minutes(house: House, browser: Browser, server: RunningServer):
    code = await code_for(browser, server)
    pool = await house.pool()
    left = await pool.fetchval("select extract(epoch from expires_at - now()) from codes")
    assert 290 < left <= 300
    await pool.execute("update codes set expires_at = now() - interval '1 second'")
    assert await told(browser, server.exchange(code)) == (400, "invalid_grant")


async def test_a_code_is_for_its_own_client(house: House, browser: Browser, server: RunningServer):
    other = await house.start("ada", "lab")
    assert await told(browser, other.exchange(await code_for(browser, server))) == (400, "invalid_grant")


async def test_servers_with_the_same_client_id_are_told_apart(house: House):
    """User `a-b` and server `b` of user `a` have the same."""
    auth = await house.auth()
    one, other = await house.browser(auth), await house.browser(auth, address="198.51.100.1")
    await one.log_in("a-b")
    await other.log_in("a")
    theirs, mine = await house.start("a-b"), await house.start("a", "b")
    assert theirs.client == mine.client
    code = await code_for(other, mine)
    assert (await other.get(theirs.authorize())).status == 403
    assert (await other.get(mine.authorize(redirect_uri="-"))).status == 400
    assert await told(other, theirs.exchange(code, redirect_uri="-")) == (400, "invalid_grant")
    assert (await other.post(TOKEN, mine.exchange(code))).status == 200


async def test_a_code_is_worth_nothing_after_the_log_out(browser: Browser, server: RunningServer):
    code = await code_for(browser, server)
    await browser.get("/hub/logout")
    assert await told(browser, server.exchange(code)) == (400, "invalid_grant")


async def test_a_server_that_was_stopped_is_no_client(house: House, browser: Browser, server: RunningServer):
    code = await code_for(browser, server)
    await house.stop(server)
    assert await told(browser, server.exchange(code)) == (401, "invalid_client")
    assert (await browser.get(server.authorize())).status == 400


async def test_a_code_brought_to_two_auths_at_once_is_good_at_one(
    house: House, browser: Browser, server: RunningServer
):
    auths = [await house.browser(await house.auth()) for _ in range(2)]
    for _ in range(5):
        code = await code_for(browser, server)
        answers = await asyncio.gather(*(auth.post(TOKEN, server.exchange(code)) for auth in auths for _ in range(3)))
        assert sorted(answer.status for answer in answers) == [200, 400, 400, 400, 400, 400]
    tokens = await (await house.pool()).fetchval("select count(*) from tokens where session <> ''")
    redeemed = await (await house.pool()).fetchval("select count(*) from events where type = 'CodeRedeemed'")
    assert (tokens, redeemed) == (5, 5)
