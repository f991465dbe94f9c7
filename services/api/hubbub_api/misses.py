"""Says when requests reach the hub that should have reached a server: the proxies look at once what is the matter."""

import asyncio
import time
from collections.abc import Callable

from hubbub.bus import Bus
from hubbub.route_messages import Missed

#: Seconds between two words of one server; and of all that nobody known has asked for.
PAUSE, PAUSE_FOR_STRANGERS = 0.2, 1.0
#: Servers that are remembered at most.
MANY = 1000


class Misses:
    """Nobody waits for it, and it may be lost: proxy-syncs look by themselves, too."""

    def __init__(self, bus: Bus, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock = clock
        self._due: dict[str, float] = {}
        self._saying: set[asyncio.Task[None]] = set()

    def say(self, server: str) -> None:
        """*server*: its id, or `service:<id>`. It runs, and should be routed; somebody known has asked for it."""
        if self._is_due(server, PAUSE):
            self._say(server)

    def is_strangers_turn(self) -> bool:
        """Whether to look into what somebody has asked for who may be anybody, and may ask any number of times."""
        return self._is_due("", PAUSE_FOR_STRANGERS)

    def _is_due(self, server: str, pause: float) -> bool:
        now = self._clock()
        if self._due.get(server, now) > now:
            return False
        if len(self._due) >= MANY:
            self._due = {name: due for name, due in self._due.items() if due > now}
        if len(self._due) >= MANY:
            return False  # the proxies look all the time as it is
        self._due[server] = now + pause
        return True

    def _say(self, server: str) -> None:
        task = asyncio.get_running_loop().create_task(self._bus.signal("hub.missed", Missed(server=server)))
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)
