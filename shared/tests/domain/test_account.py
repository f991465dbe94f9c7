"""Accounts with a password: every command in every state, and names that are the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as whatever
from hypothesis import strategies as st

from hubbub.domain.account import (
    Account,
    AccountApproved,
    AccountMade,
    AccountRemoved,
    AccountRequested,
    ApproveAccount,
    GiveLink,
    LinkGiven,
    MakeAccount,
    NoAccount,
    PasswordSet,
    RemoveAccount,
    RequestAccount,
    SetPassword,
    UseLink,
    Waiting,
    account_name,
    decider,
)
from hubbub.domain.message import AlreadyExists, Busy, Command, Event, NotFound
from hubbub.testing.given import after, given

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NOTHING: list[Event] = []

request = RequestAccount(user="a1", name="ada", address="203.0.113.7")
requested = AccountRequested(user="a1", name="ada", address="203.0.113.7")
make, made = MakeAccount(user="a1", name="ada"), AccountMade(user="a1", name="ada", address="")
approve, approved = ApproveAccount(), AccountApproved()
set_, chosen = SetPassword(), PasswordSet(user="a1", how="changed", address="")
give, given_ = GiveLink(hash="sha256:1", expires_at=NOON), LinkGiven(hash="sha256:1", expires_at=NOON)
use = UseLink(hash="sha256:1", at=NOON - SECOND, address="203.0.113.7")
used = PasswordSet(user="a1", how="link", address="203.0.113.7")
remove, removed = RemoveAccount(reason="rejected"), AccountRemoved(reason="rejected")

CASES: list[tuple[list[Event], Command, Any]] = [
    ([], request, [requested]),
    ([], make, [made]),
    ([], approve, NotFound),
    ([], set_, NotFound),
    ([], give, NotFound),
    ([], use, NotFound),
    ([], remove, NOTHING),
    ([requested], request, AlreadyExists),
    ([requested], make, AlreadyExists),
    ([requested], approve, [approved]),
    ([requested], set_, Busy),
    ([requested], give, Busy),
    ([requested], use, Busy),
    ([requested], remove, [removed]),
    ([requested, approved], approve, NOTHING),
    ([made], request, AlreadyExists),
    ([made], make, AlreadyExists),
    ([made], approve, NOTHING),
    ([made], set_, [chosen]),
    ([made], give, [given_]),
    ([made], use, NotFound),
    ([made], remove, [removed]),
    ([made, given_], give, [given_]),
    ([made, given_], use, [used]),
    ([made, given_], UseLink(hash="sha256:1", at=NOON), NotFound),
    ([made, given_], UseLink(hash="sha256:2", at=NOON - SECOND), NotFound),
    ([made, given_], UseLink(hash="", at=NOON - SECOND), NotFound),
    ([made, given_, used], use, NotFound),
    ([made, given_, chosen], use, NotFound),
    ([made, removed], use, NotFound),
    ([made, removed], request, [requested]),
]


@pytest.mark.parametrize(("history", "command", "expected"), CASES)
def test_the_table(history: list[Any], command: Any, expected: Any) -> None:
    then = given(decider, *history).when(command)
    if expected is NOTHING:
        then.then_nothing()
    elif isinstance(expected, list):
        then.then(*expected)
    else:
        then.then_rejected(expected)


def test_the_table_holds_every_command_in_every_state() -> None:
    reached = {(type(after(decider, history)), type(command)) for history, command, _ in CASES}
    commands = decider.commands.__args__
    assert reached == {(state, command) for state in (NoAccount, Waiting, Account) for command in commands}


@pytest.mark.parametrize("other", ["Ada", "ADA", "ａｄａ", "ᵃda"])
def test_what_unicode_has_as_the_same_is_the_same_name(other: str) -> None:
    assert account_name(other) == "ada"


@whatever(st.text())
def test_a_name_is_spelled_once_for_all(text: str) -> None:
    assert account_name(account_name(text)) == account_name(text)
