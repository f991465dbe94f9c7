"""Tells whoever listens who came and who went."""

from collections.abc import Iterable

from hubbub.bus import Bus
from hubbub.watch_messages import Liveness


class Changes:
    """Of one service's processes; the leading poller says each change once, and what it finds when it begins.

    They go by the names that they have in subjects.
    """

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus = bus
        self._service = service
        self._said: dict[str, bool] = {}

    async def came(self, name: str) -> None:
        await self._say(name, alive=True)

    async def went(self, names: Iterable[str]) -> None:
        for name in names:
            await self._say(name, alive=False)

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._said.pop(name, None)

    def begin(self) -> None:
        """Somebody else has had the word until now."""
        self._said = {}

    async def _say(self, name: str, *, alive: bool) -> None:
        if self._said.get(name) is not alive:
            self._said[name] = alive
            await self._bus.signal(f"hub.liveness.{self._service}.{name}", Liveness(alive=alive))
