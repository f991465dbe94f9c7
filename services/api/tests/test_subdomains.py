"""With `c.JupyterHub.subdomain_host`: full addresses, routes with hosts, and an operator's hook that fails."""

from typing import Any

import msgspec
import pytest

from hubbub.route_messages import WantRoutes
from hubbub_api.testing import Worker
from hubbub_api.wanted import WantedRoutes


def hook(name: str, domain: str, kind: str) -> str:
    """There is none for those whose names begin with an x; it is asked once for all others."""
    if name.startswith("x"):
        raise LookupError("a secret of the operator's")
    return f"{kind}-{name}.{domain}"


SAID = {
    "subdomain_host": "https://hub.test:8443",
    "subdomain_hook": hook,
    "base_url": "/lab/",
    "allow_named_servers": True,
    "services": [{"name": "board", "url": "http://10.0.0.9"}],
}
WITH_SUBDOMAINS = pytest.mark.parametrize("options", [SAID], indirect=True)
ADAS = "https://user-ada.hub.test:8443/lab/user/ada/"


@pytest.fixture
async def root(house) -> str:
    await house.person("ada")
    await house.person("root", admin=True)
    return await house.token("root")


async def json_of(house, path: str, token: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    answer = await house.ask(f"/lab/hub/api{path}", token=token, method=method, **more)
    return answer.status, await answer.json() if await answer.read() else None


@WITH_SUBDOMAINS
async def test_a_server_has_the_address_of_its_owners_host(house, root):
    await house.server("ada", "one")
    _, model = await json_of(house, "/users/ada?include_stopped_servers", root)
    for name, place in (("", ADAS), ("one", f"{ADAS}one/")):
        server = model["servers"][name]
        assert (server["url"], server["full_url"]) == (place, place)
        assert server["progress_url"].startswith("/lab/hub/api/users/ada/server")
        assert server["full_progress_url"] == f"https://hub.test:8443{server['progress_url']}"


@WITH_SUBDOMAINS
async def test_a_share_has_it_too(house, root):
    await house.server("ada", "")
    _, code = await json_of(house, "/share-codes/ada/", root, "POST", json={"scopes": ["access:servers"]})
    assert (code["server"]["url"], code["server"]["full_url"]) == (ADAS, ADAS)
    assert code["full_accept_url"].startswith("https://hub.test:8443/lab/hub/accept-share?code=")


@WITH_SUBDOMAINS
async def test_a_page_leads_there(house, root):
    page = await (await house.ask("/lab/hub/home", who="ada", headers={"Host": "hub.test:8443"})).text()
    assert ADAS in page


async def wanted(house, options, *servers: str) -> dict[str, Any]:
    asked = msgspec.json.encode(WantRoutes(servers=servers or None))
    found = await WantedRoutes(house.pool, options).routes("hub.rpc.routes.proxy.p", asked)
    return {route.spec: route.data for route in found.wanted}


@WITH_SUBDOMAINS
async def test_routes_have_hosts_but_for_the_hubs_which_is_everybodys(house, root, options):
    server, _ = await Worker(house).runs("ada")
    found = await wanted(house, options)
    assert found.keys() >= {"/", "service-board.hub.test/lab/services/board/"}
    assert found["/"] == {"hub": True}
    [spec] = await wanted(house, options, server)
    assert spec.startswith("user-ada.hub.test/")


@pytest.mark.parametrize("options", [{"hub_routespec": "/lab/hub", "base_url": "/lab/"}], indirect=True)
async def test_the_hub_may_have_less_than_everything(house, options):
    assert await wanted(house, options) == {"/lab/hub/": {"hub": True}}


@WITH_SUBDOMAINS
async def test_whose_host_is_not_known_costs_nobody_else_a_route(house, root, options):
    await house.person("xavier")
    ada, _ = await Worker(house).runs("ada")
    xavier, _ = await Worker(house).runs("xavier")
    assert [data["user"] for data in (await wanted(house, options, ada, xavier)).values()] == ["ada"]
    assert (await json_of(house, "/proxy", root))[0] == 200


@WITH_SUBDOMAINS
async def test_what_nobody_could_reach_is_not_started(house, root):
    """Nothing has changed, and what the hook said is in the log alone."""
    await house.person("xavier")
    count = "select position from log_head"
    before = await house.pool.fetchval(count)
    status, answer = await json_of(house, "/users/xavier/servers/one", root, "POST", json={})
    assert status == 500
    assert "no subdomain for servers of xavier" in answer["message"] and "secret" not in answer["message"]
    page = await house.ask("/lab/hub/spawn/xavier", who="root", headers={"Host": "hub.test:8443"})
    assert page.status == 500
    assert await house.pool.fetchval(count) == before


@WITH_SUBDOMAINS
async def test_lists_are_shown_all_the_same(house, root):
    await house.person("xavier")
    await house.server("xavier", "one")
    status, model = await json_of(house, "/users/xavier?include_stopped_servers", root)
    assert (status, model["servers"]["one"]["url"]) == (200, "/lab/user/xavier/one/")


@WITH_SUBDOMAINS
async def test_a_service_without_a_host_is_not_registered(house, root):
    said = {"url": "http://10.0.0.9"}
    assert (await json_of(house, "/services/xboard", root, "POST", json=said))[0] == 400
    assert (await json_of(house, "/services/xboard", root))[0] == 404


@pytest.mark.parametrize("options", [{"base_url": "/jü lab/", "allow_named_servers": True}], indirect=True)
async def test_an_odd_base_url_is_one_place(house, root):
    base = "/j%C3%BC%20lab/"
    for way in (base, "/j%c3%bc%20lab/", "/%6A%C3%BC%20lab/"):
        answer = await house.ask(f"{way}hub/api/users/ada?include_stopped_servers", token=root)
        assert (await answer.json())["servers"][""]["url"] == f"{base}user/ada/"
        page = await house.ask(f"{way}hub/home?a=1", who="ada")
        assert (page.status, page.headers.get("Location")) in [(200, None), (302, f"{base}hub/home?a=1")]
        assert (page.status == 200) == (way == base)


@pytest.mark.parametrize("options", [{"base_url": "/jü lab/"}], indirect=True)
@pytest.mark.parametrize("base", ["/j%C3%BC%20lab/", "/j%c3%bc%20lab/", "/j~C3~BC~20lab/"])
async def test_a_write_is_guarded_however_the_address_is_spelt(house, base):
    """What is declared for the API is guarded as the API is, also at another way to write its address."""
    await house.person("ada")
    path, headers = f"{base}hub/api/users/ada/tokens", {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.test"}
    login = {"User-Agent": "another browser", **headers}  # so that the XSRF token is worth nothing
    answer = await house.ask(path, who="ada", method="POST", json={}, headers=login)
    assert answer.status in (403, 405)
    assert await house.pool.fetchval("select count(*) from tokens") == 0
