"""Delivers events to the receivers of the configuration: in order, again and again until each has taken them.

Every api waits for its turn; one delivers. What it is about to send it notes before, so that whoever goes on after it
sends the same once more, under the same id, and nothing else.
"""

import asyncio
import hashlib
import hmac
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg
import msgspec
import structlog

from hubbub import __version__, database, faults
from hubbub.away import AWAY
from hubbub.eventlog import Pool, Recorded
from hubbub.follow import Follower
from hubbub.webhooks import Webhook
from hubbub_api import webhook_cursors as cursors
from hubbub_api.event_models import EventModel
from hubbub_api.events import Events, Filter
from hubbub_api.feed import ENCODER
from hubbub_api.webhook_cursors import Cursor

log = structlog.get_logger()

#: Advisory lock of the one that delivers. Held by a session, so it ends with the process.
LEADERSHIP = 7423
#: Seconds until what failed is tried again: twice as long each time.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
#: Events that a webhook may pass over, and seconds, before that is written down.
PASSED_OVER, NOTED = 1000, 5.0
LONGEST_ERROR = 200


class Delivery(msgspec.Struct):
    """The body of a request. `delivery`: the same whenever these events are sent again."""

    webhook: str
    delivery: str
    events: list[EventModel]


class NotTaken(Exception):
    """The receiver did not answer with a 2xx, or not at all."""


class Webhooks:
    """Run `run` as a task, and the follower's."""

    def __init__(self, dsn: str, pool: Pool, events: Events, follower: Follower, hooks: Sequence[Webhook]) -> None:
        self._dsn = dsn
        self._lines = [_Line(hook, pool, events, follower) for hook in hooks]
        if hooks:
            follower.tell(lambda _: self._grown())

    def _grown(self) -> None:
        for line in self._lines:
            line.grown.set()

    def _changed(self) -> None:
        for line in self._lines:
            line.changed.set()
            line.grown.set()

    async def run(self) -> None:
        while self._lines:
            try:
                await self._lead()
            except (asyncpg.PostgresError, *AWAY) as error:
                log.warning("webhooks.interrupted", error=str(error) or type(error).__name__)
            await asyncio.sleep(0.2)
        await asyncio.Event().wait()

    async def _lead(self) -> None:
        """As long as the connection lasts that the lock is held by."""
        name = {"application_name": "hubbub-webhooks"}
        connection = await database.connect(self._dsn, timeout=5, server_settings=name)
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        tasks: list[asyncio.Task[Any]] = []
        try:
            await connection.execute("select pg_advisory_lock($1)", LEADERSHIP)
            await connection.add_listener(cursors.CHANNEL, lambda *_: self._changed())
            log.info("webhooks.leads", webhooks=len(self._lines))
            timeout = aiohttp.ClientTimeout(total=None)
            async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
                tasks += [asyncio.create_task(line.run(session)) for line in self._lines]
                tasks.append(asyncio.create_task(gone.wait()))
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            connection.terminate()


class _Line:
    """One webhook. `grown`: the log has, or somebody has moved the cursor, which is `changed`."""

    def __init__(self, hook: Webhook, pool: Pool, events: Events, follower: Follower) -> None:
        self.grown, self.changed = asyncio.Event(), asyncio.Event()
        self._hook = hook
        self._pool = pool
        self._events = events
        self._follower = follower
        #: Where the cursor stood last, and up to where nothing is left to deliver, though it may not say so yet.
        self._at: Cursor | None = None
        self._seen = 0
        self._noted = 0.0

    async def run(self, session: aiohttp.ClientSession) -> None:
        await self._follower.began.wait()
        while True:
            self.grown.clear()
            self.changed.clear()
            cursor = await cursors.begin(self._pool, self._hook.name)
            if cursor.paused:
                await self.changed.wait()
            elif not (span := await self._events.span()).has(after=cursor.position):
                await self._stay(cursor, f"410: {span.sentence}; say where to go on")
            elif cursor.until:
                await self._deliver(session, cursor, await self._filter())
            elif not await self._look(cursor, await self._filter()):
                await self._wait(cursor)

    async def _stay(self, cursor: Cursor, why: str) -> None:
        """What comes next can never be delivered: somebody has to decide."""
        if cursor.error != why:
            log.error("webhook.left_behind", webhook=self._hook.name, position=cursor.position, why=why)
            after = msgspec.structs.replace(cursor, error=why, until=0, failed_at=datetime.now(UTC))
            await cursors.move(self._pool, self._hook.name, cursor, after)
        await self.changed.wait()

    async def _filter(self) -> Filter:
        """Anew each time: users come, and have new servers."""
        about = None
        if self._hook.users:
            rows = await self._pool.fetch("select id from users where name = any($1)", list(self._hook.users))
            about = await self._events.of_users([row["id"] for row in rows]) if rows else frozenset()
        return Filter.of(about, self._hook.types, self._hook.aggregates)

    async def _look(self, cursor: Cursor, wanted: Filter) -> bool:
        """Note what is to be delivered next; False if there is nothing."""
        end = self._follower.position
        if cursor != self._at:
            self._at, self._seen = cursor, cursor.position
        records = await self._read(wanted, self._seen, end)
        if not records:
            self._seen = max(self._seen, end)
            return False
        # What was passed over before the first of them is done with.
        after = msgspec.structs.replace(cursor, position=records[0].position - 1, until=records[-1].position)
        await cursors.move(self._pool, self._hook.name, cursor, after)
        return True

    async def _read(self, wanted: Filter, after: int, until: int) -> list[Recorded]:
        return await self._events.filtered(wanted, until + 1, after, limit=self._hook.batch, newest_first=False)

    async def _wait(self, cursor: Cursor) -> None:
        """For the log to grow. What was passed over is written down now and then, and when nothing happens."""
        passed, now = self._seen - cursor.position, time.monotonic()
        if passed >= PASSED_OVER or (passed and now >= self._noted + NOTED):
            self._noted = now
            await cursors.move(
                self._pool, self._hook.name, cursor, msgspec.structs.replace(cursor, position=self._seen)
            )
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTED if passed else None):
                await self.grown.wait()

    async def _deliver(self, session: aiohttp.ClientSession, cursor: Cursor, wanted: Filter) -> None:
        records = await self._read(wanted, cursor.position, cursor.until)
        now = datetime.now(UTC)
        done = msgspec.structs.replace(
            cursor, until=0, attempts=0, error="", failed_at=None, position=cursor.until, delivered_at=now
        )
        if records:
            done = msgspec.structs.replace(done, position=records[-1].position)
            try:
                await self._post(session, cursor, records)
            except NotTaken as refusal:
                await self._failed(cursor, str(refusal))
                return
            faults.point("webhook.delivered")
        await cursors.move(self._pool, self._hook.name, cursor, done)

    async def _post(self, session: aiohttp.ClientSession, cursor: Cursor, records: Sequence[Recorded]) -> None:
        """Raises NotTaken."""
        id = f"{cursor.epoch}:{records[0].position}-{records[-1].position}"
        body = ENCODER.encode(Delivery(self._hook.name, id, await self._events.models(records)))
        try:
            async with (
                asyncio.timeout(self._hook.timeout),
                session.post(
                    self._hook.url, data=body, headers=_headers(self._hook, id, body), allow_redirects=False
                ) as answer,
            ):
                status = answer.status
        except TimeoutError:
            raise NotTaken(f"no answer within {self._hook.timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotTaken(type(error).__name__) from None  # its words may hold the address
        if not 200 <= status < 300:
            raise NotTaken(f"it answered {status}")

    async def _failed(self, cursor: Cursor, why: str) -> None:
        attempts, now = cursor.attempts + 1, datetime.now(UTC)
        log.warning("webhook.failed", webhook=self._hook.name, error=why, attempts=attempts)
        after = msgspec.structs.replace(cursor, attempts=attempts, error=why[:LONGEST_ERROR], failed_at=now)
        if not await cursors.move(self._pool, self._hook.name, cursor, after):
            return
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 30))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause * random.uniform(0.8, 1)):  # noqa: S311 - not to guess, but to spread
                await self.changed.wait()


def _headers(hook: Webhook, id: str, body: bytes) -> dict[str, str]:
    at = str(int(time.time()))
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Hubbub/{__version__}",
        "Hubbub-Delivery": id,
        "Hubbub-Timestamp": at,
        "Hubbub-Signature": f"sha256={signature(hook.secret, at, body)}",
    }


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """By which a receiver knows that it is from us, and when it was sent."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
