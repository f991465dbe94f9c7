"""Several proxies: ready means routed on all of them, and none that is late, lost or stuck holds up the others."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from checks import five_checks, rows
from stack import HERE, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: As in an installation, so that it is not the lease that finds a stuck one in time.
LEASE = {"HUBBUB_LEASE_SECONDS": "10"}
ALL = ["proxy-sync-1", "proxy-sync-2", "proxy-sync-3"]
#: Seconds after which a stuck proxy is lost, with what else a start and a busy machine take.
STUCK = 5.0
ROOM = 6.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = tmp_path_factory.mktemp("several") / "data"
    async with hub(data, config=HERE / "config_several.py", scale="api=2,proxy-sync=3", environ=LEASE) as made:
        for name in ("ada", "bob", "carl", "dora", "eve", "finn"):
            await made.user(name)
        assert (await made.api("POST", "/users/ada/server"))[0] == 201
        yield made
        await made.close()
        for process in made.proxies():
            process.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def whole(house: Hub) -> AsyncIterator[Hub]:
    """With three proxies before and after, all joined and equal."""
    await eventually(lambda: _joined(house, ALL), 40, "all have joined")
    yield house
    await eventually(lambda: _joined(house, ALL), 40, "all have joined again")
    await five_checks(house, verify=False)


def proxy_pid(house: Hub, number: int) -> int:
    record = json.loads((house.data / "run" / f"proxy-proxy-sync-{number}.json").read_text())
    return int(record["pid"])


async def _joined(house: Hub, names: list[str]) -> bool:
    return sorted(row["id"] for row in await rows(house, "select id from proxies")) == names


async def reached(house: Hub, place: str, name: str) -> bool:
    """Whether this proxy leads to that server, at this very moment."""
    url = f"{place}user/{name}/"
    try:
        async with house.session.get(url, allow_redirects=False, timeout=aiohttp.ClientTimeout(5)) as response:
            said = await response.json() if "X-Standin" in response.headers else {}
    except (aiohttp.ClientError, TimeoutError):
        return False
    return bool(said) and said["env"]["JUPYTERHUB_USER"] == name


async def started(house: Hub, name: str) -> tuple[int, float]:
    """The answer to a start, and the seconds that it took."""
    began = time.monotonic()
    status, _ = await house.api("POST", f"/users/{name}/server")
    return status, time.monotonic() - began


@asynccontextmanager
async def sockets(house: Hub, numbers: list[int]) -> AsyncIterator[None]:
    """WebSockets through these proxies, which have to be the same ones at the end."""
    found: list[aiohttp.ClientWebSocketResponse] = []
    every = house.addresses()
    for number in numbers:
        found.append(await house.session.ws_connect(f"{every[number - 1]}user/ada/_ws"))
    try:
        yield
        for number, socket in zip(numbers, found, strict=True):
            await socket.send_str(f"through {number}")
            assert (await socket.receive(timeout=10)).data == f"through {number}"
    finally:
        for socket in found:
            await socket.close()


async def test_the_welcome_names_every_address(house: Hub) -> None:
    said = [line.removeprefix("and at ") for line in house.lines if line.startswith("and at ")]
    assert [house.url, *said] == house.addresses()
    assert len(set(house.addresses())) == 3
    for place in house.addresses():
        async with house.session.get(f"{place}hub/health") as response:
            assert response.status == 200


async def test_ready_means_routed_on_every_proxy(whole: Hub) -> None:
    assert (await started(whole, "bob"))[0] == 201
    assert [await reached(whole, place, "bob") for place in whole.addresses()] == [True, True, True]
    async with sockets(whole, [1, 2, 3]):
        status, _ = await whole.api("DELETE", "/users/bob/server")
        assert status == 204
        assert [await reached(whole, place, "bob") for place in whole.addresses()] == [False, False, False]


async def test_one_that_is_killed_with_its_proxy_sync_comes_back(whole: Hub) -> None:
    async with sockets(whole, [1, 3]):
        os.kill(proxy_pid(whole, 2), signal.SIGKILL)
        whole.kill("proxy-sync-2")
        assert await reached(whole, whole.addresses()[0], "ada")
        status, took = await started(whole, "carl")
        assert status == 201 and took < STUCK + ROOM
        assert await reached(whole, whole.addresses()[2], "carl")

        async def is_back() -> bool:
            there = whole.addresses()
            return len(there) == 3 and all([await reached(whole, there[1], name) for name in ("ada", "carl")])

        await eventually(is_back, 20, "the second proxy is back and filled")


@pytest.mark.parametrize("what", ["proxy", "proxy-sync"])
async def test_a_stuck_one_is_lost_and_holds_up_no_start_longer(whole: Hub, what: str) -> None:
    pid = proxy_pid(whole, 2) if what == "proxy" else whole.pid("proxy-sync-2")
    name = {"proxy": "dora", "proxy-sync": "eve"}[what]
    through = [1, 2, 3]  # those of a process that is only paused are whole afterwards
    async with sockets(whole, through):
        os.kill(pid, signal.SIGSTOP)
        try:
            status, took = await started(whole, name)
            assert status == 201 and took < STUCK + ROOM
            assert await _joined(whole, ["proxy-sync-1", "proxy-sync-3"])
            for number in (0, 2):
                assert await reached(whole, whole.addresses()[number], name)
            # The next one does not even wait for that.
            await whole.api("DELETE", f"/users/{name}/server")
            status, took = await started(whole, name)
            assert status == 201 and took < STUCK
        finally:
            os.kill(pid, signal.SIGCONT)
        await eventually(lambda: _joined(whole, ALL), 20, "it has joined again")
        assert await reached(whole, whole.addresses()[1], name)


async def test_one_that_joins_late_is_filled_before_it_counts(whole: Hub) -> None:
    async with sockets(whole, [1, 2]):
        os.kill(whole.pid("proxy-sync-3"), signal.SIGSTOP)
        os.kill(proxy_pid(whole, 3), signal.SIGKILL)
        try:
            status, _ = await started(whole, "finn")
            assert status == 201
            assert await _joined(whole, ["proxy-sync-1", "proxy-sync-2"])
        finally:
            os.kill(whole.pid("proxy-sync-3"), signal.SIGCONT)
        await eventually(lambda: _joined(whole, ALL), 20, "it has joined")
        # Looked at after it counts, which is after it was filled.
        found = await asyncio.gather(*(reached(whole, whole.addresses()[2], name) for name in ("ada", "finn")))
        assert found == [True, True]


async def test_fewer_proxies_and_more_again(house: Hub) -> None:
    """The last: the house is restarted."""
    before, left = house.addresses(), proxy_pid(house, 2)
    gone = [proxy_pid(house, number) for number in (2, 3)]
    async with house.session.ws_connect(f"{before[0]}user/ada/_ws") as socket:
        await _restart(house, "api=2,proxy-sync=1")
        assert not any(_is_alive(pid) for pid in gone), "what nobody keeps any more is ended"
        assert house.addresses() == before[:1]
        await house.api("DELETE", "/users/carl/server")
        status, took = await started(house, "carl")
        assert status == 201 and took < STUCK + ROOM
        await eventually(lambda: _joined(house, ["proxy-sync-1"]), 30, "the others do not count any more")
        await five_checks(house, verify=False)

        await _restart(house, "api=2,proxy-sync=3")
        assert house.addresses() == before
        await eventually(lambda: _joined(house, ALL), 20, "all have joined")
        assert [await reached(house, place, "carl") for place in house.addresses()] == [True, True, True]
        assert left != proxy_pid(house, 2)
        await socket.send_str("still there")
        assert (await socket.receive(timeout=10)).data == "still there"
    await five_checks(house)


async def _restart(house: Hub, scale: str) -> None:
    assert await house.stop() == 0
    house.arguments[house.arguments.index("--scale") + 1] = scale
    await house.start()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
