"""A classic spawner, driven: what differs from our own is here, and what JupyterHub's hub would do around it."""

from dataclasses import dataclass, field
from typing import Any

from hubbub.plugin import Overdue
from hubbub_spawner_worker.classic.facades import server_at
from hubbub_spawner_worker.classic.logs import backend_log
from hubbub_spawner_worker.classic.uncut import Uncut
from hubbub_spawner_worker.hosted import POLL_PATIENCE, Hosted, url_of

_STOP_PATIENCE = 60.0
_LOG_PATIENCE = 4.0
_END_PATIENCE = 5.0
_STEPS = ("interrupt_timeout", "term_timeout", "kill_timeout")


@dataclass(kw_only=True)
class ClassicHosted(Hosted):
    prefix: str
    beginning: Uncut = field(default_factory=Uncut)
    polling: Uncut = field(default_factory=Uncut)

    def apply_options(self, options: dict[str, Any]) -> Any:
        return self.spawner._run_apply_user_options(options)  # noqa: SLF001  (JupyterHub has no other name for it)

    async def start(self) -> str:
        """The pending state is what JupyterHub's own code asks for while it starts."""
        spawner = self.spawner
        spawner._spawn_pending = spawner._start_pending = True  # noqa: SLF001
        try:
            return await super().start()
        finally:
            spawner._spawn_pending = spawner._start_pending = False  # noqa: SLF001

    async def begin(self) -> Any:
        return await self.beginning.of(self.spawner.start)

    def url_of(self, address: Any) -> str:
        """Very old spawners return nothing, and have filled in `server` themselves."""
        spawner = self.spawner
        if not address and spawner.server is not None and spawner.server.port:
            address = (spawner.server.ip, spawner.server.port)
        return url_of(address, spawner)

    def at(self, url: str) -> None:
        self.spawner.orm_spawner.server = server_at(self.prefix, url)

    async def poll(self) -> str | None:
        """One at a time, and none is cut short: batchspawner, cancelled, would forget its job."""
        try:
            status = await self.seat.call(self.polling.of, self.spawner.poll, patience=POLL_PATIENCE)
        except Overdue:
            await self.seat.call(self.polling.end, patience=_END_PATIENCE)
            raise
        return None if status is None else str(status)

    async def stop(self) -> str | None:
        """What nothing is known of yet is not gone as long as its start goes on."""
        self.spawner._stop_pending = True  # noqa: SLF001
        if not self.beginning.over:
            step = self.beginning.end if await self.poll() is None else self.beginning.wait
            if not await self.seat.call(step, patience=_END_PATIENCE):
                return None
        return await super().stop()

    async def log(self, lines: int) -> str:
        found = await self.seat.call(backend_log, self.spawner, lines, patience=_LOG_PATIENCE)
        return await super().log(lines) if found is None else str(found)

    async def release(self) -> None:
        """There is nothing of ours to let go of."""

    @property
    def stop_patience(self) -> float:
        steps = [float(getattr(self.spawner, name, 0) or 0) for name in _STEPS]
        return max(sum(steps) + 10, _STOP_PATIENCE)

    @property
    def probe(self) -> str:
        return f"{self.prefix}api"
