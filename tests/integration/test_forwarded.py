"""Where people are, and by which protocol, as a whole hub learns it through its own proxy and a balancer before it."""

import re
from collections.abc import AsyncIterator
from html import unescape
from http.cookies import SimpleCookie
from itertools import count
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from multidict import CIMultiDict
from yarl import URL

from stack import Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")
HERE = Path(__file__).parent
PASSWORD = "password-of-everyone"
PERSON, LIE = "203.0.113.7", "6.6.6.6"
FOR, REAL = "X-Forwarded-For", "X-Real-IP"
LIES = [
    [(FOR, LIE)],
    [(FOR, f"{LIE}, {LIE}"), (FOR, LIE)],
    [(REAL, LIE), ("Forwarded", f"for={LIE}"), ("True-Client-IP", LIE)],
    [("X-Hubbub-Client", LIE), ("X-Hubbub-Forward", "x")],
]
NAMES = (f"person-{number}" for number in count())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trusting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    async with hub(tmp_path_factory.mktemp("hub") / "data", config=HERE / "config_forwarded.py") as made:
        yield made


async def logged_in(house: Hub, *said: tuple[str, str]) -> tuple[str, aiohttp.ClientResponse]:
    """The name of somebody new, and what the hub answers to their form, if whoever hands it on has *said* that."""
    name, url = next(NAMES), URL(f"{house.url}hub/login")
    async with house.session.get(url, headers=CIMultiDict(said)) as page:
        found = re.search(r'name="_xsrf" value="([^"]+)"', await page.text())
    assert found
    headers = CIMultiDict([*said, ("Cookie", f"_xsrf={unescape(found[1])}")])
    fields = {"username": name, "password": PASSWORD, "_xsrf": unescape(found[1])}
    async with house.session.post(url, headers=headers, data=fields, allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
    return name, answer


async def seen_at(house: Hub, *said: tuple[str, str]) -> str:
    name, _ = await logged_in(house, *said)
    status, [session] = await house.api("GET", f"/users/{name}/sessions")
    assert status == 200
    return str(session["address"])


@pytest.mark.parametrize("said", LIES)
async def test_nobody_says_themselves_where_they_are(shared_house: Hub, said: list[tuple[str, str]]) -> None:
    """Through configurable-http-proxy, which hands on whatever it gets."""
    assert await seen_at(shared_house, *said) == "127.0.0.1"


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ([], "127.0.0.1"),
        ([(FOR, PERSON)], PERSON),
        ([(FOR, f"{LIE}, {PERSON}")], PERSON),
        ([(FOR, LIE), (FOR, PERSON)], PERSON),
        ([(FOR, f"{LIE}, {PERSON}, 10.1.2.3")], PERSON),
        ([(FOR, f"{LIE}, {PERSON}, 10.1.2.3"), (REAL, LIE)], PERSON),
        ([(FOR, "10.1.2.3"), (REAL, PERSON)], PERSON),
        ([(FOR, "2001:DB8::1"), (REAL, LIE)], "2001:db8::1"),
        (LIES[3], "127.0.0.1"),
    ],
)
async def test_a_trusted_balancer_says_where_people_are(trusting: Hub, said: list[tuple[str, str]], place: str) -> None:
    assert await seen_at(trusting, *said) == place


async def test_tls_that_ends_at_the_balancer_is_what_browsers_have(trusting: Hub) -> None:
    said = ("X-Forwarded-Proto", "https")
    for path in ("", "hub/", "hub/home", "user/ada/lab", "user/ada"):
        async with trusting.session.get(f"{trusting.url}{path}", headers=[said], allow_redirects=False) as answer:
            assert answer.headers["Location"].startswith("/"), path
    _, answer = await logged_in(trusting, said)
    given = {name: each for line in answer.headers.getall("Set-Cookie") for name, each in SimpleCookie(line).items()}
    assert {"__Host-jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf"} <= given.keys()
    assert all(each["secure"] for each in given.values())
    login = f"__Host-jupyterhub-hub-login={given['__Host-jupyterhub-hub-login'].coded_value}"
    for name, status in (("__Host-", 200), ("", 302)):
        headers = {"Cookie": name + login.removeprefix("__Host-")}
        async with trusting.session.get(f"{trusting.url}hub/home", headers=headers, allow_redirects=False) as answer:
            assert answer.status == status


async def test_servers_are_told_how_their_cookies_are_named(trusting: Hub) -> None:
    await trusting.user("ada")
    assert (await trusting.api("POST", "/users/ada/server"))[0] in (201, 202)
    await eventually(lambda: trusting.is_ready("ada"), 30, "ada's server is ready")
    server = await trusting.standin("ada")
    assert server and server["env"]["JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED"] == "1"
