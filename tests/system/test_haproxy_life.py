"""The HAProxy that is ours: found again, killed, reloaded, and what a reload leaves in peace."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from haproxy_rig import Yard, ask, eventually, free_port, in_time, upstream, watched

from hubbub_proxy_sync.proxies import ProxyUnavailable
from hubbub_proxy_sync.proxies.haproxy import HAProxy, driver

pytestmark = pytest.mark.system


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


# Life ---------------------------------------------------------------------------------------


async def test_a_running_one_is_used_as_it_is(yard: Yard, proxy: HAProxy) -> None:
    pid, workers = yard.master(), yard.workers()
    await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
    await proxy.close()
    second = yard.driver(site={"hub": proxy.hub})
    await second.start()
    assert (pid, workers, ["/user/ada/"]) == (yard.master(), yard.workers(), list(await second.get_all_routes()))
    assert "CONFIGPROXY_AUTH_TOKEN=token-of-the-proxy" in _environment(workers[0])


def _environment(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


async def test_other_options_reach_it_by_a_reload_that_breaks_nothing(
    yard: Yard, proxy: HAProxy, stack: AsyncExitStack
) -> None:
    await proxy.add_route("/user/ada/", await stack.enter_async_context(upstream("ada")), {"user": "ada"})
    pid, workers = yard.master(), yard.workers()
    client = await stack.enter_async_context(aiohttp.ClientSession())
    channel = await stack.enter_async_context(client.ws_connect(f"{yard.url}/user/ada/ws"))
    download = await stack.enter_async_context(client.get(f"{yard.url}/user/ada/slow"))
    assert b"0\n" == await download.content.readline()
    failed: list[str] = []
    load = asyncio.create_task(_load(yard, failed))
    again = yard.driver(log_level="notice")
    await again.start()
    assert {"user": "ada"} == (await again.get_all_routes())["/user/ada/"]["data"]
    assert pid == yard.master()
    assert set(yard.workers()) > set(workers), "the old one serves its connections to their end"
    await again.add_route("/user/bob/", "http://127.0.0.1:1", {})
    assert {"/user/ada/", "/user/bob/"} == (await again.get_all_routes()).keys()
    await channel.send_str("still there?")
    assert "still there?" == (await channel.receive()).data
    assert [f"{number}" for number in range(1, 150)] == (await download.text()).split()
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)
    assert failed == []


async def _load(yard: Yard, failed: list[str]) -> None:
    async with aiohttp.ClientSession() as client:
        while True:
            try:
                async with client.get(f"{yard.url}/user/ada/") as response:
                    if (await response.json(content_type=None))["name"] != "ada":
                        failed.append("somebody else")
            except (aiohttp.ClientError, ValueError) as error:
                failed.append(repr(error))


async def test_a_configuration_that_it_does_not_take_leaves_it_as_it_was(yard: Yard, proxy: HAProxy) -> None:
    await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
    pid, workers = yard.master(), yard.workers()
    again = yard.driver(extra_global="no-such-word")
    await again.start()
    assert (pid, workers) == (yard.master(), yard.workers())
    assert ["/user/ada/"] == list(await again.get_all_routes())


async def test_the_operators_own_lines_are_taken(yard: Yard, stack: AsyncExitStack) -> None:
    proxy = yard.driver(
        extra_global="nbthread 1\n  tune.maxrewrite 2048",
        extra_frontend="http-request deny deny_status 410 if { path /x }",
    )
    await proxy.start()
    assert 410 == (await ask(yard.port, "/x")).status
    assert "1" == (await proxy._runtime.info())["Nbthread"]


@pytest.mark.parametrize("who", ["master", "worker", "stopped worker's master"])
async def test_one_that_is_killed_is_back_at_once(yard: Yard, proxy: HAProxy, stack: AsyncExitStack, who: str) -> None:
    await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
    returned = watched(proxy, stack)
    [worker] = yard.workers()
    if who.startswith("stopped"):
        os.kill(worker, signal.SIGSTOP)
    os.kill(worker if who == "worker" else yard.master(), signal.SIGKILL)
    await in_time(returned, 3)
    assert await proxy.answers()
    assert await proxy.get_all_routes() == {}, "where those led may be somebody else's by now"
    await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
    assert 503 == (await ask(yard.port, "/user/ada/")).status
    await eventually(lambda: _is_gone(worker))


async def test_one_that_hangs_is_killed(
    yard: Yard, proxy: HAProxy, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "HUNG", 1.0)
    returned = watched(proxy, stack)
    [worker] = yard.workers()
    os.kill(worker, signal.SIGSTOP)
    assert not await proxy.answers()
    await in_time(returned, 20)
    assert _is_gone(worker)
    assert await proxy.answers()


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


async def test_one_whose_port_is_taken_is_tried_until_it_is_free(yard: Yard) -> None:
    proxy = yard.driver()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", yard.port))
        taken.listen()
        starting = asyncio.create_task(proxy.start())
        await eventually(lambda: "somebody else listens" in proxy.complaint)
    async with asyncio.timeout(20):
        await starting
    assert await proxy.answers()


async def test_the_proxy_of_another_kind_that_was_there_before_is_replaced(yard: Yard) -> None:
    from hubbub_proxy_sync.proxies.process import Program

    earlier = Program(
        ["sleep", "1000"],
        [],
        {"PATH": os.environ["PATH"]},
        record=yard.folder / "run" / "proxy-one.json",
        log=yard.folder / "log" / "proxy-one.log",
    ).begin()
    proxy = yard.driver()
    await proxy.start()
    assert earlier.gone.is_set()
    assert await proxy.answers()


async def test_it_ends_when_it_is_told_to(yard: Yard, proxy: HAProxy) -> None:
    pids = [yard.master(), *yard.workers()]
    await proxy.stop()
    await eventually(lambda: all(_is_gone(pid) for pid in pids))
    assert not await proxy.answers()
    with pytest.raises(ProxyUnavailable):
        await proxy.get_all_routes()
    failed = await proxy.change_routes(
        [{"routespec": "/user/ada/", "target": "http://127.0.0.1:1", "data": {}}], ["/user/bob/"]
    )
    assert dict.fromkeys(["/user/ada/", "/user/bob/"], ProxyUnavailable) == {
        spec: type(error) for spec, error in failed.items()
    }


async def test_its_folder_may_be_deep(tmp_path: Path) -> None:
    yard = Yard(tmp_path / ("d" * 60) / ("e" * 60))
    try:
        proxy = yard.driver()
        await proxy.start()
        await proxy.add_route("/user/ada/", "http://127.0.0.1:1", {})
        assert ["/user/ada/"] == list(await proxy.get_all_routes())
    finally:
        await yard.close()


async def test_what_cannot_be_started_is_said(yard: Yard) -> None:
    with pytest.raises(ValueError, match="no such program"):
        yard.driver(command=["no-such-haproxy"])
    with pytest.raises(ValueError, match=r"c\.HAProxy\.socket"):
        yard.driver(should_start=False)
    proxy = yard.driver(extra_frontend="nonsense")
    starting = asyncio.create_task(proxy.start())
    await eventually(lambda: "unknown keyword 'nonsense'" in proxy.complaint)
    starting.cancel()


async def test_two_who_start_it_at_once_have_one(yard: Yard) -> None:
    both = [yard.driver(), yard.driver()]
    both[1].site = both[0].site
    await asyncio.gather(*(each.start() for each in both))
    pid, workers = yard.master(), yard.workers()
    assert {pid} == {each._daemon.running.pid for each in both if each._daemon and each._daemon.running}
    assert {str(workers[0])} == {(await each._runtime.info())["Pid"] for each in both}


# As others run it ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["path", "port"])
async def test_one_that_others_run_is_used(tmp_path: Path, yard: Yard, stack: AsyncExitStack, kind: str) -> None:
    made = yard.driver()
    made.write(tmp_path)
    text = (tmp_path / "haproxy.cfg").read_text()
    port = free_port()
    text = text.replace("global\n", f"global\n    stats socket ipv4@127.0.0.1:{port} level admin\n", 1)
    (tmp_path / "their.cfg").write_text(text)

    def begin() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["haproxy", "-f", str(tmp_path / "their.cfg")], stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    address = str(tmp_path / "haproxy.sock") if kind == "path" else f"127.0.0.1:{port}"
    proxy = yard.driver(should_start=False, socket=address)
    assert not await proxy.answers()
    starting = asyncio.create_task(proxy.start())
    theirs = begin()
    await asyncio.wait_for(starting, 10)
    returned = watched(proxy, stack)
    await proxy.add_route("/user/ada/", await stack.enter_async_context(upstream("ada")), {})
    assert "ada" == (await ask(yard.port, "/user/ada/")).name
    theirs.kill()
    theirs.wait()
    begin()
    await in_time(returned)
    await proxy.stop()
    assert await proxy.get_all_routes() == {}
