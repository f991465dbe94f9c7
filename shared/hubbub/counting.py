"""What a process counts of its own doings, for the figures of the house: sums, told a part at a time.

Parts are numbered, so that nobody adds one twice; what is not known to have been added is told again as it was.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import msgspec

#: Seconds, rising.
USUAL = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
LATENESS = (0.05, 0.055, 0.06, 0.065, 0.07, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Something that is counted. `bounds`: of seconds, rising; none for what is only counted.

    A measure with other labels or bounds is another measure, with another `name`: sums are kept for ever. *there*:
    values of labels that are shown at 0 before anything has happened.
    """

    name: str
    words: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    there: tuple[tuple[str, ...], ...] = ()

    @property
    def length(self) -> int:
        """Of a list of counts: how many up to each bound and above the one before, and above all of them."""
        return len(self.bounds) + 1


#: Nobody has counted more than that between two parts.
MOST = 2**40

_HOW = (("success",), ("failure",))

REQUESTS = Measure(
    name="request_duration_seconds",
    words="How long requests took",
    labels=("method", "handler", "code"),
    bounds=USUAL,
)
LOGINS = Measure(
    name="login_duration_seconds",
    words="How long tries to log in took",
    labels=("status",),
    bounds=USUAL,
    there=_HOW,
)
LOGOUTS = Measure(name="logout_duration_seconds", words="How long logging out took", bounds=USUAL, there=((),))
STARTUPS = Measure(name="hub_startup_duration_seconds", words="How long apis took to start", bounds=USUAL, there=((),))
CSP_REPORTS = Measure(name="csp_reports_total", words="Reports of pages that broke the rules", there=((),))
LOOPS = Measure(
    name="event_loop_interval_seconds",
    words="How long the event loop of an api went without a turn",
    bounds=LATENESS,
    there=((),),
)
POLLS = Measure(
    name="server_poll_duration_seconds",
    words="How long it took to ask whether a server still runs",
    labels=("status",),
    bounds=USUAL,
    there=(("running",), ("stopped",)),
)
ANSWERS = Measure(
    name="hubbub_bus_request_duration_seconds",
    words="How long apis took to answer requests of workers, proxy-syncs and pollers",
    labels=("verb",),
    bounds=USUAL,
)
CLAIMS = Measure(
    name="hubbub_claimed_total",
    words="What workers were given to do",
    labels=("what",),
    there=(("start",), ("takeover",), ("leftover",)),
)
REPORTS = Measure(
    name="hubbub_reports_total",
    words="Reports of workers, by what became of them",
    labels=("outcome",),
    there=(("accepted",), ("StaleAttempt",)),
)
WAITS = Measure(
    name="hubbub_postgres_wait_seconds",
    words="How long an api or auth waited for a free connection of its own, tried every few seconds",
    bounds=USUAL,
    there=((),),
)

ALL = (REQUESTS, LOGINS, LOGOUTS, STARTUPS, CSP_REPORTS, LOOPS, POLLS, ANSWERS, CLAIMS, REPORTS, WAITS)


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """Of a measure called `name`, with these values of its `labels`. `counts`: see `Measure.length`."""

    name: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    seconds: float = 0.0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What this *run* of a process has counted since its part before *number*."""

    run: str
    number: int
    sums: tuple[Sum, ...] = ()


class Counts:
    """What this process has counted. To be used on one thread."""

    def __init__(self) -> None:
        self._run = uuid4().hex
        self._number = 0
        self._counted: dict[tuple[str, tuple[str, ...]], tuple[list[int], list[float]]] = {}
        self._told: Part | None = None

    def note(self, measure: Measure, labels: tuple[str, ...], seconds: float) -> None:
        """One that took so long."""
        counts, total = self._of(measure, labels)
        counts[bisect_left(measure.bounds, seconds)] += 1
        total[0] += seconds

    def add(self, measure: Measure, labels: tuple[str, ...] = (), number: int = 1) -> None:
        """So many, of a measure without bounds."""
        self._of(measure, labels)[0][0] += number

    @contextmanager
    def timed(self, measure: Measure, labels: tuple[str, ...] = ()) -> Iterator[None]:
        """Also what fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.note(measure, labels, time.perf_counter() - began)

    def _of(self, measure: Measure, labels: tuple[str, ...]) -> tuple[list[int], list[float]]:
        key = measure.name, labels
        if (found := self._counted.get(key)) is None:
            found = self._counted[key] = [0] * measure.length, [0.0]
        return found

    @property
    def is_telling(self) -> bool:
        """Whether there is a part that may or may not have been added."""
        return self._told is not None

    def part(self) -> Part:
        """What is to be added next: the same until it is `told`. It may be empty."""
        if self._told is None:
            counted, self._counted = self._counted, {}
            self._number += 1
            sums = (
                Sum(name=name, labels=labels, counts=tuple(counts), seconds=seconds)
                for (name, labels), (counts, [seconds]) in counted.items()
            )
            self._told = Part(run=self._run, number=self._number, sums=tuple(sums))
        return self._told

    def told(self, part: Part) -> None:
        """*part* was added."""
        if self._told is not None and self._told.number == part.number:
            self._told = None


def usable(part: Part, measures: Sequence[Measure]) -> Part:
    """*part* without what is none of *measures*, or not as they are: somebody else may have counted it otherwise."""
    known = {measure.name: measure for measure in measures}

    def is_usable(sum: Sum) -> bool:
        measure = known.get(sum.name)
        if measure is None or len(sum.labels) != len(measure.labels) or len(sum.counts) != measure.length:
            return False
        return min(sum.counts) >= 0 and max(sum.counts) < MOST and 0 <= sum.seconds < MOST

    return msgspec.structs.replace(part, sums=tuple(filter(is_usable, part.sums)))
