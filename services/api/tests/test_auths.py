"""Auths as apis find them: which pages are theirs, and which never are, whatever they announce."""

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from hubbub.testing.eventually import eventually
from hubbub_api.forward import AUTHS


async def answer_to(house: Any, path: str, **more: Any) -> tuple[int, str]:
    answer = await house.ask(path, **more)
    return answer.status, await answer.text()


async def known(house: Any, path: str) -> None:
    """Wait until *path* (below the hub's prefix) is known to be an auth's."""
    auths = house.client.app[AUTHS]
    await eventually(lambda: any(auth.answers(path) for auth in auths._known))


async def test_what_is_announced_goes_there_and_back(house, auth):
    assert (await house.ask("/hub/oauth_callback?code=1")).status == 404
    await auth.announce("login", "oauth_callback")
    await known(house, "oauth_callback")
    auth.cookies = ["a=1; Path=/", "b=2; Path=/"]
    answer = await house.ask("/hub/oauth_callback?code=%2F&x", "", "POST", json={"a": "b"})
    assert (answer.status, await answer.json()) == (200, {"page": "/hub/oauth_callback"})
    assert answer.headers.getall("Set-Cookie") == auth.cookies
    assert auth.asked == [("POST", "/hub/oauth_callback?code=%2F&x", {"a": "b"})]
    assert "frame-ancestors" in answer.headers["Content-Security-Policy"]
    # Only to the letter.
    for near in ("oauth_callback/", "oauth_callback/x", "Oauth_callback", "x/oauth_callback"):
        assert (await house.ask(f"/hub/{near}")).status == 404
    assert len(auth.asked) == 1


async def test_pages_of_auths_come_before_ours(house, auth):
    await house.person("ada")
    assert (await house.ask("/hub/home", "ada")).content_type == "text/html"
    await auth.announce("home", patterns=(r"spawn/([^/]*)", "user/.*"))
    await known(house, "home")
    for path in ("home", "spawn/ada", "user/ada/x/y", "spawn/a%2Fb"):
        answer = await house.ask(f"/hub/{path}", "ada")
        assert (answer.status, answer.content_type) == (200, "application/json"), path
    assert (await house.ask("/hub/spawn/ada/two", "ada")).status == 302


OURS = [
    "api",
    "api/",
    "api/users",
    "api/info",
    "%61pi/users",
    "api%2Fusers",
    "health",
    "metrics",
    "api/metrics",
    "static/style.css",
    "static/nothing",
    "internal/refresh",
    "internal/credentials",
    "%69nternal/users",
    "internal%2Fusers",
    "internal",
    "internal/%0A",
]


async def test_some_pages_are_never_an_auths(house, auth):
    """`internal` above all: an auth believes there whatever comes from an api."""
    await auth.announce(*OURS, patterns=(".*", "(?s:.*)"))
    await known(house, "anything")
    for path in OURS:
        for method in ("GET", "POST"):
            await house.ask(f"/hub/{path}", "", method)
    assert auth.asked == []
    assert (await house.ask("/hub/anything/else")).status == 200
    # Nor is anything that is not the hub's.
    for path in ("/", "/hub", "/x", "/hubble", "/HUB/anything"):
        await house.ask(path)
    assert [path for _, path, _ in auth.asked] == ["/hub/anything/else"]


async def test_crooked_ways_into_auths_are_to_the_letter(house, auth):
    """What has dots and slashes in it arrives as it was sent: nobody makes another path of it on the way."""
    await auth.announce(patterns=(".*",))
    await known(house, "anything")
    crooked = ["x/../internal/users", "./internal/users", "/internal/users", "x/%2e%2e/internal/users", "x//internal/u"]
    for path in crooked:
        await house.ask(f"/hub/{path}", "", "POST", data=b"{}")
    assert [path for _, path, _ in auth.asked] == [f"/hub/{path}" for path in crooked]


async def test_each_goes_to_those_who_have_announced_it(house, auth, second):
    """As in a rolling restart with another configuration."""
    await auth.announce("login", "old")
    await second.announce("login", "new", patterns=("signup/.*", "("))
    await known(house, "old")
    await known(house, "new")
    for _ in range(8):
        assert (await house.ask("/hub/old")).status == (await house.ask("/hub/new")).status == 200
        assert (await house.ask("/hub/signup/x")).status == (await house.ask("/hub/login")).status == 200
    assert {path for _, path, _ in auth.asked} <= {"/hub/old", "/hub/login"}
    assert {path for _, path, _ in second.asked} <= {"/hub/new", "/hub/signup/x", "/hub/login"}
    assert len(auth.asked) + len(second.asked) == 32


async def test_one_that_remembers_is_asked_everything_as_long_as_it_runs(house, auth, second):
    """A form that one has made is not sent to another, which knows nothing of it."""
    for each in (auth, second):
        await each.announce("login", remembers=True)
    await eventually(lambda: len(house.client.app[AUTHS]._known) == 2)
    for _ in range(8):
        assert (await house.ask("/hub/login")).status == 200
    [first, other] = sorted((auth, second), key=lambda each: -len(each.asked))
    assert (len(first.asked), len(other.asked)) == (8, 0)
    await first.server.close()
    assert (await house.ask("/hub/login")).status == 200
    assert len(other.asked) == 1


async def test_without_any_auth_the_usual_pages_say_so(house, auth, database):
    for path in ("login", "logout", "api/oauth2/authorize", "api/oauth2/token"):
        status, text = await answer_to(house, f"/hub/{path}")
        assert status == 503 and "No login service is running" in text
    assert (await house.ask("/hub/oauth_callback")).status == 404
    await auth.announce("oauth_callback", greets=True)
    await known(house, "oauth_callback")
    await house.pool.execute("delete from instances")
    await house.pool.execute("notify instances")
    auths = house.client.app[AUTHS]
    await eventually(lambda: not auths._known)
    assert (await house.ask("/hub/oauth_callback")).status == 404
    assert auths.policy.greets  # the last one's word still counts


async def test_the_next_one_is_waited_for_when_the_last_one_has_just_gone(house, auth, second):
    """As in the restart of the only one: nobody is turned away."""
    await auth.announce("login")
    auths = house.client.app[AUTHS]
    await eventually(lambda: auths._known)
    await house.pool.execute("delete from instances")
    await house.pool.execute("notify instances")
    await eventually(lambda: not auths._known)
    asking = asyncio.create_task(house.ask("/hub/login"))
    await asyncio.wait({asking}, timeout=0.2)
    assert not asking.done()
    await second.announce("login")
    assert (await asyncio.wait_for(asking, 5)).status == 200
    assert len(second.asked) == 1


async def test_what_nobody_understands_is_passed_over(house, auth):
    await auth.announce("old")
    await house.pool.execute("insert into instances (name, service, about, seen_at) values ('x', 'auth', '[]', now())")
    await known(house, "old")
    assert (await house.ask("/hub/old")).status == 200


@pytest.fixture
async def second(auth, database):
    made = type(auth)(auth._pool)
    yield made
    assert isinstance(made.server, TestServer)
    await made.server.close()
