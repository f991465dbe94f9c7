"""Where the time of one start went: a pure function of what the log has of it, whenever it was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hubbub.domain.message import Event
from hubbub.domain.proxy import ProxyJoined, ProxyLost
from hubbub.domain.route import RouteAdded
from hubbub.domain.server_events import (
    AttemptClaimed,
    AttemptLost,
    HolderLost,
    OrphanRemoved,
    ServerAdopted,
    ServerCrashed,
    ServerResponded,
    ServerStarted,
    ServerStopped,
    SpawnFailed,
    SpawnRequested,
    StopRequested,
)
from hubbub.eventlog import Recorded
from hubbub_api.start_models import Ended, Outcome, Phase
from hubbub_api.start_words import why

#: Events of a server and of its routes that a start is told by.
KINDS = frozenset(
    kind.__name__
    for kind in (
        SpawnRequested,
        AttemptClaimed,
        ServerStarted,
        ServerResponded,
        SpawnFailed,
        AttemptLost,
        HolderLost,
        ServerAdopted,
        StopRequested,
        ServerStopped,
        ServerCrashed,
        OrphanRemoved,
        RouteAdded,
    )
)

#: Seconds after the first answer in which a proxy that had not joined yet still counts.
SOON = 60.0
#: A step that took less is not worth a line.
SHORTEST = 0.0005

#: An event as it was stored, and as it is read.
Told = tuple[Recorded, Event]


@dataclass
class Story:
    """`over`: when it could be reached, or came to nothing; None while it is under way. `earlier`, `later`: attempts of
    the same wish. `asked_at`: the position of its first event, `until` of the last that counts.
    """

    request: Recorded
    attempt: int
    asked: datetime
    pool: str
    outcome: Outcome = "waiting"
    message: str = ""
    over: datetime | None = None
    worker: str = ""
    host: str = ""
    earlier: int | None = None
    later: int | None = None
    until: int = 0
    responded: int | None = None
    phases: list[Phase] = field(default_factory=list)

    @property
    def longest(self) -> Phase | None:
        ended = [phase for phase in self.phases if phase.end is not None]
        return max(ended, key=lambda phase: phase.seconds, default=None)


def stories(told: Sequence[Told], proxies: Sequence[Told] = ()) -> list[Story]:
    """Of each start whose `SpawnRequested` is in *told* (in order, of one server): how it went.

    *proxies*: which joined and were lost, before and meanwhile; of those that it does not tell of, routes count that
    came soon.
    """
    found: list[_Telling] = []
    lost: tuple[Recorded, AttemptLost] | None = None
    for record, event in told:
        if isinstance(event, SpawnRequested):
            before = found[-1].story if found else None
            found.append(_Telling(record, event, _before(lost, record, event)))
            if before and before.attempt + 1 == event.attempt and found[-1].story.earlier:
                before.later = event.attempt
        elif found:
            found[-1].hear(record, event)
        lost = (record, event) if isinstance(event, AttemptLost) else lost
    return [each.end(proxies) for each in found]


def _before(lost: tuple[Recorded, AttemptLost] | None, record: Recorded, event: SpawnRequested) -> AttemptLost | None:
    """The try that this one repeats: it was lost in the same commit."""
    if lost and lost[0].recorded_at == record.recorded_at and lost[1].attempt == event.attempt - 1:
        return lost[1]
    return None


class _Telling:
    """A start as it is told, event by event."""

    def __init__(self, record: Recorded, event: SpawnRequested, lost: AttemptLost | None) -> None:
        """*lost*: the try of the same wish before this one."""
        at = record.recorded_at
        self.story = Story(
            request=record,
            attempt=event.attempt,
            asked=min(event.at if lost else _earlier(event.at, event.took), at),
            pool=event.pool,
            earlier=lost.attempt if lost else None,
            until=record.position,
        )
        self._name, self._why, self._since = "", "", self.story.asked
        self._responded: datetime | None = None
        self._routes: dict[str, Recorded] = {}
        if lost:
            self._to("earlier", self.story.asked, why("earlier", lost.reason))
        else:
            self._to("request", self.story.asked, why("request"))
        self._to("line", at, why("line", event.pool))

    def hear(self, record: Recorded, event: Event) -> None:
        at = record.recorded_at
        if isinstance(event, RouteAdded):
            if event.attempt == self.story.attempt:
                self._routes.setdefault(event.proxy, record)
            return
        if self.story.over is not None:
            return
        self._say(record, event, at)

    def _say(self, record: Recorded, event: Event, at: datetime) -> None:
        story, story_until = self.story, self.story.until
        story.until = record.position
        match event:
            case OrphanRemoved() if self._name == "line":
                self._close("leftover", at, why("leftover", str(event.attempt)))
                self._to("line", at, why("line", story.pool))
            case AttemptClaimed():
                story.outcome, story.worker, story.host = "starting", event.worker, event.host
                self._to("spawner", at, why("spawner"))
            case ServerStarted():
                self._split(at, event.spent, "done")
                self._to("answer", at, why("answer"))
            case HolderLost():
                self._to("adoption", at, why("adoption", event.reason))
            case ServerAdopted():
                story.worker, story.host = event.worker, event.host
                if self._name == "adoption":
                    self._to("answer", at, why("answer"))
            case ServerResponded():
                self._close(self._name, at, self._why)
                self._name, self._responded = "", at
                story.responded = record.position
            case SpawnFailed():
                self._split(at, event.spent, "failed")
                cancelled = event.failure.reason == "cancelled"
                self._over(at, "cancelled" if cancelled else "failed", event.failure.message)
            case AttemptLost():
                self._close(self._name, at, self._why, "failed")
                self._over(at, "lost", event.reason)
            case StopRequested() | ServerStopped() | ServerCrashed():
                self._over(at, "stopped", "")
            case _:
                story.until = story_until

    def end(self, proxies: Sequence[Told]) -> Story:
        """The story, with what became of the routes."""
        if self._responded is not None:
            self._route(self._responded, proxies)
        elif self._name:
            self._add(self._name, self._since, None, self._why, "open")
        return self.story

    # Routes ------------------------------------------------------------------------------

    def _route(self, since: datetime, proxies: Sequence[Told]) -> None:
        """All at the same time: it can be reached when the last proxy that counts leads there."""
        story, lost = self.story, _lost(proxies, since)
        times = {proxy: record.recorded_at for proxy, record in self._routes.items()}
        soon = {proxy for proxy, at in times.items() if (at - since).total_seconds() <= SOON}
        counting = sorted(_joined(proxies, since) | soon) or sorted(times)[:1]
        over: list[datetime | None] = []
        for proxy in counting:
            at, gone = times.get(proxy), lost.get(proxy)
            ended: Ended = "done"
            if at is None or (gone is not None and gone < at):
                at = gone or story.over
                ended = "failed" if at else "open"
            self._add("route", since, at, why("route", proxy), ended, proxy)
            over.append(at)
        routed = [
            self._routes[phase.proxy] for phase in story.phases if phase.name == "route" and phase.ended == "done"
        ]
        if routed and None not in over:
            ready = max(at for at in over if at is not None)
            if story.over is None or story.over >= ready:
                story.outcome, story.over = "ready", ready
                story.until = max(record.position for record in routed)

    # Phases ------------------------------------------------------------------------------

    def _over(self, at: datetime, outcome: Outcome, message: str) -> None:
        if self._name:
            self._close(self._name, at, self._why, "failed")
        self._name = ""
        self.story.outcome, self.story.over, self.story.message = outcome, at, message

    def _to(self, name: str, at: datetime, why: str) -> None:
        if self._name:
            self._close(self._name, at, self._why)
        self._name, self._since, self._why = name, at, why

    def _close(self, name: str, at: datetime, why: str, ended: Ended = "done") -> None:
        self._add(name, self._since, at, why, ended)
        self._since, self._name = at, ""

    def _split(self, at: datetime, spent: dict[str, float], ended: Ended) -> None:
        """What the worker says of its steps, as far as there is room for them; what they leave over is the hand-over.
        The last one is the one that failed.
        """
        if self._name != "spawner" or not spent:
            if self._name:
                self._close(self._name, at, self._why, ended)
            return
        room, needed = (at - self._since).total_seconds(), sum(map(abs, spent.values()))
        scale = min(1.0, room / needed) if needed else 1.0
        self._close("handover", _earlier(at, needed * scale), why("handover"))
        last = list(spent)[-1]
        for step, seconds in spent.items():
            until = at if step == last else _earlier(self._since, -abs(seconds) * scale)
            self._close(step, until, why(step), ended if step == last else "done")

    def _add(self, name: str, since: datetime, at: datetime | None, why: str, ended: Ended, proxy: str = "") -> None:
        begin, end = self._seconds(since), None if at is None else self._seconds(max(at, since))
        if end is not None and end - begin < SHORTEST and ended == "done" and name != "route":
            return
        self.story.phases.append(Phase.of(name, begin, end, ended, why, proxy))

    def _seconds(self, at: datetime) -> float:
        return round((at - self.story.asked).total_seconds(), 4)


def _earlier(at: datetime, seconds: float) -> datetime:
    return at - timedelta(seconds=seconds)


def _joined(proxies: Sequence[Told], until: datetime) -> set[str]:
    found: set[str] = set()
    for record, event in proxies:
        if record.recorded_at <= until:
            if isinstance(event, ProxyJoined):
                found.add(record.id)
            elif isinstance(event, ProxyLost):
                found.discard(record.id)
    return found


def _lost(proxies: Sequence[Told], since: datetime) -> dict[str, datetime]:
    """When each was lost first after that."""
    found: dict[str, datetime] = {}
    for record, event in proxies:
        if record.recorded_at > since and isinstance(event, ProxyLost):
            found.setdefault(record.id, record.recorded_at)
    return found
