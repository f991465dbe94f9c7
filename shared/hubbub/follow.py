"""Follows the log: one reader a process, so that whoever waits for a server is told as soon as it is committed."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import asyncpg
import structlog

from hubbub import database, releases
from hubbub.away import AWAY
from hubbub.eventlog import Recorded, read_since

log = structlog.get_logger()


def subject_of(record: Recorded) -> str:
    """What an event is about: a route's events are about its server."""
    return record.id.rpartition(".")[2] if record.kind == "route" else record.id


class Follower:
    """Run `run` as a task. `position`: everything up to it has been told."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.position = -1
        #: Set as soon as `position` is one.
        self.began = asyncio.Event()
        self._watchers: defaultdict[str, set[tuple[asyncio.Event, frozenset[str]]]] = defaultdict(set)
        self._readers: list[Callable[[Recorded], None]] = []
        self._missed: list[Callable[[], None]] = []

    def tell(self, reader: Callable[[Recorded], None]) -> None:
        """Call *reader* with every record from now on, in order, none left out. It must not block nor raise."""
        self._readers.append(reader)

    def tell_of_gaps(self, missed: Callable[[], None]) -> None:
        """Call *missed* if records were left out after all: they were archived while the database was away."""
        self._missed.append(missed)

    @contextmanager
    def watch(self, subject: str, types: Collection[str] = ()) -> Iterator[asyncio.Event]:
        """An event that is set whenever something (of *types*, if any are given) was committed about *subject*.

        To wait without missing anything: enter, look at the state, clear and wait, look again.
        """
        changed = asyncio.Event()
        watcher = (changed, frozenset(types))
        self._watchers[subject].add(watcher)
        try:
            yield changed
        finally:
            self._watchers[subject].discard(watcher)
            if not self._watchers[subject]:
                del self._watchers[subject]

    async def run(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._follow()
            except (asyncpg.PostgresError, *AWAY) as error:
                log.warning("follow.interrupted", error=str(error) or type(error).__name__)
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        connection = await database.connect(
            self._dsn,
            timeout=5,
            command_timeout=30,
            server_settings={"application_name": releases.named("hubbub-follower")},
        )
        appended = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: appended.set())
            await connection.add_listener("log", lambda *_: appended.set())
            if self.position < 0:
                self.position = await connection.fetchval("select position from log_head")
                self.began.set()
            await self._catch_up(connection)
            while True:
                appended.clear()
                while records := await read_since(connection, self.position):
                    self._told(records)
                try:
                    await asyncio.wait_for(appended.wait(), 5)
                except TimeoutError:
                    continue  # look anyway: a notification may be lost with a half-open connection
        finally:
            connection.terminate()

    async def _catch_up(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """It was away for so long that what comes next was archived: whoever waits looks, whoever reads has a gap."""
        gone = await connection.fetchval("select oldest - 1 from log_head")
        if gone > self.position:
            log.error("follow.archived", position=self.position, archived=gone)
            self.position = gone
            for missed in self._missed:
                missed()
            for watchers in self._watchers.values():
                for changed, _ in watchers:
                    changed.set()

    def _told(self, records: list[Recorded]) -> None:
        for record in records:
            for reader in self._readers:
                reader(record)
            for changed, types in self._watchers.get(subject_of(record), ()):
                if not types or record.type in types:
                    changed.set()
        self.position = records[-1].position
