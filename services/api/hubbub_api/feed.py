"""The log as it grows, for those who listen: one reader a process, each event put into words once, whoever hears it."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import asyncpg
import msgspec
import structlog

from hubbub.away import AWAY
from hubbub.eventlog import Recorded
from hubbub.follow import Follower
from hubbub_api.event_models import EventModel, told_to_all
from hubbub_api.events import Events, Filter

log = structlog.get_logger()

#: Events that a listener may be behind, before we part.
WAITING = 10_000
#: Events that all of us may be behind.
BACKLOG = 50_000
#: Events that are put into words at once: the loop belongs to others, too.
AT_ONCE = 100

#: After one of these about a listener, or about what it hears of, it may be for them to hear more, or less.
CHANGES = frozenset(
    """
    UserRenamed UserDeleted AdminSet ServerCreated ServerRenamed ServerDeleted MemberAdded MemberRemoved GroupDeleted
    RoleGranted RoleWithdrawn TokenRestricted TokenRevoked SessionClosed
    """.split()  # noqa: SIM905
)


class Listener:
    """What somebody hears who has `joined` at `start`: all that passes `wanted` and comes after that position.

    `watched`: subjects of whoever listens; `told`: up to where everybody was told. `position`: all up to it was heard,
    once `take` has nothing more. `stale`: what they may hear is to be found out again; nothing is heard after
    `position`. `lost`: why it is over: they were too slow, or the feed was interrupted.
    """

    def __init__(self, wanted: Filter, watched: Iterable[str], start: int, told: Callable[[], int]) -> None:
        self.wanted = wanted
        self.start = start
        self.stale = False
        self._stopped = start
        self._told = told
        self.lost = ""
        self.woken = asyncio.Event()
        self._watched = frozenset(watched).union(wanted.subjects or ())
        self._frames: deque[bytes] = deque()

    @property
    def position(self) -> int:
        return self._stopped if self.stale else max(self.start, self._told())

    @property
    def subjects(self) -> frozenset[str]:
        """Those whose events are shown to it, or matter to it."""
        return self._watched

    def hears(self, record: Recorded) -> bool:
        return not self.stale and record.position > self.start and self.wanted.passes(record)

    def tell(self, record: Recorded, frame: bytes | None) -> None:
        """*frame*: if `hears`."""
        if self.stale or self.lost or record.position <= self.start:
            return
        if frame is not None:
            self._frames.append(frame)
            self.woken.set()
            if len(self._frames) > WAITING:
                self.lose("too slow")
        if record.type in CHANGES and not self._watched.isdisjoint(record.about):
            self.stale, self._stopped = True, record.position
            self.woken.set()

    def lose(self, why: str) -> None:
        self.lost = why
        self._frames.clear()
        self.woken.set()

    def take(self) -> bytes:
        """All that waits, to be sent in one piece."""
        found = b"".join(self._frames)
        self._frames.clear()
        return found


class Feed:
    """Run `run` as a task, and the follower's."""

    def __init__(self, follower: Follower, events: Events) -> None:
        self._follower = follower
        self._events = events
        self._heard: deque[Recorded] = deque()
        self._told = 0  # everything up to here was told to whoever listens
        self._woken = asyncio.Event()
        self._everything: set[Listener] = set()
        self._by_subject: defaultdict[str, set[Listener]] = defaultdict(set)
        self.listeners: set[Listener] = set()
        follower.tell(self._hear)
        follower.tell_of_gaps(lambda: self._lose("what came next was archived"))

    @contextmanager
    def joined(self, wanted: Filter, watched: Iterable[str]) -> Iterator[Listener]:
        """A listener that hears all that is committed after its `start`, which the follower has reached."""
        # What is heard and not told yet will be told to it as well; what is being told just now will not.
        start = self._heard[0].position - 1 if self._heard else self._follower.position
        listener = Listener(wanted, watched, start, lambda: self._told)
        self.listeners.add(listener)
        if wanted.about is None:
            self._everything.add(listener)
        for subject in listener.subjects:
            self._by_subject[subject].add(listener)
        try:
            yield listener
        finally:
            self.listeners.discard(listener)
            self._everything.discard(listener)
            for subject in listener.subjects:
                self._by_subject[subject].discard(listener)
                if not self._by_subject[subject]:
                    del self._by_subject[subject]

    async def began(self) -> int:
        """Where the follower is, once it is anywhere."""
        await self._follower.began.wait()
        return self._follower.position

    def _hear(self, record: Recorded) -> None:
        if self.listeners or self._heard:
            self._heard.append(record)
            self._woken.set()
        if len(self._heard) > BACKLOG:
            self._heard.clear()
            self._lose("there is more than can be told")

    async def run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._heard:
                batch = [self._heard.popleft() for _ in range(min(AT_ONCE, len(self._heard)))]
                try:
                    await self._tell(batch)
                except (asyncpg.PostgresError, *AWAY) as error:
                    log.warning("feed.interrupted", error=str(error) or type(error).__name__)
                    self._lose("the database cannot be reached")
                await asyncio.sleep(0)

    def _lose(self, why: str) -> None:
        """Everybody comes back, and reads the log from where they were."""
        for listener in self.listeners:
            listener.lose(why)

    async def _tell(self, batch: Sequence[Recorded]) -> None:
        """To those who had joined when the batch was taken: others have its events from the log."""
        concerned = {record.position: self._concerned(record) for record in batch}
        wanted = [record for record in batch if any(listener.hears(record) for listener in concerned[record.position])]
        models = {model.position: model for model in await self._events.models(wanted)}
        frames: dict[tuple[int, bool], bytes] = {}
        for record in batch:
            for listener in concerned[record.position]:
                if listener.hears(record) and record.position in models:
                    key = (record.position, listener.wanted.hides(record))
                    if key not in frames:
                        frames[key] = frame(told_to_all(models[key[0]]) if key[1] else models[key[0]])
                    listener.tell(record, frames[key])
                else:
                    listener.tell(record, None)
        self._told = batch[-1].position

    def _concerned(self, record: Recorded) -> set[Listener]:
        found = [self._by_subject[subject] for subject in record.about if subject in self._by_subject]
        return self._everything.union(*found)


ENCODER = msgspec.json.Encoder()


def frame(model: EventModel) -> bytes:
    """*model* as one event of a stream. JSON has no line breaks in it."""
    return b"id: " + model.id.encode() + b"\ndata: " + ENCODER.encode(model) + b"\n\n"
