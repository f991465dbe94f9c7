"""configurable-http-proxy: hosts, the certificate that people see, its process, and being moved."""
# ruff: noqa: ASYNC240  (a test has nobody to keep waiting)

import asyncio
import os
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hubbub.testing.tls import authorities, issued
from hubbub_proxy_sync.proxies import ConfigurableHTTPProxy, ProxyUnavailable
from hubbub_proxy_sync.proxies.chp_api import Api
from hubbub_proxy_sync.proxies.process import Program
from hubbub_proxy_sync.proxies.site import Hub

Serve = Callable[[str], Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """serve(name) -> url of one who answers with its name and the path that it was asked for."""
    runners: list[web.ServerRunner] = []

    async def begin(name: str) -> str:
        async def answer(request: web.BaseRequest) -> web.Response:
            return web.Response(text=f"{name} {request.raw_path}")

        runners.append(web.ServerRunner(web.Server(answer)))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}"

    yield begin
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def begin(
    chp: Callable[..., ConfigurableHTTPProxy], free_port: Callable[[], int]
) -> AsyncIterator[Callable[..., Any]]:
    """begin(...) -> a driver whose proxy runs."""
    begun: list[ConfigurableHTTPProxy] = []

    async def start(*, name: str = "one", site: Mapping[str, Any] | None = None, **options: Any) -> Any:
        begun.append(chp(free_port(), free_port(), site={"name": name, **(site or {})}, **options))
        await begun[-1].start()
        return begun[-1]

    yield start
    for driver in begun:
        await driver.close()


async def get(url: str, host: str = "") -> tuple[int, str]:
    headers = {"Host": host} if host else {}
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers, ssl=False) as response:
        return response.status, await response.text()


async def test_with_hosts_each_has_its_own_routes(begin: Callable[..., Any], serve: Serve) -> None:
    hub, ada = await serve("hub"), await serve("ada")
    driver = await begin(site={"host_routing": True, "hub": Hub(url=f"{hub}/hub/")})
    specs = ["/", "ada.hub.test/user/ada/", "gr_c3_a9.hub.test/user/gr%C3%A9/", "board.hub.test/services/board/"]
    for spec in specs:
        await driver.add_route(spec, hub if spec == "/" else ada, {"user": "x"})
    assert {*await driver.get_all_routes()} == {*specs}
    assert (await driver.get_route("ADA.hub.test/user/ada"))["target"] == ada
    url = driver.public_url
    assert await get(f"{url}user/ada/x", "ada.hub.test:8000") == (200, "ada /user/ada/x")
    for host, path in (("bob.hub.test", "user/ada/"), ("ada.hub.test", "user/bob/"), ("hub.test", "user/ada/")):
        assert await get(f"{url}{path}", host) == (200, f"hub /{path}")
    for spec in specs:
        await driver.delete_route(spec)
    assert await driver.get_all_routes() == {}
    with pytest.raises(ValueError, match="begins with no host"):
        await driver.add_route("/user/ada/", ada, {})


@pytest.mark.parametrize("routing", [True, False])
async def test_its_error_pages_are_the_hubs(begin: Callable[..., Any], serve: Serve, *, routing: bool) -> None:
    hub = await serve("hub")
    house = {"host_routing": routing, "hub": Hub(url=f"{hub}/b%20c/hub/", routespec="/b%20c/")}
    driver = await begin(site=house)
    await driver.add_route("ada.hub.test/user/ada/" if routing else "/user/ada/", "http://127.0.0.1:1", {})
    found = await get(f"{driver.public_url}user/ada/x?y", "ada.hub.test")
    assert found == (503, "hub /b%20c/hub/error/503?url=%2Fuser%2Fada%2Fx%3Fy")
    # The operator has said where the hub is, so all else is nobody's.
    assert await get(f"{driver.public_url}other") == (404, "hub /b%20c/hub/error/404?url=%2Fother")


async def test_people_are_served_with_the_certificate_and_with_the_next_one(
    begin: Callable[..., Any], tmp_path: Path
) -> None:
    found = authorities(tmp_path / "authorities")
    files = issued(found, tmp_path / "public", "hub-internal")
    port = (driver := await begin()).public_url.rstrip("/").rpartition(":")[2]
    await driver.stop()
    site = {"ssl_key": str(files.keyfile), "ssl_cert": str(files.certfile), "bind_url": f"https://127.0.0.1:{port}/"}
    driver = await begin(name="two", site=site, check_running_interval=0.05)
    await driver.add_route("/user/ada/", "http://127.0.0.1:1", {})
    assert (await get(f"https://127.0.0.1:{port}/user/ada/"))[0] == 503
    shown = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", int(port)))
    assert shown == files.certfile.read_text()

    returned = asyncio.Event()
    watch = asyncio.create_task(driver.watch(returned.set))
    key = files.keyfile.read_text()
    following = issued(found, tmp_path / "following", "hub-internal")
    files.keyfile.write_text(following.keyfile.read_text())  # half of it: nothing can be served with that
    assert driver._certificate() != driver._running.mark
    assert not driver._is_renewed(driver._running)
    assert key != following.keyfile.read_text()
    files.certfile.write_text(following.certfile.read_text())
    async with asyncio.timeout(10):
        await returned.wait()
    shown = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", int(port)))
    assert shown == following.certfile.read_text()
    watch.cancel()


async def test_a_successor_notices_a_certificate_that_was_renewed_meanwhile(
    begin: Callable[..., Any], chp: Callable[..., ConfigurableHTTPProxy], tmp_path: Path
) -> None:
    found = authorities(tmp_path / "authorities")
    files = issued(found, tmp_path / "public", "hub-internal")
    port = (driver := await begin()).public_url.rstrip("/").rpartition(":")[2]
    await driver.stop()
    site = {"ssl_key": str(files.keyfile), "ssl_cert": str(files.certfile), "bind_url": f"https://127.0.0.1:{port}/"}
    driver = await begin(name="two", site=site)
    pid, api_port = driver._running.pid, int(driver.api_url.rpartition(":")[2])
    same = chp(int(port), api_port, site={"name": "two", **site})
    await same.start()
    assert same._running and same._running.pid == pid
    issued(found, tmp_path / "public", "hub-internal")
    following = chp(int(port), api_port, site={"name": "two", **site})
    await following.start()
    assert following._running and following._running.pid != pid
    for each in (same, following):
        await each.close()


async def test_its_process_is_as_the_options_say(begin: Callable[..., Any], tmp_path: Path) -> None:
    driver = await begin(pid_file=str(tmp_path / "{instance}.pid"), command_umask=0o027, debug=True)
    pid = int((tmp_path / "one.pid").read_text())
    assert pid == driver._running.pid
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Umask:\t0027" in status
    assert b"--log-level\0debug\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    await driver.stop()
    assert not (tmp_path / "one.pid").exists()


async def test_a_killed_proxy_answers_again_within_two_seconds(begin: Callable[..., Any]) -> None:
    driver = await begin()
    returned = asyncio.Event()
    watch = asyncio.create_task(driver.watch(returned.set))
    began = time.monotonic()
    os.kill(driver._running.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        await returned.wait()
    assert time.monotonic() - began < 2
    assert await driver.answers()
    watch.cancel()


async def test_a_process_that_never_had_its_ports_is_not_taken_for_the_proxy(
    begin: Callable[..., Any], tmp_path: Path
) -> None:
    driver = await begin(check_running_interval=0.05)
    # As of two proxy-syncs that start the same proxy at the same moment: the one that answers is the other's.
    paths = {"record": tmp_path / "useless.json", "log": tmp_path / "useless.log"}
    useless = Program(["sleep"], ["60"], {"PATH": os.environ["PATH"]}, **paths).begin()
    theirs, driver._running = driver._running, useless
    returned = asyncio.Event()
    watch = asyncio.create_task(driver.watch(returned.set))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(returned.wait(), 0.3)
    os.kill(theirs.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        await returned.wait()
    assert useless.gone.is_set()
    assert driver._running not in (useless, theirs)
    assert await driver.answers()
    watch.cancel()


class Labelled(ConfigurableHTTPProxy):
    """That of docs/proxies/configurable-http-proxy.md."""

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        await super().add_route(routespec, target, {**data, "by": self.site.name})


async def test_a_class_of_an_operators_own_may_say_more_of_a_route(begin: Callable[..., Any]) -> None:
    labelled = Labelled(site=(await begin()).site, should_start=False)
    await labelled.start()
    await labelled.add_route("/user/ada/", "http://127.0.0.1:1", {"user": "ada"})
    found = await labelled.get_route("/user/ada/")
    assert found is not None
    assert (found["data"]["user"], found["data"]["by"]) == ("ada", "one")
    await labelled.close()


async def test_one_that_only_sleeps_is_let_sleep(begin: Callable[..., Any]) -> None:
    driver = await begin(check_running_interval=0.05)
    watch = asyncio.create_task(driver.watch(lambda: None))
    pid = driver._running.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(watch), 0.5)
    os.kill(pid, signal.SIGCONT)
    assert await driver.answers()
    assert driver._running.pid == pid
    watch.cancel()


async def test_one_that_is_moved_leaves_nothing_of_ours_behind(begin: Callable[..., Any]) -> None:
    driver, other = await begin(), await begin(name="two", auth_token="another")
    pid = driver._running.pid
    for number in range(30):
        await driver.add_route(f"/user/u{number}/", "http://127.0.0.1:1", {})
    await driver._api.set("/theirs", {"target": "http://127.0.0.1:2"})
    home, left = driver.api_url, driver._api
    await driver.move(other.api_url, "another")
    with pytest.raises(ProxyUnavailable, match="left alone"):
        await left.routes()
    await driver.add_route("/user/ada/", "http://127.0.0.1:1", {})
    assert {*await other.get_all_routes()} == {"/user/ada/"}
    before = Api(home, driver.site.token)
    assert {*await before.routes()} == {"/", "/theirs"}
    await before.close()
    assert Path(f"/proc/{pid}").exists()
    assert await driver.answers()
    assert not driver.should_start
    await driver.stop()  # those are others' to stop
    assert await other.answers()
    await driver.move(home, driver.site.token)
    assert driver.should_start
    assert await driver.get_all_routes() == {}


async def test_a_start_that_waits_for_a_dead_one_goes_on_where_it_is_moved(
    begin: Callable[..., Any], chp: Callable[..., ConfigurableHTTPProxy], free_port: Callable[[], int]
) -> None:
    there = await begin(name="there")
    waits = chp(free_port(), free_port(), should_start=False)
    starting = asyncio.create_task(waits.start())
    async with asyncio.timeout(10):
        while not waits.complaint:
            await asyncio.sleep(0.01)
        await waits.move(there.api_url, "")
        await starting
    watch = asyncio.create_task(waits.watch(lambda: None))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(watch), 0.1)
    await there.add_route("/user/ada/", "http://127.0.0.1:1", {})
    await waits.move("", "wrong")
    assert not await waits.answers()
    assert {*await there.get_all_routes()} == {"/user/ada/"}
    watch.cancel()
    await waits.close()
