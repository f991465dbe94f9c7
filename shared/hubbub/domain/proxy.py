"""A proxy that people reach their servers through: it counts from its first full reconcile on."""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from hubbub.domain.message import Command, Decider, Event, State


class JoinProxy(Command, frozen=True, kw_only=True):
    """A report: every route that was wanted is there."""

    proxy: str


class LoseProxy(Command, frozen=True, kw_only=True):
    reason: str


ProxyCommand: TypeAlias = JoinProxy | LoseProxy


class ProxyJoined(Event, frozen=True, kw_only=True):
    proxy: str


class ProxyLost(Event, frozen=True, kw_only=True):
    reason: str


ProxyEvent: TypeAlias = ProxyJoined | ProxyLost


class NotJoined(State, frozen=True, kw_only=True):
    pass


class Joined(State, frozen=True, kw_only=True):
    proxy: str


ProxyState: TypeAlias = NotJoined | Joined


def decide(state: ProxyState, command: ProxyCommand) -> Sequence[ProxyEvent]:
    match command, state:
        case JoinProxy(), NotJoined():
            return [ProxyJoined(proxy=command.proxy)]
        case LoseProxy(), Joined():
            return [ProxyLost(reason=command.reason)]
        case _:
            return []


def evolve(_: ProxyState, event: ProxyEvent) -> ProxyState:
    match event:
        case ProxyJoined():
            return Joined(proxy=event.proxy)
        case ProxyLost():
            return NotJoined()
        case _:
            assert_never(event)


decider = Decider[ProxyCommand, ProxyEvent, ProxyState](
    name="proxy",
    initial=NotJoined(),
    decide=decide,
    evolve=evolve,
    commands=ProxyCommand,
    events=ProxyEvent,
    states=ProxyState,
)
