"""A group of people. Who is in it: see `hubbub.domain.member`."""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from msgspec import field

from hubbub.domain.message import AlreadyExists, Command, Decider, Event, Json, NotFound, State


class CreateGroup(Command, frozen=True, kw_only=True):
    name: str
    properties: Json = field(default_factory=dict)


class SetProperties(Command, frozen=True, kw_only=True):
    """Replaces all of them."""

    properties: Json


class DeleteGroup(Command, frozen=True, kw_only=True):
    reason: str = "asked"


GroupCommand: TypeAlias = CreateGroup | SetProperties | DeleteGroup


class GroupCreated(Event, frozen=True, kw_only=True):
    """There is a group."""

    name: str
    properties: Json


class PropertiesSet(Event, frozen=True, kw_only=True):
    """The group has other properties. They are not shown: they may hold anything."""

    properties: Json


class GroupDeleted(Event, frozen=True, kw_only=True):
    """The group is no more."""

    reason: str


GroupEvent: TypeAlias = GroupCreated | PropertiesSet | GroupDeleted


class NoGroup(State, frozen=True, kw_only=True):
    pass


class Group(State, frozen=True, kw_only=True):
    name: str
    properties: Json


GroupState: TypeAlias = NoGroup | Group


def decide(state: GroupState, command: GroupCommand) -> Sequence[GroupEvent]:
    match command, state:
        case CreateGroup(), NoGroup():
            return [GroupCreated(name=command.name, properties=command.properties)]
        case CreateGroup(), Group():
            raise AlreadyExists(f"Group {state.name} already exists")
        case _, NoGroup():
            raise NotFound
        case SetProperties(), Group():
            return [] if command.properties == state.properties else [PropertiesSet(properties=command.properties)]
        case DeleteGroup(), Group():
            return [GroupDeleted(reason=command.reason)]
        case _:
            raise AssertionError((state, command))


def evolve(state: GroupState, event: GroupEvent) -> GroupState:
    match event:
        case GroupCreated():
            return Group(name=event.name, properties=event.properties)
        case PropertiesSet():
            assert isinstance(state, Group)
            return Group(name=state.name, properties=event.properties)
        case GroupDeleted():
            return NoGroup()
        case _:
            assert_never(event)


decider = Decider[GroupCommand, GroupEvent, GroupState](
    name="group",
    initial=NoGroup(),
    decide=decide,
    evolve=evolve,
    commands=GroupCommand,
    events=GroupEvent,
    states=GroupState,
)
