"""Handing to the hub what a hook has made of somebody's auth state."""

import asyncio
from typing import Any

from hubbub.bus import Bus
from hubbub.rpc import Done, SaveAuthState
from hubbub_spawner_worker.workshop import Workshop


class NotSaved(Exception):
    """The hub does not take it."""


class AuthStates:
    """May be used from any loop."""

    def __init__(self, bus: Bus, pool: str, workshop: Workshop) -> None:
        self._bus = bus
        self._subject = f"hub.rpc.auth_state.{pool}.{workshop.worker}"
        self._workshop = workshop
        self._loop = asyncio.get_running_loop()

    async def save(self, server: str, attempt: int, state: dict[str, Any] | None) -> None:
        """Of the owner of *server*, which this worker holds. Raises NotSaved."""
        saving = self._save(server, attempt, state)
        if asyncio.get_running_loop() is self._loop:
            await saving
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(saving, self._loop))

    async def _save(self, server: str, attempt: int, state: dict[str, Any] | None) -> None:
        sealed = self._workshop.seal(state)
        done = await self._bus.ask(self._subject, SaveAuthState(server=server, attempt=attempt, sealed=sealed), Done)
        if done.refused is not None:
            raise NotSaved(done.refused.message)
