"""One person's place in one group: a stream of its own, so that a group of thousands is not written anew for each."""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from hubbub.domain.message import Command, Decider, Event, State


def member_id(group: str, user: str) -> str:
    return f"{group}.{user}"


class AddMember(Command, frozen=True, kw_only=True):
    """Ids of both. `source`: who says so: `api`, `configuration` or `login`."""

    group: str
    user: str
    source: str = "api"


class RemoveMember(Command, frozen=True, kw_only=True):
    reason: str = "asked"


MemberCommand: TypeAlias = AddMember | RemoveMember


class MemberAdded(Event, frozen=True, kw_only=True):
    """The user is in the group."""

    group: str
    user: str
    source: str


class MemberRemoved(Event, frozen=True, kw_only=True):
    """The user is not in the group any more."""

    reason: str


MemberEvent: TypeAlias = MemberAdded | MemberRemoved


class NoMember(State, frozen=True, kw_only=True):
    pass


class Member(State, frozen=True, kw_only=True):
    group: str
    user: str
    source: str


MemberState: TypeAlias = NoMember | Member


def decide(state: MemberState, command: MemberCommand) -> Sequence[MemberEvent]:
    """Whoever is in, or out, already makes nothing happen."""
    match command, state:
        case AddMember(), NoMember():
            return [MemberAdded(group=command.group, user=command.user, source=command.source)]
        case RemoveMember(), Member():
            return [MemberRemoved(reason=command.reason)]
        case (AddMember(), Member()) | (RemoveMember(), NoMember()):
            return []
        case _:
            raise AssertionError((state, command))


def evolve(_: MemberState, event: MemberEvent) -> MemberState:
    match event:
        case MemberAdded():
            return Member(group=event.group, user=event.user, source=event.source)
        case MemberRemoved():
            return NoMember()
        case _:
            assert_never(event)


decider = Decider[MemberCommand, MemberEvent, MemberState](
    name="member",
    initial=NoMember(),
    decide=decide,
    evolve=evolve,
    commands=MemberCommand,
    events=MemberEvent,
    states=MemberState,
)
