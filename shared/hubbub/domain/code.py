"""An OAuth authorization code: good once, for five minutes (RFC 6749, 4.1.2)."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, TypeAlias, assert_never

from hubbub.domain.message import AlreadyExists, Command, Decider, Event, NotFound, State


class IssueCode(Command, frozen=True, kw_only=True):
    """`challenge` and `challenge_method` are PKCE's (RFC 7636); empty if the client sent none."""

    user: str
    hash: str
    client: str
    redirect_uri: str
    scopes: tuple[str, ...]
    session: str
    expires_at: datetime
    challenge: str = ""
    challenge_method: str = ""


class RedeemCode(Command, frozen=True, kw_only=True):
    pass


class ExpireCode(Command, frozen=True, kw_only=True):
    pass


CodeCommand: TypeAlias = IssueCode | RedeemCode | ExpireCode


class CodeIssued(Event, frozen=True, kw_only=True):
    """A browser was sent on to a server or service with a code, by which that learns who is there."""

    personal: ClassVar[tuple[str, ...]] = ("client", "redirect_uri")

    user: str
    hash: str
    client: str
    redirect_uri: str
    scopes: tuple[str, ...]
    session: str
    expires_at: datetime
    challenge: str
    challenge_method: str


class CodeRedeemed(Event, frozen=True, kw_only=True):
    """The code was exchanged for a token."""


class CodeExpired(Event, frozen=True, kw_only=True):
    """Nobody brought the code in time."""


CodeEvent: TypeAlias = CodeIssued | CodeRedeemed | CodeExpired


class NoCode(State, frozen=True, kw_only=True):
    """Never issued, redeemed, or expired."""


class Code(State, frozen=True, kw_only=True):
    user: str
    hash: str
    client: str
    redirect_uri: str
    scopes: tuple[str, ...]
    session: str
    expires_at: datetime
    challenge: str
    challenge_method: str


CodeState: TypeAlias = NoCode | Code


def decide(state: CodeState, command: CodeCommand) -> Sequence[CodeEvent]:
    match command, state:
        case IssueCode(), NoCode():
            return [CodeIssued(**{field: getattr(command, field) for field in command.__struct_fields__})]
        case IssueCode(), Code():
            raise AlreadyExists
        case RedeemCode(), Code():
            return [CodeRedeemed()]
        case RedeemCode(), NoCode():
            raise NotFound("The code was used before, or never given")
        case ExpireCode(), Code():
            return [CodeExpired()]
        case ExpireCode(), NoCode():
            return []
        case _:
            raise AssertionError((state, command))


def evolve(_: CodeState, event: CodeEvent) -> CodeState:
    match event:
        case CodeIssued():
            return Code(**{field: getattr(event, field) for field in event.__struct_fields__})
        case CodeRedeemed() | CodeExpired():
            return NoCode()
        case _:
            assert_never(event)


decider = Decider[CodeCommand, CodeEvent, CodeState](
    name="code",
    initial=NoCode(),
    decide=decide,
    evolve=evolve,
    commands=CodeCommand,
    events=CodeEvent,
    states=CodeState,
)
