"""Whether services answer: looked at from time to time, by one api for all, and said when it changes."""

import asyncio
import ssl
from contextlib import suppress
from uuid import uuid4

import aiohttp
import asyncpg
import structlog
from yarl import URL

from hubbub.away import AWAY
from hubbub.config import Options
from hubbub_api import leases, registry
from hubbub_api.registry import Entry

log = structlog.get_logger()

NAME = "service-health"
#: Services asked at the same time.
AT_ONCE = 20
#: Seconds: for one answer, and for a colleague to be late with the next round.
PATIENCE, GRACE = 10.0, 10.0


class HealthChecks:
    """Whoever has the lease keeps it, and so knows how things were the last time. Run `run` as a task."""

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", options: Options, tls: ssl.SSLContext | None = None
    ) -> None:
        """*tls*: how to ask, with internal TLS."""
        self._tls = tls
        self._pool = pool
        self._options = options
        self.holder = uuid4().hex
        self._every = options.hub.service_check_interval
        self._answered: dict[str, bool] = {}
        self._free = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """For ever; an interval of 0 means never. Nobody waits for this, however long a service takes."""
        while True:
            if not self._every:
                await asyncio.Event().wait()
            try:
                await self._round()
            except (asyncpg.PostgresError, *AWAY) as error:
                log.warning("services.unchecked", error=str(error) or type(error).__name__)
            await asyncio.sleep(self._every)

    async def _round(self) -> None:
        entries = [each for each in await registry.everything(self._pool, self._options) if each.spec.url]
        # The next round begins when the slowest has had its time in this one.
        slowest = max((entry.spec.timeout for entry in entries), default=0) * (1 + len(entries) // AT_ONCE)
        if not await leases.take(self._pool, NAME, self.holder, self._every + slowest + GRACE):
            self._answered = {}
            return
        self._answered = {each.id: self._answered[each.id] for each in entries if each.id in self._answered}
        await asyncio.gather(*(self._check(entry) for entry in entries))

    async def _check(self, entry: Entry) -> None:
        async with self._free:
            up = await answers(address_of(entry, self._options.base_url), entry.spec.timeout, self._tls)
        if up == self._answered.get(entry.id):
            return
        self._answered[entry.id] = up
        if up:
            log.info("service.reachable", name=entry.spec.name, url=entry.spec.url)
        else:
            log.warning("service.unreachable", name=entry.spec.name, url=entry.spec.url)


def address_of(entry: Entry, base_url: str) -> str:
    """Where a service is asked: what the proxy would ask of it."""
    return f"{entry.target}{entry.prefix(base_url)}"


async def answers(url: str, seconds: float, tls: ssl.SSLContext | None = None) -> bool:
    """Whether something answers within *seconds*; anything but a 5xx will do, as for JupyterHub.

    Asked again and again: a service that is not there yet tells nobody when it is.
    """
    pause = 0.1
    patience = aiohttp.ClientTimeout(total=PATIENCE)
    with suppress(TimeoutError):
        connector = aiohttp.TCPConnector(ssl=tls or True)
        async with asyncio.timeout(seconds), aiohttp.ClientSession(timeout=patience, connector=connector) as session:
            while not await _answers(session, url):
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            return True
    return False


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(URL(url), allow_redirects=False) as response:
            return response.status < 500
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
