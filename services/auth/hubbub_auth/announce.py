"""Tells every api where this process can be reached, and which of the hub's paths it answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec
import structlog

from hubbub.auth_messages import About
from hubbub.away import AWAY

log = structlog.get_logger()

SERVICE = "auth"
EVERY_SECONDS = 2.0


@asynccontextmanager
async def announced(
    pool: "asyncpg.Pool[asyncpg.Record]",
    instance: str,
    who: About,
    *,
    every: float = EVERY_SECONDS,
    url: Callable[[], str] | None = None,
) -> AsyncIterator[None]:
    """Reachable for as long as the block lasts, and taken back when it ends.

    *url*: asked each time in a thread, where it may become another one.
    """
    said = _Said(pool, instance, who, url or (lambda: who.url))
    await said.say(_SAY)
    task = asyncio.ensure_future(_repeat(said, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(asyncpg.PostgresError, *AWAY):
            await said.take_back()


class _Said:
    """`text`: what the apis were told last."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", instance: str, who: About, url: Callable[[], str]) -> None:
        self._pool = pool
        self._instance = instance
        self._who = who
        self._url = url
        self.text = self._text(url())

    async def say(self, how: str) -> None:
        await self._pool.execute(how, self._instance, SERVICE, self.text)
        await self._pool.execute("notify instances")

    async def say_again(self) -> None:
        url = await asyncio.to_thread(self._url)  # a name may have to be asked for
        if (text := self._text(url)) != self.text:
            await self._pool.execute(_MOVED, self._instance, text, self.text)
            self.text = text  # not before it is so: what fails is tried again
            log.info("auth.moved", url=url)
        await self.say(_AGAIN)

    async def take_back(self) -> None:
        await self._pool.execute("delete from instances where name = $1 and about = $2", self._instance, self.text)
        await self._pool.execute("notify instances")

    def _text(self, url: str) -> str:
        return msgspec.json.encode(msgspec.structs.replace(self._who, url=url)).decode()


async def _repeat(said: _Said, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await said.say_again()
        except (asyncpg.PostgresError, *AWAY) as error:
            log.warning("auth.not_announced", error=str(error) or type(error).__name__)


_SAY = """
    insert into instances (name, service, about, seen_at) values ($1, $2, $3, now())
    on conflict (name) do update set service = excluded.service, about = excluded.about, seen_at = now()
"""

#: Whoever has been replaced, and only finishes what it has begun, leaves the place to the one of its name.
_AGAIN = f"{_SAY} where instances.about = excluded.about or instances.seen_at < now() - interval '5 seconds'"

#: In our own place, if nobody has taken it meanwhile.
_MOVED = "update instances set about = $2, seen_at = now() where name = $1 and about = $3"
