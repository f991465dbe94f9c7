"""When to look at the whole table of the proxy again: often, but never so often that it costs much."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from hubbub_proxy_sync.proxies.proxy import ProxyRoute

#: Seconds from one look to the next, at least, and while a look is quick at most: so that routes are right within 2 s.
LEAST, MOST = 1.0, 1.5
#: Looking takes one part in so many of all time: if `MOST` allows it, and whatever that says.
SHARE, LIMIT = 50, 10
#: Seconds between looks that somebody asks for.
HURRIED = 0.2


class Looks:
    """`due`: when to look, by the monotonic clock. `seen`: what was there; `seen_at`: and when."""

    def __init__(self) -> None:
        self.due = 0.0
        self.seen: Mapping[str, ProxyRoute] = {}
        self.seen_at: datetime | None = None
        self._last = 0.0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Around a look."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._last = time.monotonic()
            took = self._last - began
            self.due = self._last + min(max(took * SHARE, LEAST), max(took * LIMIT, MOST))

    def see(self, routes: Mapping[str, ProxyRoute], asked: datetime) -> None:
        """What the proxy has answered, which was asked at that time."""
        self.seen, self.seen_at = routes, asked

    def hurry(self, now: float) -> None:
        """Somebody has missed a route."""
        self.due = min(self.due, max(now, self._last + HURRIED))
