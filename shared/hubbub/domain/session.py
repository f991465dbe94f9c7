"""One browser's login, from the form to the log-out."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, TypeAlias, assert_never

from hubbub.domain.message import AlreadyExists, Command, Decider, Event, State


class OpenSession(Command, frozen=True, kw_only=True):
    """`hash`: of the secret in the login cookie. `address`, `agent`: where the person came from, with which browser."""

    user: str
    hash: str
    address: str
    agent: str = ""
    expires_at: datetime


class CloseSession(Command, frozen=True, kw_only=True):
    """`address`: of whoever asks for it, if somebody does."""

    reason: str = "logout"
    address: str = ""


SessionCommand: TypeAlias = OpenSession | CloseSession


class SessionOpened(Event, frozen=True, kw_only=True):
    """Somebody has logged in with a browser."""

    personal: ClassVar[tuple[str, ...]] = ("address", "agent")

    user: str
    hash: str
    address: str
    agent: str = ""
    expires_at: datetime


class SessionClosed(Event, frozen=True, kw_only=True):
    """The browser is logged out: by its user, from elsewhere, or because of its age. `user`: whose session it was; of
    older ones it is not known.
    """

    personal: ClassVar[tuple[str, ...]] = ("address",)

    user: str = ""
    reason: str
    address: str = ""


SessionEvent: TypeAlias = SessionOpened | SessionClosed


class NoSession(State, frozen=True, kw_only=True):
    """Never opened, or closed."""


class Session(State, frozen=True, kw_only=True):
    user: str
    hash: str
    address: str
    agent: str = ""
    expires_at: datetime


SessionState: TypeAlias = NoSession | Session


def decide(state: SessionState, command: SessionCommand) -> Sequence[SessionEvent]:
    match command, state:
        case OpenSession(), NoSession():
            return [
                SessionOpened(
                    user=command.user,
                    hash=command.hash,
                    address=command.address,
                    agent=command.agent,
                    expires_at=command.expires_at,
                )
            ]
        case OpenSession(), Session():
            raise AlreadyExists
        case CloseSession(), Session():
            return [SessionClosed(user=state.user, reason=command.reason, address=command.address)]
        case CloseSession(), NoSession():
            return []
        case _:
            raise AssertionError((state, command))


def evolve(_: SessionState, event: SessionEvent) -> SessionState:
    match event:
        case SessionOpened():
            return Session(
                user=event.user,
                hash=event.hash,
                address=event.address,
                agent=event.agent,
                expires_at=event.expires_at,
            )
        case SessionClosed():
            return NoSession()
        case _:
            assert_never(event)


decider = Decider[SessionCommand, SessionEvent, SessionState](
    name="session",
    initial=NoSession(),
    decide=decide,
    evolve=evolve,
    commands=SessionCommand,
    events=SessionEvent,
    states=SessionState,
)
