"""Everybody's servers on a host of their own (`c.JupyterHub.subdomain_host`), by JupyterHub's own classes."""

import json
import re
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from browser import Browser
from external import operators_words
from fronts import free_port
from resolving import browser
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "password-of-everyone"
#: Who has a server, and on which host.
HOSTS = {
    "ada": "ada.hub.test",
    "grün": "xn--grn-ioa.hub.test",
    "007": "u-007--629f4cf.hub.test",
}
WIKI = "http://wiki--service.hub.test/services/wiki/"
PATHS = {"ada": "/user/ada/", "grün": "/user/gr%C3%BCn/", "007": "/user/007/"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    command = [sys.executable, str(HERE / "managed_standin.py")]
    wiki = {"name": "wiki", "url": f"http://127.0.0.1:{free_port()}", "command": command, "oauth_no_confirm": True}
    environ = operators_words([wiki], [{"name": "readers", "users": ["ada"], "scopes": ["access:services"]}])
    data = tmp_path_factory.mktemp("subdomains") / "data"
    async with hub(data, config=HERE / "config_subdomains.py", environ=environ) as made:
        for name in HOSTS:
            await made.user(name)
            status, body = await made.api("POST", f"/users/{name}/server", {}, headers={"Prefer": "respond-async"})
            assert status in (201, 202), body
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(house: Hub) -> AsyncIterator[Browser]:
    async with browser(house, "http://hub.test/") as made:
        yield made


def server_of(name: str) -> str:
    return f"http://{HOSTS[name]}{PATHS[name]}"


async def raw(house: Hub, host: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """What the proxy answers if *host* is asked for, whoever has that."""
    sent = {"Host": host, **headers}
    async with house.session.get(house.url.rstrip("/") + path, headers=sent, allow_redirects=False) as response:
        return response.status, dict(response.headers), await response.text()


@pytest.mark.parametrize("name", HOSTS)
async def test_a_server_is_found_on_its_owners_host(house: Hub, name: str) -> None:
    assert (await house.ready(name))["url"] == server_of(name)
    server = (await house.model(name))["servers"][""]
    progress = f"/hub/api/users/{PATHS[name].split('/')[2]}/server/progress"
    assert (server["url"], server["full_url"]) == (server_of(name), server_of(name))
    assert (server["progress_url"], server["full_progress_url"]) == (progress, f"http://hub.test{progress}")
    _, routes = await house.api("GET", "/proxy")
    spec = f"{HOSTS[name]}{PATHS[name]}"
    assert routes[spec]["routespec"] == spec
    assert routes[spec]["data"]["user"] == name
    assert routes["/"]["data"]["hub"] is True


@pytest.mark.parametrize("name", HOSTS)
async def test_somebody_logs_in_at_the_hub_and_works_on_their_own_host(house: Hub, visitor: Browser, name: str) -> None:
    """From the server's address on: to the hub, through its login, and back."""
    await house.ready(name)
    status, page = await visitor.get(server_of(name))
    assert (status, visitor.url.raw_host, visitor.url.path) == (200, "hub.test", "/hub/login"), visitor.url
    status, page = await visitor.send(page, {"username": name, "password": PASSWORD})
    assert (status, visitor.url.raw_host) == (200, HOSTS[name]), (visitor.url, page)
    assert visitor.url.raw_path.startswith(PATHS[name])
    if name != "grün":
        assert json.loads(page)["name"] == name
    # The session is known on all hosts, the login only at the hub.
    kept = {cookie.key: cookie["domain"] for cookie in visitor.session.cookie_jar}
    assert kept["jupyterhub-session-id"] == "hub.test"
    assert kept[
        "jupyterhub-hub-login"
    ] == "hub.test" and "jupyterhub-hub-login" not in visitor.session.cookie_jar.filter_cookies(visitor.url)


async def test_pages_lead_to_the_owners_host(house: Hub, visitor: Browser) -> None:
    await house.ready("ada")
    await visitor.login("ada", PASSWORD)
    assert visitor.url.raw_host == "ada.hub.test"
    status, page = await visitor.get("http://hub.test/hub/home")
    assert status == 200 and f'href="{server_of("ada")}"' in page
    for start in (
        "/hub/",
        "/hub/spawn",
        "/hub/user/ada/",
        "/hub/spawn-pending/ada",
        "/hub/user-redirect/",
        "/user/ada/",
    ):
        await visitor.get(f"http://hub.test{start}")
        assert (visitor.url.raw_host, visitor.url.path) == ("ada.hub.test", "/user/ada/"), start
    status, _ = await visitor.get("http://hub.test/hub/logout")
    await visitor.get(server_of("ada"))
    assert (visitor.url.raw_host, visitor.url.path) == ("hub.test", "/hub/login")


async def test_who_comes_to_a_server_that_does_not_run_starts_it_at_the_hub(house: Hub, visitor: Browser) -> None:
    await visitor.login("dora", PASSWORD)
    mine = "http://dora.hub.test/user/dora/"
    await house.ready("dora")
    assert (await house.api("DELETE", "/users/dora/server"))[0] in (202, 204)

    async def stopped() -> bool:
        return bool((await house.model("dora"))["servers"][""]["stopped"])

    await eventually(stopped, 20, "it has stopped")
    status, page = await visitor.get(f"{mine}x")
    assert (status, visitor.url.host, visitor.url.path) == (424, "hub.test", "/hub/user/dora/x")
    status, page = await visitor.follow(page, "Start")
    assert status == 200 and visitor.url.host in ("hub.test", "dora.hub.test")
    await house.ready("dora")
    await visitor.get("http://hub.test/hub/spawn-pending/dora")
    assert str(visitor.url) == mine
    # A named one is below the same host.
    status, body = await house.api("POST", "/users/dora/servers/lab", {})
    assert status in (201, 202), body
    assert (await house.ready("dora", "lab"))["url"] == f"{mine}lab/"
    await visitor.get("http://hub.test/hub/user/dora/lab/x")
    assert str(visitor.url.with_query(None)) == f"{mine}lab/x"


async def test_a_service_has_a_host_of_its_own(house: Hub, visitor: Browser) -> None:
    status, page = await visitor.get(WIKI)
    assert status == 200
    env = json.loads(page)["env"]
    told = {
        name: env.get(f"JUPYTERHUB_{name}") for name in ("HOST", "PUBLIC_URL", "PUBLIC_HUB_URL", "OAUTH_CALLBACK_URL")
    }
    assert told == {
        "HOST": "http://hub.test",
        "PUBLIC_URL": WIKI,
        "PUBLIC_HUB_URL": "http://hub.test/hub/",
        "OAUTH_CALLBACK_URL": f"{WIKI}oauth_callback",
    }
    status, page = await visitor.get(f"{WIKI}whoami")
    assert (visitor.url.raw_host, visitor.url.path) == ("hub.test", "/hub/login")
    status, page = await visitor.send(page, {"username": "ada", "password": PASSWORD})
    assert (status, str(visitor.url.with_query(None))) == (200, f"{WIKI}whoami")
    assert json.loads(page)["name"] == "ada"
    _, routes = await house.api("GET", "/proxy")
    assert routes["wiki--service.hub.test/services/wiki/"]["data"]["service"] == "wiki"


async def test_what_a_server_is_told_of_its_host(house: Hub) -> None:
    await house.ready("007")
    [process] = [each for each in house.workloads() if each.environ()["JUPYTERHUB_USER"] == "007"]
    told, own = process.environ(), server_of("007")
    assert (told["JUPYTERHUB_HOST"], told["JUPYTERHUB_PUBLIC_URL"]) == ("http://hub.test", own)
    assert told["JUPYTERHUB_OAUTH_CALLBACK_URL"] == f"{own}oauth_callback"
    assert told["JUPYTERHUB_PUBLIC_HUB_URL"] == "http://hub.test/hub/"
    assert told["JUPYTERHUB_SERVICE_PREFIX"] == "/user/007/"


@pytest.mark.parametrize(
    "host",
    [
        "hub.test",
        "u-007--629f4cf.hub.test",
        "ada.hub.test.evil.test",
        "evil.test",
        "ada.evil.test",
        "xada.hub.test",
        "ada.ada.hub.test",
        "wiki--service.hub.test",
        "127.0.0.1",
        "ada.hub.test@evil.test",
        "evil.test/ada.hub.test",
    ],
)
async def test_a_server_answers_on_its_owners_host_alone(house: Hub, host: str) -> None:
    """The path of somebody on another host is nobody's server: the hub is asked, and sends people to its own host."""
    await house.ready("ada")
    status, headers, _ = await raw(house, host, "/user/ada/")
    assert (status, headers.get("Location")) in [(302, "http://hub.test/hub/user/ada/"), (400, None)], headers


async def test_on_somebodys_host_there_are_no_servers_of_others(house: Hub) -> None:
    for name in HOSTS:
        await house.ready(name)
    status, headers, _ = await raw(house, "ada.hub.test", PATHS["007"])
    assert (status, headers["Location"]) == (302, "http://hub.test/hub/user/007/")
    for host in ("ada.hub.test", "ada.hub.test:80"):
        status, headers, _ = await raw(house, host, "/user/ada/")
        assert status == 302 and re.match(r"(http://hub\.test)?/hub/api/oauth2/authorize\?", headers["Location"]), host


async def test_a_code_is_sent_to_the_owners_host_alone(house: Hub, visitor: Browser) -> None:
    """Not to the same path at the hub, nor to another's host."""
    await visitor.login("ada", PASSWORD)
    ask = "http://hub.test/hub/api/oauth2/authorize?client_id=jupyterhub-user-ada&response_type=code&state=s&redirect_uri="
    for back in (
        "/user/ada/oauth_callback",
        "http://hub.test/user/ada/oauth_callback",
        "http://u-007--629f4cf.hub.test/user/ada/oauth_callback",
        "https://ada.hub.test/user/ada/oauth_callback",
        "http://ada.hub.test.evil.test/user/ada/oauth_callback",
    ):
        async with visitor.session.get(ask + back, allow_redirects=False) as response:
            assert response.status == 400, back
    good = "http://ada.hub.test/user/ada/oauth_callback"
    async with visitor.session.get(ask + good, allow_redirects=False) as response:
        assert response.status == 302 and response.headers["Location"].startswith(f"{good}?code=")
