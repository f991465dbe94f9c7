"""An API or OAuth token. Only its hash is ever known here."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, TypeAlias, assert_never

import msgspec

from hubbub.domain.message import AlreadyExists, Command, Decider, Event, NotFound, State


class IssueToken(Command, frozen=True, kw_only=True):
    """`hash`: see `hubbub.access.token_hash`. `user` is empty for a service's token.

    `scopes` are as asked for (`inherit` for all of the owner's); `client` is the OAuth client's id;
    `server` is set on the token that a server itself uses.
    """

    user: str
    hash: str
    scopes: tuple[str, ...] = ("inherit",)
    note: str = ""
    service: str = ""
    client: str = "jupyterhub"
    session: str = ""
    server: str = ""
    expires_at: datetime | None = None


class RevokeToken(Command, frozen=True, kw_only=True):
    reason: str = "asked"


class RestrictToken(Command, frozen=True, kw_only=True):
    """`scopes`: all that it may do now. `grants`: what tokens of its OAuth client may ask for, if that was said."""

    scopes: tuple[str, ...]
    grants: tuple[str, ...] | None = None


TokenCommand: TypeAlias = IssueToken | RestrictToken | RevokeToken


class TokenIssued(Event, frozen=True, kw_only=True):
    """There is a token: of a user, service or server, or given to an OAuth client for somebody who visits it."""

    personal: ClassVar[tuple[str, ...]] = ("note", "client")

    user: str
    hash: str
    scopes: tuple[str, ...]
    note: str
    service: str
    client: str
    session: str
    server: str
    expires_at: datetime | None


class TokenRestricted(Event, frozen=True, kw_only=True):
    """The token of a server may do what its spawner has worked out."""

    scopes: tuple[str, ...]
    grants: tuple[str, ...] | None = None


class TokenRevoked(Event, frozen=True, kw_only=True):
    """The token is good for nothing any more."""

    reason: str


TokenEvent: TypeAlias = TokenIssued | TokenRestricted | TokenRevoked


class NoToken(State, frozen=True, kw_only=True):
    pass


class Token(State, frozen=True, kw_only=True):
    user: str
    hash: str
    scopes: tuple[str, ...]
    note: str
    service: str
    client: str
    session: str
    server: str
    expires_at: datetime | None
    grants: tuple[str, ...] | None = None


TokenState: TypeAlias = NoToken | Token


def decide(state: TokenState, command: TokenCommand) -> Sequence[TokenEvent]:
    match command, state:
        case IssueToken(), NoToken():
            return [TokenIssued(**{field: getattr(command, field) for field in command.__struct_fields__})]
        case IssueToken(), Token():
            raise AlreadyExists
        case RestrictToken(), Token():
            if (command.scopes, command.grants) == (state.scopes, state.grants):
                return []
            return [TokenRestricted(scopes=command.scopes, grants=command.grants)]
        case RestrictToken(), NoToken():
            raise NotFound
        case RevokeToken(), Token():
            return [TokenRevoked(reason=command.reason)]
        case RevokeToken(), NoToken():
            raise NotFound
        case _:
            raise AssertionError((state, command))


def evolve(state: TokenState, event: TokenEvent) -> TokenState:
    match event:
        case TokenIssued():
            return Token(**{field: getattr(event, field) for field in event.__struct_fields__})
        case TokenRestricted():
            assert isinstance(state, Token)
            return msgspec.structs.replace(state, scopes=event.scopes, grants=event.grants)
        case TokenRevoked():
            return NoToken()
        case _:
            assert_never(event)


decider = Decider[TokenCommand, TokenEvent, TokenState](
    name="token",
    initial=NoToken(),
    decide=decide,
    evolve=evolve,
    commands=TokenCommand,
    events=TokenEvent,
    states=TokenState,
)
