"""A whole house below `/jü lab/100%/@+x/`: routes, links, cookies and redirects all mean one and the same place."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from browser import Browser
from external import operators_words
from fronts import free_port
from stack import CONTAINERS, HERE, Hub, hub, started

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "password-of-everyone"
BASE = "/j%C3%BC%20lab/100%25/@%2Bx/"
#: The same as others may write it.
VARIANTS = ["/j%c3%bc%20lab/100%25/@%2bx/", "/j%C3%BC%20lab/100%25/%40+x/", "/%6a%C3%BC%20lab/%31%300%25/@+x/"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    command = started("managed_standin.py")
    host = "spawner-worker" if CONTAINERS else "127.0.0.1"  # where the one that starts it is
    wiki = {"name": "wiki", "url": f"http://{host}:{free_port()}", "command": command, "oauth_no_confirm": True}
    words = operators_words([wiki], [{"name": "readers", "users": ["ada"], "scopes": ["access:services"]}])
    data = tmp_path_factory.mktemp("odd") / "data"
    async with hub(data, config=HERE / "config_odd_base.py", environ={**words, "BASE_URL": BASE}) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(house: Hub) -> AsyncIterator[Browser]:
    async with Browser(house.url) as made:
        yield made


async def moved(house: Hub, path: str, method: str = "GET") -> tuple[int, str]:
    url = house.session._build_url(house.url).with_path(path, encoded=True)
    async with house.session.request(method, url, allow_redirects=False) as response:
        return response.status, response.headers.get("Location", "")


async def test_the_house_says_where_it_is(house: Hub) -> None:
    assert house.url.endswith(BASE)
    status, model = await house.api("GET", "/users?limit=1")
    assert status == 200, model
    assert await moved(house, BASE.rstrip("/")) == (302, f"{BASE}hub/")
    assert await moved(house, "/") == (302, f"{BASE}hub/")
    assert await moved(house, f"{BASE}tree") == (302, f"{BASE}hub/tree")
    assert await moved(house, f"{BASE}hub") == (301, f"{BASE}hub/")


async def test_a_person_works_there(house: Hub, visitor: Browser) -> None:
    status, page = await visitor.login("ada", PASSWORD)
    assert status == 200, page
    await house.ready("ada")
    server = (await house.model("ada"))["servers"][""]
    assert server["url"] == f"{BASE}user/ada/"
    assert server["progress_url"] == f"{BASE}hub/api/users/ada/server/progress"
    _, routes = await house.api("GET", "/proxy")
    assert {BASE, f"{BASE}user/ada/"} <= routes.keys()

    status, page = await visitor.get(f"{BASE}user/ada/x")
    assert (status, visitor.url.raw_path) == (200, f"{BASE}user/ada/x")
    assert json.loads(page)["name"] == "ada"
    for start in ("hub/", "hub/spawn", "hub/user-redirect/x", "hub/user/ada/x"):
        await visitor.get(f"{BASE}{start}")
        assert visitor.url.raw_path.startswith(f"{BASE}user/ada/"), start
    status, page = await visitor.get(f"{BASE}hub/home")
    assert status == 200 and f"{BASE}user/ada/" in page

    status, page = await visitor.get(f"{BASE}services/wiki/whoami")
    assert (status, visitor.url.raw_path) == (200, f"{BASE}services/wiki/whoami")
    assert json.loads(page)["name"] == "ada"
    kept = {(cookie.key, cookie["path"]) for cookie in visitor.session.cookie_jar}
    assert {("jupyterhub-hub-login", f"{BASE}hub/"), ("_xsrf", f"{BASE}hub/"), ("jupyterhub-session-id", BASE)} <= kept

    await visitor.get(f"{BASE}hub/logout")
    assert visitor.url.raw_path == f"{BASE}hub/login"
    await visitor.get(f"{BASE}user/ada/x")
    assert visitor.url.raw_path == f"{BASE}hub/login"


async def test_jupyterhubs_own_server_works_there(house: Hub, visitor: Browser) -> None:
    await visitor.login("grün", PASSWORD)
    await house.ready("grün")
    status, page = await visitor.get(f"{BASE}user/gr%C3%BCn/lab")
    assert (status, visitor.url.raw_path) == (200, f"{BASE}user/gr%C3%BCn/lab"), page
    assert "jupyter-config-data" in page


@pytest.mark.parametrize("variant", VARIANTS)
async def test_another_way_to_write_it_leads_to_the_one(house: Hub, visitor: Browser, variant: str) -> None:
    """Cookies are sent along to the one alone."""
    assert await moved(house, f"{variant}hub/home") == (302, f"{BASE}hub/home")
    assert await moved(house, f"{variant}hub/user/ada/x%2Fy") == (302, f"{BASE}hub/user/ada/x%2Fy")
    assert await moved(house, f"{variant}tree") == (302, f"{BASE}tree")
    await visitor.get(f"{variant}hub/login")
    assert visitor.url.raw_path == f"{BASE}hub/login"


async def test_the_api_is_guarded_there_as_anywhere(house: Hub, visitor: Browser) -> None:
    """A page of another site cannot have a browser write, however it spells the address."""
    await visitor.login("ada", PASSWORD)
    for base in (BASE, *VARIANTS, "/j~C3~BC~20lab/100~25/@~2Bx/"):
        url = visitor.base.with_path(f"{base}hub/api/users/ada/tokens", encoded=True)
        login = visitor.cookie("jupyterhub-hub-login", f"{BASE}hub/")
        sent = {"Cookie": f"jupyterhub-hub-login={login}", "Sec-Fetch-Site": "cross-site", "Origin": "http://evil.test"}
        async with house.session.post(url, json={}, headers=sent) as response:
            assert response.status in (403, 405), (base, await response.text())
