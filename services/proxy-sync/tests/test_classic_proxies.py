"""Proxy classes as others write them for JupyterHub, hosted: from three methods to those that do what none should."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jupyterhub.proxy import ConfigurableHTTPProxy, Proxy
from traitlets import Bool, Integer, Unicode
from traitlets.config import Config

from hubbub.config import Options
from hubbub_local.services import proxy_command
from hubbub_proxy_sync.classic import ClassicProxy, children, host, hosted, life
from hubbub_proxy_sync.proxies.process import Record
from hubbub_proxy_sync.proxies.proxy import ProxyRoute, ProxyUnavailable, RouteRefused
from hubbub_proxy_sync.proxies.site import Hub, Site

TINY = Path(__file__).parent / "tiny_proxy.py"
TARGET = "http://127.0.0.1:4000"
DATA = {"user": "ada", "server_name": "", "server_id": "s1", "attempt": 2}


class Table(Proxy):
    """Three methods, and that is all."""

    should_start = False
    kept: dict[str, Any]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kept = {"/of-others/": {"routespec": "/of-others/", "target": "http://other", "data": {}}}

    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        self.kept[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self.kept.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, Any]:
        return self.kept


class PlainTable(Table):
    """The same, by methods that are not async."""

    def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        self.kept[routespec] = {"routespec": routespec, "target": target, "data": data}

    def delete_route(self, routespec: str) -> None:
        del self.kept[routespec]

    def get_all_routes(self) -> dict[str, Any]:
        return self.kept


class Raising(Table):
    async def add_route(self, *_: Any) -> None:
        raise ValueError("no such thing")

    async def delete_route(self, *_: Any) -> None:
        raise ConnectionRefusedError("nobody there")


class Leaving(Table):
    async def add_route(self, *_: Any) -> None:
        sys.exit(3)


class Hanging(Table):
    async def add_route(self, *_: Any) -> None:
        await asyncio.Event().wait()


class Blocking(Table):
    async def add_route(self, *_: Any) -> None:
        time.sleep(1)  # noqa: ASYNC251  (that is the point)


class Nonsense(Table):
    async def get_all_routes(self) -> Any:
        return ["/user/ada/"]


class Curious(Table):
    async def add_route(self, *_: Any) -> None:
        list(self.app.users)

    async def delete_route(self, *_: Any) -> None:
        self.db.query("users")


class Optional(Table):
    colour = Unicode("grey").tag(config=True)
    number = Integer(1).tag(config=True)


class Started(Table):
    """Starts a process, as JupyterHub's own does."""

    should_start = Bool(True).tag(config=True)
    how = "serves"
    tries = 0
    process: Any = None

    async def start(self) -> None:
        port = self.public_url.rstrip("/").rpartition(":")[2]
        type(self).tries += 1
        self.process = subprocess.Popen([sys.executable, str(TINY), port, self.how])  # noqa: ASYNC220
        while self.how != "serves" or self.process.poll() is None:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", int(port))
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise RuntimeError("it has ended")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class EndsAtOnce(Started):
    how = "ends"


class Leaves(Started):
    """What it starts has us no longer for its parent."""

    how = "leaves"


class NeverStarts(Started):
    async def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(TINY), self.public_url.rstrip("/").rpartition(":")[2]])  # noqa: ASYNC220
        await asyncio.Event().wait()


class StartsAtLast(Started):
    async def start(self) -> None:
        if type(self).tries < 2:
            type(self).tries += 1
            raise OSError("not yet")
        await super().start()


Make = Callable[..., ClassicProxy]


@pytest.fixture
async def make(tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Hosts a class; all in one folder, at one address."""
    made: list[ClassicProxy] = []
    bind_url = f"http://127.0.0.1:{free_port()}/"
    monkeypatch.setenv("HUBBUB_PROXY", "")  # what `host` sets is gone after the test

    def hosting(kind: type[Proxy], config: Config | None = None, name: str = "p") -> ClassicProxy:
        hub = Hub(url="http://127.0.0.1:8081/hub/")
        site = Site(name=name, bind_url=bind_url, hub=hub, folder=tmp_path, token="token")
        proxy = host(kind, Options(config or Config()), site)
        assert isinstance(proxy, ClassicProxy)
        made.append(proxy)
        return proxy

    Started.tries = StartsAtLast.tries = EndsAtOnce.tries = Leaves.tries = 0
    yield hosting
    for proxy in made:
        await proxy.close()
    end_all(tmp_path)


def end_all(folder: Path) -> None:
    for path in folder.glob("proxy/classic-*.json"):
        if (record := Record.read(path)) and runs(record.pid):
            os.kill(record.pid, signal.SIGKILL)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text().replace("\0", "\n")


def tiny_ones() -> list[int]:
    """Our children that stand for proxies."""
    return [pid for pid in children.of_ours() if str(TINY) in Path(f"/proc/{pid}/cmdline").read_text()]


def pid_of(proxy: ClassicProxy) -> int:
    running = proxy._life.running
    assert running is not None
    return running.pid


# Routes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Table, PlainTable])
async def test_three_methods_are_a_proxy_async_or_not(make: Make, kind: type[Proxy]):
    proxy = make(kind)
    await proxy.start()
    await proxy.add_route("/user/ada", TARGET, DATA)
    route = ProxyRoute(routespec="/user/ada/", target=TARGET, data=dict(DATA))
    assert await proxy.get_all_routes() == {"/user/ada/": route}
    assert await proxy.get_route("/user/ada") == route
    assert await proxy.change_routes([{**route, "target": "http://127.0.0.1:1"}], []) == {}
    assert (await proxy.get_all_routes())["/user/ada/"]["target"] == "http://127.0.0.1:1"
    assert await proxy.change_routes([], ["/user/ada/"]) == {}
    assert await proxy.get_all_routes() == {}
    assert await proxy.answers()


async def test_what_nobody_here_has_set_is_left_alone_and_what_jupyterhub_has_set_is_ours(make: Make):
    proxy = make(Table)
    await proxy.start()
    theirs = proxy._life.proxy.kept
    theirs["/user/old/"] = {"routespec": "/user/old/", "target": TARGET, "data": {"user": "old", "server_name": ""}}
    theirs["host.example.org/"] = {"routespec": "host.example.org/", "target": TARGET, "data": {"user": "x"}}
    assert list(await proxy.get_all_routes()) == ["/user/old/"]
    assert "/of-others/" in theirs


async def test_stores_of_strings_give_back_the_number_of_the_attempt(make: Make):
    proxy = make(Table)
    await proxy.start()
    await proxy.add_route("/user/ada/", TARGET, {**DATA, "attempt": "12"})
    assert (await proxy.get_all_routes())["/user/ada/"]["data"]["attempt"] == 12


async def test_what_is_raised_is_told_by_its_name_and_whether_it_may_be_there_yet(make: Make):
    proxy = make(Raising)
    await proxy.start()
    with pytest.raises(RouteRefused, match=r"Raising\.add_route: ValueError: no such thing"):
        await proxy.add_route("/user/ada/", TARGET, DATA)
    with pytest.raises(ProxyUnavailable, match="nobody there"):
        await proxy.delete_route("/user/ada/")
    route = ProxyRoute(routespec="/user/ada/", target=TARGET, data={})
    failed = await proxy.change_routes([route], ["/user/bob/"])
    assert {spec: type(error) for spec, error in failed.items()} == {
        "/user/ada/": RouteRefused,
        "/user/bob/": ProxyUnavailable,
    }


async def test_nonsense_for_a_table_is_no_table(make: Make):
    proxy = make(Nonsense)
    await asyncio.wait_for(proxy.start(), 10)
    with pytest.raises(ProxyUnavailable, match="has returned list"):
        await proxy.get_all_routes()
    assert not await proxy.answers()


async def test_one_that_calls_exit_ends_its_call_alone(make: Make):
    proxy = make(Leaving)
    await proxy.start()
    with pytest.raises(RouteRefused, match="SystemExit: 3"):
        await proxy.add_route("/user/ada/", TARGET, DATA)
    assert await proxy.get_all_routes() == {}
    await asyncio.sleep(0.3)  # in which the floor would find out otherwise
    assert not proxy._floor.exited.is_set()


async def test_one_that_hangs_is_given_up_and_one_after_it_is_served(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hosted, "CHANGE", 0.2)
    proxy = make(Hanging)
    await proxy.start()
    with pytest.raises(ProxyUnavailable, match="Overdue"):
        await proxy.add_route("/user/ada/", TARGET, DATA)
    await proxy.delete_route("/user/ada/")


async def test_one_that_blocks_holds_up_nobody_else(make: Make):
    proxy = make(Blocking)
    await proxy.start()
    adding = asyncio.create_task(proxy.add_route("/user/ada/", TARGET, DATA))
    turns = 0
    while not adding.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 10
    await adding


async def test_one_that_blocks_for_good_ends_us_for_a_successor(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hosted, "STUCK", 0.0)
    monkeypatch.setattr(hosted, "LIST", 0.1)
    monkeypatch.setattr("hubbub.floor._GRACE", 0.1)
    proxy = make(Blocking)
    await proxy.start()
    adding = asyncio.create_task(proxy.add_route("/user/ada/", TARGET, DATA))
    await asyncio.sleep(0.1)
    with pytest.raises(RuntimeError, match="Blocking blocks for good"):
        await proxy._look_at_floor()
    await adding


async def test_what_is_not_there_is_named(make: Make):
    proxy = make(Curious)
    await proxy.start()
    with pytest.raises(RouteRefused, match=r"app\.users"):
        await proxy.add_route("/user/ada/", TARGET, DATA)
    with pytest.raises(RouteRefused, match="no database"):
        await proxy.delete_route("/user/ada/")


async def test_it_may_ask_for_all_routes_to_be_compared(make: Make):
    proxy, asked = make(Table), asyncio.Event()
    proxy.compares(asked.set)
    await proxy.start()
    await proxy._floor.call(lambda: proxy._life.proxy.check_routes({}, {}), patience=5)
    await asyncio.wait_for(asked.wait(), 5)


# How it is made ---------------------------------------------------------------------------


async def test_it_is_made_as_jupyterhub_makes_it(make: Make):
    config = Config()
    config.Optional.colour = "red"
    config.JupyterHub.Optional.number = 7
    proxy = make(Optional, config)
    await proxy.start()
    theirs = proxy._life.proxy
    assert (theirs.colour, theirs.number) == ("red", 7)
    assert theirs.public_url == proxy.public_url
    assert (theirs.hub.url, theirs.hub.host) == ("http://127.0.0.1:8081/hub/", "http://127.0.0.1:8081")
    assert (theirs.hub.routespec, theirs.hub.base_url) == ("/", "/hub/")
    assert theirs.hub.api_url == "http://127.0.0.1:8081/hub/api"
    assert theirs.parent is theirs.app
    assert (theirs.app.hub is theirs.hub, theirs.app.subdomain_host, theirs.app.internal_ssl) == (True, "", False)
    assert (theirs.host_routing, theirs.ssl_cert, theirs.ssl_key) == (False, "", "")


async def test_an_option_that_cannot_be_ends_the_start_by_its_name(make: Make, capsys: pytest.CaptureFixture[str]):
    config = Config()
    config.Optional.number = "many"
    with pytest.raises(SystemExit) as ended:
        await make(Optional, config).start()
    assert ended.value.code == 78
    assert "Optional" in (said := capsys.readouterr().err) and "number" in said


async def test_what_it_starts_is_not_given_our_secrets(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HUBBUB_NATS_URL", "nats://word@host")
    proxy = make(Started)
    await proxy.start()
    assert "word@" not in environment(pid_of(proxy))
    assert "HUBBUB_PROXY=p:" in environment(pid_of(proxy))


# Its life ---------------------------------------------------------------------------------


async def test_its_process_outlives_us_and_is_used_again(make: Make):
    first = make(Started)
    await first.start()
    pid = pid_of(first)
    await first.close()
    second = make(Started)
    await second.start()
    assert pid_of(second) == pid
    assert Started.tries == 1
    assert await second.answers()
    assert second._life.proxy.should_start is False
    await second.stop()
    assert not runs(pid)


async def test_a_daemon_is_found_by_what_it_was_given(make: Make):
    first = make(Leaves)
    await first.start()
    async with asyncio.timeout(10):
        while tiny_ones():  # it has begun another, and ends
            await asyncio.sleep(0.02)
    await first.close()
    second = make(Leaves)
    await second.start()
    pid = pid_of(second)
    assert runs(pid) and pid not in children.of_ours()
    assert Leaves.tries == 1
    returned = asyncio.Event()
    watching = asyncio.create_task(second.watch(returned.set))
    os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(returned.wait(), 4)
    async with asyncio.timeout(10):  # what was begun first may end only now, and is lost once more
        while (found := second._life.running) is None or found.pid in {pid, *children.of_ours()}:
            await asyncio.sleep(0.02)
    watching.cancel()
    await second.stop()


@pytest.mark.parametrize("again", [False, True], ids=["started here", "found"])
async def test_it_is_started_again_as_soon_as_it_dies(make: Make, again: bool):
    proxy = make(Started)
    await proxy.start()
    if again:
        await proxy.close()
        proxy = make(Started)
        await proxy.start()
    dead, returned = pid_of(proxy), asyncio.Event()
    watching = asyncio.create_task(proxy.watch(returned.set))
    os.kill(dead, signal.SIGKILL)
    await asyncio.wait_for(returned.wait(), 4)  # below the interval at which it is looked at anyway
    assert pid_of(proxy) != dead
    assert await proxy.answers()
    watching.cancel()


async def test_one_that_is_stopped_does_not_answer(make: Make):
    proxy = make(Started)
    await proxy.start()
    os.kill(pid_of(proxy), signal.SIGSTOP)
    assert not await proxy.answers()
    os.kill(pid_of(proxy), signal.SIGCONT)
    assert await proxy.answers()


async def test_two_for_one_proxy_use_one_process(make: Make):
    proxies = [make(Started), make(Started)]
    await asyncio.gather(*(proxy.start() for proxy in proxies))
    assert pid_of(proxies[0]) == pid_of(proxies[1])
    watching = [asyncio.create_task(proxy.watch(lambda: None)) for proxy in proxies]
    dead = pid_of(proxies[0])
    os.kill(dead, signal.SIGKILL)
    async with asyncio.timeout(10):
        while not all((running := proxy._life.running) and running.pid != dead for proxy in proxies):
            await asyncio.sleep(0.02)
    assert pid_of(proxies[0]) == pid_of(proxies[1])
    for task in watching:
        task.cancel()


async def test_other_options_need_another_process(make: Make):
    first = make(Started)
    await first.start()
    pid = pid_of(first)
    await first.close()
    config = Config()
    config.Proxy.extra_routes = {"/x/": "http://127.0.0.1:1"}
    second = make(Started, config)
    await second.start()
    assert pid_of(second) != pid
    assert Started.tries == 2


async def test_what_a_proxy_sync_left_that_died_too_early_is_ended(make: Make):
    proxy = make(Started)
    left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)  # noqa: ASYNC220
    with left:
        await proxy.start()
        assert left.poll() is not None


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [(EndsAtOnce, "its process has ended at once"), (NeverStarts, "Overdue")],
)
async def test_why_it_does_not_start_is_told_and_nothing_is_left(
    make: Make, kind: type[Started], complaint: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(life, "START", 0.5 if kind is NeverStarts else 30.0)
    proxy = make(kind)
    starting = asyncio.create_task(proxy.start())
    async with asyncio.timeout(10):
        while not proxy.complaint:
            await asyncio.sleep(0.02)
    assert complaint in proxy.complaint
    starting.cancel()
    await asyncio.wait({starting})
    assert tiny_ones() == []


async def test_it_is_tried_again_until_it_starts(make: Make):
    proxy = make(StartsAtLast)
    await asyncio.wait_for(proxy.start(), 10)
    assert StartsAtLast.tries == 3
    assert await proxy.answers()


# One derived from JupyterHub's own --------------------------------------------------------


class Noting(ConfigurableHTTPProxy):
    noted: list[str]

    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        self.noted = [*getattr(self, "noted", []), routespec]
        await super().add_route(routespec, target, data)


async def test_one_derived_from_jupyterhubs_own_runs_the_proxy_that_we_have(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HUBBUB_PROXY", "")
    site = Site(
        name="p",
        bind_url=f"http://127.0.0.1:{free_port()}/",
        api_url=f"http://127.0.0.1:{free_port()}",
        folder=tmp_path,
        token="token",
        command=tuple(json.loads(proxy_command())),
    )
    proxy = host(Noting, Options(Config()), site)
    assert isinstance(proxy, ClassicProxy)
    await asyncio.wait_for(proxy.start(), 30)
    try:
        await proxy.add_route("/user/a%20b/", TARGET, DATA)
        found = await proxy.get_all_routes()
        assert found["/user/a%20b/"]["data"]["server_id"] == "s1"
        assert proxy._life.proxy.noted == ["/user/a%20b/"]
        dead, returned = pid_of(proxy), asyncio.Event()
        watching = asyncio.create_task(proxy.watch(returned.set))
        os.kill(dead, signal.SIGKILL)
        await asyncio.wait_for(returned.wait(), 10)
        assert await proxy.get_all_routes() == {}
        watching.cancel()
    finally:
        await proxy.stop()
        await proxy.close()
