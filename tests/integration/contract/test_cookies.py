"""The API for a browser that has logged in: what it has to send against forgery."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from targets import TOKEN, Browser, Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

CORS = {"Sec-Fetch-Mode": "cors"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(target: Target) -> AsyncIterator[Browser]:
    async with await target.login("cora") as made:
        yield made


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Mode": "websocket"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_reading_without_the_xsrf_token_goes(browser: Browser, headers: dict[str, str]) -> None:
    answer = await browser.ask("GET", "hub/api/user", headers=headers)
    assert (answer.status, answer.json["name"], answer.json["token_id"]) == (200, "cora", None)


@pytest.mark.parametrize("headers", [CORS, {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"}])
async def test_reading_by_a_script_needs_the_xsrf_token(browser: Browser, headers: dict[str, str]) -> None:
    answer = await browser.ask("GET", "hub/api/user", headers=headers)
    assert (answer.status, answer.message) == (403, "'_xsrf' argument missing from GET")
    for good in ({"X-XSRFToken": browser.xsrf}, {"X-CSRFToken": browser.xsrf}):
        assert (await browser.ask("GET", "hub/api/user", headers=headers | good)).status == 200
    assert (await browser.ask("GET", f"hub/api/user?_xsrf={browser.xsrf}", headers=headers)).status == 200


@pytest.mark.parametrize(
    "call",
    ["POST users/cora/tokens", "POST users/cora/activity", "DELETE users/cora/server", "PUT groups/g/properties"],
)
async def test_changing_anything_needs_the_xsrf_token(browser: Browser, call: str) -> None:
    method, path = call.split()
    answer = await browser.ask(method, f"hub/api/{path}")
    assert (answer.status, answer.message) == (403, f"'_xsrf' argument missing from {method}")
    wrong = await browser.ask(method, f"hub/api/{path}", headers={"X-XSRFToken": "wrong"})
    assert (wrong.status, wrong.message) == (403, f"XSRF cookie does not match {method} argument")


@pytest.mark.parametrize("kind", [None, "application/json", "application/json; charset=utf-8"])
async def test_a_post_with_it_goes(browser: Browser, kind: str | None) -> None:
    headers = {"X-XSRFToken": browser.xsrf} | ({"Content-Type": kind} if kind else {})
    answer = await browser.ask("POST", "hub/api/users/cora/tokens", headers=headers, data=b"{}")
    assert answer.status == 201, answer


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_post_of_a_form_is_nobodys(browser: Browser, kind: str) -> None:
    headers = {"X-XSRFToken": browser.xsrf, "Content-Type": kind}
    answer = await browser.ask("POST", "hub/api/users/cora/server", headers=headers, data=b"")
    assert (answer.status, answer.message) == (403, "Missing or invalid credentials.")


async def test_a_delete_with_it_goes(browser: Browser) -> None:
    answer = await browser.ask("DELETE", "hub/api/users/cora/server", headers={"X-XSRFToken": browser.xsrf})
    assert answer.status == 204, answer


async def test_a_token_needs_none_and_goes_before_the_cookie(browser: Browser) -> None:
    answer = await browser.ask("GET", "hub/api/user", headers=CORS | {"Authorization": f"token {TOKEN}"})
    assert (answer.status, answer.json["name"]) == (200, "contract")
    name = browser.target.fresh("user")
    answer = await browser.ask("POST", f"hub/api/users/{name}", headers={"Authorization": f"token {TOKEN}"})
    assert answer.status == 201


async def test_a_wrong_token_leaves_the_cookie(browser: Browser) -> None:
    answer = await browser.ask("GET", "hub/api/user", headers={"Authorization": "token wrong"})
    assert (answer.status, answer.json["name"]) == (200, "cora")


async def test_nobody_is_told_of_no_token(target: Target) -> None:
    answer = await target.api("POST", "/users/cora/server", token=None)
    assert (answer.status, answer.message) == (403, "Missing or invalid credentials.")
    cross = await target.api("POST", "/users/cora/server", token=None, headers={"Origin": "https://elsewhere.example"})
    assert (cross.status, cross.message) == (403, "'_xsrf' argument missing from POST")


async def test_the_token_is_bound_to_the_login(target: Target, browser: Browser) -> None:
    async with await target.login("cyril") as other:
        assert other.xsrf != browser.xsrf
        answer = await browser.ask("GET", "hub/api/user", headers=CORS | {"X-XSRFToken": other.xsrf})
        assert answer.status == 403
