"""Servers as OAuth clients: which token proves them, and what they may ask people for."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from hubbub.domain.names import client_id
from hubbub.domain.server_messages import ClaimAttempt, ReportExit, ReportStarted, StartServer, StopServer
from hubbub.domain.token import IssueToken, RestrictToken, RevokeToken
from hubbub.tokens import token_hash
from hubbub.views import SERVERS, TOKENS
from hubbub_auth.testing import TOKEN, Browser, House, RunningServer, code_for, query, with_

SOON = datetime.now(UTC) + timedelta(minutes=5)
URL = "http://127.0.0.1:1"


async def sleeps(house: House, server: RunningServer) -> None:
    await house.act(
        SERVERS,
        server.id,
        ReportStarted(attempt=1, worker="w", url=URL, deadline=SOON),
        StopServer(deadline=SOON),
        ReportExit(attempt=1, worker="w", status="0", deadline=SOON, resumes=True),
    )


async def wakes(house: House, server: RunningServer, *, resumes: bool) -> str:
    """It is started again, and goes on with the token that it had, or with the fresh one: that is returned."""
    old, fresh, secret = await house.token_of(server), uuid4().hex, uuid4().hex
    user = await (await house.pool()).fetchval("select user_id from servers where id = $1", server.id)
    issue = IssueToken(user=user, hash=token_hash(secret), client=server.client, server=server.id)
    start = StartServer(at=SOON, pool="default", prefix="/user/ada/", deadline=SOON)
    claim = ClaimAttempt(attempt=2, worker="w", host="h", token=fresh, deadline=SOON)
    await house.act(SERVERS, server.id, start, claim)
    await house.act(TOKENS, fresh, issue)
    started = ReportStarted(attempt=2, worker="w", url=URL, deadline=SOON, token=old if resumes else "")
    await house.act(SERVERS, server.id, started)
    await house.act(TOKENS, fresh if resumes else old, RevokeToken())
    return secret


async def gets_in(browser: Browser, server: RunningServer, secret: str) -> int:
    """The status that the server is answered with which brings *secret* and a code."""
    code = await code_for(browser, server)
    return (await browser.post(TOKEN, server.exchange(code, client_secret=secret))).status


async def test_a_server_that_was_only_asleep_proves_itself_by_the_token_it_had(
    house: House, browser: Browser, server: RunningServer
):
    assert server.client == client_id("ada", "")
    await sleeps(house, server)
    assert await gets_in(browser, server, server.secret) == 200
    fresh = await wakes(house, server, resumes=True)
    assert await gets_in(browser, server, server.secret) == 200
    assert await gets_in(browser, server, fresh) == 401


async def test_a_server_that_starts_anew_proves_itself_by_its_new_token(
    house: House, browser: Browser, server: RunningServer
):
    await sleeps(house, server)
    fresh = await wakes(house, server, resumes=False)
    assert await gets_in(browser, server, server.secret) == 401
    assert await gets_in(browser, server, fresh) == 200


async def test_a_code_for_the_sleeper_is_good_when_it_is_awake(house: House, browser: Browser, server: RunningServer):
    await sleeps(house, server)
    code = await code_for(browser, server)
    await wakes(house, server, resumes=True)
    assert (await browser.post(TOKEN, server.exchange(code))).status == 200


async def asks(browser: Browser, server: RunningServer, scope: str) -> str:
    """What comes of a server's asking for *scope*: an error, or nothing."""
    return query((await browser.get(server.authorize(scope=scope))).location).get("error", "")


@pytest.mark.parametrize("said", [[], lambda spawner: ["read:users!user"]])
async def test_a_server_may_ask_for_what_was_worked_out_when_it_started(house: House, said):
    browser = await house.browser(config=with_(Spawner={"oauth_client_allowed_scopes": said}))
    await browser.log_in("ada")
    server = await house.start("ada")
    assert await asks(browser, server, "read:users!user") == "invalid_scope"
    await house.act(
        TOKENS, await house.token_of(server), RestrictToken(scopes=("inherit",), grants=("read:users!user",))
    )
    assert await asks(browser, server, "read:users!user") == ""
    assert await asks(browser, server, "tokens!user") == "invalid_scope"


async def test_what_was_worked_out_counts_instead_of_the_configuration(house: House):
    browser = await house.browser(config=with_(Spawner={"oauth_client_allowed_scopes": ["tokens!user"]}))
    await browser.log_in("ada")
    server = await house.start("ada")
    assert await asks(browser, server, "tokens!user") == ""
    await house.act(TOKENS, await house.token_of(server), RestrictToken(scopes=("inherit",), grants=()))
    assert await asks(browser, server, "tokens!user") == "invalid_scope"
