"""What the OpenAPI document says of the addresses that auth answers is what auth answers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import jsonschema
import msgspec
import pytest

from hubbub.testing.postgres import Database
from hubbub_api import oauth, openapi
from hubbub_api.tables import TABLES
from hubbub_auth.app import routes
from hubbub_auth.testing import PKCE, TOKEN, VERIFIER, Answer, Browser, House, RunningServer, code_for

DOCUMENT = openapi.document(TABLES, "/hub/")


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(stack, database)


@pytest.fixture
async def browser(house: House) -> Browser:
    return await house.browser()


@pytest.fixture
async def server(house: House, browser: Browser) -> RunningServer:
    await browser.log_in("ada")
    return await house.start("ada")


def as_described(answer: Answer, method: str, path: str) -> int:
    """The status of an answer that the document tells of, body and all."""
    told = DOCUMENT["paths"][path][method]["responses"][str(answer.status)]
    if "$ref" in told:
        told = DOCUMENT["components"]["responses"][told["$ref"].rpartition("/")[2]]
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if "content" in told:
        body: Any = msgspec.json.decode(answer.text) if kind == "application/json" else answer.text
        schema = {**told["content"][kind]["schema"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(body)
    else:
        assert answer.text == ""
    return answer.status


def test_auth_answers_at_these_addresses_and_no_others() -> None:
    there = {(route.method, route.path) for route in routes("/hub/") if route.path.startswith("/hub/api/")}
    described = {(endpoint.method, f"/hub/api{endpoint.path}") for endpoint in oauth.routes}
    assert described == {each for each in there if each[0] != "OPTIONS"}


async def test_authorize(house: House, browser: Browser, server: RunningServer) -> None:
    path = "/oauth2/authorize"
    stranger = await house.browser()
    assert as_described(await stranger.get(server.authorize()), "get", path) == 302
    assert as_described(await browser.get(server.authorize(**PKCE)), "get", path) == 302
    assert as_described(await browser.get(server.authorize(scope="nonsense")), "get", path) == 302
    assert as_described(await browser.get(server.authorize(client_id="nobody")), "get", path) == 400
    assert as_described(await browser.post(server.authorize(), {}), "post", path) == 403
    root = await house.browser()
    await root.log_in("root")
    page = await root.get(server.authorize())
    assert as_described(page, "get", path) == 200
    assert as_described(await root.post(server.authorize(), {"_xsrf": page.xsrf}), "post", path) == 302


async def test_token(browser: Browser, server: RunningServer) -> None:
    path = "/oauth2/token"
    fields = server.exchange(await code_for(browser, server, **PKCE), code_verifier=VERIFIER)
    given = await browser.post(TOKEN, fields)
    assert as_described(given, "post", path) == 200
    assert msgspec.json.decode(given.text, type=oauth.OAuthToken).token_type == "Bearer"
    assert as_described(await browser.post(TOKEN, fields), "post", path) == 400
    assert as_described(await browser.post(TOKEN, fields | {"client_secret": "wrong"}), "post", path) == 401
    assert as_described(await browser.post(f"{TOKEN}?a=b", fields), "post", path) == 400
    assert as_described(await browser.post(TOKEN, {"code": "x" * 100_000}), "post", path) == 400
