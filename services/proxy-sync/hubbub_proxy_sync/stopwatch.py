"""How long the proxy took, for the figures of the house (`/metrics`)."""

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from hubbub.route_messages import BOUNDS, Figures, Took


class Stopwatch:
    """What it counts is told a part at a time: numbered, so that nobody adds a part twice."""

    def __init__(self) -> None:
        self._run = uuid4().hex
        self._number = 0
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str], float] = {}

    def note(self, what: str, seconds: float, status: str = "") -> None:
        """*what*, *status*: see `hubbub.route_messages.Took`."""
        key = what, status
        self._counts.setdefault(key, [0] * (len(BOUNDS) + 1))[bisect_left(BOUNDS, seconds)] += 1
        self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Also what does not work."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.note(what, time.monotonic() - began)

    def take(self) -> Figures | None:
        """Everything since the last time, if there is anything."""
        if not self._counts:
            return None
        self._number += 1
        took = tuple(
            Took(what=what, status=status, counts=tuple(counts), seconds=self._seconds[what, status])
            for (what, status), counts in self._counts.items()
        )
        self._counts, self._seconds = {}, {}
        return Figures(run=self._run, number=self._number, took=took)
