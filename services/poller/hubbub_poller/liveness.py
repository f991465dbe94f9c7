"""Tells whoever listens who came and who went."""

from collections.abc import Iterable

from hubbub.bus import Bus, token
from hubbub.rpc import Liveness


class Changes:
    """Of one service's processes; says each change once."""

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus = bus
        self._service = service
        self._alive: dict[str, bool] = {}

    async def came(self, name: str, *, tell: bool) -> None:
        await self._change(name, alive=True, tell=tell)

    async def went(self, names: Iterable[str]) -> None:
        for name in names:
            await self._change(name, alive=False, tell=True)

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._alive.pop(name, None)

    async def _change(self, name: str, *, alive: bool, tell: bool) -> None:
        if self._alive.get(name) is alive:
            return
        self._alive[name] = alive
        if tell:
            await self._bus.signal(f"hub.liveness.{self._service}.{token(name)}", Liveness(alive=alive))
