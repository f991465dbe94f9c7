"""jupyterhub-traefik-proxy with its file provider and a real Traefik, as proxy-sync drives it."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from jupyterhub_traefik_proxy.kv_proxy import TKvProxy
from traefik_rig import TOKEN, Yard, echo, talk
from traitlets.config import Config

from hubbub.internal_tls.files import Files, serving, write_private
from hubbub.testing.tls import authorities, issued
from hubbub_proxy_sync.classic import table_file, traefik_file
from hubbub_proxy_sync.proxies.proxy import Overtaken, ProxyRoute, ProxyUnavailable
from stack import eventually
from upstreams import Upstreams

pytestmark = pytest.mark.system

#: Each has had a rule that was wrong, or could have.
NAMES = (
    "ada", "a b", "100%", "100%25", "é", "日本", "😀", "x+y", "a;b", "q?x", "h#x", 'd"q', "back\\slash", "~tilde",
    "at@x", "it's", "ADA", "br{x}", "a,b", "a=b", "a&b", "$x", "a(b)", "*", "a|b", "a^b", "<x>", "[y]", "a:b", "!x",
    "tick`y", "x`) || PathRegexp(`.*", 'y") || PathPrefix("', "cr\rx", "nl\nx", "tab\t", "del\x7f", "c1\x85",
    "ls\u2028",
)  # fmt: skip


@pytest.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    for name in ("HUBBUB_PROXY", "CONFIGPROXY_AUTH_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # as of `hubbub up`
    upstreams = await Upstreams.begin()
    await upstreams.open("hub")
    made = Yard(tmp_path, upstreams)
    yield made
    await made.close()
    await upstreams.end()


# Where paths lead -------------------------------------------------------------------------


def spellings(name: str) -> Iterator[str]:
    """As JupyterHub, browsers, RFC 3986 and the pedantic quote it; and each letter."""
    for plain in ("@~", "!'()*-._~", "!$&'()*+,;=:@[]~", ""):
        yield quote(name, safe=plain)
    yield "".join(f"%{byte:02X}" for byte in name.encode())


async def test_each_spelling_of_a_name_leads_to_its_server_and_to_nobody_elses(yard: Yard):
    driver = await yard.started()
    routes = [await yard.route(f"/user/{quote(name, safe='@~')}/", f"n{number}") for number, name in enumerate(NAMES)]
    assert await driver.change_routes(routes, []) == {}
    assert (await driver.get_all_routes()).keys() == {"/", *(route["routespec"] for route in routes)}
    wrong = []
    for number, name in enumerate(NAMES):
        for path in dict.fromkeys(f"/user/{spelled}" for spelled in spellings(name)):
            for below in ("", "/", "/x?y=1"):
                if (who := await yard.who(f"{path}{below}")) != f"n{number}":
                    wrong.append((name, path + below, who))
    assert wrong == []


async def test_whatever_else_comes_leads_to_the_hub_or_to_whom_it_means(yard: Yard):
    driver = await yard.started()
    await yard.set(driver, "/user/ada/", "ada")
    await yard.set(driver, "/user/ada/lab/", "lab")
    await yard.set(driver, "/user/adam/", "adam")
    assert await yard.whose(["/user/ada/lab", "/user/ada/lab/x", "/user/ada/la", "/user/ada/lab2"]) == [
        "lab", "lab", "ada", "ada",
    ]  # fmt: skip
    assert await yard.whose(["/user/adam", "/user/adam/", "/user/adamant/", "/user/", "/user"]) == [
        "adam", "adam", "hub", "hub", "hub",
    ]  # fmt: skip
    assert await yard.whose(["/user/ada%2F..%2Fadam/", "/user/ada/../adam/", "/user/ada/%2e%2e/x/"]) == [
        "hub", "adam", "hub",
    ]  # fmt: skip
    assert await yard.whose(["//user/ada/", "/user/ada/a%2Fb", "/user/ada/a%25b%3Fc%23d"]) == ["ada", "ada", "ada"]


async def test_hosts_have_routes_of_their_own(yard: Yard):
    driver = await yard.started(site={"host_routing": True})
    await yard.set(driver, "ada.hub.test/user/ada/", "ada")
    assert "ada.hub.test/user/ada/" in await driver.get_all_routes()
    assert await yard.who("/user/ada/x", host="ada.hub.test") == "ada"
    assert await yard.who("/user/ada/x", host="ADA.hub.test:8000") == "ada"
    assert await yard.who("/user/ada/x", host="bob.hub.test") == "hub"


async def test_nobody_tells_upstreams_whence_they_come(yard: Yard):
    driver = await yard.started()
    found: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await driver.add_route("/user/ada/", target, {"user": "ada", "server_id": "s", "attempt": 1})
        await yard.who("/user/ada/", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Real-IP: 6.6.6.6")
    headers = found[0].decode().lower()
    assert "6.6.6.6" not in headers
    assert "x-forwarded-for: 127.0.0.1" in headers and "x-forwarded-proto: http\r" in headers


# Changes ----------------------------------------------------------------------------------


async def test_many_changes_are_one_and_are_true_when_it_returns(yard: Yard):
    driver = await yard.started()
    await yard.upstreams.open("ada")
    await yard.upstreams.open("bob")
    many = [await yard.route(f"/user/u{number}/", "ada") for number in range(1000)]
    async with asyncio.timeout(10):
        assert await driver.change_routes(many, []) == {}
    assert await yard.whose(["/user/u0/", "/user/u999/"]) == ["ada", "ada"]
    assert (
        await driver.change_routes([await yard.route("/user/u7/", "bob", 2)], ["/user/u8/", "/user/not-there/"]) == {}
    )
    assert await yard.whose(["/user/u7/", "/user/u8/", "/user/u9/"]) == ["bob", "hub", "ada"]
    found = await driver.get_all_routes()
    assert len(found) == 1000
    assert found["/user/u7/"]["data"] == {"user": "bob", "server_name": "", "server_id": "id-bob", "attempt": 2}


async def test_several_at_once_do_not_undo_each_other(yard: Yard):
    driver = await yard.started()
    await yard.upstreams.open("ada")
    routes = [await yard.route(f"/user/u{number}/", "ada") for number in range(12)]
    await asyncio.gather(*(driver.add_route(each["routespec"], each["target"], each["data"]) for each in routes))
    await asyncio.gather(*(driver.delete_route(each["routespec"]) for each in routes[::2]))
    assert await yard.whose([each["routespec"] for each in routes]) == ["hub", "ada"] * 6


async def test_a_websocket_stays_open_while_routes_come_and_go(yard: Yard):
    driver = await yard.started()
    await yard.set(driver, "/user/ada/", "ada")
    async with talk(yard, "/user/ada/ws") as connected:
        assert await echo(connected, "before") == "ada:before"
        for number in range(10):
            await yard.set(driver, f"/user/u{number}/", "bob")
        assert await driver.change_routes([], [f"/user/u{number}/" for number in range(10)]) == {}
        assert await echo(connected, "after") == "ada:after"


# Behind our back --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["emptied", "removed", "broken"])
async def test_a_table_that_is_gone_is_seen_and_filled_again(yard: Yard, how: str):
    driver = await yard.started()
    await yard.set(driver, "/user/ada/", "ada")
    if how == "removed":
        yard.file.unlink()
    else:
        yard.file.write_text("" if how == "emptied" else "{ this is no table")
    assert await driver.get_all_routes() == {}
    routes = [await yard.route("/", "hub"), await yard.route("/user/ada/", "ada")]
    assert await driver.change_routes(routes, []) == {}
    assert await yard.whose(["/user/ada/", "/"]) == ["ada", "hub"]


async def test_what_was_wiped_is_not_waited_for(yard: Yard):
    """A proxy-sync that is new has seen nothing loaded yet, and remembers what the file held when it came."""
    await yard.started()
    driver = yard.driver()
    await driver.start()
    await driver.get_all_routes()
    yard.write({})
    await yard.hang()
    assert await driver.get_all_routes() == {}
    async with asyncio.timeout(5):
        await driver.in_effect()


async def test_what_is_wiped_while_it_is_waited_for_is_waited_for_no_longer(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
):
    await yard.started()
    driver = yard.driver()
    await driver.start()
    await driver.get_all_routes()
    asked = asyncio.Event()
    home = asyncio.get_running_loop()

    async def nothing_yet(_: Any) -> int:
        home.call_soon_threadsafe(asked.set)
        return 0

    monkeypatch.setattr(traefik_file.Watched, "_loaded_version", nothing_yet)
    waiting = asyncio.create_task(driver.in_effect())
    async with asyncio.timeout(10):
        await asked.wait()
        yard.write({})
        with pytest.raises(ProxyUnavailable, match="taken away"):
            await waiting


async def test_a_table_that_is_wiped_before_traefik_has_read_it_is_put_back(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
):
    """Traefik is asked by one of the routes in there whether it has started."""
    apply, wiped = traefik_file.Watched._apply_dynamic_config, []

    async def wipe_then(self: Any, *arguments: Any) -> None:
        await apply(self, *arguments)
        if not wiped:
            wiped.append(yard.write({}))

    monkeypatch.setattr(traefik_file.Watched, "_apply_dynamic_config", wipe_then)
    async with asyncio.timeout(20):
        await yard.started()
    assert wiped and await yard.who("/") == "hub"


async def test_what_others_do_to_our_routes_is_seen(yard: Yard):
    driver = await yard.started()
    for name in ("ada", "bob", "cyd"):
        await yard.set(driver, f"/user/{name}/", name)
    table = yard.table()
    del table["http"]["routers"]["router__2Fuser_2Fada_2F"]
    table["http"]["services"]["service__2Fuser_2Fbob_2F"]["loadBalancer"]["servers"] = [{"url": "http://127.0.0.1:1"}]
    table["http"]["routers"]["router__2Fuser_2Fcyd_2F"]["rule"] = "PathPrefix(`/user/dan/`)"
    yard.write(table)
    found = await driver.get_all_routes()
    assert {spec: route["target"] for spec, route in found.items() if spec != "/"} == {
        "/user/bob/": "http://127.0.0.1:1",
        "/user/cyd/": "",
    }
    routes = [await yard.route(f"/user/{name}/", name) for name in ("ada", "bob", "cyd")]
    assert await driver.change_routes(routes, []) == {}
    assert await yard.whose(["/user/ada/", "/user/bob/", "/user/cyd/", "/user/dan/"]) == ["ada", "bob", "cyd", "hub"]


async def test_what_was_worked_out_before_others_wrote_the_file_is_not_carried_out(yard: Yard):
    first = await yard.started()
    second = yard.driver()
    await second.start()
    await first.get_all_routes()
    await yard.set(second, "/user/ada/", "ada")
    before = yard.file.read_bytes()
    with pytest.raises(Overtaken):
        await first.change_routes([await yard.route("/user/bob/", "bob")], [])
    assert yard.file.read_bytes() == before
    assert (await first.get_all_routes()).keys() == {"/", "/user/ada/"}
    for name in ("bob", "cyd"):  # what it has written itself is no news
        await yard.set(first, f"/user/{name}/", name)
    assert await yard.whose(["/user/ada/", "/user/bob/", "/user/cyd/"]) == ["ada", "bob", "cyd"]


async def test_what_others_write_while_a_change_is_being_written_stays(yard: Yard):
    driver = await yard.started()
    await yard.upstreams.open("bob")
    theirs = yard.table() | {"theirs": {}}

    def write(path: Path, text: str) -> None:
        write_private(path, text)
        yard.write(theirs)

    route = await yard.route("/user/bob/", "bob")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_file, "write_private", write)
        with pytest.raises(Overtaken):
            await driver.change_routes([route], [])
    assert yard.table() == theirs
    assert [path.name for path in yard.file.parent.glob(f"{yard.file.name}*")] == [yard.file.name]
    assert (await driver.get_all_routes()).keys() == {"/"}
    await asyncio.wait_for(driver.in_effect(), 10)  # what was not written is not waited for
    await yard.set(driver, "/user/bob/", "bob")
    assert await yard.who("/user/bob/") == "bob"
    assert "theirs" in yard.table()


async def test_what_others_have_written_is_in_effect_when_traefik_has_loaded_it(yard: Yard):
    first = await yard.started()
    second = yard.driver()
    await second.start()
    await yard.set(first, "/user/ada/", "ada")
    await yard.hang()
    changing = asyncio.create_task(second.change_routes([], ["/user/ada/"]))

    async def listed() -> bool:
        return (await first.get_all_routes()).keys() == {"/"}

    await eventually(listed, 10, "the file without the route")
    waiting = asyncio.create_task(first.in_effect())
    await asyncio.wait({waiting}, timeout=0.5)
    assert not waiting.done()
    os.kill(yard.pid(), signal.SIGCONT)
    await asyncio.wait_for(waiting, 20)
    assert await yard.who("/user/ada/") == "hub"
    assert await changing == {}


async def test_routes_of_others_are_left_alone(yard: Yard):
    driver = await yard.started()
    await yard.upstreams.open("theirs")
    table = yard.table()
    table["http"]["routers"]["theirs"] = {"rule": "PathPrefix(`/theirs`)", "service": "theirs", "entryPoints": ["http"]}
    url = f"http://127.0.0.1:{yard.upstreams.ports['theirs']}"
    table["http"]["services"]["theirs"] = {"loadBalancer": {"servers": [{"url": url}]}}
    yard.write(table)
    await yard.set(driver, "/user/ada/", "ada")
    assert (await driver.get_all_routes()).keys() == {"/", "/user/ada/"}
    assert await driver.change_routes([], ["/user/ada/"]) == {}
    assert await yard.who("/theirs/x") == "theirs"
    returned = asyncio.Event()
    watching = asyncio.create_task(driver.watch(returned.set))
    yard.kill()
    await asyncio.wait_for(returned.wait(), 10)
    assert await yard.who("/theirs/x") == "theirs"
    watching.cancel()


# Life -------------------------------------------------------------------------------------


async def test_one_that_is_killed_is_back_with_its_routes(yard: Yard):
    driver = await yard.started()
    await yard.set(driver, "/user/ada/", "ada")
    returned = asyncio.Event()
    watching = asyncio.create_task(driver.watch(returned.set))
    yard.kill()
    await asyncio.wait_for(returned.wait(), 10)
    assert await yard.who("/user/ada/") == "ada"
    assert (await driver.get_all_routes()).keys() == {"/", "/user/ada/"}
    watching.cancel()


async def test_nobody_notices_another_proxy_sync(yard: Yard):
    first = await yard.started()
    await yard.set(first, "/user/ada/", "ada")
    before = yard.pid()
    async with talk(yard, "/user/ada/ws") as connected:
        await first.close()
        second = yard.driver()
        await second.start()
        assert yard.pid() == before
        assert (await second.get_all_routes())["/user/ada/"]["data"]["attempt"] == 1
        await yard.set(second, "/user/bob/", "bob")
        assert await yard.whose(["/user/bob/", "/user/ada/"]) == ["bob", "ada"]
        assert await echo(connected, "still") == "ada:still"
    returned = asyncio.Event()
    watching = asyncio.create_task(second.watch(returned.set))
    yard.kill()
    await asyncio.wait_for(returned.wait(), 10)
    assert await yard.whose(["/user/bob/", "/user/ada/"]) == ["bob", "ada"]
    watching.cancel()


async def test_a_new_traefik_does_not_lead_where_an_old_one_did(yard: Yard):
    first = await yard.started()
    await yard.set(first, "/user/ada/", "ada")
    await first.close()
    yard.kill()
    second = yard.driver()
    await second.start()
    assert await second.get_all_routes() == {}
    assert await yard.who("/user/ada/") == ""


async def test_one_that_hangs_does_not_answer_and_its_end_is_ours(yard: Yard):
    driver = await yard.started()
    await yard.hang()
    assert not await driver.answers()
    os.kill(yard.pid(), signal.SIGCONT)
    assert await driver.answers()
    await driver.stop()
    assert not await driver.answers()


async def test_a_port_that_is_taken_is_waited_for(yard: Yard):
    driver = yard.driver()
    with socket.create_server(("127.0.0.1", yard.port)):
        starting = asyncio.create_task(driver.start())
        async with asyncio.timeout(20):
            while not driver.complaint:
                await asyncio.sleep(0.05)
        assert "ended at once" in driver.complaint
    await asyncio.wait_for(starting, 30)
    await yard.set(driver, "/", "hub")
    assert await yard.who("/") == "hub"


async def test_its_api_moves_away_from_a_port_that_somebody_else_has(yard: Yard):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (yard.folder / "proxy").mkdir()
        (yard.folder / "proxy" / "one-traefik.json").write_text(str(taken.getsockname()[1]))
        driver = await yard.started()
    assert await yard.who("/") == "hub"
    assert await driver.answers()


async def test_the_operators_own_files_and_options_are_used(yard: Yard):
    rules = yard.folder / "mine.toml"
    config = Config()
    config.TraefikFileProviderProxy.dynamic_config_file = str(rules)
    config.TraefikProxy.extra_static_config = {"ping": {}}
    driver = await yard.started(config=config)
    await yard.set(driver, "/user/a%20b/", "ada")
    assert await yard.who("/user/a%20b/") == "ada"
    assert "PathPrefix(`/user/a b/`)" in rules.read_text()
    assert "[ping]" in (yard.folder / "proxy" / "one-traefik.toml").read_text()
    rules.write_text("")
    assert await driver.get_all_routes() == {}
    await yard.set(driver, "/user/ada/", "ada")
    assert await yard.who("/user/ada/") == "ada"


# TLS --------------------------------------------------------------------------------------


async def test_people_come_by_tls(yard: Yard):
    files = issued(authorities(yard.folder / "authorities"), yard.folder / "public", "server")
    site = {
        "bind_url": f"https://127.0.0.1:{yard.port}/",
        "ssl_key": str(files.keyfile),
        "ssl_cert": str(files.certfile),
    }
    driver = await yard.started(site=site)
    assert await driver.answers()
    assert await asyncio.to_thread(_shown, yard.port) == files.certfile.read_text().strip()
    other = issued(authorities(yard.folder / "authorities"), yard.folder / "renewed", "server")
    other.certfile.replace(files.certfile)
    other.keyfile.replace(files.keyfile)

    async def renewed() -> bool:
        await driver.get_all_routes()  # as proxy-sync does it each second
        return await asyncio.to_thread(_shown, yard.port) == files.certfile.read_text().strip()

    await eventually(renewed, 10, "the renewed certificate")


def _shown(port: int) -> str:
    import ssl

    return ssl.get_server_certificate(("127.0.0.1", port)).strip()


async def test_the_inside_is_shown_a_certificate_and_has_to_show_one(yard: Yard):
    found = authorities(yard.folder / "authorities")
    inside: dict[str, Files] = {
        part: issued(found, yard.folder / "tls" / part, part) for part in ("proxy-sync", "proxy-api", "proxy-client")
    }
    server = issued(found, yard.folder / "tls" / "server", "server")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-Name: ada\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    driver = yard.driver()
    driver.secure(inside)
    await driver.start()
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving(server)) as listening:
        target = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        route = ProxyRoute(routespec="/user/ada/", target=target, data={"user": "ada", "server_id": "s", "attempt": 1})
        assert await driver.change_routes([route], []) == {}
        assert await yard.who("/user/ada/") == "ada"


# A store of keys and values ---------------------------------------------------------------


class Stored(TKvProxy):
    """As the package's classes for Redis, etcd and Consul, without the store and without a Traefik that reads it."""

    provider_name = "stored"

    def __init__(self, **kwargs: Any) -> None:
        self.store: dict[str, str] = {}
        super().__init__(**kwargs)

    async def _kv_atomic_set(self, to_set: dict[str, str]) -> None:
        self.store.update(to_set)

    async def _kv_atomic_delete(self, *keys: str) -> None:
        for key in list(self.store):
            if key.startswith(keys):
                del self.store[key]

    async def _kv_get_tree(self, prefix: str) -> Any:
        found = [(key, value) for key, value in self.store.items() if key.startswith(prefix)]
        return self.unflatten_dict_from_kv(found, root_key=prefix)

    async def _wait_for_static_config(self) -> None:
        pass

    async def _wait_for_route(self, routespec: str) -> None:
        pass


async def test_routes_come_back_from_a_store_of_strings(yard: Yard):
    config = Config()
    config.Proxy.should_start = False
    driver = yard.driver(kind=Stored, config=config)
    await driver.start()
    wanted = [await yard.route(f"/user/{name}/", "hub", 7) for name in ("ada", "100%2525", "a%20b", "at@x")]
    assert await driver.change_routes(wanted, []) == {}
    assert await driver.get_all_routes() == {route["routespec"]: route for route in wanted}
    store = driver._life.proxy.store
    assert store["traefik/http/routers/router__2Fuser_2F100_252525_2F/rule"] == (
        "PathPrefix(`/user/100%2525/`) || Path(`/user/100%2525`)"
    )
    assert await driver.change_routes([], [route["routespec"] for route in wanted]) == {}
    assert not [key for key in store if "2Fuser" in key]
    assert await driver.answers()
