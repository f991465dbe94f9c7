"""What a process keeps in mind of how the house is run, so that no page has to ask: see `hubbub.domain.house`."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from hubbub import database, releases
from hubbub.away import AWAY
from hubbub.domain.house import HOUSE, Banner, Closed, Drain, HouseState, Paused
from hubbub.transaction import Transaction
from hubbub.vault import Fetches
from hubbub.views import HOUSES

log = structlog.get_logger()

#: To load the house along with whatever else a decision needs.
KEY = (HOUSES, HOUSE)
#: Seconds after which we look anyway: a notification may be lost with a half-open connection.
EVERY = 5.0

_ROW = "select state from houses where id = $1"


def _now() -> datetime:
    return datetime.now(UTC)


class HouseNow:
    """Run `run` as a task. What was committed is known here within milliseconds; what decides under the log's lock asks
    there, by `of`.
    """

    def __init__(self, dsn: str, *, clock: Callable[[], datetime] = _now) -> None:
        self._dsn = dsn
        self._clock = clock
        self.state: HouseState = HOUSES.decider.initial

    @property
    def paused(self) -> Paused | None:
        return self.state if isinstance(self.state, Paused) else None

    def banner(self) -> Banner | None:
        """The one that is to be shown now."""
        return self.state.banner_at(self.now())

    def now(self) -> datetime:
        return self._clock()

    def drain_of(self, worker: str | None) -> Drain | None:
        return self.state.drain_of(worker) if worker else None

    async def load(self, source: Fetches) -> None:
        """Look now."""
        self.state = await read(source)

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except (asyncpg.PostgresError, *AWAY) as error:
                log.warning("house.interrupted", error=str(error) or type(error).__name__)
            await asyncio.sleep(0.2)

    async def _follow(self) -> None:
        connection = await database.connect(
            self._dsn,
            timeout=5,
            command_timeout=10,
            server_settings={"application_name": releases.named("hubbub-house")},
        )
        changed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: changed.set())
            await connection.add_listener("house", lambda *_: changed.set())
            while True:
                changed.clear()
                await self.load(connection)
                try:
                    await asyncio.wait_for(changed.wait(), EVERY)
                except TimeoutError:
                    continue
        finally:
            connection.terminate()


async def read(source: Fetches) -> HouseState:
    """The house as it is committed."""
    rows = await source.fetch(_ROW, HOUSE)
    state: Any = HOUSES.decode_state(rows[0]["state"]) if rows else HOUSES.decider.initial
    found: HouseState = state
    return found


async def of(tx: Transaction) -> HouseState:
    """The house as it is under the log's lock."""
    state: HouseState = await tx.state(*KEY)
    return state


async def admit(tx: Transaction) -> None:
    """Raises `Closed` while starts are paused."""
    state = await of(tx)
    if isinstance(state, Paused):
        raise Closed(why(state))


def why(paused: Paused) -> str:
    """For whoever would like to start something."""
    return f"New starts are paused: {paused.reason}" if paused.reason else "New starts are paused for a while."
