"""The house as its operators run it: whether it takes starts, what everybody is told, which workers are to be emptied.

There is one, and one stream of it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias, assert_never

import msgspec

from hubbub.domain.message import Command, Decider, Event, Invalid, NotFound, Rejected, State

#: The id of the only one.
HOUSE = "house"
#: Characters of whatever people are told.
LONGEST = 1000

Kind: TypeAlias = Literal["info", "warning"]


class Closed(Rejected):
    """New starts are paused."""


class Banner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Plain text. `since`: when it was put up; `until`: from when on it is not shown any more, null for never."""

    text: str
    kind: Kind
    since: datetime
    until: datetime | None = None


class Drain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker that takes nothing more. `deadline`: when what it still has is stopped, null for never. `message`: for
    those whose servers it has.
    """

    worker: str
    since: datetime
    deadline: datetime | None = None
    message: str = ""


class PauseStarts(Command, frozen=True, kw_only=True):
    """Nobody is to start anything. `reason`: told to whoever tries; "" for none."""

    at: datetime
    reason: str


class ResumeStarts(Command, frozen=True, kw_only=True):
    pass


class PutBanner(Command, frozen=True, kw_only=True):
    """Takes the place of the one that is there."""

    at: datetime
    text: str
    kind: Kind
    until: datetime | None


class TakeBanner(Command, frozen=True, kw_only=True):
    pass


class DrainWorker(Command, frozen=True, kw_only=True):
    """Also changes what was said of one that is draining."""

    at: datetime
    worker: str
    deadline: datetime | None
    message: str


class UndrainWorker(Command, frozen=True, kw_only=True):
    worker: str


HouseCommand: TypeAlias = PauseStarts | ResumeStarts | PutBanner | TakeBanner | DrainWorker | UndrainWorker


class StartsPaused(Event, frozen=True, kw_only=True):
    """No start is taken any more; those that were go on."""

    at: datetime
    reason: str


class StartsResumed(Event, frozen=True, kw_only=True):
    """Starts are taken again."""


class BannerPut(Event, frozen=True, kw_only=True):
    """Every page has this banner from now on."""

    at: datetime
    text: str
    kind: Kind
    until: datetime | None


class BannerTaken(Event, frozen=True, kw_only=True):
    """No page has a banner any more."""


class WorkerDrained(Event, frozen=True, kw_only=True):
    """The worker takes nothing more, and what it has is stopped at the deadline, if there is one."""

    at: datetime
    worker: str
    deadline: datetime | None
    message: str


class WorkerUndrained(Event, frozen=True, kw_only=True):
    """The worker takes work again."""

    worker: str


HouseEvent: TypeAlias = StartsPaused | StartsResumed | BannerPut | BannerTaken | WorkerDrained | WorkerUndrained


class House(State, frozen=True, kw_only=True):
    """`draining`: in the order in which they were told to."""

    banner: Banner | None = None
    draining: tuple[Drain, ...] = ()

    def drain_of(self, worker: str) -> Drain | None:
        return next((drain for drain in self.draining if drain.worker == worker), None)

    def banner_at(self, now: datetime) -> Banner | None:
        """The one to be shown at that time."""
        return self.banner if self.banner and (self.banner.until is None or now < self.banner.until) else None


class Open(House, frozen=True, kw_only=True):
    """It takes starts."""


class Paused(House, frozen=True, kw_only=True):
    since: datetime
    reason: str = ""


HouseState: TypeAlias = Open | Paused


def decide(state: HouseState, command: HouseCommand) -> Sequence[HouseEvent]:
    match command:
        case PauseStarts():
            _check("reason", command.reason)
            same = isinstance(state, Paused) and state.reason == command.reason
            return [] if same else [StartsPaused(at=command.at, reason=command.reason)]
        case ResumeStarts():
            return [StartsResumed()] if isinstance(state, Paused) else []
        case PutBanner():
            return _put(state, command)
        case TakeBanner():
            return [BannerTaken()] if state.banner else []
        case DrainWorker():
            return _drain(state, command)
        case UndrainWorker():
            if not state.drain_of(command.worker):
                raise NotFound(f"The worker {command.worker} is not draining")
            return [WorkerUndrained(worker=command.worker)]
        case _:
            assert_never(command)


def _put(state: HouseState, command: PutBanner) -> Sequence[HouseEvent]:
    _check("text", command.text)
    if not command.text.strip():
        raise Invalid("text: there is nothing in it; null takes the banner away")
    there, wanted = state.banner, (command.text, command.kind, command.until)
    if there and (there.text, there.kind, there.until) == wanted:
        return []
    return [BannerPut(at=command.at, text=command.text, kind=command.kind, until=command.until)]


def _drain(state: HouseState, command: DrainWorker) -> Sequence[HouseEvent]:
    _check("message", command.message)
    there = state.drain_of(command.worker)
    if there and (there.deadline, there.message) == (command.deadline, command.message):
        return []
    return [WorkerDrained(at=command.at, worker=command.worker, deadline=command.deadline, message=command.message)]


def _check(what: str, text: str) -> None:
    """What people are told can be read: printable, with line breaks, and not too much of it."""
    if len(text) > LONGEST:
        raise Invalid(f"{what}: it has {len(text)} characters; {LONGEST} are allowed")
    if not all(line.isprintable() for line in text.split("\n")):
        raise Invalid(f"{what}: there are characters in it that cannot be shown")


def evolve(state: HouseState, event: HouseEvent) -> HouseState:
    match event:
        case StartsPaused():
            since = state.since if isinstance(state, Paused) else event.at
            return Paused(banner=state.banner, draining=state.draining, since=since, reason=event.reason)
        case StartsResumed():
            return Open(banner=state.banner, draining=state.draining)
        case BannerPut():
            return _with(state, banner=Banner(text=event.text, kind=event.kind, since=event.at, until=event.until))
        case BannerTaken():
            return _with(state, banner=None)
        case WorkerDrained():
            there = state.drain_of(event.worker)
            drain = Drain(
                worker=event.worker,
                since=there.since if there else event.at,
                deadline=event.deadline,
                message=event.message,
            )
            if there:
                return _with(state, draining=tuple(drain if each is there else each for each in state.draining))
            return _with(state, draining=(*state.draining, drain))
        case WorkerUndrained():
            return _with(state, draining=tuple(each for each in state.draining if each.worker != event.worker))
        case _:
            assert_never(event)


def _with(state: HouseState, **changes: Any) -> HouseState:
    return msgspec.structs.replace(state, **changes)


decider = Decider[HouseCommand, HouseEvent, HouseState](
    name="house",
    initial=Open(),
    decide=decide,
    evolve=evolve,
    commands=HouseCommand,
    events=HouseEvent,
    states=HouseState,
)
