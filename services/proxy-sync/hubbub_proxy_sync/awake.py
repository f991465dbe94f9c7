"""Whether what was worked out still holds: not if this process has been away, nor before all news is heard.

Away is who was stopped, or starved, for so long that the world may be another one by now, and who did not hear the bus.
Who was stopped for a moment has the news still waiting.
"""

import asyncio
import time
from typing import Any

from hubbub.bus import Bus

#: Seconds of which nothing is known.
NAP = 1.0
#: Seconds for which the bus needs no hearing again. In so few no server ends, is taken out of the proxy by another
#: proxy-sync, and has its port given to the server of somebody else, who is ready.
FRESH = 0.05
#: Seconds. The client can be told to give up, but would go deaf by an answer that comes after that.
_NEVER = 86_400


class Awake:
    """Run `tick` as a task. What was worked out before a nap is not to be carried out after it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._last = time.monotonic()
        self._heard = self._last - NAP
        self._naps = 0
        self._asked: set[asyncio.Task[Any]] = set()

    def naps(self) -> int:
        """How often this process has been away until now."""
        now = time.monotonic()
        if now - self._last > NAP:
            self._naps += 1
        self._last = now
        return self._naps

    def missed(self) -> None:
        """Something was not heard, which is as if we had been away."""
        self._naps += 1

    async def abreast(self) -> None:
        """Return when everything is heard that the bus has for us. If it does not answer, that is a nap."""
        for _ in range(2):  # we may have been stopped with the answer on its way, and news behind it
            began = time.monotonic()
            if began - self._heard <= FRESH:
                return
            if not await self._hears():
                self.missed()
                return
            self._heard = began

    async def _hears(self) -> bool:
        """Words come in their order: what was sent to us before the answer has been taken in before it."""
        if not self._bus.connected:
            return False
        asked = asyncio.ensure_future(self._bus.client.flush(_NEVER))
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)
        await asyncio.wait({asked}, timeout=NAP)
        return asked.done() and asked.exception() is None and self._bus.connected

    async def tick(self) -> None:
        while True:
            self.naps()
            await asyncio.sleep(NAP / 4)
