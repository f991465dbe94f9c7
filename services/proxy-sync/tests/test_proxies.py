"""What is expected of any proxy, of the fake as of the real one; and the life of the real one."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from hubbub_proxy_sync.proxies import chp
from hubbub_proxy_sync.proxies.chp import ConfigurableHTTPProxy
from hubbub_proxy_sync.proxies.fake import FakeProxy
from hubbub_proxy_sync.proxies.process import Program, Record, _boot
from hubbub_proxy_sync.proxies.proxy import Proxy, ProxyUnavailable

TOKEN = "token-of-the-proxy"
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
]


class House:
    """A real proxy's addresses, and drivers for it."""

    def __init__(self, chp: Callable[..., ConfigurableHTTPProxy], free_port: Callable[[], int]) -> None:
        self.port, self.api_port = free_port(), free_port()
        self.url, self.api_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.api_port}"
        self._chp = chp
        self._drivers: list[ConfigurableHTTPProxy] = []

    def driver(self, *, start: bool = True, **more: Any) -> ConfigurableHTTPProxy:
        # The interval is long: what a test sees earlier was not found by asking.
        options = {"should_start": start, "check_running_interval": 60 if start else 0.05} | more
        self._drivers.append(self._chp(self.port, self.api_port, **options))
        return self._drivers[-1]

    async def close(self) -> None:
        for driver in self._drivers:
            await driver.close()


@pytest.fixture
async def house(chp: Callable[..., ConfigurableHTTPProxy], free_port: Callable[[], int]) -> AsyncIterator[House]:
    house = House(chp, free_port)
    yield house
    await house.close()


@pytest.fixture
def record(tmp_path: Path) -> Callable[[], Record]:
    def read() -> Record:
        found = Record.read(tmp_path / "run" / "proxy-one.json")
        assert found
        return found

    return read


@pytest.fixture(params=["fake", "chp"])
async def proxy(request: pytest.FixtureRequest, house: House) -> Proxy:
    if request.param == "fake":
        return FakeProxy()
    driver = house.driver()
    await driver.start()
    return driver


async def test_every_route_is_found_as_it_was_set_and_can_be_deleted(proxy: Proxy) -> None:
    for number, spec in enumerate(ODD):
        await proxy.add_route(spec, f"http://127.0.0.1:{number + 1}", {"user": "ada", "attempt": number})
    found = await proxy.get_all_routes()
    assert {spec: f"http://127.0.0.1:{number + 1}" for number, spec in enumerate(ODD)} == {
        spec: route["target"] for spec, route in found.items()
    }
    assert [*range(len(ODD))] == [found[spec]["data"]["attempt"] for spec in ODD]
    for spec in ODD:
        await proxy.delete_route(spec)
    assert await proxy.get_all_routes() == {}


async def test_adding_replaces_and_deleting_nothing_is_no_error(proxy: Proxy) -> None:
    await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
    await proxy.add_route("/user/ada", "http://127.0.0.1:2", {})
    assert [route["target"] for route in (await proxy.get_all_routes()).values()] == ["http://127.0.0.1:2"]
    await proxy.delete_route("/user/bob/")
    assert await proxy.answers()


async def test_a_route_that_means_another_one_is_never_sent(proxy: Proxy) -> None:
    with pytest.raises(ValueError, match="cannot be routed"):
        await proxy.add_route("/user/../", "http://127.0.0.1:1", {})
    assert await proxy.get_all_routes() == {}


async def test_requests_for_odd_paths_reach_their_server(house: House) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.raw_path)

    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    driver = house.driver()
    await driver.start()
    async with aiohttp.ClientSession() as client:
        for spec in ODD:
            await driver.add_route(spec, f"http://127.0.0.1:{runner.addresses[0][1]}", {})
            async with client.get(URL(f"{house.url}{spec}x?y", encoded=True)) as response:
                assert f"{spec}x?y" == await response.text()
            await driver.delete_route(spec)
    await runner.cleanup()


async def test_the_routes_of_others_are_not_listed(house: House) -> None:
    driver = house.driver()
    await driver.start()
    async with aiohttp.ClientSession(headers={"Authorization": f"token {TOKEN}"}) as client:
        await client.post(f"{house.api_url}/api/routes/theirs", json={"target": "http://127.0.0.1:9"})
        await driver.add_route("/ours/", "http://127.0.0.1:1", {})
        assert list(await driver.get_all_routes()) == ["/ours/"]
        async with client.get(f"{house.api_url}/api/routes") as response:
            assert {"/", "/theirs", "/ours"} == set(await response.json())


async def test_a_running_proxy_is_used_as_it_is(house: House, record: Callable[[], Record]) -> None:
    first, second = house.driver(), house.driver()
    await first.start()
    pid = record().pid
    await first.add_route("/user/ada/", "http://127.0.0.1:1", {})
    await first.close()
    await second.start()
    assert (pid, ["/user/ada/"]) == (record().pid, list(await second.get_all_routes()))


async def test_a_proxy_that_was_started_otherwise_is_replaced(house: House, record: Callable[[], Record]) -> None:
    first, second = house.driver(), house.driver(log_level="warn")
    await first.start()
    pid = record().pid
    await second.start()
    assert pid != record().pid
    assert await second.answers()


async def test_a_proxy_that_is_killed_is_started_again_at_once(house: House, record: Callable[[], Record]) -> None:
    driver, returned = house.driver(), asyncio.Event()
    await driver.start()
    watch = asyncio.create_task(driver.watch(returned.set))
    os.kill(record().pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        await returned.wait()
    assert await driver.answers()
    watch.cancel()


async def test_one_that_others_start_is_waited_for(house: House) -> None:
    ours, theirs = house.driver(start=False), house.driver()
    assert not await ours.answers()
    with pytest.raises(ProxyUnavailable):
        await ours.get_all_routes()
    starting = asyncio.create_task(ours.start())
    await theirs.start()
    async with asyncio.timeout(10):
        await starting
    returned = asyncio.Event()
    watch = asyncio.create_task(ours.watch(returned.set))
    await theirs.stop()
    await theirs.start()
    async with asyncio.timeout(10):
        await returned.wait()
    watch.cancel()


async def test_a_proxy_that_does_not_take_our_token_is_not_there(house: House) -> None:
    await house.driver().start()
    stranger = house.driver(start=False, auth_token="wrong")
    assert not await stranger.answers()
    with pytest.raises(ProxyUnavailable, match="refuses our token"):
        await stranger.add_route("/user/ada/", "http://127.0.0.1:1", {})


async def test_a_proxy_whose_port_is_taken_is_tried_until_it_is_free(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chp, "START_TIMEOUT", 1.0)
    driver = house.driver()
    with socket.create_server(("127.0.0.1", house.port)):
        starting = asyncio.create_task(driver.start())
        assert "its ports" in await _first_complaint(driver)
    monkeypatch.undo()
    async with asyncio.timeout(20):
        await starting
    assert await driver.answers()


async def _first_complaint(driver: ConfigurableHTTPProxy) -> str:
    async with asyncio.timeout(10):
        while not driver.complaint:
            await asyncio.sleep(0.01)
    return driver.complaint


def test_a_child_whose_record_was_never_written_never_becomes_the_program(tmp_path: Path) -> None:
    made = tmp_path / "made"
    program = Program(["touch", str(made)], [], {"PATH": os.environ["PATH"]}, record=tmp_path / "r", log=tmp_path / "l")
    gate, opener = os.pipe()
    pid = program._spawn(gate)  # the process that would have written it dies here
    os.close(gate)
    os.close(opener)
    _, status = os.waitpid(pid, 0)
    assert status != 0
    assert not made.exists()


async def test_a_pid_that_another_process_has_now_is_not_the_proxy(tmp_path: Path) -> None:
    program = Program(["true"], [], {}, record=tmp_path / "proxy.json", log=tmp_path / "l")
    for record in (Record(pid=os.getpid(), start_time=1, boot=_boot()), Record(pid=os.getpid(), start_time=1)):
        record.write(tmp_path / "proxy.json")
        assert program.find() is None
    (tmp_path / "proxy.json").write_text("nonsense")
    assert program.find() is None
