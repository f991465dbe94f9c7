"""Hosts: which one everybody's servers have, by JupyterHub's rules to the letter, and where the hub itself is."""

from typing import Any

import pytest
from traitlets.config import Config

from hubbub.addresses import BadAddress, quoted
from hubbub.config import ConfigError, Options
from hubbub.hosts import BadHost, Hosts
from hubbub.subdomains import by_idna, by_legacy


def options(**hub: Any) -> Options:
    return Options(Config({"JupyterHub": hub}))


def hosts(**hub: Any) -> Hosts:
    return options(**hub).hosts


#: Asked of JupyterHub 6.1.1: a name, its label, that of a service, and that of the rule `legacy`.
LABELS = [
    ("ada", "ada", "ada--service", "ada"),
    ("grün", "xn--grn-ioa", "xn--grn-ioa--service", "gr_c3_bcn"),
    ("名前", "xn--ldr85b", "xn--ldr85b--service", "_e5_90_8d_e5_89_8d"),
    ("007", "u-007--629f4cf", "u-007--629f4cf--service", "007"),
    ("ada_l", "u-adal--f41d8db", "u-adal--f41d8db--service", "ada_5fl"),
    ("a.b", "u-ab--2e7336d", "u-ab--2e7336d--service", "a.b"),
    ("ada@example.org", "u-adaexamp--cfe00dd", "u-adaexamp--cfe00dd--service", "ada_40example.org"),
    ("ada--x", "u-adax--6243242", "u-adax--6243242--service", "ada--x"),
    ("-ada", "u-ada--f32a7c9", "u-ada--f32a7c9--service", "-ada"),
    ("~ada", "u-ada--d48da0e", "u-ada--d48da0e--service", "_7eada"),
    ("ada lovelace", "u-adalovel--177f85d", "u-adalovel--177f85d--service", "ada_20lovelace"),
    ("a" * 64, "u-aaaaaaaa--ffe054f", "u-aaaaaaaa--ffe054f--service", "a" * 64),
]


@pytest.mark.parametrize(("name", "user", "service", "legacy"), LABELS)
def test_a_name_has_the_label_that_jupyterhub_gives_it(name: str, user: str, service: str, legacy: str) -> None:
    assert by_idna(name, "hub.test", "user") == f"{user}.hub.test"
    assert by_idna(name, "hub.test", "service") == f"{service}.hub.test"
    assert by_legacy(name, "hub.test", "user") == f"{legacy}.hub.test"
    assert by_legacy(name, "hub.test", "service") == "services.hub.test"


def test_no_two_of_many_names_have_the_same_host() -> None:
    names = [name for name, *_ in LABELS]
    all_of_them = [*names, *(by_idna(name, "", "user").rstrip(".") for name in names if name != "ada")]
    found = {by_idna(name, "hub.test", kind) for name in all_of_them for kind in ("user", "service")}  # type: ignore[arg-type]
    assert len(found) == 2 * len(set(all_of_them))


def test_without_subdomains_there_are_no_hosts() -> None:
    none = hosts()
    assert not none.routing
    assert (none.domain, none.public_url, none.public_origin, none.subdomain_host) == ("", "", "", "")
    assert (none.of_user("ada"), none.origin_of_user("ada"), none.origin_of_service("board")) == ("", "", "")
    assert none.link("ada", "/user/ada/") == none.spec_of_server("ada", "/user/ada/") == "/user/ada/"
    assert (none.hub_routespec, none.public("/user/ada/")) == ("/", None)


def test_a_public_url_is_everybodys() -> None:
    known = hosts(public_url="https://hub.test:8443/base/", base_url="/base/")
    assert not known.routing
    assert (known.domain, known.public_origin) == ("hub.test", "https://hub.test:8443")
    assert known.origin_of_user("ada") == known.origin_of_service("board") == "https://hub.test:8443"
    assert (known.of_user("ada"), known.own_origin_of_user("ada"), known.link("ada", "/x")) == ("", "", "/x")
    assert (known.hub_routespec, known.public("/base/x")) == ("/base/", "https://hub.test:8443/base/x")


def test_with_subdomains_everybody_has_one() -> None:
    own = hosts(subdomain_host="http://Hub.test:8000", base_url="/base/")
    assert own.routing
    assert (own.domain, own.public_url) == ("hub.test", "http://hub.test:8000/base/")
    assert (own.of_user("ada"), own.origin_of_user("ada")) == ("ada.hub.test", "http://ada.hub.test:8000")
    assert own.origin_of_service("board") == "http://board--service.hub.test:8000"
    assert own.link("ada", "/base/user/ada/") == "http://ada.hub.test:8000/base/user/ada/"
    assert own.public("http://ada.hub.test:8000/x") == "http://ada.hub.test:8000/x"
    assert own.spec_of_server("ada", "/base/user/ada/") == "ada.hub.test/base/user/ada/"
    assert own.spec_of_service("board", "/base/services/board/") == "board--service.hub.test/base/services/board/"
    assert own.hub_routespec == "/"


def test_users_go_by_the_public_url_and_services_by_the_host_of_subdomains() -> None:
    """Which ought to be one and the same; this is what JupyterHub does where they are not."""
    two = hosts(subdomain_host="https://apps.test", public_url="https://hub.test/")
    assert (two.of_user("ada"), two.of_service("board")) == ("ada.hub.test", "board--service.apps.test")


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        ("hub.test", "https://hub.test"),
        ("hub.test:8443", "https://hub.test:8443"),
        ("https://hub.test/", "https://hub.test"),
        ("http://hüb.test", "http://xn--hb-xka.test"),
    ],
)
def test_what_is_missing_of_the_host_is_added(said: str, origin: str) -> None:
    assert options(subdomain_host=said).hub.subdomain_host == origin
    assert hosts(subdomain_host=said).public_url == f"{origin}/"


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("https://hub.test", "https://hub.test/base/"),
        ("https://hub.test/base", "https://hub.test/base/"),
        ("hub.test:1/base/", "https://hub.test:1/base/"),
        ("https://hub.test/outer/base/", "https://hub.test/outer/base/"),
        ("https://[::1]:1/", "https://[::1]:1/base/"),
    ],
)
def test_what_is_missing_of_the_public_url_is_added(said: str, url: str) -> None:
    assert options(public_url=said, base_url="/base/").hub.public_url == url


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"subdomain_host": "https://127.0.0.1"}, r"subdomain_host: '127.0.0.1' is no name of a host"),
        ({"subdomain_host": "https://[::1]:80"}, r"subdomain_host: '::1' is no name of a host"),
        ({"subdomain_host": "https://hub.test/base"}, r"subdomain_host: .* is not like"),
        ({"subdomain_host": "https://ada:x@hub.test"}, r"subdomain_host: .* is not like"),
        ({"subdomain_host": "https://hub.test:x"}, r"subdomain_host: "),
        ({"subdomain_host": "ftp://hub.test"}, r"subdomain_host: "),
        ({"subdomain_host": "https://hub test"}, r"subdomain_host: "),
        ({"subdomain_hook": "utf8"}, r"subdomain_hook is 'utf8': it must be 'idna', 'legacy' or a callable"),
        ({"subdomain_hook": 5}, r"subdomain_hook is 5"),
        ({"public_url": "https://"}, r"public_url: "),
        ({"public_url": "https://hub.test/x", "base_url": "/y/"}, r"public_url: .* must include the base URL '/y/'"),
        ({"hub_routespec": "/hub/../x"}, r"hub_routespec: "),
        ({"hub_routespec": "/hub/", "subdomain_host": "https://hub.test"}, r"hub_routespec: '/hub/' has no host"),
        (
            {
                "subdomain_host": "https://hub.test",
                "subdomain_hook": lambda name, domain, kind: 1 / 0,
                "services": [{"name": "board", "url": "http://127.0.0.1:1"}],
            },
            r"services: c\.JupyterHub\.subdomain_hook, asked for the service 'board': ZeroDivisionError",
        ),
        ({"base_url": "/a/../b/"}, r"base_url: '/a/../b/' is not a path"),
        ({"base_url": "/a//b/"}, r"base_url: "),
        ({"base_url": "/a%2fb/"}, r"base_url: "),
        ({"base_url": "/a%00b/"}, r"base_url: "),
        ({"bind_url": "http://:8000/%2e%2e/"}, r"base_url: "),
    ],
)
def test_what_cannot_be_is_named(said: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=rf"^c\.JupyterHub\.{match}"):
        options(**said)


# The operator's hook --------------------------------------------------------------------


def test_a_hook_is_asked_once_for_each_name() -> None:
    asked = []

    def hook(name: str, domain: str, kind: str) -> str:
        asked.append((name, domain, kind))
        return f"{kind}-{name.upper()}.{domain}"

    own = hosts(subdomain_host="https://hub.test", subdomain_hook=hook)
    assert [own.of_user("ada"), own.of_service("ada"), own.of_user("ada")] == [
        "user-ada.hub.test",
        "service-ada.hub.test",
        "user-ada.hub.test",
    ]
    assert asked == [("ada", "hub.test", "user"), ("ada", "hub.test", "service")]


@pytest.mark.parametrize(
    "said", [None, 5, "", "ada hub.test", "ada..test", ".test", "https://ada.test", "ada.test/", "ädä.test", "a" * 64]
)
def test_a_hook_that_says_nonsense_is_named(said: Any) -> None:
    own = hosts(subdomain_host="https://hub.test", subdomain_hook=lambda name, domain, kind: said)
    with pytest.raises(BadHost, match=r"^c\.JupyterHub\.subdomain_hook: .*, for the user 'ada', is no name of a host"):
        own.of_user("ada")


def test_a_hook_that_fails_is_named_and_asked_again() -> None:
    answers = iter(["", "ada.test"])

    def hook(name: str, domain: str, kind: str) -> str:
        return next(answers) or str(1 / 0)

    own = hosts(subdomain_host="https://hub.test", subdomain_hook=hook)
    with pytest.raises(BadHost, match=r"subdomain_hook, asked for the user 'ada': ZeroDivisionError"):
        own.of_user("ada")
    assert own.of_user("ada") == "ada.test"


def test_a_link_is_there_even_if_the_hook_fails() -> None:
    own = hosts(subdomain_host="https://hub.test", subdomain_hook=lambda *_, **__: 1 / 0)
    assert own.link("ada", "/user/ada/") == "/user/ada/"
    with pytest.raises(BadHost):
        own.spec_of_server("ada", "/user/ada/")


# Where the hub is asked -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "spec"),
    [
        ({}, "/"),
        ({"base_url": "/base"}, "/base/"),
        ({"hub_routespec": "/hub"}, "/hub/"),
        ({"hub_routespec": "hub/"}, "/hub/"),
        ({"subdomain_host": "https://hub.test", "base_url": "/base/"}, "/"),
        ({"subdomain_host": "https://hub.test", "hub_routespec": "Hub.test/hub"}, "hub.test/hub/"),
        ({"hub_routespec": "/jü lab/hub/"}, "/j%C3%BC%20lab/hub/"),
    ],
)
def test_the_hubs_own_routespec(said: dict[str, str], spec: str) -> None:
    assert hosts(**said).hub_routespec == spec


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("/jü lab/", "/j%C3%BC%20lab/"),
        ("/j%c3%bc%20lab/", "/j%C3%BC%20lab/"),
        ("/100%/", "/100%25/"),
        ("/100%25/", "/100%25/"),
        ("/@ops/", "/@ops/"),
        ("/%40ops/", "/@ops/"),
        ("/a(b)/{c}/", "/a%28b%29/%7Bc%7D/"),
        ("/a;b+c/", "/a%3Bb%2Bc/"),
        ("/", "/"),
    ],
)
def test_a_base_url_is_one_place_quoted_or_not(said: str, place: str) -> None:
    assert quoted(said) == quoted(place) == place
    assert options(base_url=said).base_url == place


@pytest.mark.parametrize(
    "path", ["/a/./b/", "/%ff/", "/../", "/a/%2E%2e/", "//", "/a\\b/", "/a%5Cb/", "/a\nb/", "/\x7f/"]
)
def test_what_is_read_as_more_than_one_place_is_none(path: str) -> None:
    with pytest.raises(BadAddress):
        quoted(path)
