"""A person who may log in and own servers."""

from collections.abc import Sequence
from typing import ClassVar, TypeAlias, assert_never

from hubbub.domain.message import AlreadyExists, Command, Decider, Event, NotFound, State


class CreateUser(Command, frozen=True, kw_only=True):
    user: str
    name: str
    admin: bool = False


class RenameUser(Command, frozen=True, kw_only=True):
    name: str


class SetAdmin(Command, frozen=True, kw_only=True):
    admin: bool


class DeleteUser(Command, frozen=True, kw_only=True):
    pass


UserCommand: TypeAlias = CreateUser | RenameUser | SetAdmin | DeleteUser


class UserCreated(Event, frozen=True, kw_only=True):
    """Somebody is a user now, because they logged in, or an administrator or the configuration wanted it."""

    personal: ClassVar[tuple[str, ...]] = ("name",)

    user: str
    name: str
    admin: bool


class UserRenamed(Event, frozen=True, kw_only=True):
    """The user has another name. What they have stays where it is."""

    personal: ClassVar[tuple[str, ...]] = ("name",)

    user: str
    name: str


class AdminSet(Event, frozen=True, kw_only=True):
    """The user became an administrator, or is none any more."""

    admin: bool


class UserDeleted(Event, frozen=True, kw_only=True):
    """The user is no more. The key that their personal data is sealed with is destroyed in the same commit."""


UserEvent: TypeAlias = UserCreated | UserRenamed | AdminSet | UserDeleted


class NoUser(State, frozen=True, kw_only=True):
    pass


class User(State, frozen=True, kw_only=True):
    user: str
    name: str
    admin: bool


UserState: TypeAlias = NoUser | User


def decide(state: UserState, command: UserCommand) -> Sequence[UserEvent]:
    match command, state:
        case CreateUser(), NoUser():
            return [UserCreated(user=command.user, name=command.name, admin=command.admin)]
        case CreateUser(), User():
            raise AlreadyExists(f"User {state.name} already exists")
        case _, NoUser():
            raise NotFound
        case RenameUser(), User():
            return [] if command.name == state.name else [UserRenamed(user=state.user, name=command.name)]
        case SetAdmin(), User():
            return [] if command.admin == state.admin else [AdminSet(admin=command.admin)]
        case DeleteUser(), User():
            return [UserDeleted()]
        case _:
            raise AssertionError((state, command))


def evolve(state: UserState, event: UserEvent) -> UserState:
    if isinstance(event, UserCreated):
        return User(user=event.user, name=event.name, admin=event.admin)
    if isinstance(event, UserDeleted):
        return NoUser()
    assert isinstance(state, User)
    match event:
        case UserRenamed():
            return User(user=state.user, name=event.name, admin=state.admin)
        case AdminSet():
            return User(user=state.user, name=state.name, admin=event.admin)
        case _:
            assert_never(event)


decider = Decider[UserCommand, UserEvent, UserState](
    name="user",
    initial=NoUser(),
    decide=decide,
    evolve=evolve,
    commands=UserCommand,
    events=UserEvent,
    states=UserState,
)
