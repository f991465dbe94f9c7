"""How many workers share a pool's work, by their heartbeats: a guess, for fairness alone."""

import time
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from hubbub.watch_messages import Heartbeat

#: Workers that are watched at most, whoever says what on the bus.
MOST = 10_000


class Colleagues:
    """*lease*, in seconds: who was not heard of for so long is not counted."""

    def __init__(self, lease: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._clock = clock
        self._heard: dict[str, tuple[str, float]] = {}

    async def hear(self, message: Msg) -> None:
        try:
            beat = msgspec.json.decode(message.data, type=Heartbeat)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        worker = message.subject.rpartition(".")[2]
        if worker in self._heard or len(self._heard) < MOST:
            self._heard[worker] = beat.pool, self._clock()

    def of(self, pool: str) -> int:
        """At least one: whoever asks."""
        since = self._clock() - self._lease
        self._heard = {worker: heard for worker, heard in self._heard.items() if heard[1] > since}
        return max(1, sum(of == pool for of, _ in self._heard.values()))
