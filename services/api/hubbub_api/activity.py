"""When something was last heard of a user, a server or a token: gathered in memory, written in batches."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

import asyncpg
import structlog

from hubbub import sessions
from hubbub.access import Identity
from hubbub.away import AWAY

log = structlog.get_logger()


class Activities:
    """Run `run` as a task. Subjects are `user:<id>`, `server:<id>`, `token:<id>`, `session:<id>`.

    *idle_timeout*: of sessions, in seconds; of their uses only those are written that are news.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, every: float = 1.0, idle_timeout: float = 0) -> None:
        self._pool = pool
        self._news_after = sessions.news_after(idle_timeout)
        self._every = every
        self._heard: dict[str, datetime] = {}
        self._writing: dict[str, datetime] = {}
        self._one_at_a_time = asyncio.Lock()

    def heard(self, *subjects: str, at: datetime | None = None) -> None:
        """Times only move forward."""
        at = at or datetime.now(UTC)
        for subject in subjects:
            known = self._heard.get(subject)
            if known is None or known < at:
                self._heard[subject] = at

    def asks(self, identity: Identity) -> None:
        """Who asks is active, and so is the token they ask by."""
        if identity.kind == "user":
            self.heard(f"user:{identity.id}")
            if identity.token:
                self.heard(f"token:{identity.token_stream}")
            self.uses(identity)

    def uses(self, identity: Identity) -> None:
        """The session that somebody asks in is in use, whether they ask by its cookie or by a token of it."""
        if identity.session_used is None:
            return
        now = datetime.now(UTC)
        if now - identity.session_used > self._news_after:
            self.heard(sessions.subject(identity.session), at=now)

    def newer(self, subject: str, stored: datetime | None) -> datetime | None:
        """The later of what is *stored* and what has not been written yet."""
        return newest([stored, self._heard.get(subject), self._writing.get(subject)])

    async def write(self) -> None:
        """What was heard until now is in the database when this returns, unless that is away."""
        async with self._one_at_a_time:
            self._writing, self._heard = self._heard, {}
            try:
                if self._writing:
                    await self._upsert(self._writing)
            finally:
                self._writing = {}

    async def _upsert(self, heard: dict[str, datetime]) -> None:
        # One order for all replicas, so that two of them never wait for each other's rows.
        subjects = sorted(heard)
        try:
            await self._pool.execute(sessions.NOTE, subjects, [heard[subject] for subject in subjects])
        except (asyncpg.PostgresError, *AWAY) as error:
            log.warning("activity.not_written", error=str(error))
            for subject in subjects:
                self.heard(subject, at=heard[subject])

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._every)
                await self.write()
        finally:
            await self.write()


def newest(times: Iterable[datetime | None]) -> datetime | None:
    return max((time for time in times if time is not None), default=None)
