"""Asking for a code, as servers, services and browsers see it (contract, 4.2 and 4.3)."""

import json

import pytest

from hubbub_auth.testing import TOKEN, Browser, House, RunningServer, query, with_

SERVICE = {
    "name": "board",
    "api_token": "a-token-of-the-service",
    "oauth_redirect_uri": "https://board.example/callback",
    "oauth_client_allowed_scopes": ["read:users:activity!user", "list:users"],
}


async def test_a_stranger_logs_in_first_and_comes_back(house: House, browser: Browser, server: RunningServer):
    stranger = await house.browser()
    answer = await stranger.get(server.authorize())
    assert answer.status == 302
    assert answer.location.startswith("/hub/login?next=%2Fhub%2Fapi%2Foauth2%2Fauthorize%3Fclient_id%3D")
    assert (await stranger.log_in("ada", path=answer.location)).location == server.authorize()


async def test_a_session_id_that_the_browser_lost_comes_back_with_the_code(browser: Browser, server: RunningServer):
    session = browser.cookies["jupyterhub-session-id"]
    browser.forget("jupyterhub-session-id")
    await browser.get(server.authorize())
    assert browser.cookies["jupyterhub-session-id"] == session


FATAL = [
    {"client_id": "-"},
    {"client_id": ""},
    {"client_id": "jupyterhub"},
    {"client_id": "jupyterhub-user-nobody"},
    {"client_id": "\x00"},
    {"client_id": "x" * 5000},
    {"redirect_uri": "/user/ada/other"},
    {"redirect_uri": "https://evil.example/user/ada/oauth_callback"},
    {"redirect_uri": "//evil.example/user/ada/oauth_callback"},
    {"redirect_uri": "/user/ada/oauth_callback?x=1"},
    {"redirect_uri": "/user/ada/oauth_callback\n"},
    {"redirect_uri": ""},
]


@pytest.mark.parametrize("wrong", FATAL)
async def test_an_unknown_client_or_address_is_a_page_of_the_hub(browser: Browser, server: RunningServer, wrong):
    answer = await browser.get(server.authorize(**wrong))
    assert (answer.status, answer.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


async def test_a_parameter_given_twice_is_a_page_of_the_hub(browser: Browser, server: RunningServer):
    for name in ("client_id", "redirect_uri", "state", "scope"):
        twice = "&scope=identify&scope=identify" if name == "scope" else f"&{name}=x"
        assert (await browser.get(server.authorize() + twice)).status == 400


SENT_BACK = [
    ({"scope": "no:such:scope"}, "invalid_scope"),
    ({"scope": "read:users!planet=earth"}, "invalid_scope"),
    ({"scope": "admin:users"}, "invalid_scope"),
    ({"scope": "inherit"}, "invalid_scope"),
    ({"scope": "access:servers"}, "invalid_scope"),
    ({"response_type": "-"}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "none"}, "unauthorized_client"),
    ({"code_challenge": "x", "code_challenge_method": "S512"}, "invalid_request"),
]


@pytest.mark.parametrize(("wrong", "error"), SENT_BACK)
async def test_what_a_client_does_wrong_it_is_told(browser: Browser, server: RunningServer, wrong, error):
    answer = await browser.get(server.authorize(**wrong))
    told = query(answer.location)
    assert answer.status == 302
    assert answer.location.startswith("/user/ada/oauth_callback?")
    assert (told["error"], told["state"]) == (error, "s1")


async def test_identify_and_names_of_roles_are_understood(browser: Browser, server: RunningServer):
    assert "code" in query((await browser.get(server.authorize(scope="identify"))).location)
    assert "code" in query((await browser.get(server.authorize(scope="access:servers!server=ada/"))).location)
    assert query((await browser.get(server.authorize(scope="admin"))).location)["error"] == "invalid_scope"


async def test_a_way_back_that_is_too_long_is_forgotten(house: House, server: RunningServer):
    stranger = await house.browser()
    long = server.authorize(state="%" * 2000)
    assert (await stranger.get(long)).location == "/hub/login"
    assert (await stranger.log_in("ada", path="/hub/login")).status == 302
    assert query((await stranger.get(long)).location)["state"] == "%" * 2000


async def test_nobody_gets_into_the_server_of_somebody_else(house: House, browser: Browser, server: RunningServer):
    bob = await house.browser(address="198.51.100.1")
    await bob.log_in("bob")
    answer = await bob.get(server.authorize())
    assert (answer.status, "ada&#39;s server" in answer.text) == (403, True)


async def test_an_administrator_is_asked_once(house: House, browser: Browser, server: RunningServer):
    root = await house.browser(address="198.51.100.1")
    await root.log_in("root")
    page = await root.get(server.authorize())
    assert (page.status, "ada&#39;s server" in page.text) == (200, True)
    forged = await root.post(server.authorize(), {"_xsrf": "x"})
    assert forged.status == 403
    code = query((await root.post(server.authorize(), {"_xsrf": page.xsrf})).location)["code"]
    assert (await root.post(TOKEN, server.exchange(code))).status == 200
    assert (await root.get(server.authorize())).status == 302


@pytest.fixture
async def board(house: House) -> tuple[Browser, RunningServer]:
    """Somebody who may use the service, logged in, and the service as a client."""
    roles = [{"name": "reader", "scopes": ["access:services!service=board", "read:users:activity!user"]}]
    browser = await house.browser(config=with_({"services": [SERVICE], "load_roles": roles}))
    await browser.log_in("eve")
    await house.grant("reader", "eve")
    client = RunningServer(
        id="", client="service-board", secret=SERVICE["api_token"], redirect_uri=SERVICE["oauth_redirect_uri"]
    )
    return browser, client


async def test_a_service_gets_what_the_person_has_and_agrees_to(house: House, board):
    browser, client = board
    page = await browser.get(client.authorize())
    assert page.status == 200
    assert 'value="read:users:activity!user"' in page.text
    assert 'value="list:users"' not in page.text
    allowed = [("_xsrf", page.xsrf), ("scopes", "read:users:activity!user"), ("scopes", "admin:users")]
    answer = await browser.post(client.authorize(), allowed)
    assert answer.location.startswith("https://board.example/callback?code=")
    given = await browser.post(TOKEN, client.exchange(query(answer.location)["code"]))
    assert set(json.loads(given.text)["scope"].split()) == {
        "access:services!service=board",
        "read:users:activity!user",
        "read:users:name!user",
        "read:users:groups!user",
    }
    assert (await browser.get(client.authorize())).status == 302


async def test_a_role_stands_for_its_scopes(board):
    browser, client = board
    assert query((await browser.get(client.authorize(scope="reader unknown"))).location)["error"] == "invalid_scope"
    for wanted in ("reader", "identify reader"):
        page = await browser.get(client.authorize(scope=wanted))
        assert (page.status, 'value="read:users:activity!user"' in page.text) == (200, True)


async def test_more_than_was_agreed_to_before_is_asked_for(board):
    browser, client = board
    page = await browser.get(client.authorize(scope="identify"))
    answer = await browser.post(client.authorize(scope="identify"), {"_xsrf": page.xsrf})
    assert (await browser.post(TOKEN, client.exchange(query(answer.location)["code"]))).status == 200
    assert (await browser.get(client.authorize(scope="identify"))).status == 302
    assert (await browser.get(client.authorize(scope="read:users:activity!user"))).status == 200


async def test_a_role_that_was_lost_since_counts_at_once(house: House, board):
    browser, client = board
    await house.grant("reader", "eve", withdraw=True)
    assert (await browser.get(client.authorize())).status == 403


async def test_a_scope_that_is_not_ticked_is_not_given(board):
    browser, client = board
    page = await browser.get(client.authorize())
    answer = await browser.post(client.authorize(), {"_xsrf": page.xsrf})
    given = await browser.post(TOKEN, client.exchange(query(answer.location)["code"]))
    assert "activity" not in json.loads(given.text)["scope"]
    assert (await browser.get(client.authorize())).status == 200


async def test_a_service_that_one_may_not_use(house: House):
    browser = await house.browser(config=with_({"services": [SERVICE]}))
    await browser.log_in("ada")
    client = RunningServer(id="", client="service-board", secret="", redirect_uri=SERVICE["oauth_redirect_uri"])
    assert (await browser.get(client.authorize())).status == 403


async def test_a_service_that_the_operator_vouches_for_is_not_asked_about(house: House):
    services = [{**SERVICE, "oauth_no_confirm": True}]
    browser = await house.browser(config=with_({"services": services}))
    await browser.log_in("root")
    client = RunningServer(id="", client="service-board", secret="", redirect_uri=SERVICE["oauth_redirect_uri"])
    assert (await browser.get(client.authorize())).status == 302
