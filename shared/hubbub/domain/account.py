"""Somebody who logs in by a password that the hub keeps. What it is nobody here knows: its hash is in the vault."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, TypeAlias, assert_never

from hubbub.domain.message import AlreadyExists, Busy, Command, Decider, Event, NotFound, State


class RequestAccount(Command, frozen=True, kw_only=True):
    """Somebody signs up, and has to wait. `user`: the account's own id, under whose key its name is sealed."""

    user: str
    name: str
    address: str = ""


class MakeAccount(Command, frozen=True, kw_only=True):
    """There is nothing to wait for: an administrator wants it, or whoever signs up may."""

    user: str
    name: str
    address: str = ""


class ApproveAccount(Command, frozen=True, kw_only=True):
    pass


class SetPassword(Command, frozen=True, kw_only=True):
    """Its owner, who knows the one until now, has another."""

    address: str = ""


class GiveLink(Command, frozen=True, kw_only=True):
    """Whoever has the link, of which `hash` is known here, may choose a password. The one until now is no good."""

    hash: str
    expires_at: datetime


class UseLink(Command, frozen=True, kw_only=True):
    hash: str
    at: datetime
    address: str = ""


class RemoveAccount(Command, frozen=True, kw_only=True):
    reason: str


AccountCommand: TypeAlias = (
    RequestAccount | MakeAccount | ApproveAccount | SetPassword | GiveLink | UseLink | RemoveAccount
)


class AccountRequested(Event, frozen=True, kw_only=True):
    """Somebody signed up for an account with a password, and waits for approval."""

    personal: ClassVar[tuple[str, ...]] = ("name", "address")

    user: str
    name: str
    address: str


class AccountMade(Event, frozen=True, kw_only=True):
    """There is an account with a password."""

    personal: ClassVar[tuple[str, ...]] = ("name", "address")

    user: str
    name: str
    address: str


class AccountApproved(Event, frozen=True, kw_only=True):
    """Whoever has signed up may log in."""


class PasswordSet(Event, frozen=True, kw_only=True):
    """The account has another password than before. `how`: `changed` by who knew that, or by a `link`."""

    personal: ClassVar[tuple[str, ...]] = ("address",)

    user: str
    how: str
    address: str


class LinkGiven(Event, frozen=True, kw_only=True):
    """There is a link by which a password may be chosen."""

    hash: str
    expires_at: datetime


class AccountRemoved(Event, frozen=True, kw_only=True):
    """The account is no more."""

    reason: str


AccountEvent: TypeAlias = AccountRequested | AccountMade | AccountApproved | PasswordSet | LinkGiven | AccountRemoved


class NoAccount(State, frozen=True, kw_only=True):
    pass


class Waiting(State, frozen=True, kw_only=True):
    """Nobody has approved of it yet. `address`: where it was asked for."""

    user: str
    name: str
    address: str = ""


class Account(State, frozen=True, kw_only=True):
    """`link`: the hash of the one by which a password may be chosen, until `link_until`."""

    user: str
    name: str
    link: str = ""
    link_until: datetime | None = None


AccountState: TypeAlias = NoAccount | Waiting | Account

LINK_IS_NO_GOOD = "This link was used already, or is too old. Ask for a new one."


def account_name(text: str) -> str:
    """*text* in the one spelling that accounts have: what looks the same to Unicode is the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def decide(state: AccountState, command: AccountCommand) -> Sequence[AccountEvent]:
    match command, state:
        case RequestAccount(), NoAccount():
            return [AccountRequested(user=command.user, name=command.name, address=command.address)]
        case MakeAccount(), NoAccount():
            return [AccountMade(user=command.user, name=command.name, address=command.address)]
        case ((RequestAccount() | MakeAccount()), (Waiting() | Account())):
            raise AlreadyExists(f"There is an account of the name {state.name} already")
        case RemoveAccount(), NoAccount():
            return []
        case RemoveAccount(), _:
            return [AccountRemoved(reason=command.reason)]
        case _, NoAccount():
            raise NotFound
        case ApproveAccount(), _:
            return [AccountApproved()] if isinstance(state, Waiting) else []
        case ((SetPassword() | GiveLink() | UseLink()), Waiting()):
            raise Busy(f"The account {state.name} waits for approval")
        case SetPassword(), Account():
            return [PasswordSet(user=state.user, how="changed", address=command.address)]
        case GiveLink(), Account():
            return [LinkGiven(hash=command.hash, expires_at=command.expires_at)]
        case UseLink(), Account() if state.link == command.hash and _is_before(command.at, state.link_until):
            return [PasswordSet(user=state.user, how="link", address=command.address)]
        case UseLink(), Account():
            raise NotFound(LINK_IS_NO_GOOD)
        case _:
            raise AssertionError((state, command))


def _is_before(at: datetime, until: datetime | None) -> bool:
    return until is not None and at < until


def evolve(state: AccountState, event: AccountEvent) -> AccountState:
    match event:
        case AccountRequested():
            return Waiting(user=event.user, name=event.name, address=event.address)
        case AccountMade():
            return Account(user=event.user, name=event.name)
        case AccountRemoved():
            return NoAccount()
        case AccountApproved() | PasswordSet():
            assert isinstance(state, Waiting | Account)
            return Account(user=state.user, name=state.name)
        case LinkGiven():
            assert isinstance(state, Account)
            return Account(user=state.user, name=state.name, link=event.hash, link_until=event.expires_at)
        case _:
            assert_never(event)


decider = Decider[AccountCommand, AccountEvent, AccountState](
    name="account",
    initial=NoAccount(),
    decide=decide,
    evolve=evolve,
    commands=AccountCommand,
    events=AccountEvent,
    states=AccountState,
)
