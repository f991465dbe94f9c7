"""Rules for Traefik: nobody's is true of what Traefik compares for somebody else's paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub_proxy_sync.classic.rules import rule, spelled

#: Everything reserved, plain.
ALL = "!$&'()*+,;=:@[]"


def test_a_plain_name_has_one_spelling():
    assert rule("/user/ada/") == "PathPrefix(`/user/ada/`) || Path(`/user/ada`)"
    assert rule("/") == "PathPrefix(`/`)"


def test_a_host_goes_before_all_of_it():
    assert rule("ada.example.org/user/ada/") == (
        "Host(`ada.example.org`) && (PathPrefix(`/user/ada/`) || Path(`/user/ada`))"
    )


@pytest.mark.parametrize(
    ("routespec", "texts"),
    [
        ("/user/at@x/", ["`/user/at@x/`", "`/user/at%40x/`"]),
        ("/user/100%25/", ["`/user/100%25/`"]),
        ("/user/100%2525/", ["`/user/100%2525/`"]),
        ("/user/a%20b/", ["`/user/a b/`"]),
        ("/user/%C3%A9/", ["`/user/é/`"]),
        ("/user/q%3Fx/", ["`/user/q%3Fx/`"]),
        ("/user/a%2Bb/", ["`/user/a%2Bb/`", "`/user/a+b/`"]),
        ("/user/%60%29%20%7C%7C%20x/", ['"/user/`%29 || x/"', '"/user/`) || x/"']),
        ("/user/a%0Db/", ['"/user/a\\rb/"']),
    ],
)
def test_a_rule_names_each_spelling_that_clients_use(routespec: str, texts: list[str]):
    found = rule(routespec)
    assert all(f"PathPrefix({text})" in found for text in texts), found
    assert found.count("PathPrefix(") == len(texts)


@given(st.text(min_size=1).filter(lambda name: "/" not in name), st.text(min_size=1).filter(lambda n: "/" not in n))
def test_two_names_share_no_spelling(one: str, other: str):
    from urllib.parse import quote

    names = [quote(name, safe="@~", errors="surrogatepass") for name in (one, other)]
    try:
        spellings = [{spelled(f"/{name}/", plain) for plain in ("", "@", "!'()*", ALL)} for name in names]
    except UnicodeDecodeError:
        return  # no path of anybody's
    assert spellings[0].isdisjoint(spellings[1]) or one == other
