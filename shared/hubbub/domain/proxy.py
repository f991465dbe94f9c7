"""A proxy that people reach their servers through: it counts from its first full reconcile on."""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

import msgspec

from hubbub.domain.message import Command, Decider, Event, State


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """A route that was not as it should be: where it led, and leads now; null for no route.

    `server`: the id of the server whose it is, or `hub`, `service:<id>`, "" if nobody's. Its path would name people.
    """

    server: str
    found: str | None
    made: str | None


class JoinProxy(Command, frozen=True, kw_only=True):
    """A report: every route that was wanted is there."""

    proxy: str


class LoseProxy(Command, frozen=True, kw_only=True):
    reason: str


class MoveProxy(Command, frozen=True, kw_only=True):
    """It is elsewhere from now on, or has another token, which the vault has. `api_url` "": where it is configured."""

    proxy: str
    api_url: str


class NoteCorrections(Command, frozen=True, kw_only=True):
    """A report: so many routes were not as they should be, and are now. `routes`: the first of them."""

    proxy: str
    reason: str
    count: int
    routes: tuple[Mended, ...]


ProxyCommand: TypeAlias = JoinProxy | LoseProxy | MoveProxy | NoteCorrections


class ProxyJoined(Event, frozen=True, kw_only=True):
    """The proxy has every route, and counts from now on: a server is ready when all proxies that count lead to it."""

    proxy: str


class ProxyLost(Event, frozen=True, kw_only=True):
    """The proxy is silent or too slow, and does not count until it joins again."""

    reason: str


class ProxyMoved(Event, frozen=True, kw_only=True):
    """The proxy is at another address."""

    proxy: str
    api_url: str


class RoutesCorrected(Event, frozen=True, kw_only=True):
    """Routes of the proxy were not as they should be, and are again. Somebody else has changed them, or the proxy has
    lost them. `reason`: how that was found out.
    """

    proxy: str
    reason: str
    count: int
    routes: tuple[Mended, ...]


ProxyEvent: TypeAlias = ProxyJoined | ProxyLost | ProxyMoved | RoutesCorrected


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
        case MoveProxy(), _:
            return [ProxyMoved(proxy=command.proxy, api_url=command.api_url)]
        case NoteCorrections(), _:
            return [
                RoutesCorrected(proxy=command.proxy, reason=command.reason, count=command.count, routes=command.routes)
            ]
        case _:
            return []


def evolve(state: ProxyState, event: ProxyEvent) -> ProxyState:
    """Where it is is no part of it: that is kept with its token (see `hubbub_api.moved`)."""
    match event:
        case ProxyJoined():
            return Joined(proxy=event.proxy)
        case ProxyLost():
            return NotJoined()
        case ProxyMoved() | RoutesCorrected():
            return state
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
