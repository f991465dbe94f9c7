"""What proxies say of a request, and how much of it is believed."""

import pytest
from multidict import CIMultiDict
from traitlets.config import Config

from hubbub import forwarded
from hubbub.config import ConfigError, Options
from hubbub.forwarded import networks

PEER = "127.0.0.1"
FOR, REAL = "X-Forwarded-For", "X-Real-IP"
PERSON, LIE, BALANCER, SECOND = "203.0.113.7", "6.6.6.6", "10.1.2.3", "10.1.2.4"


def client(*headers: tuple[str, str], trusted: tuple[str, ...] = (), peer: str = PEER) -> str:
    return forwarded.client(CIMultiDict(headers), peer, networks(trusted))


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], PEER),
        ([(FOR, PERSON)], PERSON),
        ([("x-forwarded-for", PERSON)], PERSON),
        ([(FOR, f"{LIE}, {PERSON}")], PERSON),
        ([(FOR, f"{LIE},{PERSON}")], PERSON),
        ([(FOR, LIE), (FOR, PERSON)], PERSON),  # HAProxy, and nginx with add_header, begin a line of their own
        ([(FOR, f"{LIE}, {LIE}"), (FOR, LIE), (FOR, PERSON)], PERSON),
        ([(FOR, LIE), (FOR, f"{LIE}, {PERSON}")], PERSON),
        ([(FOR, PERSON), (FOR, "")], PERSON),
        ([(FOR, f"{PERSON}, ")], PERSON),
        ([(FOR, f"{LIE}, unknown")], PEER),
        ([(FOR, f"{LIE}, _hidden"), (FOR, "not an address")], PEER),
        ([(FOR, f"{LIE}, fe80::1%{'x' * 99}")], PEER),
        ([(FOR, "1.2.3")], PEER),
        ([(FOR, " , ,")], PEER),
        ([(FOR, f"{PERSON}:51234")], PERSON),
        ([(FOR, "[2001:db8::1]:51234")], "2001:db8::1"),
        ([(FOR, '"[2001:db8::1]"')], "2001:db8::1"),
        ([(FOR, "2001:DB8:0:0::1")], "2001:db8::1"),
        ([(FOR, f"::ffff:{PERSON}")], PERSON),  # as configurable-http-proxy writes it
        ([(REAL, LIE)], PEER),
        ([(FOR, PERSON), (REAL, LIE)], PERSON),
        ([(FOR, "unknown"), (REAL, LIE)], PEER),
        ([("Forwarded", f"for={LIE}"), ("X-Client-IP", LIE), ("True-Client-IP", LIE)], PEER),
    ],
)
def test_without_anybody_to_trust_the_last_hop_counts(headers, found):
    assert client(*headers) == found


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([(FOR, f"{PERSON}, {BALANCER}")], PERSON),
        ([(FOR, f"{LIE}, {PERSON}, {BALANCER}")], PERSON),
        ([(FOR, f"{LIE}, {PERSON}, {SECOND}, {BALANCER}")], PERSON),
        ([(FOR, f"{LIE}, {PERSON}"), (FOR, SECOND), (FOR, BALANCER)], PERSON),
        ([(FOR, f"{LIE}, {PERSON}, ::ffff:{BALANCER}")], PERSON),
        ([(FOR, f"{LIE}, {PERSON}, {BALANCER}:443")], PERSON),
        ([(FOR, f"{BALANCER}, {PERSON}")], PERSON),  # somebody who says that they are the proxy
        ([(FOR, f"{LIE}, {BALANCER}, {PERSON}, {BALANCER}")], PERSON),
        ([(FOR, f"{LIE}, unknown, {BALANCER}")], BALANCER),
        ([(FOR, BALANCER)], BALANCER),
        ([(FOR, f"{SECOND}, {BALANCER}")], SECOND),
        ([(FOR, BALANCER), (REAL, PERSON)], PERSON),  # it says so in the other header
        ([(FOR, f"{LIE}, {PERSON}, {BALANCER}"), (REAL, LIE)], PERSON),
        ([(FOR, f"{PERSON}, {BALANCER}"), (REAL, BALANCER)], PERSON),
        ([(FOR, BALANCER), (REAL, "unknown")], BALANCER),
    ],
)
def test_trusted_proxies_are_skipped_and_nothing_before_who_is_not(headers, found):
    assert client(*headers, trusted=("10.1.0.0/16",)) == found
    assert client(*headers, trusted=(SECOND, BALANCER)) == found


def test_who_is_connected_to_us_is_one_of_the_hops():
    assert client((REAL, PERSON), peer=BALANCER) == BALANCER
    assert client((REAL, PERSON), peer=BALANCER, trusted=(BALANCER,)) == PERSON
    assert client(peer=f"::ffff:{PERSON}") == PERSON
    assert client(peer="") == ""
    assert client(peer="a socket") == "a socket"


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ([], "http"),
        ([("X-Forwarded-Proto", "https")], "https"),
        ([("X-Forwarded-Proto", "HTTPS ")], "https"),
        ([("X-Forwarded-Proto", "https,http")], "https"),  # TLS ends in front of configurable-http-proxy
        ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")], "https"),
        ([("X-Scheme", "https"), ("X-Forwarded-Proto", "http")], "https"),
        ([("X-Forwarded-Proto", "gopher")], "http"),
        ([("X-Forwarded-Proto", "javascript:alert(1)//")], "http"),
        ([("X-Scheme", "wss"), ("X-Forwarded-Proto", "https")], "https"),
        ([("Forwarded", "proto=https")], "http"),
    ],
)
def test_the_scheme_is_what_the_outermost_proxy_says(headers, scheme):
    assert forwarded.scheme(CIMultiDict(headers), "http") == scheme


@pytest.mark.parametrize(
    ("name", "said", "host"),
    [
        ("", "hub.example", "inside:8081"),
        ("X-Forwarded-Host", "hub.example", "hub.example"),
        ("x-forwarded-host", "hub.example:8443, inside", "hub.example:8443"),
        ("X-Forwarded-Host", "[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ("X-Forwarded-Host", "", "inside:8081"),
        ("X-Forwarded-Host", "hub.example/x", "inside:8081"),
        ("X-Forwarded-Host", "user@hub.example", "inside:8081"),
        ("X-Forwarded-Host", "hub.example:", "inside:8081"),
        ("X-Original-Host", "hub.example", "inside:8081"),
    ],
)
def test_another_host_is_only_believed_from_the_header_that_was_named(name, said, host):
    assert forwarded.host(CIMultiDict({"X-Forwarded-Host": said}), name, "inside:8081") == host


@pytest.mark.parametrize(
    ("host", "name"),
    [("Hub.Example:8443", "hub.example"), ("hub.example", "hub.example"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")],
)
def test_a_host_has_a_name_without_its_port(host, name):
    assert forwarded.without_port(host) == name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trusted_downstream_ips": ["nginx"]}, r"c\.JupyterHub\.trusted_downstream_ips: 'nginx'"),
        ({"trusted_downstream_ips": ["10.0.0.0/33"]}, r"c\.JupyterHub\.trusted_downstream_ips: '10\.0\.0\.0/33'"),
        ({"trusted_downstream_ips": [""]}, r"c\.JupyterHub\.trusted_downstream_ips: "),
        ({"trusted_downstream_ips": "10.0.0.1"}, r"c\.JupyterHub\.trusted_downstream_ips: Expected `array`"),
        ({"forwarded_host_header": "X Host"}, r"c\.JupyterHub\.forwarded_host_header: 'X Host' is not the name"),
    ],
)
def test_what_cannot_be_meant_is_named(options, said):
    with pytest.raises(ConfigError, match=said):
        Options(Config({"JupyterHub": options}))


def test_networks_may_be_trusted_as_well_as_addresses():
    options = Options(Config({"JupyterHub": {"trusted_downstream_ips": ["10.9.8.7/8", "::1", "::ffff:192.0.2.1"]}}))
    assert [str(each) for each in options.trusted_downstream] == ["10.0.0.0/8", "::1/128", "192.0.2.1/32"]
    assert not options.warnings
