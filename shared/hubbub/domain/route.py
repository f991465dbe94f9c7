"""What one proxy knows of one server, and what must change for the proxy to be right."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias, assert_never

import msgspec

from hubbub.domain.message import Command, Decider, Event, State


class AddRoute(Command, frozen=True, kw_only=True):
    """A report: the proxy has this route now. `target` is where it leads, e.g. http://127.0.0.1:40123."""

    proxy: str
    server: str
    attempt: int
    target: str
    reason: str = ""


class RemoveRoute(Command, frozen=True, kw_only=True):
    """A report: the proxy has no route of this server any more."""

    reason: str = ""


RouteCommand: TypeAlias = AddRoute | RemoveRoute


class RouteAdded(Event, frozen=True, kw_only=True):
    """A proxy leads to the server."""

    proxy: str
    server: str
    attempt: int
    target: str
    reason: str


class RouteRemoved(Event, frozen=True, kw_only=True):
    """A proxy does not lead to the server any more."""

    reason: str


RouteEvent: TypeAlias = RouteAdded | RouteRemoved


class NoRoute(State, frozen=True, kw_only=True):
    pass


class Route(State, frozen=True, kw_only=True):
    proxy: str
    server: str
    attempt: int
    target: str


RouteState: TypeAlias = NoRoute | Route


def decide(state: RouteState, command: RouteCommand) -> Sequence[RouteEvent]:
    match command:
        case AddRoute():
            now = Route(proxy=command.proxy, server=command.server, attempt=command.attempt, target=command.target)
            if state == now:
                return []
            return [
                RouteAdded(
                    proxy=now.proxy, server=now.server, attempt=now.attempt, target=now.target, reason=command.reason
                )
            ]
        case RemoveRoute():
            return [RouteRemoved(reason=command.reason)] if isinstance(state, Route) else []
        case _:
            assert_never(command)


def evolve(_: RouteState, event: RouteEvent) -> RouteState:
    match event:
        case RouteAdded():
            return Route(proxy=event.proxy, server=event.server, attempt=event.attempt, target=event.target)
        case RouteRemoved():
            return NoRoute()
        case _:
            assert_never(event)


decider = Decider[RouteCommand, RouteEvent, RouteState](
    name="route",
    initial=NoRoute(),
    decide=decide,
    evolve=evolve,
    commands=RouteCommand,
    events=RouteEvent,
    states=RouteState,
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One correction: set the route of `spec` to `target`, or remove it when that is None."""

    spec: str
    target: str | None
    reason: str


def plan(desired: Mapping[str, str], actual: Mapping[str, str], pending: Collection[str] = ()) -> Iterator[Change]:
    """The smallest set of changes that turns *actual* into *desired* (route -> target).

    Routes in *pending* are being changed already; leave those alone. *actual* must hold only routes that
    are ours.
    """
    for spec, target in desired.items():
        if spec in pending or actual.get(spec) == target:
            continue
        yield Change(spec=spec, target=target, reason="wrong target" if spec in actual else "missing")
    for spec in actual.keys() - desired.keys():
        if spec not in pending:
            yield Change(spec=spec, target=None, reason="not wanted")
