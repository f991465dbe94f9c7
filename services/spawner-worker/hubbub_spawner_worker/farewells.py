"""Answers `hub.forget.<pool>`: a server is no more, and its spawner puts away what it had stored for it."""

import asyncio
from typing import Any, Protocol

import msgspec
import structlog
from cryptography.fernet import InvalidToken, MultiFernet

from hubbub.bus import Bus
from hubbub.farewell_messages import Forget, Gone
from hubbub.rpc import Done, Refusal
from hubbub_spawner_worker.hosted import Hosted

log = structlog.get_logger()

#: Seconds that `delete_forever` may take.
PATIENCE = 300.0

_METHOD = "delete_forever"
_DO_NOTHING = ("jupyterhub.spawner", "hubbub_spawner_worker.spawners.spawner")


class Makes(Protocol):
    async def gone_spawner(self, gone: Gone) -> Hosted:
        """The spawner of a server that is no more, with the state that it had last."""
        ...


class Farewells:
    """*kind*: the configured Spawner class."""

    def __init__(self, bus: Bus, makes: Makes, kind: type[Any], sealer: MultiFernet, *, pool: str) -> None:
        self._bus = bus
        self._makes = makes
        self._sealer = sealer
        self._pool = pool
        self._is_written = is_written(kind)
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """From now on, in turn with the other workers of the pool."""
        await self._bus.answer(f"hub.forget.{self._pool}", self._hear, queue=self._pool)

    async def _hear(self, _: str, data: bytes) -> Done:
        forget = msgspec.json.decode(data, type=Forget)
        if not self._is_written:
            return Done()
        try:
            gone = msgspec.json.decode(self._sealer.decrypt(forget.sealed), type=Gone)
        except InvalidToken:
            return Done(refused=Refusal(kind="Invalid", message="it has another HUBBUB_BUS_KEY than the hub"))
        task = asyncio.create_task(self._forget(gone))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Done()

    async def _forget(self, gone: Gone) -> None:
        """Whatever the operator's code does wrong is told to the log: there is nobody else to tell."""
        try:
            hosted = await self._makes.gone_spawner(gone)
            await hosted.seat.call(getattr(hosted.spawner, _METHOD), patience=PATIENCE)
        except Exception:
            log.exception("server.delete_forever_failed", server=gone.server)
        else:
            log.info("server.deleted_forever", server=gone.server)


def is_written(kind: type[Any]) -> bool:
    """Whether somebody has written `delete_forever` for *kind*: neither we nor JupyterHub have, for any class."""
    writer = next((each for each in kind.__mro__ if _METHOD in vars(each)), None)
    return writer is not None and writer.__module__ not in _DO_NOTHING
