"""The routes of a real HAProxy."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from haproxy_rig import Yard, ask, in_time, upstream, watched

from hubbub_proxy_sync.proxies import RouteRefused
from hubbub_proxy_sync.proxies.haproxy import HAProxy
from hubbub_proxy_sync.proxies.haproxy.keys import key_of
from hubbub_proxy_sync.proxies.haproxy.runtime import Runtime
from hubbub_proxy_sync.proxies.site import Hub

pytestmark = pytest.mark.system

ODD = [
    "/",
    "/user/ada/",
    "/user/ada/lab/",
    "/user/a%20b/",
    "/user/%C3%A9l%C3%A8ve/",
    "/user/~ada@example.org/",
    "/user/a%2520b/",
    "/user/100%25/",
    "/user/a%3Fb%23c/",
    "/user/%5C/",
    "/user/a%2Bb/",
    "/services/announce/",
    f"/user/{'%F0%9F%A6%8A' * 255}/{'x' * 200}/",
]


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    made = Yard(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def proxy(yard: Yard) -> HAProxy:
    made = yard.driver()
    await made.start()
    return made


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


# Routes -------------------------------------------------------------------------------------


async def test_every_route_is_found_as_it_was_set_and_can_be_deleted(proxy: HAProxy) -> None:
    for number, spec in enumerate(ODD):
        await proxy.add_route(spec, f"http://127.0.0.1:{number + 1}", {"user": "ada;|\n \u00e9", "attempt": number})
    found = await proxy.get_all_routes()
    assert {spec: f"http://127.0.0.1:{number + 1}" for number, spec in enumerate(ODD)} == {
        spec: route["target"] for spec, route in found.items()
    }
    assert [*range(len(ODD))] == [found[spec]["data"]["attempt"] for spec in ODD]
    assert {"ada;|\n \u00e9"} == {route["data"]["user"] for route in found.values()}
    for spec in ODD:
        await proxy.delete_route(spec)
    assert await proxy.get_all_routes() == {}


async def test_adding_replaces_and_deleting_nothing_is_no_error(proxy: HAProxy) -> None:
    await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
    await proxy.add_route("/user/ada", "http://127.0.0.1:2", {})
    assert [route["target"] for route in (await proxy.get_all_routes()).values()] == ["http://127.0.0.1:2"]
    await proxy.delete_route("/user/bob/")
    assert await proxy.answers()


async def test_a_route_that_means_another_one_is_never_sent(proxy: HAProxy) -> None:
    with pytest.raises(ValueError, match="cannot be routed"):
        await proxy.add_route("/user/../", "http://127.0.0.1:1", {})
    assert await proxy.get_all_routes() == {}


async def test_thousands_are_set_and_removed_together(proxy: HAProxy) -> None:
    specs = [f"/user/u{number:05}/" for number in range(2000)]
    wanted = [{"routespec": spec, "target": "http://127.0.0.1:9", "data": {"attempt": 1}} for spec in specs]
    assert await proxy.change_routes(wanted, []) == {}
    assert specs == sorted(await proxy.get_all_routes())
    moved = [{**route, "target": "http://127.0.0.1:10"} for route in wanted[:1000]]
    assert await proxy.change_routes(moved, specs[1000:]) == {}
    assert dict.fromkeys(specs[:1000], "http://127.0.0.1:10") == {
        spec: route["target"] for spec, route in (await proxy.get_all_routes()).items()
    }


async def test_what_is_wrong_with_one_keeps_no_other_from_being_set(proxy: HAProxy) -> None:
    targets = {
        "/user/ada/": "http://127.0.0.1:1",
        "/user/bob/": "unix:///run/bob.sock",
        "/user/cyd/": "http://nowhere.invalid:1",
        "/user/dan/": "https://127.0.0.1:1",
        "/user/eve/": "http://127.0.0.1:2",
    }
    wanted = [{"routespec": spec, "target": target, "data": {}} for spec, target in targets.items()]
    wanted.append({"routespec": "/user/fay/", "target": "http://127.0.0.1:3", "data": {"much": "x" * 20_000}})
    failed = await proxy.change_routes(wanted, [])
    assert {"/user/bob/", "/user/cyd/", "/user/dan/", "/user/fay/"} == failed.keys()
    assert {RouteRefused} == {type(error) for error in failed.values()}
    assert ["/user/ada/", "/user/eve/"] == sorted(await proxy.get_all_routes())


async def test_what_happens_behind_our_back_is_seen_and_mended(proxy: HAProxy) -> None:
    await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
    await proxy.add_route("/user/bob/", "http://127.0.0.1:2", {})
    runtime = Runtime(proxy._runtime.address)
    await runtime.delete([key_of("/user/ada/")])
    assert ["/user/bob/"] == list(await proxy.get_all_routes())
    await runtime.ask("clear map hubbub.map")
    assert await proxy.get_all_routes() == {}
    await proxy.add_route("/user/bob/", "http://127.0.0.1:2", {})
    shown = (await runtime.show()).decode()
    assert "|hub hubbub|hub_http|" in shown
    await runtime.set([(key_of("/user/bob/"), "hubbub|spoilt")])
    assert [""] == [route["target"] for route in (await proxy.get_all_routes()).values()]
    await proxy.delete_route("/user/bob/")
    assert await proxy.get_all_routes() == {}


async def test_a_change_does_not_trust_what_it_saw_last(proxy: HAProxy, yard: Yard, stack: AsyncExitStack) -> None:
    """Two who drive the same proxy."""
    other = yard.driver()
    await other.start()
    first, second = [await stack.enter_async_context(upstream(name)) for name in ("first", "second")]
    await proxy.add_route("/user/ada/", first, {})
    await other.add_route("/user/ada/", second, {})  # which has not seen it there
    await other.get_all_routes()
    await proxy.get_all_routes()
    await other.add_route("/user/ada/", second, {})
    assert "second" == (await ask(yard.port, "/user/ada/")).name
    await other.delete_route("/user/ada/")
    await proxy.add_route("/user/ada/", first, {})
    assert "first" == (await ask(yard.port, "/user/ada/")).name
    await other.delete_route("/user/ada/")
    await proxy.delete_route("/user/ada/")
    assert await proxy.get_all_routes() == {}


async def test_entries_of_others_are_left_alone(proxy: HAProxy, yard: Yard, stack: AsyncExitStack) -> None:
    theirs = await stack.enter_async_context(upstream("theirs"))
    runtime, port = Runtime(proxy._runtime.address), theirs.rpartition(":")[2]
    entry = (key_of("/theirs/"), f"theirs|servers_http|127.0.0.1|{port}||")
    assert await runtime.add([entry]) == ""
    await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
    assert ["/user/ada/"] == list(await proxy.get_all_routes())
    await proxy.delete_route("/theirs/")
    assert "theirs" == (await ask(yard.port, "/theirs/x")).name
    returned = watched(proxy, stack)
    again = yard.driver(log_level="notice")
    await again.start()  # which reloads it
    assert "theirs" == (await ask(yard.port, "/theirs/x")).name
    os.kill(yard.master(), signal.SIGKILL)
    await in_time(returned)
    assert "theirs" == (await ask(yard.port, "/theirs/x")).name
    assert await again.get_all_routes() == {}, "where those led is somebody else's by now"


async def test_names_are_looked_up_again(proxy: HAProxy, yard: Yard, stack: AsyncExitStack) -> None:
    port = (await stack.enter_async_context(upstream("named"))).rpartition(":")[2]
    await proxy.add_route("/user/ada/", f"http://localhost:{port}", {})
    assert "named" == (await ask(yard.port, "/user/ada/")).name
    assert f"http://localhost:{port}" == (await proxy.get_all_routes())["/user/ada/"]["target"]
    proxy._routing._names.known["localhost"] = ("127.0.0.9",)
    assert f"http://127.0.0.1:{port}" == (await proxy.get_all_routes())["/user/ada/"]["target"]
    await proxy._routing.refresh_names()
    assert f"http://localhost:{port}" == (await proxy.get_all_routes())["/user/ada/"]["target"]


async def test_servers_at_ipv6_addresses_and_below_paths_are_reached(
    proxy: HAProxy, yard: Yard, stack: AsyncExitStack
) -> None:
    url = await stack.enter_async_context(upstream("six", "::1"))
    await proxy.add_route("/user/ada/", url, {})
    await proxy.add_route("/user/bob/", f"{url}/below/", {})
    assert ("six", "/user/ada/%20") == ((heard := await ask(yard.port, "/user/ada/%20")).name, heard.path)
    assert ("six", "/below/user/bob/x?y") == ((heard := await ask(yard.port, "/user/bob/x?y")).name, heard.path)


async def test_kept_connections_lead_nobody_astray(proxy: HAProxy, yard: Yard, stack: AsyncExitStack) -> None:
    names = [f"u{number}" for number in range(20)]
    for name in names:
        await proxy.add_route(f"/user/{name}/", await stack.enter_async_context(upstream(name)), {})
    client = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=4)))

    async def said(name: str) -> str:
        async with client.get(f"{yard.url}/user/{name}/") as response:
            found: str = (await response.json())["name"]
            return found

    asked = [name for _ in range(25) for name in names]
    assert asked == await asyncio.gather(*map(said, asked))


async def test_hosts_have_routes_of_their_own(yard: Yard, stack: AsyncExitStack) -> None:
    hub, ada, bob = [await stack.enter_async_context(upstream(name)) for name in ("hub", "ada", "bob")]
    proxy = yard.driver(site={"host_routing": True, "hub": Hub(url=f"{hub}/hub/")})
    await proxy.start()
    wanted = {"/": hub, "ada.hub.test/user/ada/": ada, "bob.hub.test/user/bob/": bob, "hub.test/services/x/": bob}
    for spec, target in wanted.items():
        await proxy.add_route(spec, target, {})
    assert wanted == {spec: route["target"] for spec, route in (await proxy.get_all_routes()).items()}
    led = {
        ("ada.hub.test", "/user/ada/x"): "ada",
        ("ada.hub.test:8000", "/user/%61da"): "ada",
        ("ADA.Hub.Test", "/user/ada/"): "ada",
        ("ada.hub.test.", "/user/ada/"): "ada",
        ("ada.hub.test.:80", "/user/ada/"): "ada",
        ("hub.test", "/services/x/"): "bob",
        ("ada.hub.test", "/user/bob/"): "hub",
        ("ada.hub.test", "/"): "hub",
        ("ada.hub.test", "/user/ada/../../user/bob/"): "hub",
        ("xada.hub.test", "/user/ada/"): "hub",
        ("ada.hub.test.evil.test", "/user/ada/"): "hub",
        ("ada.hub.test/user/ada", "/"): "hub",
        ("ada.hub.test%2Fuser%2Fada", "/"): "hub",
        ("[::1]:8000", "/user/ada/"): "hub",
        ("", "/user/ada/"): "hub",
    }
    assert led == {(host, path): (await ask(yard.port, path, host=host)).name or "hub" for host, path in led}
    await proxy.delete_route("ada.hub.test./user/ada/")
    assert "hub" == (await ask(yard.port, "/user/ada/", host="ada.hub.test")).name


async def test_thousands_of_doubles_are_removed_at_once(proxy: HAProxy) -> None:
    wanted = [{"routespec": f"/user/u{n}/", "target": "http://127.0.0.1:9", "data": {}} for n in range(1000)]
    runtime = Runtime(proxy._runtime.address)
    await runtime.add([(key_of("/theirs/"), "theirs|x y")])
    await proxy.change_routes(wanted, [])
    for start in range(0, 1000, 50):
        await runtime.add(list(proxy._routing._listing.values.items())[start : start + 50])
    assert 1000 == len(await proxy.get_all_routes())
    shown = (await runtime.show()).decode()
    assert 1002 == len(shown.split("\n")) - 2
    assert f"{key_of('/theirs/')} theirs|x y\n" in shown
