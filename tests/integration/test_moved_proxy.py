"""`PATCH /proxy` through a whole hub: the proxy is another one from then on, whatever begins anew."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from burst import settle_in, start
from own_proxy import OwnProxy, own_proxy
from stack import HERE, TOKEN, Hub, eventually, hub


@dataclass
class Place:
    """A hub with two apis behind `front`, which is what people reach; it leads to either of two proxies."""

    hub: Hub
    front: OwnProxy
    first: OwnProxy
    second: OwnProxy

    async def lead_to(self, proxy: OwnProxy) -> None:
        await self.front.ask("POST", "/", {"target": proxy.url.rstrip("/")})


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        front, first, second = [
            await stack.enter_async_context(own_proxy(f"token-of-{name}", tmp_path / f"{name}.log"))
            for name in ("front", "first", "second")
        ]
        await front.ask("POST", "/", {"target": first.url.rstrip("/")})
        said = {"TEST_PUBLIC_URL": front.url, "TEST_PROXY_API_URL": first.api_url, "TEST_PROXY_TOKEN": first.token}
        made = hub(tmp_path / "data", config=HERE / "config_moved.py", scale="api=2", environ=said)
        yield Place(await stack.enter_async_context(made), front, first, second)


def logs(it: Hub, service: str) -> str:
    return "".join(path.read_text() for path in (it.data / "log").glob(f"{service}-*.log"))


async def test_a_proxy_is_moved_for_good(place: Place) -> None:
    it, first, second = place.hub, place.first, place.second
    await settle_in(it, ["ada"])
    await start(it, "ada")
    for proxy in (first, second):
        await proxy.ask("POST", "/somebody/elses", {"target": "http://127.0.0.1:9"})
    assert await first.ours() == {"/", "/user/ada"}

    # The answer comes through the proxy that is left.
    moved = {"api_url": f"{second.api_url}/", "auth_token": second.token}
    assert await it.api("PATCH", "/proxy", moved) == (200, None)
    assert await second.ours() == {"/", "/user/ada"}
    assert await first.ours() == set()
    await place.lead_to(second)
    assert await it.standin("ada")
    assert await it.api("POST", "/proxy") == (200, None)

    # What happens next happens there.
    await settle_in(it, ["bob"])
    await start(it, "bob")
    assert await second.ours() == {"/", "/user/ada", "/user/bob"}

    # A new proxy-sync goes there, too.
    await it.api("DELETE", "/users/bob/server")
    it.kill("proxy-sync-1")
    await second.ask("DELETE", "/user/ada")
    await eventually(lambda: it.standin("ada"), 20, "the route to be there again")

    # And a new house, all of whose processes have begun anew.
    assert await it.stop() == 0
    await it.start()
    assert await second.ours() == {"/", "/user/ada"}
    assert await first.ours() == set()
    assert await it.standin("ada")
    for proxy in (first, second):
        assert "/somebody/elses" in await proxy.all()
    for service in ("api", "proxy-sync"):
        assert second.token not in logs(it, service)
        assert "proxy.moved" in logs(it, service)
    status, printed = await it.command("events", "--all", "--json")
    assert status == 0
    [moved] = [event for event in map(json.loads, printed.splitlines()) if event["type"] == "ProxyMoved"]
    assert moved["data"] == {"proxy": "proxy-sync-1", "api_url": second.api_url}
    assert moved["actor"]["kind"] == "service"
    assert second.token not in printed

    # And back, as it was.
    assert await it.api("PATCH", "/proxy", {"api_url": first.api_url, "auth_token": first.token}) == (200, None)
    assert await first.ours() == {"/", "/user/ada"}
    await place.lead_to(first)
    assert await it.standin("ada")


async def test_an_address_or_a_token_that_is_wrong_is_said_and_changes_nothing(place: Place) -> None:
    it, first, second = place.hub, place.first, place.second
    await settle_in(it, ["ada"])
    await start(it, "ada")
    for moved, named in (
        ({"auth_token": "a-wrong-token"}, "its address"),
        ({"api_url": second.api_url}, second.api_url),  # with the token of the first
        ({"api_url": "http://127.0.0.1:9", "auth_token": second.token}, "http://127.0.0.1:9"),
    ):
        problem = f"The proxy at {named} does not answer, or not to this token"
        assert await it.api("PATCH", "/proxy", moved) == (400, {"status": 400, "message": problem})
        assert await first.ours() == {"/", "/user/ada"}
    assert await second.ours() == set()
    it.kill("proxy-sync-1")
    await first.ask("DELETE", "/user/ada")
    await eventually(lambda: it.standin("ada"), 20, "the route to be there again")
    assert "a-wrong-token" not in logs(it, "proxy-sync") + logs(it, "api")


async def test_who_finds_no_route_has_it_mended_and_the_log_says_so(place: Place) -> None:
    it, proxy = place.hub, place.first
    await settle_in(it, ["ada"])
    await start(it, "ada")
    headers = {"Authorization": f"token {TOKEN}"}
    for count in range(1, 4):
        await proxy.ask("DELETE", "/user/ada")
        async with it.session.get(f"{it.url}user/ada/tree?x=1", headers=headers) as answer:
            assert (answer.status, "X-Standin" in answer.headers) == (200, True), await answer.text()

        async def is_told(count: int = count) -> bool:
            _, printed = await it.command("events", "--type", "RoutesCorrected", "--json")
            told = [json.loads(line)["data"] for line in printed.splitlines()]
            said = [(each["proxy"], each["reason"], each["count"]) for each in told]
            return said.count(("proxy-sync-1", "routes differ", 1)) == count

        await eventually(is_told, 10, "the log to say so")
    status, printed = await it.command("verify")
    assert status == 0, printed
