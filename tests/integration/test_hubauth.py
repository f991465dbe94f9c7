"""Services that know people by JupyterHub's own classes, unmodified: by their tokens, and in a browser."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from yarl import URL

from browser import Browser
from external import Service, hub_with
from stack import Hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXTRA = "read:users:activity!user"
BOARD = Service("board", "oauth", {"oauth_client_allowed_scopes": [EXTRA]})
TRUSTED = Service("trusted", "oauth", {"oauth_no_confirm": True}, {"JUPYTERHUB_ALLOW_TOKEN_IN_URL": "1"})
WHOAMI = Service("whoami", "token")
SERVICES = (BOARD, TRUSTED, WHOAMI)
#: "eve" is the one who may use no service.
ROLES = [
    {"name": "board-users", "users": ["ada", "bob", "cleo", "dora"], "scopes": ["access:services!service=board"]},
    {"name": "everywhere", "users": ["ada", "cleo"], "scopes": ["access:services"]},
    {"name": "colleague", "services": ["board"], "scopes": ["access:services!service=whoami"]},
]
PASSWORD = "password-of-everyone"
ASKING = "/hub/api/oauth2/authorize"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    async with hub_with(tmp_path_factory.mktemp("services") / "data", SERVICES, ROLES) as made:
        for name in ("ada", "bob", "cleo", "dora", "eve"):
            await made.user(name)
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def browser(house: Hub) -> AsyncIterator[Browser]:
    async with Browser(house.url) as made:
        yield made


# By token ---------------------------------------------------------------------------------


async def token(house: Hub, name: str, scopes: list[str] | None = None) -> str:
    asked = {} if scopes is None else {"scopes": scopes}
    status, made = await house.api("POST", f"/users/{name}/tokens", asked)
    assert status == 201, made
    found: str = made["token"]
    return found


async def visit(house: Hub, service: Service, query: str = "", **headers: str) -> tuple[int, Any]:
    """Status and what the service says of the visitor (None if it refuses); redirects are not followed."""
    url = f"{house.url.rstrip('/')}{service.prefix}{query}"
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with house.session.get(url, headers=names, allow_redirects=False) as response:
        return response.status, await response.json() if response.status == 200 else None


@pytest.mark.parametrize("scheme", ["token", "Bearer"])
async def test_a_token_says_who_somebody_is(house: Hub, scheme: str) -> None:
    """Their own token lets people in, and the service learns what the hub would tell the token."""
    made = await token(house, "ada")
    status, model = await visit(house, WHOAMI, Authorization=f"{scheme} {made}")
    assert status == 200
    assert (model["name"], model["kind"], model["admin"], model["groups"]) == ("ada", "user", False, [])
    assert {"access:services", "servers!user=ada"} <= set(model["scopes"]) - {"self"}
    _, tokens = await house.api("GET", "/users/ada/tokens")
    assert model["token_id"] in [each["id"] for each in tokens["api_tokens"]]


async def test_a_token_that_is_let_in_needs_no_more_than_that(house: Hub) -> None:
    scopes = ["access:services!service=whoami"]
    made = await token(house, "ada", scopes)
    status, model = await visit(house, WHOAMI, Authorization=f"token {made}")
    assert status == 200 and model["name"] == "ada"
    assert set(scopes) <= set(model["scopes"])
    assert (await visit(house, TRUSTED, Authorization=f"token {made}"))[0] == 403


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("eve", None),  # has no access
        ("bob", None),  # has access to another service
        ("ada", []),  # has access, and left it at home
        ("ada", ["read:users!user=ada"]),
        ("ada", ["access:services!service=board"]),
    ],
)
async def test_a_person_without_access_is_refused(house: Hub, name: str, scopes: list[str] | None) -> None:
    made = await token(house, name, scopes)
    assert (await visit(house, WHOAMI, Authorization=f"token {made}"))[0] == 403


@pytest.mark.parametrize("header", ["", "token", "token no-such-token", "Basic YWRhOmFkYQ==", "token " + "x" * 65])
async def test_nobody_is_refused(house: Hub, header: str) -> None:
    given = {"Authorization": header} if header else {}
    assert (await visit(house, WHOAMI, **given))[0] == 403


async def test_a_service_is_known_by_its_own_token(house: Hub) -> None:
    status, model = await visit(house, WHOAMI, Authorization=f"token {BOARD.token}")
    assert status == 200
    assert (model["name"], model["kind"]) == ("board", "service")
    assert (await visit(house, WHOAMI, Authorization=f"token {TRUSTED.token}"))[0] == 403


async def test_a_token_in_the_address_counts_where_the_service_allows_it(house: Hub) -> None:
    """Nowhere by default but on websockets; and never for the hub itself."""
    query = f"?token={await token(house, 'ada')}"
    assert (await visit(house, WHOAMI, query))[0] == 403
    assert (await visit(house, WHOAMI, query, Sec_Fetch_Mode="websocket"))[0] == 200
    assert (await visit(house, TRUSTED, query))[0] == 200
    assert (await visit(house, BOARD, query))[0] == 302
    async with house.session.get(f"{house.url}hub/api/user{query}") as response:
        assert response.status == 403


async def test_a_revoked_token_is_refused_by_whoever_has_not_seen_it_yet(house: Hub) -> None:
    """The client asks once in five minutes and session; that is its own affair."""
    made = await token(house, "ada")
    status, model = await visit(house, WHOAMI, Authorization=f"token {made}")
    assert status == 200
    status, _ = await house.api("DELETE", f"/users/ada/tokens/{model['token_id']}")
    assert status == 204
    elsewhere = {"Authorization": f"token {made}", "Cookie": "jupyterhub-session-id=another"}
    assert (await visit(house, WHOAMI, **elsewhere))[0] == 403


# In a browser -----------------------------------------------------------------------------


async def log_in(browser: Browser, name: str) -> None:
    await browser.login(name, PASSWORD)
    assert browser.cookie("jupyterhub-session-id", "/")


async def open_page(browser: Browser, service: Service) -> tuple[int, str]:
    return await browser.get(str(browser.base.with_path(service.prefix)))


async def agree(browser: Browser, scopes: list[str]) -> tuple[int, str]:
    """Submit the form that the browser shows, with these ticked."""
    fields = [("_xsrf", browser.cookie("_xsrf")), *(("scopes", each) for each in scopes)]
    async with browser.session.post(browser.url, data=fields) as response:
        browser.url = response.url
        return response.status, await response.text()


def is_asked(browser: Browser) -> bool:
    return browser.url.path == ASKING


async def test_a_stranger_logs_in_and_agrees_once(house: Hub, browser: Browser) -> None:
    status, page = await open_page(browser, BOARD)
    assert (status, browser.url.path) == (200, "/hub/login")
    assert ASKING in str(browser.url.query["next"])
    fields = {"username": "ada", "password": PASSWORD, "_xsrf": browser.cookie("_xsrf")}
    async with browser.session.post(browser.url, data=fields) as response:
        browser.url, status, page = response.url, response.status, await response.text()
    assert status == 200 and is_asked(browser), browser.url
    assert "board" in page and EXTRA in re.findall(r'name="scopes" value="([^"]+)"', page)

    status, page = await agree(browser, [EXTRA])
    assert (status, browser.url.path) == (200, BOARD.prefix)
    model = json.loads(page)
    assert model["name"] == "ada"
    assert model["session_id"] == browser.cookie("jupyterhub-session-id", "/")
    assert {"access:services!service=board", "read:users:activity!user=ada"} <= set(model["scopes"])
    assert not [each for each in model["scopes"] if each.startswith("servers")]

    # What the service was told is in its own cookie: the hub is not needed for the next page.
    async with browser.session.get(browser.url, allow_redirects=False) as response:
        assert response.status == 200
    # And who has agreed is not asked again, in another browser either.
    browser.session.cookie_jar.clear(lambda cookie: cookie.key == "service-board")
    status, page = await open_page(browser, BOARD)
    assert (status, browser.url.path) == (200, BOARD.prefix)
    assert json.loads(page)["token_id"] != model["token_id"]
    async with Browser(house.url) as another:
        await log_in(another, "ada")
        status, page = await open_page(another, BOARD)
        assert (status, another.url.path) == (200, BOARD.prefix)


async def test_what_was_not_ticked_is_not_given(house: Hub, browser: Browser) -> None:
    await log_in(browser, "dora")
    await open_page(browser, BOARD)
    assert is_asked(browser)
    status, page = await agree(browser, [])
    assert status == 200
    assert not [each for each in json.loads(page)["scopes"] if each.startswith("read:users:activity")]
    # So asking for it is asking anew.
    async with Browser(house.url) as another:
        await log_in(another, "dora")
        await open_page(another, BOARD)
        assert is_asked(another)


async def test_a_service_that_the_operator_vouches_for_does_not_ask(browser: Browser) -> None:
    await log_in(browser, "ada")
    async with browser.session.get(browser.base.with_path(TRUSTED.prefix)) as response:
        passed = [each.url.path for each in response.history]
        assert (response.status, response.url.path) == (200, TRUSTED.prefix)
        assert (await response.json())["name"] == "ada"
    assert passed == [TRUSTED.prefix, ASKING, f"{TRUSTED.prefix}oauth_callback"]
    assert all(each.method == "GET" for each in response.history)


@pytest.mark.parametrize(("name", "service"), [("eve", BOARD), ("eve", TRUSTED), ("bob", TRUSTED)])
async def test_the_hub_sends_nobody_on_who_may_not_go_there(browser: Browser, name: str, service: Service) -> None:
    await log_in(browser, name)
    status, page = await open_page(browser, service)
    assert (status, browser.url.path) == (403, ASKING) and "permission" in page
    assert not browser.cookie(f"service-{service.name}", service.prefix)


async def test_a_client_that_asks_for_too_much_hears_of_it(browser: Browser) -> None:
    """The service's own error page, not the hub's: RFC 6749, 4.1.2.1."""
    await log_in(browser, "ada")
    query = {"client_id": "service-board", "response_type": "code", "scope": "admin:users", "state": "s"}
    query["redirect_uri"] = f"{BOARD.prefix}oauth_callback"
    status, _ = await browser.get(str(browser.base.with_path(ASKING).with_query(query)))
    assert (status, browser.url.path) == (400, f"{BOARD.prefix}oauth_callback")
    assert (browser.url.query["error"], browser.url.query["state"]) == ("invalid_scope", "s")


async def test_a_form_of_the_service_is_safe_from_others(browser: Browser) -> None:
    """Its XSRF token is made of the hub's session id and the token: both have to arrive as they were given."""
    await log_in(browser, "ada")
    status, page = await open_page(browser, TRUSTED)
    assert status == 200
    url = browser.base.with_path(TRUSTED.prefix)
    async with browser.session.post(url, data={}, allow_redirects=False) as response:
        assert response.status == 403
    async with browser.session.post(url, data={"_xsrf": json.loads(page)["xsrf"]}) as response:
        assert (response.status, (await response.json())["name"]) == (200, "ada")


async def test_logging_out_of_the_hub_is_logging_out_of_the_services(house: Hub, browser: Browser) -> None:
    """Though they remember for minutes who has which token: they remember it of a session."""
    await log_in(browser, "cleo")
    await open_page(browser, BOARD)
    await agree(browser, [EXTRA])
    tokens = {}
    for service in (BOARD, TRUSTED):
        status, page = await open_page(browser, service)
        assert status == 200, page
        tokens[service.name] = json.loads(page)["token_id"]
    async with Browser(house.url) as elsewhere:
        await log_in(elsewhere, "cleo")
        assert (await open_page(elsewhere, TRUSTED))[0] == 200

        await browser.get("/hub/logout")
        for service in (BOARD, TRUSTED):
            assert browser.cookie(f"service-{service.name}", service.prefix)  # the token in it is worth nothing now
            await open_page(browser, service)
            assert browser.url.path == "/hub/login", service
        _, left = await house.api("GET", "/users/cleo/tokens")
        assert not {each["id"] for each in left["api_tokens"]} & set(tokens.values())

        status, page = await open_page(elsewhere, TRUSTED)
        assert (status, json.loads(page)["name"]) == (200, "cleo")


async def test_a_code_is_worth_nothing_to_another_service(house: Hub, browser: Browser) -> None:
    await log_in(browser, "ada")
    query = {"client_id": "service-trusted", "response_type": "code", "state": "s"}
    query["redirect_uri"] = f"{TRUSTED.prefix}oauth_callback"
    asked = browser.base.with_path(ASKING).with_query(query)
    async with browser.session.get(asked, allow_redirects=False) as response:
        code = URL(response.headers["Location"]).query["code"]
    status, answer = await redeem(house, BOARD, code)
    assert (status, answer["error"]) == (400, "invalid_grant")
    status, answer = await redeem(house, TRUSTED, code, secret=BOARD.token)
    assert (status, answer["error"]) == (401, "invalid_client")
    status, answer = await redeem(house, TRUSTED, code)
    assert (status, answer["token_type"]) == (200, "Bearer")
    status, answer = await redeem(house, TRUSTED, code)
    assert (status, answer["error"]) == (400, "invalid_grant")


async def redeem(house: Hub, service: Service, code: str, secret: str = "") -> tuple[int, Any]:
    form = {
        "client_id": f"service-{service.name}",
        "client_secret": secret or service.token,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": f"{service.prefix}oauth_callback",
    }
    async with house.session.post(f"{house.url}hub/api/oauth2/token", data=form) as response:
        return response.status, await response.json()
