"""The OpenAPI document says what is routed, what it needs, and nothing else; the page shows all of it."""

import re
from html.parser import HTMLParser
from itertools import count
from typing import Any

import jsonschema
import msgspec
import pytest
import schemathesis

from hubbub.access import Identity
from hubbub.domain.scope_tree import BUILT_IN
from hubbub.web.request import GATE
from hubbub_api import openapi
from hubbub_api.endpoint import Endpoint
from hubbub_api.tables import TABLES

PREFIX = "/hub/api"
ENDPOINTS = [endpoint for table in TABLES for endpoint in table]
DOCUMENT = openapi.document(TABLES, "/hub/")
OPERATIONS = {
    (method.upper(), path): operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def title(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


# What is in it ------------------------------------------------------------------------


async def test_what_is_routed_is_described_and_what_is_described_is_routed(house):
    routed = set()
    for route in house.client.server.app.router.routes():
        path = route.resource.canonical
        if route.method != "*" and (path == PREFIX or path.startswith(f"{PREFIX}/")):
            routed.add((route.method, path.removeprefix(PREFIX) or "/"))
    assert OPERATIONS.keys() == routed


def test_it_is_an_openapi_document():
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.validate()
    assert [each.ok().label for each in schema.get_all_operations()]
    for component in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(component)


def test_every_reference_leads_somewhere():
    text = msgspec.json.encode(DOCUMENT).decode()
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', text)):
        found: Any = DOCUMENT
        for name in reference.split("/"):
            found = found[name]
        assert found


def test_all_that_clients_choose_between_has_a_name_of_its_own():
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))
    assert {"get_users", "post_users_user_servers_name", "get"} <= set(ids)
    assert not [name for name in DOCUMENT["components"]["schemas"] if not name.isidentifier()]


def test_nothing_is_left_undescribed():
    assert not [title(each) for each in ENDPOINTS if not each.handler.__doc__]
    assert {each.tag for each in ENDPOINTS} == {tag["name"] for tag in DOCUMENT["tags"]}
    schemas = DOCUMENT["components"]["schemas"]
    assert not [name for name, schema in schemas.items() if not schema.get("description")]
    parameters = [given for operation in OPERATIONS.values() for given in operation.get("parameters", ())]
    assert not [given for given in parameters if not given.get("description") and "$ref" not in given]


def test_scopes_that_are_needed_are_scopes_that_there_are():
    needed = {scope for each in ENDPOINTS for scope in each.scopes}
    assert needed <= BUILT_IN.keys()
    assert OPERATIONS["GET", "/users"]["x-scopes"] == ["list:users"]
    assert "`list:users`" in OPERATIONS["GET", "/users"]["description"]


# What the handlers do -----------------------------------------------------------------


@pytest.fixture
def pretending(house, monkeypatch):
    """Whoever asks is a service with the scopes that its token is made of."""

    async def by_token(token: str) -> Identity:
        scopes = frozenset(token.split(",")) - {"none"}
        return Identity(kind="service", name="tester", token_stream="tester", scopes=scopes)

    monkeypatch.setattr(house.client.server.app[GATE].access, "by_token", by_token)
    return house


NUMBERS = count()
REFUSED_BY_A_PAGE = ("/metrics",)


async def refusal(house, endpoint: Endpoint, token: str) -> str:
    """What is said of scopes, about things that nothing has been done with before; empty if there are enough."""
    path = re.sub(r"{\w+(?::[^{}]*)?}", lambda _: f"new{next(NUMBERS)}", endpoint.path)
    body = {} if endpoint.method == "GET" else {"json": {}}
    answer = await house.ask(f"{PREFIX}{path}", method=endpoint.method, token=token, **body)
    if answer.status != 403 or endpoint.path in REFUSED_BY_A_PAGE:
        return ""
    message = (await answer.json())["message"] or ""
    return message if "requires any of" in message else ""


async def test_each_scope_that_is_said_to_be_enough_is(pretending):
    asked = [(endpoint, scope) for endpoint in ENDPOINTS for scope in endpoint.scopes]
    refused = [(title(endpoint), scope) for endpoint, scope in asked if await refusal(pretending, endpoint, scope)]
    assert not refused


async def test_without_any_scope_those_that_are_said_to_be_enough_are_named(pretending):
    start = "Action is not authorized with current scopes; requires any of "
    expected = {title(each): f"{start}[{', '.join(each.scopes)}]" if each.scopes else "" for each in ENDPOINTS}
    # JupyterHub says there, too, whose token it is that may not be made.
    expected["POST /users/{user}/tokens"] = ""
    expected |= {f"GET {path}": "" for path in REFUSED_BY_A_PAGE}
    found = {title(each): await refusal(pretending, each, "none") for each in ENDPOINTS if each.tag != "oauth2"}
    assert {name: expected[name] for name in found} == found


# How it is served ---------------------------------------------------------------------


async def test_anybody_may_read_it_and_read_it_again(house):
    first = await house.ask(f"{PREFIX}/openapi.json")
    assert (first.status, first.content_type) == (200, "application/json")
    assert await first.json() == DOCUMENT
    again = await house.ask(f"{PREFIX}/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    other = await house.ask(f"{PREFIX}/openapi.json", headers={"If-None-Match": '"other"'})
    assert other.status == 200
    await house.person("ada")
    by_script = {"Sec-Fetch-Mode": "cors"}
    assert (await house.ask(f"{PREFIX}/openapi.json", "ada", headers=by_script)).status == 200


class Page(HTMLParser):
    """The anchors of a page, where its links lead, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])

    def handle_data(self, data):
        self.text += data


async def test_the_page_shows_all_of_it(house):
    answer = await house.ask("/hub/api-docs")
    assert answer.status == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    page = Page(await answer.text())
    assert len(page.ids) == len(set(page.ids))
    assert {operation["operationId"] for operation in OPERATIONS.values()} <= set(page.ids)
    assert {f"schema-{name}" for name in DOCUMENT["components"]["schemas"]} <= set(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert "script" not in page.tags
    assert "`" not in page.text  # code is shown as code
    for words in ("Lists the users whom the asker may list", "read:users!group=staff", "unless told: 86400"):
        assert words in page.text
    assert (await house.ask("/hub/api-docs", "")).headers["Cache-Control"] == "no-store"


async def test_the_page_shows_who_has_logged_in(house):
    await house.person("ada")
    assert "ada" in Page(await (await house.ask("/hub/api-docs", "ada")).text()).text
