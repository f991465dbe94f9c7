"""Where a browser may be sent after a login."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.testing.redirects import EVIL, HOST, HOSTILE, lands_on
from hubbub.web.next_url import LONGEST, own_path

KEPT = [
    ("/hub/home", "/hub/home"),
    ("/user/ada/lab?x=1#top", "/user/ada/lab?x=1#top"),
    ("/hub/spawn?next=%2Fuser%2Fada", "/hub/spawn?next=%2Fuser%2Fada"),
    ("http://hub.example/user/ada/", "/user/ada/"),
    ("http://hub.example", "/"),
    ("https://hub.example/", "/"),
    (" /hub/home", "/hub/home"),
    ("//hub.example/user/ada/?x=1#y", "/user/ada/?x=1#y"),
    ("///hub.example/user/ada/", "/user/ada/"),
    ("http://hub.example//evil.example/x", "/evil.example/x"),
    ("http://hub.example/\\evil.example", "/%5Cevil.example"),
    ("/user/ada\\lab", "/user/ada%5Clab"),
    ("/\\evil.example", "/%5Cevil.example"),
    ("/%2F%2Fevil.example", "/%2F%2Fevil.example"),
    ("/%5Cevil.example", "/%5Cevil.example"),
    ("/user/ada/x:y", "/user/ada/x:y"),
    ("/user/ada/?go=https://elsewhere.example", "/user/ada/?go=https://elsewhere.example"),
]

IGNORED = [
    "",
    "home",
    "hub/home",
    "./home",
    "?next=/x",
    "#x",
    "//evil.example",
    "//evil.example/hub/home",
    "///evil.example",
    "////evil.example/x",
    "///",
    "//",
    "\\\\evil.example",
    "\\/evil.example",
    "http://evil.example/",
    "http://hub.example.evil.example/",
    "http://hub.example@evil.example/",
    "http://hub.example:8000/",
    "http:evil",
    "http:/evil.example",
    "http:///evil.example",
    "HTTP://EVIL.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "/hub/home\r\nSet-Cookie: a=b",
    "/hub/\x00home",
    "/hub/\x7f",
    " //evil.example",
    "//[evil",
    "//user@hub.example/",
    "/" + "x" * LONGEST,
]


@pytest.mark.parametrize(("wanted", "path"), KEPT)
def test_a_path_of_this_host_is_kept(wanted, path):
    assert path == own_path(wanted, "hub.example")


@pytest.mark.parametrize("wanted", IGNORED)
def test_everything_else_is_ignored(wanted):
    assert own_path(wanted, "hub.example") == ""


DOMAIN = "hub.example:8443"
#: Of a hub at https://hub.example:8443 that has a host for everybody below it.
BELOW = [
    ("https://hub.example:8443/hub/home", "/hub/home"),
    ("https://ada.hub.example:8443/user/ada/lab?x=1#top", "/user/ada/lab?x=1#top"),
    ("https://ADA.Hub.Example:8443/user/ada/", "/user/ada/"),
    ("//ada.hub.example:8443/user/ada/", "/user/ada/"),
    ("https://xn--jrgen-kva.hub.example:8443/user/j%C3%BCrgen/", "/user/j%C3%BCrgen/"),
    ("https://a.b.hub.example:8443/", "/"),
    ("https://svc--service.hub.example:8443/services/svc/", "/services/svc/"),
    ("https://mallory.hub.example:8443//evil.example/", "/evil.example/"),
    ("https://mallory.hub.example:8443/\\evil.example/", "/%5Cevil.example/"),
    ("/user/ada/", "/user/ada/"),
]
NOT_BELOW = [
    "https://evil-hub.example:8443/",
    "https://evilhub.example:8443/",
    "https://.hub.example:8443/",
    "https://..hub.example:8443/",
    "https://ada..hub.example:8443/",
    "https://ada.hub.example/",
    "https://ada.hub.example:443/",
    "https://ada.hub.example:84430/",
    "https://ada.hub.example:8443:8443/",
    "https://hub.example/",
    "https://ada.hub.example:8443.evil.example/",
    "https://ada.hub.example:8443@evil.example/",
    "https://evil.example@ada.hub.example:8443/",
    "https://evil.example:x@hub.example:8443/",
    "https://evil.example#.hub.example:8443/",
    "https://evil.example?.hub.example:8443/",
    "https://evil.example/.hub.example:8443/",
    "https://evil.example\\.hub.example:8443/",
    "https://evil.example%2f.hub.example:8443/",
    "https://evil.example%00.hub.example:8443/",
    "https://evil.example\t.hub.example:8443/",
    "https://evil.example;.hub.example:8443/",
    "https://evil.example,.hub.example:8443/",
    "https://\u0430da.hub.example:8443/",
    "https://ada\u3002hub.example:8443/",
    "https://[::1].hub.example:8443/",
    "ftp://ada.hub.example:8443/",
    "javascript://ada.hub.example:8443/%0aalert(1)",
    "data://ada.hub.example:8443/",
    "https:ada.hub.example:8443/",
    "https:/ada.hub.example:8443/",
    "https:///ada.hub.example:8443/",
    "ada.hub.example:8443/user/ada/",
    "https://example:8443/",
    "https://hub.example.:8443/",
]


@pytest.mark.parametrize("host", [DOMAIN, "www.example:8443"])
@pytest.mark.parametrize(("wanted", "path"), BELOW)
def test_a_path_of_a_host_below_ours_is_one_of_ours(wanted, path, host):
    assert path == own_path(wanted, host, DOMAIN)


@pytest.mark.parametrize("wanted", [*NOT_BELOW, *IGNORED])
def test_what_only_looks_like_a_host_below_ours_is_ignored(wanted):
    assert own_path(wanted, DOMAIN, DOMAIN) == ""


@pytest.mark.parametrize("wanted", [wanted for wanted, _ in BELOW[1:-1]])
def test_without_subdomains_there_are_no_such_hosts(wanted):
    assert own_path(wanted, DOMAIN) == ""


@pytest.mark.parametrize("wanted", [*HOSTILE, *NOT_BELOW, *(wanted for wanted, _ in BELOW)])
def test_with_subdomains_a_browser_stays_here_too(wanted):
    assert leads_nowhere_else(own_path(wanted, HOST, HOST), "https")
    assert leads_nowhere_else(own_path(wanted, DOMAIN, DOMAIN), "https")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("wanted", HOSTILE)
def test_a_browser_stays_here_whatever_is_asked_for(wanted, scheme):
    assert leads_nowhere_else(own_path(wanted, HOST), scheme)


def test_the_hostile_values_are_a_hundred_and_would_lead_elsewhere_by_themselves():
    assert len(set(HOSTILE)) >= 100
    assert sum(lands_on(wanted) != HOST for wanted in HOSTILE) >= 75


PIECES = ["/", "\\", "//", ":", "@", "?", "#", "%2f", "%5c", "%09", ".", "..", ";", "\t", "\n", "\r", " ", "\x00"]
PIECES += ["http", "https", "javascript", HOST, EVIL, f"{HOST}:80", "\xa0", "\u2028", "\u3002", "\uff0f", "[", "]", "x"]


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.sampled_from([HOST, f"{HOST}:80", "[::1]:8000"]))
def test_no_mixture_of_them_leads_elsewhere_and_what_is_kept_is_kept_again(wanted, host):
    found = own_path(wanted, host)
    assert leads_nowhere_else(found, "http")
    assert own_path(found, host) == found


def leads_nowhere_else(path, scheme):
    """Empty, or a path that neither a browser nor a header takes for anything else."""
    if not path:
        return True
    is_plain = path.isascii() and path.isprintable() and not {" ", "\\", '"', "<", ">"} & set(path)
    return path.startswith("/") and path[1:2] != "/" and is_plain and lands_on(path, HOST, scheme) == HOST
