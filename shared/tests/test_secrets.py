"""The vault, tokens and XSRF: what is sealed stays sealed, what is bound stays bound."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.fernet import Fernet

from hubbub.tokens import new_token, token_hash
from hubbub.vault import FORGOTTEN, UnusableKey, Vault, sealer
from hubbub.web import xsrf

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


class Keys:
    """The table `person_keys`, as far as the vault reads it."""

    def __init__(self, **keys: bytes) -> None:
        self.keys = keys
        self.queries = 0

    async def fetch(self, query: str, people: list[str]) -> list[dict[str, Any]]:
        self.queries += 1
        return [{"person": person, "key": self.keys[person]} for person in people if person in self.keys]


async def test_what_is_sealed_for_a_person_can_be_read_by_who_has_their_key() -> None:
    one = Vault(OLD)
    table = Keys(ada=one.invent("ada"))
    sealed = one.seal("ada", "ada@example.org")
    assert "example" not in sealed
    other = Vault(OLD)
    assert other.open("ada", sealed) == FORGOTTEN
    await other.load(table, ["ada", "ada", "bob", ""])
    assert other.open("ada", sealed) == "ada@example.org"
    assert other.open_bytes("ada", one.seal_bytes("ada", b"\x00")) == b"\x00"


async def test_keys_that_are_known_are_not_asked_for_again() -> None:
    vault = Vault(OLD)
    table = Keys(ada=vault.invent("ada"))
    await vault.load(table, ["ada"])
    assert table.queries == 0
    vault.forget("ada")
    assert not vault.knows("ada")
    await vault.load(table, ["ada"])
    assert table.queries == 1
    assert vault.knows("ada")


def test_a_person_whose_key_is_gone_is_forgotten() -> None:
    vault = Vault(OLD)
    vault.invent("ada")
    text, data = vault.seal("ada", "secret"), vault.seal_bytes("ada", b"secret")
    vault.forget("ada")
    assert vault.open("ada", text) == FORGOTTEN
    assert vault.open_bytes("ada", data) is None


def test_nobody_reads_what_was_sealed_for_another() -> None:
    vault = Vault(OLD)
    vault.invent("ada")
    vault.invent("bob")
    assert vault.open_bytes("bob", vault.seal_bytes("ada", b"secret")) is None


async def test_a_key_of_the_house_can_be_replaced() -> None:
    """The first seals, all open."""
    before = Vault(OLD)
    table = Keys(ada=before.invent("ada"))
    sealed = before.seal("ada", "x")
    both = Vault(f"{NEW}; {OLD}")
    await both.load(table, ["ada"])
    assert both.open("ada", sealed) == "x"
    assert sealer(NEW).decrypt(sealer(f"{NEW};{OLD}").encrypt(b"x")) == b"x"


@pytest.mark.parametrize(
    "key", ["", ";", "short", "x" * 44, f"{OLD};short"], ids=["empty", "two empty", "short", "no key", "one good"]
)
def test_a_key_that_is_none_is_named_as_such(key: str) -> None:
    with pytest.raises(UnusableKey, match="not a usable key"):
        Vault(key)


def test_a_token_is_random_and_known_by_its_hash_alone() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", token) for token in tokens)
    assert token_hash("x") == "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert token_hash("ü") != token_hash("u")


COOKIE_SECRET = b"c" * 32
ADA = xsrf.bound_to("session-1", "secret-1", "10.0.0.1", "Firefox")


@pytest.mark.parametrize(
    "binding",
    [
        xsrf.bound_to("session-2", "secret-1", "10.0.0.1", "Firefox"),
        xsrf.bound_to("session-1", "secret-2", "10.0.0.1", "Firefox"),
        xsrf.bound_to("session-1", "", "10.0.0.1", "Firefox"),
    ],
)
def test_a_token_counts_for_one_login(binding: bytes) -> None:
    token = xsrf.make(COOKIE_SECRET, ADA)
    assert xsrf.valid(COOKIE_SECRET, token, ADA)
    assert not xsrf.valid(COOKIE_SECRET, token, binding)
    assert not xsrf.valid(b"d" * 32, token, ADA)


def test_somebody_logged_in_may_change_their_address_an_anonymous_browser_may_not() -> None:
    assert xsrf.bound_to("s", "secret", "10.0.0.1", "x") == xsrf.bound_to("s", "secret", "10.0.0.2", "y")
    assert xsrf.bound_to("s", "", "10.0.0.1", "x") != xsrf.bound_to("s", "", "10.0.0.2", "x")
    assert xsrf.bound_to("s", "", "10.0.0.1", "x") != xsrf.bound_to("s", "", "10.0.0.1", "y")
    assert xsrf.bound_to("s", "", "a", "bc") != xsrf.bound_to("s", "", "ab", "c")


@pytest.mark.parametrize("token", ["", "=", "x", "ü", "\x00", "A" * 5, "2|1:0|" * 9, "é" * 4000])
def test_a_token_of_nonsense_is_not_valid(token: str) -> None:
    assert not xsrf.valid(COOKIE_SECRET, token, ADA)


def test_a_form_is_checked_against_the_cookie() -> None:
    token = xsrf.make(COOKIE_SECRET, ADA)
    old = xsrf.make(COOKIE_SECRET, b"somebody else")
    xsrf.check(COOKIE_SECRET, f"a=b; _xsrf={token}", token, ADA, "POST")
    xsrf.check(COOKIE_SECRET, f'_xsrf={old}; _xsrf="{token}"', token, ADA, "POST")
    with pytest.raises(xsrf.Forgery, match="'_xsrf' argument missing from POST"):
        xsrf.check(COOKIE_SECRET, f"_xsrf={token}", None, ADA, "POST")
    for header, sent in (("", token), (f"_xsrf={old}", token), (f"_xsrf={token}", old), (f"x_xsrf={token}", token)):
        with pytest.raises(xsrf.Forgery, match="does not match"):
            xsrf.check(COOKIE_SECRET, header, sent, ADA, "POST")


@pytest.mark.parametrize(
    ("method", "headers", "is_api", "needed"),
    [
        ("POST", {}, False, True),
        ("POST", {"Sec-Fetch-Mode": "navigate"}, True, True),
        ("DELETE", {}, True, True),
        ("PATCH", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}, True, True),
        ("GET", {"Sec-Fetch-Mode": "cors"}, False, False),
        ("GET", {}, True, False),
        ("GET", {"Sec-Fetch-Mode": "navigate"}, True, False),
        ("GET", {"Sec-Fetch-Mode": "websocket"}, True, False),
        ("GET", {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}, True, True),
        ("GET", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}, True, False),
        ("GET", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"}, True, True),
        ("HEAD", {"Sec-Fetch-Mode": "same-origin"}, True, True),
    ],
)
def test_when_a_token_is_needed(method: str, headers: Mapping[str, str], is_api: bool, needed: bool) -> None:
    assert xsrf.needed(method, headers, is_api=is_api) is needed


def test_where_a_token_is_looked_for() -> None:
    assert xsrf.sent({"X-XSRFToken": "h"}, "a") == "a"
    assert xsrf.sent({"X-XSRFToken": "h"}, None) == "h"
    assert xsrf.sent({"X-CSRFToken": "c"}, None) == "c"
    assert xsrf.sent({}, None) is None
