"""Hosts below the hub's, where somebody's server is that may plant cookies, send forms and be somewhere to go to.

After JupyterHub's advisories: cookies that are tossed from a subdomain, forms that are sent from there, open redirects.
"""

from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from aiohttp import ClientSession, DummyCookieJar
from classic_author import Travelled, Tutorials
from openid_round import at_provider, of_double
from visitor import FROM_HUB, HOST, Visitor

from hubbub_auth.login import EXPIRED
from hubbub_auth.testing import PASSWORD, Browser, House, with_

SUBDOMAINS = {"subdomain_host": f"https://{HOST}"}
PREFIXED = {"cookie_host_prefix_enabled": True}
LOGIN, SESSION, XSRF, DEVICE = "jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf", "hubbub-device"


@pytest.fixture
async def sessions() -> AsyncIterator[ClientSession]:
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield session


@pytest.fixture
async def visitors(house: House, sessions: ClientSession) -> Any:
    """Makes browsers that come from the same address by the same name, in front of one auth with these options."""
    auths: dict[str, Any] = {}

    async def visitor(*, config: Any = None, **hub: Any) -> Visitor:
        if (known := repr((config, hub))) not in auths:
            auths[known] = await house.auth(config or with_(hub))
        return Visitor(Browser(sessions, auths[known], "203.0.113.7"))

    return visitor


def attributes(morsel: Any) -> dict[str, str]:
    return {name: morsel[name] for name in ("path", "domain", "secure", "httponly") if morsel[name]}


# Cookies: whose they are -----------------------------------------------------------------------

EVERYWHERE = {"path": "/", "httponly": True}
OF_HUB = {"path": "/hub/", "httponly": True}
OF_HOST = {"path": "/", "httponly": True, "secure": True}
TLS = {"secure": True}


@pytest.mark.parametrize(
    ("hub", "prefix", "login", "session", "xsrf"),
    [
        ({"public_url": "http://hub.test/"}, "", OF_HUB, EVERYWHERE, {"path": "/hub/"}),
        ({}, "", OF_HUB | TLS, EVERYWHERE | TLS, {"path": "/hub/", **TLS}),
        (PREFIXED, "__Host-", OF_HOST, EVERYWHERE | TLS, {"path": "/hub/", **TLS}),
        (SUBDOMAINS, "", OF_HUB | TLS, EVERYWHERE | TLS | {"domain": "hub.test"}, {"path": "/hub/", **TLS}),
        (
            {**SUBDOMAINS, **PREFIXED, "tornado_settings": {"cookie_options": {"secure": False}}},
            "__Host-",
            OF_HOST,
            {"path": "/", "httponly": True, "domain": "hub.test"},
            {"path": "/hub/"},
        ),
    ],
    ids=["plain", "TLS", "prefix", "subdomains", "both"],
)
async def test_cookies_are_where_they_belong_and_go_from_there(visitors, hub, prefix, login, session, xsrf):
    """The session's id is for servers, too, wherever they are; all others are for the hub alone."""
    ada = await visitors(**hub)
    assert (await ada.log_in("ada")).status == 302
    places = {f"{prefix}{LOGIN}": login, f"{prefix}{DEVICE}": login, SESSION: session, XSRF: xsrf}
    assert {name: attributes(morsel) for name, morsel in ada.given.items()} == places
    assert await ada.is_somebody()
    gone = await ada.get("/hub/logout")
    cleared = {
        name: morsel for each in gone.headers.getall("Set-Cookie") for name, morsel in SimpleCookie(each).items()
    }
    for name in (f"{prefix}{LOGIN}", SESSION, XSRF):
        for attribute in ("path", "domain"):
            assert cleared[name][attribute] == places[name].get(attribute, ""), name
        assert (cleared[name]["max-age"], cleared[name].value) == ("0", "")
    assert not prefix or cleared[f"{prefix}{LOGIN}"]["secure"]  # or browsers would not look at it
    assert not await ada.is_somebody()


async def test_a_lost_session_id_comes_back_for_all_the_domain(visitors):
    ada = await visitors(**SUBDOMAINS)
    await ada.log_in("ada")
    session = ada.given.pop(SESSION)
    await ada.get("/hub/login")
    assert (ada.given[SESSION].value, attributes(ada.given[SESSION])) == (session.value, attributes(session))


async def test_a_login_at_no_host_of_ours_is_told_to_the_operator(visitors, capsys):
    ada = await visitors(**SUBDOMAINS)
    await ada.log_in("ada", headers={"Host": "www.test"})
    said = [line for line in capsys.readouterr().out.splitlines() if "auth.wrong_host" in line]
    assert len(said) == 1 and "www.test" in said[0]
    await (await visitors(**SUBDOMAINS)).log_in("ada")
    assert "auth.wrong_host" not in capsys.readouterr().out


# Cookies that a neighbour has planted ----------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
async def test_nobody_is_made_to_be_somebody_else_by_a_planted_login(visitors, first):
    """Browsers say nothing of where a cookie is from: of two good ones neither counts."""
    ada, mallory = await visitors(**SUBDOMAINS), await visitors(**SUBDOMAINS)
    await ada.log_in("ada")
    await mallory.log_in("mallory")
    ada.planted_first = first
    ada.planted = [(LOGIN, '"2|1:0|forged"'), (LOGIN, '""'), *[pair for pair in ada.own if pair[0] == LOGIN]]
    assert await ada.is_somebody()
    ada.planted = [pair for pair in mallory.own if pair[0] == LOGIN]
    assert not await ada.is_somebody()
    ada.planted = []
    assert await ada.is_somebody()


@pytest.mark.parametrize("first", [True, False])
async def test_with_the_prefix_a_planted_login_is_not_looked_at(visitors, first):
    """None of that name can be planted."""
    plain, ada, mallory = [await visitors(**SUBDOMAINS), *[await visitors(**SUBDOMAINS, **PREFIXED) for _ in "12"]]
    await plain.log_in("mallory")
    await ada.log_in("ada")
    await mallory.log_in("mallory")
    session, ada.planted_first = ada.given[SESSION].value, first
    [value] = [value for name, value in mallory.own if name.endswith(LOGIN)]
    ada.planted = [(LOGIN, value), *[pair for pair in plain.own if pair[0] == LOGIN]]
    ada.given.pop(SESSION)
    assert await ada.is_somebody()
    assert ada.given[SESSION].value == session
    stranger = await visitors(**SUBDOMAINS, **PREFIXED)
    stranger.planted = ada.planted
    assert not await stranger.is_somebody()
    [signed_for_another_name] = [value for name, value in plain.own if name == LOGIN]
    stranger.planted = [(f"__Host-{LOGIN}", signed_for_another_name)]
    assert not await stranger.is_somebody()


@pytest.mark.parametrize("first", [True, False])
async def test_a_planted_session_id_and_form_token_open_no_form_and_close_none_for_good(house: House, visitors, first):
    ada, mallory = await visitors(**SUBDOMAINS), await visitors(**SUBDOMAINS)
    await ada.log_in("ada")
    await mallory.log_in("mallory")
    ada.planted_first = first
    ada.planted = [pair for pair in mallory.own if pair[0] in (SESSION, XSRF)]
    for _, token in ada.planted:
        fields = {"username": "mallory", "password": PASSWORD, "_xsrf": token}
        assert (await ada.send("POST", "/hub/login", FROM_HUB, data=fields)).status == 403
    # Whatever the browser sends along, the next form that she opens is one that she can send.
    form = await ada.send("POST", "/hub/login", FROM_HUB, data={"username": "ada", "password": PASSWORD})
    fields = {"username": "ada", "password": PASSWORD, "_xsrf": form.xsrf}
    assert (await ada.send("POST", "/hub/login", FROM_HUB, data=fields)).status == 302
    await ada.get("/hub/logout")
    people = await (await house.pool()).fetch("select u.name from sessions s join users u on u.id = s.user_id")
    assert [row["name"] for row in people] == ["mallory"]


# Forms that a neighbour sends ------------------------------------------------------------------

FOREIGN = [
    {"Origin": "https://mallory.hub.test:8443", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://mallory.hub.test:8443"},
    {"Origin": "http://mallory.hub.test:1234"},
    {"Origin": "https://a.b.HUB.test"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_nobody_is_logged_in_by_a_form_of_a_neighbours(house: House, visitors, headers):
    """Whose token is as good as anybody's behind the same address, and is planted together with the form."""
    mallory, victim = await visitors(**SUBDOMAINS), await visitors(**SUBDOMAINS)
    token = (await mallory.get("/hub/login")).xsrf
    victim.planted = [(XSRF, token)]
    fields = {"username": "mallory", "password": PASSWORD, "_xsrf": token}
    refused = await victim.send("POST", "/hub/login", headers, data=fields)
    assert (refused.status, EXPIRED in refused.text) == (403, True)
    assert not await (await house.pool()).fetch("select 1 from sessions")
    assert (await victim.send("POST", "/hub/login", FROM_HUB, data=fields)).status == 302


@pytest.mark.parametrize("headers", [{}, {"Origin": "null"}, {"Origin": "https://proxy.inside"}, FROM_HUB], ids=str)
async def test_whoever_says_nothing_of_a_neighbour_can_log_in(visitors, headers):
    """A proxy may have changed the Host, which the Origin is then none of."""
    ada = await visitors(**SUBDOMAINS)
    assert (await ada.log_in("ada", headers={"X-Nothing": "", **headers})).status == 302


@pytest.mark.parametrize("headers", [*FOREIGN, FROM_HUB], ids=str)
async def test_forms_of_a_classic_authenticator_are_not_sent_by_neighbours_either(visitors, headers):
    config = {"JupyterHub": {"authenticator_class": Tutorials, **SUBDOMAINS}, "Authenticator": {"allow_all": True}}
    ada = await visitors(config=config)
    fields = {"username": "ada", "password": "right", "_xsrf": (await ada.get("/hub/login")).xsrf}
    sent = await ada.send("POST", "/hub/login", headers, data=fields)
    assert sent.status == (302 if headers == FROM_HUB else 403)
    assert await ada.is_somebody() == (headers == FROM_HUB)


# Where to go -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [
        ("https://ada.hub.test:8443/user/ada/lab?x=1", "/user/ada/lab?x=1"),
        ("https://hub.test:8443/hub/home", "/hub/home"),
        ("https://mallory.hub.test:8443//evil.example/", "/evil.example/"),
        ("https://evil-hub.test:8443/", "/hub/"),
        ("https://hub.test:8443@evil.example/", "/hub/"),
        ("https://mallory.hub.test:8443@evil.example/", "/hub/"),
        ("https://mallory.hub.test:8443\\@evil.example/", "/hub/"),
        ("https://mallory.hub.test/", "/hub/"),
        ("https://evil.example/.hub.test:8443/", "/hub/"),
    ],
)
async def test_a_login_leads_to_the_hub_or_by_it_to_a_host_below(visitors, wanted, led_to):
    """As a path: the hub knows whose host it is, and who may go there."""
    kinds = ({"authenticator_class": "dummy"}, {"authenticator_class": Tutorials})
    for kind in kinds:
        config = with_({**SUBDOMAINS, **kind}, Authenticator={"allow_all": True})
        ada = await visitors(config=config)
        path = f"/hub/login?next={quote(wanted, safe='')}"
        fields = {"username": "ada", "password": PASSWORD if kind == kinds[0] else "right"}
        answer = await ada.send("POST", path, FROM_HUB, data={**fields, "_xsrf": (await ada.get(path)).xsrf})
        assert (answer.status, answer.location) == (302, led_to), kind


async def test_a_login_elsewhere_comes_back_to_the_hub_whatever_host_it_began_at(visitors, double):
    """With a cookie of the host, if that is wanted."""
    section = of_double(double)
    section["JupyterHub"] |= {**SUBDOMAINS, **PREFIXED}
    ada = await visitors(config=section)
    there = await ada.get("/hub/oidc_login", headers={"Host": "mallory.hub.test:8443", "X-Forwarded-Proto": "http"})
    asked = parse_qs(urlsplit(there.location).query)
    assert asked["redirect_uri"] == [f"https://{HOST}/hub/oidc_callback"]
    [(name, morsel)] = ada.given.items()
    assert name.startswith("__Host-hubbub-login-")
    assert attributes(morsel) == OF_HOST
    back = urlsplit(await at_provider(there.location))
    assert (await ada.get(f"{back.path}?{back.query}")).status == 302
    assert ada.given[name]["max-age"] == "0" and attributes(ada.given[name]) == OF_HOST
    assert await ada.is_somebody()


# What authenticators of others know of it --------------------------------------------------------


async def test_a_classic_authenticator_knows_where_it_is(visitors):
    hub = {**SUBDOMAINS, **PREFIXED, "trusted_downstream_ips": ["10.0.0.1"], "authenticator_class": Travelled}
    ada = await visitors(config={"JupyterHub": hub, "Authenticator": {"allow_all": True}})
    assert (await ada.get("/hub/around")).json == {
        "subdomain_host": f"https://{HOST}",
        "domain": "hub.test",
        "same": True,
        "public_url": f"https://{HOST}/",
        "public_host": f"https://{HOST}",
        "cookie": f"__Host-{LOGIN}",
        "trusted": ["10.0.0.1"],
    }
    seen = (await ada.get("/hub/seen", headers={"Host": "inside:8081", "X-Forwarded-Proto": "http"})).json
    assert (seen["protocol"], seen["host"]) == ("https", HOST)
    await ada.get("/hub/begin?id=1")
    await ada.get("/hub/back?id=1")
    assert attributes(ada.given[f"__Host-{LOGIN}"]) == OF_HOST
    assert attributes(ada.given[SESSION])["domain"] == "hub.test"
    assert await ada.is_somebody()
    await ada.get("/hub/logout")
    assert not await ada.is_somebody()


@pytest.mark.parametrize(
    ("header", "host"), [("X-Forwarded-Host", "hub.example"), ("", "inside"), ("X-Original-Host", "inside")]
)
async def test_a_proxy_that_asks_for_another_host_can_say_so(visitors, header, host):
    hub = {"forwarded_host_header": header, "authenticator_class": Travelled}
    ada = await visitors(config={"JupyterHub": hub, "Authenticator": {"allow_all": True}})
    said = {"Host": "inside", "X-Forwarded-Host": "hub.example", "X-Forwarded-Proto": "https"}
    gone = await ada.get("/hub/begin?id=1", headers=said)
    assert gone.location.endswith(f"?back=https://{host}/hub/back")
    await ada.get(f"/hub/begin?id=2&next=https://{host}/hub/home", headers=said)
    assert (await ada.get("/hub/back?id=2", headers=said)).status == 302
