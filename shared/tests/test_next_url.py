"""Where a browser may be sent after a login."""

import pytest

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
