"""One route, one spelling."""

import pytest

from hubbub_proxy_sync.proxies.fake import FakeProxy


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/", "/"),
        ("/user/ada", "/user/ada/"),
        ("/user/a%20b/", "/user/a%20b/"),
        ("/user/a b/", "/user/a%20b/"),
        ("/user/é/", "/user/%C3%A9/"),
        ("/user/~ada@example.org/", "/user/~ada@example.org/"),
        ("/user/%7Eada%40example.org/", "/user/~ada@example.org/"),
        ("/user/a%2520b/", "/user/a%2520b/"),
    ],
)
def test_spellings_of_a_route_are_one(given: str, expected: str) -> None:
    proxy = FakeProxy()
    assert expected == proxy.validate_routespec(given)
    assert expected == proxy.validate_routespec(expected)


@pytest.mark.parametrize(
    "given",
    ["user/ada/", "/user/../", "/user/%2e%2E/", "/user/./", "/user//", "/user/a%2Fb/", "/user/__proto__/", "/%ff/"],
)
def test_what_would_replace_another_route_is_none(given: str) -> None:
    with pytest.raises(ValueError, match=r"route|decode"):
        FakeProxy().validate_routespec(given)
