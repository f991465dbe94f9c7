"""The keys of HAProxy's map: one for each path, however it is quoted, and the same for what is asked for."""

import re
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub_proxy_sync.proxies.haproxy.keys import HOST, LONGEST, key_of, routespec_of
from hubbub_proxy_sync.proxies.routespec import in_one_form

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..", "__proto__")
)
HOSTS = st.from_regex(r"[a-z0-9_-]{1,10}(\.[a-z0-9_-]{1,10}){0,3}", fullmatch=True)


def asked(raw: bytes) -> str:
    """What HAProxy makes of a request's path: `concat(/),url_dec,url_enc`."""
    return quote(unquote_to_bytes(raw + b"/"), safe="")


@pytest.mark.parametrize(
    ("routespec", "key"),
    {
        "/": "%2F",
        "/user/ada/": "%2Fuser%2Fada%2F",
        "/user/~a.d-a_@b/": "%2Fuser%2F~a.d-a_%40b%2F",
        "/user/a%20b%3B%7C/": "%2Fuser%2Fa%20b%3B%7C%2F",
        "/user/a%2520b/": "%2Fuser%2Fa%2520b%2F",
        "/user/%C3%A9/": "%2Fuser%2F%C3%A9%2F",
        "ada.hub.test/user/ada/": "ada.hub.test%2Fuser%2Fada%2F",
    }.items(),
)
def test_a_key_is_the_path_with_all_quoted_that_can_be(routespec: str, key: str) -> None:
    assert key == key_of(routespec)
    assert routespec == routespec_of(key)


@given(NAMES, NAMES)
def test_two_names_never_share_a_key_nor_does_one_begin_with_the_other(first: str, second: str) -> None:
    keys = [key_of(in_one_form(f"/user/{quote(name, safe='')}/", host_routing=False)) for name in (first, second)]
    assert (first == second) == keys[0].startswith(keys[1])


@given(HOSTS, NAMES)
def test_a_route_is_found_again_by_its_key(host: str, name: str) -> None:
    for routespec, hosts in ((f"/user/{quote(name, safe='')}/", False), (f"{host}/user/{quote(name, safe='')}/", True)):
        spec = in_one_form(routespec, host_routing=hosts)
        assert spec == routespec_of(key_of(spec))


@given(NAMES, st.data())
def test_a_path_has_the_same_key_however_it_is_quoted(name: str, data: st.DataObject) -> None:
    raw = b""
    for byte in f"/user/{name}".encode():
        plain = bytes([byte])
        must = byte >= 0x7F or byte <= 0x20 or plain in b"%?#"
        raw += b"%%%02x" % byte if must or data.draw(st.booleans()) else plain
    assert key_of(in_one_form(f"/user/{quote(name, safe='')}/", host_routing=False)) == asked(raw)


def test_a_key_holds_nothing_that_means_something_to_the_runtime_socket() -> None:
    key = key_of(
        in_one_form(f"/user/{quote(''.join(map(chr, range(256))).replace('/', ''), safe='')}/", host_routing=False)
    )
    assert not set(key) & set(" ;\\\n\r\t\0|<#\"'")


def test_a_path_that_is_longer_than_what_is_looked_at_is_refused() -> None:
    assert key_of(f"/{'%20' * (LONGEST - 2)}/")
    with pytest.raises(ValueError, match="too long for HAProxy"):
        key_of(f"/{'%20' * (LONGEST - 1)}/")


@pytest.mark.parametrize("key", ["|hub", "", "nonsense", "ada.hub.test", "%2Fuser%2F%FF%2F"])
def test_what_is_no_key_of_ours_is_no_routespec(key: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        routespec_of(key)


@given(HOSTS)
def test_whoever_may_have_a_route_is_a_host(host: str) -> None:
    assert re.search(HOST, host)
