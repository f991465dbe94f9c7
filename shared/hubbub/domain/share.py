"""A server shared with one person or one group."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias, assert_never

from hubbub.domain.message import Command, Decider, Event, Invalid, State


def share_id(server: str, holder: str) -> str:
    """*holder*: the id of the user or group it is shared with."""
    return f"{server}.{holder}"


class ShareServer(Command, frozen=True, kw_only=True):
    """Grants *scopes* (names without a filter: it is always this server) besides those granted before.

    Ids; one of `user` and `group` is empty, and only one. `at`: now.
    """

    server: str
    user: str = ""
    group: str = ""
    scopes: tuple[str, ...]
    at: datetime


class RevokeShare(Command, frozen=True, kw_only=True):
    """Takes *scopes* back; empty: all."""

    scopes: tuple[str, ...] = ()
    reason: str = "asked"


ShareCommand: TypeAlias = ShareServer | RevokeShare


class ServerShared(Event, frozen=True, kw_only=True):
    """The server is shared with a user or group, or for other scopes than before. `scopes`: all that are granted from
    now on, sorted. `since`: when the first of them were.
    """

    server: str
    user: str
    group: str
    scopes: tuple[str, ...]
    since: datetime


class ShareRevoked(Event, frozen=True, kw_only=True):
    """The server is not shared with them any more."""

    reason: str


ShareEvent: TypeAlias = ServerShared | ShareRevoked


class NoShare(State, frozen=True, kw_only=True):
    pass


class Share(State, frozen=True, kw_only=True):
    server: str
    user: str
    group: str
    scopes: tuple[str, ...]
    since: datetime


ShareState: TypeAlias = NoShare | Share


def decide(state: ShareState, command: ShareCommand) -> Sequence[ShareEvent]:
    match command, state:
        case ShareServer(), _ if bool(command.user) == bool(command.group):
            raise Invalid("A server is shared with one user or one group")
        case ShareServer(), _ if not command.scopes:
            raise Invalid("A share of no scopes is none")
        case ShareServer(), NoShare():
            return [_shared(command, command.scopes, command.at)]
        case ShareServer(), Share():
            new = set(command.scopes).difference(state.scopes)
            return [_shared(state, (*state.scopes, *new), state.since)] if new else []
        case RevokeShare(), Share():
            left = set(state.scopes).difference(command.scopes) if command.scopes else set()
            if left == set(state.scopes):
                return []
            return [_shared(state, tuple(left), state.since)] if left else [ShareRevoked(reason=command.reason)]
        case RevokeShare(), NoShare():
            return []
        case _:
            raise AssertionError((state, command))


def _shared(which: ShareServer | Share, scopes: tuple[str, ...], since: datetime) -> ServerShared:
    return ServerShared(
        server=which.server, user=which.user, group=which.group, scopes=tuple(sorted(set(scopes))), since=since
    )


def evolve(_: ShareState, event: ShareEvent) -> ShareState:
    match event:
        case ServerShared():
            return Share(
                server=event.server, user=event.user, group=event.group, scopes=event.scopes, since=event.since
            )
        case ShareRevoked():
            return NoShare()
        case _:
            assert_never(event)


decider = Decider[ShareCommand, ShareEvent, ShareState](
    name="share",
    initial=NoShare(),
    decide=decide,
    evolve=evolve,
    commands=ShareCommand,
    events=ShareEvent,
    states=ShareState,
)
