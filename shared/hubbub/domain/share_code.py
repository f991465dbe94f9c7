"""A code that whoever has it may exchange for a share of a server, until it expires. Only its hash is known here."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias, assert_never

from hubbub.domain.message import AlreadyExists, Command, Decider, Event, NotFound, State


class IssueShareCode(Command, frozen=True, kw_only=True):
    """`server`: its id. `scopes`: names without a filter."""

    server: str
    hash: str
    scopes: tuple[str, ...]
    expires_at: datetime


class UseShareCode(Command, frozen=True, kw_only=True):
    """`user`: the id of who exchanges it."""

    user: str
    at: datetime


class RevokeShareCode(Command, frozen=True, kw_only=True):
    reason: str = "asked"


ShareCodeCommand: TypeAlias = IssueShareCode | UseShareCode | RevokeShareCode


class ShareCodeIssued(Event, frozen=True, kw_only=True):
    """There is a link that gives whoever opens it a share of the server."""

    server: str
    hash: str
    scopes: tuple[str, ...]
    expires_at: datetime


class ShareCodeUsed(Event, frozen=True, kw_only=True):
    """Somebody opened the link, and has a share."""

    user: str
    at: datetime


class ShareCodeRevoked(Event, frozen=True, kw_only=True):
    """The link is good for nothing any more."""

    reason: str


ShareCodeEvent: TypeAlias = ShareCodeIssued | ShareCodeUsed | ShareCodeRevoked


class NoShareCode(State, frozen=True, kw_only=True):
    pass


class ShareCode(State, frozen=True, kw_only=True):
    server: str
    hash: str
    scopes: tuple[str, ...]
    expires_at: datetime
    uses: int = 0
    used_at: datetime | None = None


ShareCodeState: TypeAlias = NoShareCode | ShareCode


def decide(state: ShareCodeState, command: ShareCodeCommand) -> Sequence[ShareCodeEvent]:
    match command, state:
        case IssueShareCode(), NoShareCode():
            return [
                ShareCodeIssued(
                    server=command.server, hash=command.hash, scopes=command.scopes, expires_at=command.expires_at
                )
            ]
        case IssueShareCode(), ShareCode():
            raise AlreadyExists
        case UseShareCode(), ShareCode() if command.at < state.expires_at:
            return [ShareCodeUsed(user=command.user, at=command.at)]
        case RevokeShareCode(), ShareCode():
            return [ShareCodeRevoked(reason=command.reason)]
        case (UseShareCode(), _) | (RevokeShareCode(), NoShareCode()):
            raise NotFound
        case _:
            raise AssertionError((state, command))


def evolve(state: ShareCodeState, event: ShareCodeEvent) -> ShareCodeState:
    match event:
        case ShareCodeIssued():
            return ShareCode(server=event.server, hash=event.hash, scopes=event.scopes, expires_at=event.expires_at)
        case ShareCodeUsed():
            assert isinstance(state, ShareCode)
            return ShareCode(
                server=state.server,
                hash=state.hash,
                scopes=state.scopes,
                expires_at=state.expires_at,
                uses=state.uses + 1,
                used_at=event.at,
            )
        case ShareCodeRevoked():
            return NoShareCode()
        case _:
            assert_never(event)


decider = Decider[ShareCodeCommand, ShareCodeEvent, ShareCodeState](
    name="share_code",
    initial=NoShareCode(),
    decide=decide,
    evolve=evolve,
    commands=ShareCodeCommand,
    events=ShareCodeEvent,
    states=ShareCodeState,
)
