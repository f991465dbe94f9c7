"""Services: those of the configuration, and those that come and go at run time."""

from typing import Any

import pytest
from refusals import KEYS, Refused, row_id
from targets import Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEW = "POST /services/{new}"

REFUSED = [
    Refused("POST /services/web", {"info": {}}, (409, ...)),
    Refused("POST /services/{service}", {"info": {}}, (409, ["{service}"]), ("service",)),
    Refused(NEW, None, (400, ...)),
    Refused(NEW, {}, (400, ...)),
    Refused(NEW, [1], (400, ...)),
    Refused(NEW, {"frob": 1}, (400, KEYS)),
    Refused(NEW, {"display": "yes"}, (400, ...)),
    Refused(NEW, {"url": 1}, (400, ...)),
    Refused(NEW, {"command": ["sleep", "1"]}, (400, ["{new}"])),
    Refused(NEW, {"oauth_client_id": "odd"}, (400, ["{new}"])),
    Refused(NEW, {"api_token": "short"}, "a token of a service that is too short"),
    Refused(NEW, {"oauth_client_allowed_scopes": ["nonsense"]}, "an unknown scope of a service"),
    Refused(NEW, {"admin": True}, (400, ...)),
    Refused("DELETE /services/web", None, (405, ...)),
]


@pytest.mark.parametrize("row", REFUSED, ids=row_id)
async def test_is_refused(target: Target, row: Refused) -> None:
    await row.hold(target)


async def test_a_service_comes_and_goes(target: Target) -> None:
    name, token = target.fresh("service"), f"token-{target.fresh('of')}"
    body = {"url": target.page, "api_token": token, "info": {"a": 1}, "display": False, "oauth_no_confirm": True}
    answer = await target.api("POST", f"/services/{name}", body)
    assert answer.status == 201, answer
    shown = {"kind": "service", "name": name, "admin": False, "roles": [], "command": [], "pid": 0}
    shown |= {"url": target.page, "prefix": f"/services/{name}/", "info": {"a": 1}, "display": False}
    assert answer.json == await target.done("GET", f"/services/{name}") == shown
    assert (await target.done("GET", "/services"))[name] == shown
    mine = await target.done("GET", "/user", token=token)
    assert (mine["kind"], mine["name"], mine["scopes"]) == ("service", name, [])

    gone = await target.api("DELETE", f"/services/{name}")
    assert (gone.status, gone.text) == (200, "")
    assert (await target.api("GET", f"/services/{name}")).status == 404
    assert name not in await target.done("GET", "/services")
    assert (await target.api("GET", "/user", token=token)).status == 403


async def test_a_services_page_is_reached_through_the_proxy(target: Target) -> None:
    page = await target.ask("GET", "services/web/some/page")
    assert (page.status, page.text) == (200, "the page at /services/web/some/page")
    name = target.fresh("service")
    await target.done("POST", f"/services/{name}", {"url": target.page})
    await target.done("POST", "/proxy")
    assert (await target.ask("GET", f"services/{name}/")).text == f"the page at /services/{name}/"
    await target.api("DELETE", f"/services/{name}")
    left = (await target.ask("GET", f"services/{name}/")).status == 200
    assert left == target.answers("the route of a service that is gone")


@pytest.mark.parametrize("body", [{"info": {}}, {"display": True}, {"name": "another"}])
async def test_the_name_is_that_of_the_address(target: Target, body: dict[str, Any]) -> None:
    name = target.fresh("service")
    made = await target.done("POST", f"/services/{name}", body)
    assert (made["name"], made["url"], made["prefix"]) == (name, "", "")


async def test_services_of_the_configuration(target: Target) -> None:
    every = await target.done("GET", "/services")
    assert {"contract", "plain", "web", "reader"} <= set(every)
    web = {"kind": "service", "name": "web", "admin": False, "roles": [], "command": [], "pid": 0}
    web |= {"url": target.page, "prefix": "/services/web/", "info": {"colour": "red"}, "display": True}
    assert every["web"] == await target.done("GET", "/services/web") == web
    plain = {"url": "", "prefix": "", "info": {}, "roles": ["everything"]}
    assert every["contract"] == every["contract"] | plain


async def test_a_filtered_list(target: Target) -> None:
    token = await target.token("list:services!service=web", "list:services!service=plain")
    found = await target.done("GET", "/services", token=token)
    assert found == {name: {"kind": "service", "name": name, "admin": False} for name in ("plain", "web")}


@pytest.mark.parametrize("filter", ["user=root", "group=crew", "server=root/"])
async def test_a_list_filtered_by_other_things_is_empty(target: Target, filter: str) -> None:
    assert await target.done("GET", "/services", token=await target.token(f"list:services!{filter}")) == {}
