"""The entries of HAProxy's map, and what is read of them."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub_proxy_sync.proxies import RouteRefused
from hubbub_proxy_sync.proxies.haproxy import entries, listing
from hubbub_proxy_sync.proxies.haproxy.entries import Kept, Upstream
from hubbub_proxy_sync.proxies.haproxy.keys import FALLBACK, key_of
from hubbub_proxy_sync.proxies.haproxy.listing import Listing
from hubbub_proxy_sync.proxies.haproxy.names import Names
from hubbub_proxy_sync.proxies.haproxy.routing import Routing
from hubbub_proxy_sync.proxies.haproxy.runtime import LONGEST, chunks
from hubbub_proxy_sync.proxies.proxy import ProxyUnavailable
from hubbub_proxy_sync.proxies.routespec import in_one_form

ADA = Upstream("http", "127.0.0.1", 4000)


def valued(target: str = "http://127.0.0.1:4000", **data: object) -> str:
    return entries.entry(Upstream.of(target), target, data, hub=False)


def shown(*items: tuple[str, str]) -> bytes:
    """As `show map` says it."""
    return "".join(f"0x{place:x} {key} {value}\n" for place, (key, value) in enumerate(items, 1)).encode() + b"\n"


@pytest.mark.parametrize(
    ("target", "upstream"),
    {
        "http://127.0.0.1:4000": ADA,
        "http://127.0.0.1:4000/": ADA,
        "http://10.0.0.1": Upstream("http", "10.0.0.1", 80),
        "https://10.0.0.1/base/": Upstream("https", "10.0.0.1", 443, path="/base"),
        "http://[::1]:8888": Upstream("http", "::1", 8888),
        "http://jupyter-ada:8888": Upstream("http", "", 8888, "jupyter-ada"),
        "http://HOST.test/a b|c%20d": Upstream("http", "", 80, "host.test", "/a%20b%7Cc%20d"),
    }.items(),
)
def test_a_target_is_taken_apart(target: str, upstream: Upstream) -> None:
    assert upstream == Upstream.of(target)


@pytest.mark.parametrize(
    "target",
    ["", "127.0.0.1:80", "unix:///run/x", "http://", "ftp://x", "http://x:99999", "http://[::1", "http://a:b@c"],
)
def test_what_haproxy_cannot_lead_to_is_refused(target: str) -> None:
    with pytest.raises(RouteRefused):
        Upstream.of(target)


@given(st.text(), st.dictionaries(st.text(), st.text() | st.booleans() | st.integers(0, 2**31)))
def test_an_entry_keeps_what_it_was_given_and_is_one_word(target: str, data: dict[str, object]) -> None:
    value = entries.entry(ADA, target, data, hub=False)
    assert Kept(target, data) == entries.kept_of(value)
    assert value.isascii()
    assert not set(value) & set(" ;\\\n\r\t")
    assert entries.is_ours(value)


def test_a_name_is_no_more_than_a_word() -> None:
    value = entries.entry(Upstream("http", "127.0.0.1", 1, Upstream.of("http://a|b;c\u00e9:1").name), "", {}, hub=True)
    assert not set(value) & set(" ;\\")
    assert "hub_http" == value.split("|")[entries.BACKEND - 1]
    assert ("a%7Cb%3Bc%C3%A9", "127.0.0.1") == entries.address_of(value)


@pytest.mark.parametrize("value", ["hubbub|", "hubbub|x|y|z", "hubbub||||||e30=", "hubbub|servers_http|1|2||||!!"])
def test_a_spoilt_entry_leads_to_what_nobody_wants(value: str) -> None:
    assert Kept("", {}) == entries.kept_of(value)
    found = Listing()
    found.read(shown(("%2Fuser%2Fada%2F", value)))
    assert [""] == [route["target"] for route in found.routes.values()]
    assert entries.address_of(value)
    assert found.values == {"%2Fuser%2Fada%2F": value}


def test_what_others_have_set_is_not_listed() -> None:
    found = Listing()
    found.read(
        shown((key_of("/user/ada/"), valued(user="ada")), ("%2Ftheirs%2F", "theirs|x"), ("%2Fbare%2F", ""), ("|x", "y"))
    )
    assert ["/user/ada/"] == list(found.routes)
    assert {"%2Ftheirs%2F", "%2Fbare%2F", "|x"} == found.foreign
    assert "" == found.fallback


def test_where_all_else_leads_is_no_route() -> None:
    found = Listing()
    found.read(shown((FALLBACK, valued())))
    assert ({}, valued()) == (found.routes, found.fallback)


def test_what_was_added_twice_is_left_once_or_if_they_do_not_agree_not_at_all() -> None:
    ada, bob = key_of("/user/ada/"), key_of("/user/bob/")
    one, other = valued("http://127.0.0.1:1"), valued("http://127.0.0.1:2")
    found = Listing()
    found.read(shown((ada, one), (bob, one), (ada, one), (bob, other), ("%2Fx%2F", "a"), ("%2Fx%2F", "b")))
    assert (["0x2", "0x3", "0x4"], {ada: one}) == (found.doubles, found.values)


def test_what_has_not_changed_is_not_read_again() -> None:
    found, text = Listing(), shown((key_of("/user/ada/"), valued(user="ada")))
    found.read(text)
    route = found.routes["/user/ada/"]
    found.read(text + shown((key_of("/user/bob/"), valued())))
    assert found.routes["/user/ada/"] is route
    assert {"/user/ada/", "/user/bob/"} == found.routes.keys()
    found.drop(key_of("/user/bob/"))
    found.read(text)
    assert ["/user/ada/"] == list(found.routes)


def test_a_map_for_a_new_haproxy_has_nothing_of_ours() -> None:
    text = listing.as_file(
        shown(("%2Ftheirs%2F", "theirs|x y"), (key_of("/user/ada/"), valued()), (FALLBACK, valued()))
    )
    assert f"%2Ftheirs%2F theirs|x y\n{key_of('/user/ada/')} {valued()}\n{FALLBACK} {valued()}\n" == text
    assert "%2Ftheirs%2F theirs|x y\n" == listing.left_by_others(text)


@given(st.lists(st.integers(1, 2 * LONGEST)))
def test_nothing_is_asked_that_is_longer_than_it_may_be(lengths: list[int]) -> None:
    found = list(chunks(zip(lengths, lengths, strict=True)))
    assert lengths == [length for chunk in found for length in chunk]
    assert all(len(chunk) == 1 or sum(chunk) <= LONGEST for chunk in found)
    assert all(found)


# Changes, against a map in memory ------------------------------------------------------------


class Memory:
    """A map that behaves as HAProxy's. `away`: it does not answer. `bad`: values that it does not take."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.away = False
        self.bad: set[str] = set()

    async def check(self) -> None:
        self._note("check")

    async def show(self) -> bytes:
        self._note("show")
        return shown(*self.entries)

    async def add(self, items: list[tuple[str, str]]) -> str:
        self._note("add")
        for key, value in items:
            if key in self.bad:
                return "unable to parse"
            self.entries.append((key, value))
        return ""

    async def set(self, items: list[tuple[str, str]]) -> str:
        self._note("set")
        said = []
        for key, value in items:
            if key not in dict(self.entries):
                said.append("entry not found.")
            self.entries = [(each, value if each == key else old) for each, old in self.entries]
        return " ".join(said)

    async def delete(self, keys: list[str]) -> str:
        self._note("delete")
        said = []
        for key in list(keys):
            if key.startswith("#0x"):
                self.entries[int(key[3:], 16) - 1] = ("", "")
            elif key not in dict(self.entries):
                said.append("Key not found.")
            self.entries = [entry for entry in self.entries if entry[0] != key]
        self.entries = [entry for entry in self.entries if entry[0]]
        return " ".join(said)

    def _note(self, verb: str) -> None:
        if self.away:
            raise ProxyUnavailable("away")
        self.asked.append(verb)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def routing(memory: Memory) -> Routing:
    return Routing(memory, lambda spec: in_one_form(spec, host_routing=False), "http://127.0.0.1:8081")  # type: ignore[arg-type]


def wanted(*names: str, target: str = "http://127.0.0.1:1") -> list[dict[str, object]]:
    return [{"routespec": f"/user/{name}/", "target": target, "data": {}} for name in names]


async def test_many_are_changed_with_few_questions(memory: Memory, routing: Routing) -> None:
    names = [f"u{number}" for number in range(200)]
    assert await routing.change(wanted(*names), []) == {}
    assert {"show": 1, "add": 3} == {verb: memory.asked.count(verb) for verb in set(memory.asked)}
    memory.asked.clear()
    assert (
        await routing.change(wanted(*names[:100], target="http://127.0.0.1:2"), [f"/user/{n}/" for n in names[100:]])
        == {}
    )
    assert "show" not in memory.asked
    assert "add" not in memory.asked
    assert {"http://127.0.0.1:2"} == {route["target"] for route in (await routing.all()).values()}
    assert 101 == len(memory.entries), "and where all else leads"


async def test_one_bad_line_keeps_no_other_from_being_set(memory: Memory, routing: Routing) -> None:
    memory.bad = {key_of("/user/bob/")}
    failed = await routing.change(wanted("ada", "bob", "cyd"), [])
    assert ["/user/bob/"] == list(failed)
    assert "unable to parse" in str(failed["/user/bob/"])
    assert ["/user/ada/", "/user/cyd/"] == sorted(await routing.all())


async def test_what_somebody_else_has_changed_meanwhile_is_set_all_the_same(memory: Memory, routing: Routing) -> None:
    await routing.change(wanted("ada", "bob"), [])
    memory.entries = memory.entries[1:]
    assert await routing.change(wanted("ada", "bob", target="http://127.0.0.1:2"), []) == {}
    assert {"http://127.0.0.1:2"} == {route["target"] for route in (await routing.all()).values()}
    memory.entries = memory.entries[1:]
    assert await routing.change([], ["/user/ada/", "/user/bob/", "/user/cyd/"]) == {}
    assert await routing.all() == {}


async def test_after_no_answer_it_looks_again(memory: Memory, routing: Routing) -> None:
    await routing.change(wanted("ada"), [])
    memory.away = True
    failed = await routing.change(wanted("bob"), ["/user/ada/"])
    assert {"/user/ada/": ProxyUnavailable, "/user/bob/": ProxyUnavailable} == {
        spec: type(error) for spec, error in failed.items()
    }
    memory.away, memory.entries = False, []
    memory.asked.clear()
    assert await routing.change(wanted("ada", target="http://127.0.0.1:2"), []) == {}
    assert ["show", "set"] == memory.asked[:2]


async def test_what_others_have_set_is_not_deleted_but_replaced_if_it_is_wanted(
    memory: Memory, routing: Routing
) -> None:
    memory.entries = [(key_of("/user/ada/"), "theirs|x")]
    assert await routing.change([], ["/user/ada/"]) == {}
    assert memory.entries == [(key_of("/user/ada/"), "theirs|x")]
    assert await routing.change(wanted("ada"), []) == {}
    assert ["/user/ada/"] == list(await routing.all())


async def test_doubles_are_removed(memory: Memory, routing: Routing) -> None:
    await routing.change(wanted("ada", "bob"), [])
    memory.entries += [(key_of("/user/ada/"), valued("http://127.0.0.1:9")), memory.entries[1]]
    assert ["/user/bob/"] == list(await routing.all())
    assert 1 == sum(key == key_of("/user/bob/") for key, _ in memory.entries)


async def test_an_address_whose_certificate_cannot_be_checked_is_refused_without_internal_tls(routing: Routing) -> None:
    failed = await routing.change(wanted("ada", target="https://127.0.0.1:1"), [])
    assert "only of a name" in str(failed["/user/ada/"])
    routing.secure = True
    assert await routing.change(wanted("ada", target="https://127.0.0.1:1"), []) == {}


async def test_of_several_addresses_the_ipv4_one_is_taken_and_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, 0)) for address in ("::1", "10.0.0.2", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    names = Names()
    assert {"x": "10.0.0.1"} == await names.look_up(["x"])
    assert not names.has_moved("x", "10.0.0.2")
    assert names.has_moved("x", "10.0.0.3")
    assert not names.has_moved("", "10.0.0.3")
    await names.refresh([])
    assert names.known == {}


async def test_after_a_change_that_was_interrupted_it_looks_again(memory: Memory, routing: Routing) -> None:
    await routing.change(wanted("ada"), [])
    added, never = memory.add, asyncio.Event()

    async def add(items: list[tuple[str, str]]) -> str:
        await added(items)
        await never.wait()
        return ""

    memory.add = add  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(routing.change(wanted("bob", "cyd"), []), 0.05)
    memory.add = added  # type: ignore[method-assign]
    assert await routing.change(wanted("bob", "cyd"), []) == {}
    assert 3 == len(memory.entries), "none is there twice"


async def test_nothing_is_sent_to_one_that_does_not_answer(memory: Memory, routing: Routing) -> None:
    await routing.change(wanted("ada", "bob"), [])
    before = list(memory.asked)

    async def check() -> None:
        raise ProxyUnavailable("stopped")

    memory.check = check  # type: ignore[method-assign]
    assert 2 == len(await routing.change(wanted("cyd"), ["/user/ada/"]))
    assert before == memory.asked
