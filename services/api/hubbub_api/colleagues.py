"""Which workers there are, by their heartbeats: a guess, for fairness and for those who look after them."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec
from nats.aio.msg import Msg

from hubbub.watch_messages import Heartbeat

#: Workers that are watched at most, whoever says what on the bus.
MOST = 10_000
#: Seconds for which somebody who has fallen silent is remembered.
KEPT = 3600.0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A worker, as it last spoke of itself. `ago`, in seconds: when that was. `alive`: within a lease."""

    beat: Heartbeat
    ago: float
    alive: bool


class Colleagues:
    """*lease*, in seconds: who was not heard of for so long is not counted."""

    def __init__(self, lease: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._began = clock()
        self._heard: dict[str, tuple[Heartbeat, float]] = {}

    async def hear(self, message: Msg) -> None:
        try:
            beat = msgspec.json.decode(message.data, type=Heartbeat)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        worker = message.subject.rpartition(".")[2]
        if worker not in self._heard and len(self._heard) >= MOST:
            self._forget(self._lease)
        if worker in self._heard or len(self._heard) < MOST:
            self._heard[worker] = beat, self._clock()

    def of(self, pool: str, *, but: Collection[str] = ()) -> int:
        """How many share the work of *pool*, without those of *but*. At least one: whoever asks."""
        return max(1, self.alive(pool, but=but))

    def alive(self, pool: str, *, but: Collection[str] = ()) -> int:
        since = self._clock() - self._lease
        return sum(b.pool == pool and at > since and name not in but for name, (b, at) in self._heard.items())

    @property
    def has_heard(self) -> bool:
        """Whether whoever is there could have been heard since this began to listen: they speak four times a lease."""
        return self._clock() - self._began >= self._lease / 2

    def known(self) -> dict[str, Heard]:
        """All who were heard of lately, by name: the silent among them, too."""
        self._forget(KEPT)
        now = self._clock()
        return {
            name: Heard(beat=beat, ago=now - at, alive=now - at < self._lease)
            for name, (beat, at) in self._heard.items()
        }

    def _forget(self, seconds: float) -> None:
        since = self._clock() - seconds
        self._heard = {name: heard for name, heard in self._heard.items() if heard[1] > since}
