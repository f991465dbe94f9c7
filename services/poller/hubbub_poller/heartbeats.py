"""Who was last heard when, and who therefore has lost the lease."""

from collections.abc import Iterable

#: Leases of silence after which somebody is not just late but gone.
GONE = 6


class Watch:
    """Times are a monotonic clock's, passed in. A lease runs only while we could hear.

    Whenever this is not asked or told anything for half a lease, we were ourselves asleep, and all leases start
    afresh: somebody has to call `tick` more often than that.
    """

    def __init__(self, lease: float, now: float) -> None:
        self._lease = lease
        self._heard: dict[str, float] = {}
        self._awake = now

    def tick(self, now: float) -> None:
        """We are awake."""
        if now - self._awake > self._lease / 2:
            self.afresh(now)
        self._awake = now

    def hear(self, name: str, now: float) -> None:
        self.tick(now)
        self._heard[name] = now

    def expect(self, names: Iterable[str], now: float) -> None:
        """These should be there, although we may never have heard of them: they have a lease from now on."""
        for name in names:
            self._heard.setdefault(name, now)

    def lost(self, now: float) -> tuple[str, ...]:
        """Those not heard of for a lease."""
        return self._silent(now, self._lease)

    def gone(self, now: float) -> tuple[str, ...]:
        """Those of the lost not heard of for long."""
        return self._silent(now, self._lease * GONE)

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._heard.pop(name, None)

    def afresh(self, now: float) -> None:
        """We may have been deaf: everybody has a whole lease again."""
        self._heard = dict.fromkeys(self._heard, now)

    def _silent(self, now: float, seconds: float) -> tuple[str, ...]:
        self.tick(now)
        return tuple(sorted(name for name, heard in self._heard.items() if now - heard > seconds))
