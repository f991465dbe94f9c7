"""A role that an authenticator has defined, not the configuration. Who holds it: see `hubbub.domain.grant`.

Its stream is named after the role: roles have no other identity, and are not renamed.
"""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from hubbub.domain.message import Command, Decider, Event, State


class DefineRole(Command, frozen=True, kw_only=True):
    """`declared`: it was named when the hub started, and so stays when nobody holds it."""

    scopes: tuple[str, ...]
    description: str = ""
    declared: bool = False


class DropRole(Command, frozen=True, kw_only=True):
    reason: str


RoleCommand: TypeAlias = DefineRole | DropRole


class RoleDefined(Event, frozen=True, kw_only=True):
    """The authenticator has defined a role, or what it may do."""

    scopes: tuple[str, ...]
    description: str
    declared: bool


class RoleDropped(Event, frozen=True, kw_only=True):
    """The role that the authenticator had defined is no more."""

    reason: str


RoleEvent: TypeAlias = RoleDefined | RoleDropped


class NoRole(State, frozen=True, kw_only=True):
    pass


class Role(State, frozen=True, kw_only=True):
    scopes: tuple[str, ...]
    description: str = ""
    declared: bool = False


RoleState: TypeAlias = NoRole | Role


def decide(state: RoleState, command: RoleCommand) -> Sequence[RoleEvent]:
    match command, state:
        case DefineRole(), _:
            wanted = Role(scopes=command.scopes, description=command.description, declared=command.declared)
            if state == wanted:
                return []
            return [RoleDefined(scopes=command.scopes, description=command.description, declared=command.declared)]
        case DropRole(), Role():
            return [RoleDropped(reason=command.reason)]
        case DropRole(), NoRole():
            return []
        case _:
            raise AssertionError((state, command))


def evolve(_: RoleState, event: RoleEvent) -> RoleState:
    match event:
        case RoleDefined():
            return Role(scopes=event.scopes, description=event.description, declared=event.declared)
        case RoleDropped():
            return NoRole()
        case _:
            assert_never(event)


decider = Decider[RoleCommand, RoleEvent, RoleState](
    name="role",
    initial=NoRole(),
    decide=decide,
    evolve=evolve,
    commands=RoleCommand,
    events=RoleEvent,
    states=RoleState,
)
