"""Tells workers of servers that are removed: the spawner's `delete_forever` may have something to put away.

As in JupyterHub nothing depends on it: the server is gone, whatever comes of this. A worker is looked for during
`TAKEN_WITHIN` seconds; if there is none, or this api ends meanwhile, the log of the api is all that tells of it.
"""

import asyncio
import time
from collections.abc import Sequence

import msgspec
import structlog
from cryptography.fernet import MultiFernet

from hubbub.bus import LARGEST_PAYLOAD, Bus, BusUnavailable, Remote
from hubbub.config import Options
from hubbub.farewell_messages import Forget, Gone
from hubbub.rpc import Done, Person
from hubbub_api.rows import ServerRow, UserRow
from hubbub_api.views import Views

log = structlog.get_logger()

#: Seconds in which a worker that is being restarted comes back.
TAKEN_WITHIN = 30.0

_PATIENCE = 2.0
_PAUSE = 0.5
_LARGEST = LARGEST_PAYLOAD - 1024

#: Of our own classes, by the names that mean nothing else. They store nothing.
_STORE_NOTHING = ("simple", "localprocess")


class Farewells:
    def __init__(self, bus: Bus, bus_key: MultiFernet, options: Options, *, patience: float = TAKEN_WITHIN) -> None:
        self._bus = bus
        self._bus_key = bus_key
        self._options = options
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()

    async def gather(self, views: Views, owner: UserRow, servers: Sequence[ServerRow]) -> list[tuple[str, Gone]]:
        """What workers of which pool are to be told of *servers*. To be asked before they are removed: what is known
        of them goes with them.
        """
        if not servers:
            return []
        options = await views.options(servers)
        pools = {
            server.id: self._options.pool_of(owner.name, owner.groups, options.get(server.id)) for server in servers
        }
        told = [server for server in servers if self._may_store(pools[server.id])]
        if not told:
            return []
        states, auth_state = await views.states(told), await views.auth_state(owner)
        groups = await views.properties(owner)
        person = Person(
            id=owner.id, number=owner.number, name=owner.name, admin=owner.admin, groups=tuple(owner.groups)
        )
        return [
            (
                pools[server.id],
                Gone(
                    server=server.id,
                    person=person,
                    name=server.name,
                    options=options.get(server.id) or {},
                    state=states.get(server.id) or {},
                    groups=groups,
                    auth_state=auth_state,
                ),
            )
            for server in told
        ]

    def say(self, gone: Sequence[tuple[str, Gone]]) -> None:
        """They are removed now. Nobody waits."""
        for pool, server in gone:
            task = asyncio.create_task(self._say(pool, server))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _may_store(self, pool: str) -> bool:
        return self._options.spawner_class_of(pool) not in _STORE_NOTHING

    async def _say(self, pool: str, gone: Gone) -> None:
        sealed = self._seal(gone)
        if len(sealed) > _LARGEST:  # with files that came with a form, say
            sealed = self._seal(msgspec.structs.replace(gone, options={}))
        ends, why = time.monotonic() + self._patience, "no worker"
        while (left := ends - time.monotonic()) > 0:
            try:
                done = await self._ask(pool, Forget(sealed=sealed), min(left, _PATIENCE))
            except (BusUnavailable, Remote) as error:
                why = str(error)
                await asyncio.sleep(min(left, _PAUSE))
                continue
            if done.refused is None:
                return
            why = done.refused.message
            break
        log.warning("server.not_forgotten", server=gone.server, pool=pool, why=why)

    async def _ask(self, pool: str, message: Forget, timeout: float) -> Done:
        return await self._bus.ask(f"hub.forget.{pool}", message, Done, timeout=timeout)

    def _seal(self, gone: Gone) -> str:
        return self._bus_key.encrypt(msgspec.json.encode(gone)).decode()
