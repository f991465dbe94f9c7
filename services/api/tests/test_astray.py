"""Pages of the hub that are asked for at a host below it, where somebody's server is; what proxies say of requests."""

from typing import Any

import pytest
from tornado.web import create_signed_value

from hubbub.testing.eventually import eventually
from hubbub.web import cookies
from hubbub.web.request import GATE
from hubbub_api.forward import AUTHS

HUB = "https://hub.test:8443"
SUBDOMAINS = {"subdomain_host": HUB, "allow_named_servers": True}
BELOW = pytest.mark.parametrize("options", [SUBDOMAINS], indirect=True)
MALLORY = {"Host": "mallory.hub.test:8443", "X-Forwarded-Proto": "https"}
PREFIX = pytest.mark.parametrize("options", [{"cookie_host_prefix_enabled": True}], indirect=True)
LOGIN = f"__Host-{cookies.LOGIN}"


def going(answer: Any) -> tuple[int, str]:
    return answer.status, answer.headers.get("Location", "")


@pytest.fixture
async def announced(auth: Any, house: Any) -> None:
    await auth.announce("login", "logout", "oidc_login")
    await eventually(lambda: house.client.app[AUTHS]._known)


PAGES = [
    "/hub/login?next=%2Fx",
    "/hub/logout",
    "/hub/oidc_login",
    "/hub/home",
    "/hub/spawn",
    "/hub/spawn/mallory?x=%2F",
    "/hub/api/oauth2/authorize?client_id=x",
    "/hub/user/mallory/lab",
    "/hub/nothing",
    "/hub//evil.example/",
    "/hub/api-docs",
]


@BELOW
@pytest.mark.parametrize("host", ["mallory.hub.test:8443", "MALLORY.Hub.Test", "a.b.hub.test:1", "x.hub.test:"])
async def test_pages_are_shown_at_the_hubs_own_address_alone(house, auth, announced, host):
    """A page of the hub is not to be read, or typed into, under the eyes of somebody else's."""
    await house.person("ada")
    for path in PAGES:
        for who in ("", "ada"):
            answer = await house.ask(path, who, headers=MALLORY | {"Host": host})
            assert going(answer) == (302, HUB + path)
            assert "Set-Cookie" not in answer.headers
    assert going(await house.ask("/hub/%6cogin", headers=MALLORY)) == (302, f"{HUB}/hub/%6cogin")
    assert going(await house.ask("/hub/home", method="HEAD", headers=MALLORY)) == (302, f"{HUB}/hub/home")
    assert not auth.asked


@BELOW
async def test_what_is_sent_there_is_refused(house, auth, announced):
    await house.person("ada")
    for path in ("/hub/login", "/hub/spawn", "/hub/api/oauth2/authorize", "/hub/user/mallory/x"):
        for who in ("", "ada"):
            answer = await house.ask(path, who, method="POST", data={"x": "y"}, headers=MALLORY)
            assert answer.status == 403, path
    assert not auth.asked


@BELOW
async def test_what_is_no_page_is_answered_at_any_host(house):
    await house.person("ada")
    token = await house.token("ada")
    assert (await house.ask("/hub/api/user", token=token, headers=MALLORY)).status == 200
    for path in ("/hub/health", "/hub/api/", "/hub/static/api.js", "/hub/error/503"):
        assert going(await house.ask(path, headers=MALLORY))[1] == "", path


@BELOW
@pytest.mark.parametrize("host", ["hub.test:8443", "hub.test", "127.0.0.1:8081", "inside", "evil-hub.test", "["])
async def test_every_other_host_is_where_it_always_was(house, auth, announced, host):
    """People may come by another name, and servers by the hub's inner address."""
    assert (await house.ask("/hub/login", headers={"Host": host})).status == 200
    assert [path for _, path, _ in auth.asked] == ["/hub/login"]


@BELOW
async def test_addresses_of_a_server_lead_to_the_hub(house):
    assert going(await house.ask("/user/ada/lab?x=1", headers=MALLORY)) == (302, f"{HUB}/hub/user/ada/lab?x=1")
    assert going(await house.ask("/", headers=MALLORY)) == (302, f"{HUB}/hub/")


@pytest.mark.parametrize("options", [{}, {"public_url": "https://hub.test/"}], indirect=True)
async def test_without_subdomains_every_host_is_the_hubs(house, auth, announced):
    assert (await house.ask("/hub/login", headers=MALLORY)).status == 200


# What proxies say ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "begins"),
    [
        ({"X-Forwarded-Proto": "https"}, "https://hub.example/"),
        ({"X-Forwarded-Proto": "https,http"}, "https://hub.example/"),
        ({"X-Scheme": "https"}, "https://hub.example/"),
        ({"X-Forwarded-Proto": "javascript:alert(1)//"}, "http://hub.example/"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}, "https://hub.example/"),
    ],
)
async def test_the_next_page_is_at_the_address_that_this_one_was_asked_for_at(house, headers, begins):
    for name in ("ada", "bob"):
        await house.person(name, admin=True)
    token = await house.token("ada")
    headers = {"Host": "hub.example", "Accept": "application/jupyterhub-pagination+json", **headers}
    page = await (await house.ask("/hub/api/users?limit=1", token=token, headers=headers)).json()
    assert page["_pagination"]["next"]["url"].startswith(f"{begins}hub/api/users?")


async def test_redirects_keep_the_scheme_and_host_that_only_the_browser_knows(house):
    """TLS ends in front of us, and nobody has told us."""
    for path in ("/", "/hub", "/hub/", "/hub/home", "/user/ada/", "/user/ada"):
        assert (await house.ask(path, headers={"Host": "inside:8081"})).headers["Location"].startswith("/"), path


# Cookies of the host alone ---------------------------------------------------------------------


@PREFIX
async def test_a_login_is_known_by_the_name_that_its_cookie_has(house, auth, announced):
    await house.person("ada", admin=True)
    key, secret = house.client.app[GATE].cookie_secret, "secret-of-ada"
    good = create_signed_value(key, LOGIN, secret).decode()
    old = create_signed_value(key, cookies.LOGIN, secret).decode()
    for name, value, known in ((LOGIN, good, True), (cookies.LOGIN, old, False), (LOGIN, old, False)):
        answer = await house.ask("/hub/api/user", headers={"Cookie": f'{name}="{value}"'})
        assert (answer.status == 200) == known, name
    token, place = await house.token("ada"), "/hub/api/authorizations/cookie"
    assert (await house.ask(f"{place}/{LOGIN}", token=token, data=good)).status == 200
    assert (await house.ask(f"{place}/{LOGIN}", token=token, data=old)).status == 404
    assert (await house.ask(f"{place}/{cookies.LOGIN}", token=token, data=old)).status == 404
