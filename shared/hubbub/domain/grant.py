"""A role that somebody holds: a user, or a group (then all who are in it).

Services hold theirs by name, straight from the configuration: see `hubbub.roles`.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, assert_never

from hubbub.domain.message import Command, Decider, Event, State

Kind: TypeAlias = Literal["user", "group"]


def grant_id(role: str, kind: Kind, holder: str) -> str:
    """Names of roles may have dots in them, but no slash: no two grants share an id."""
    return f"{role}/{kind}/{holder}"


class GrantRole(Command, frozen=True, kw_only=True):
    """`holder`: the id of the user or group. `source`: `configuration` or `login`."""

    role: str
    kind: Kind
    holder: str
    source: str


class WithdrawRole(Command, frozen=True, kw_only=True):
    reason: str


GrantCommand: TypeAlias = GrantRole | WithdrawRole


class RoleGranted(Event, frozen=True, kw_only=True):
    """A user or group holds the role."""

    role: str
    kind: Kind
    holder: str
    source: str


class RoleWithdrawn(Event, frozen=True, kw_only=True):
    """A user or group does not hold the role any more."""

    reason: str


GrantEvent: TypeAlias = RoleGranted | RoleWithdrawn


class NoGrant(State, frozen=True, kw_only=True):
    pass


class Grant(State, frozen=True, kw_only=True):
    role: str
    kind: Kind
    holder: str
    source: str


GrantState: TypeAlias = NoGrant | Grant


def decide(state: GrantState, command: GrantCommand) -> Sequence[GrantEvent]:
    """What is granted already is granted once; but the configuration's word counts for more than a login's."""
    match command, state:
        case GrantRole(), Grant() if state.source in (command.source, "configuration"):
            return []
        case GrantRole(), _:
            return [
                RoleGranted(role=command.role, kind=command.kind, holder=command.holder, source=command.source),
            ]
        case WithdrawRole(), Grant():
            return [RoleWithdrawn(reason=command.reason)]
        case WithdrawRole(), NoGrant():
            return []
        case _:
            raise AssertionError((state, command))


def evolve(_: GrantState, event: GrantEvent) -> GrantState:
    match event:
        case RoleGranted():
            return Grant(role=event.role, kind=event.kind, holder=event.holder, source=event.source)
        case RoleWithdrawn():
            return NoGrant()
        case _:
            assert_never(event)


decider = Decider[GrantCommand, GrantEvent, GrantState](
    name="grant",
    initial=NoGrant(),
    decide=decide,
    evolve=evolve,
    commands=GrantCommand,
    events=GrantEvent,
    states=GrantState,
)
