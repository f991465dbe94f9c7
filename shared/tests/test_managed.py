"""Which services of the configuration the house runs itself, and when one has changed."""

from typing import Any

import pytest

from hubbub.managed import Managed, id_of, managed, prefix_of
from hubbub.sections import ConfigError
from hubbub.subjects import token

BOARD = {"name": "board", "command": ["board", "--loud"], "url": "http://127.0.0.1:1", "environment": {"A": "1"}}


def one(**changes: Any) -> Managed:
    [made] = managed([{**BOARD, **changes}], "key").values()
    return made


def test_those_with_a_command_are() -> None:
    found = managed([BOARD, {"name": "external", "url": "http://x"}, {"name": "no", "command": []}], "key")
    assert list(found) == ["managed:board"]
    assert found["managed:board"].command == ("board", "--loud")
    assert one(command="board").command == ("board",)


@pytest.mark.parametrize(
    "change",
    [
        {"command": ["other"]},
        {"environment": {"A": "2"}},
        {"cwd": "/tmp"},
        {"url": "http://127.0.0.1:2"},
        {"user": "ada"},
        {"timeout": 31},
        {"api_token": "a-token-of-the-operator"},
        {"oauth_client_id": "service-other"},
    ],
)
def test_what_its_process_depends_on_changes_it(change: dict[str, Any]) -> None:
    assert one(**change).digest != one().digest


@pytest.mark.parametrize("change", [{"info": {"a": 1}}, {"display": False}, {"admin": True}, {"cwd": None}])
def test_what_its_process_does_not_depend_on_leaves_it_alone(change: dict[str, Any]) -> None:
    assert one(**change).digest == one().digest


def test_nobody_can_try_guesses_on_the_digest_without_the_key() -> None:
    [other] = managed([BOARD], "another key").values()
    assert other.digest != one().digest


def test_the_order_of_what_the_operator_says_is_nothing() -> None:
    assert one(environment={"A": "1", "B": "2"}).digest == one(environment={"B": "2", "A": "1"}).digest


@pytest.mark.parametrize(
    "change", [{"command": 7}, {"environment": {"A": 1}}, {"url": "ftp://x"}, {"timeout": 0}, {"timeout": "soon"}]
)
def test_nonsense_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"c\.JupyterHub\.services: board: "):
        one(**change)


@pytest.mark.parametrize("name", ["a b", "a.b", "*", "böard", "a>b"])
def test_any_name_can_stand_in_a_subject(name: str) -> None:
    """Of the bus, where a stream's id is one word."""
    kind, _, rest = id_of(name).partition(":")
    assert (kind, rest) == ("managed", token(name))
    assert not set(rest) & set(" .*>")


def test_its_address_and_its_client_follow_from_its_name() -> None:
    assert prefix_of("/base/", "board") == "/base/services/board/"
    assert one().client == "service-board"
    assert one(oauth_client_id="service-x").client == "service-x"
