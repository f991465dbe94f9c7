"""Logs as they are written, for those who follow them: sent on the bus for as long as somebody says that they listen.

A file tells nobody that it has grown, so it is looked at several times a second, but only while it is followed.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import structlog

from hubbub import subjects
from hubbub.plugin import cancel
from hubbub.rpc import FOLLOWED_FOR, LogLines, LogTail, Word
from hubbub_spawner_worker.logs import Backend, Logs, NoLog, Part, Place

log = structlog.get_logger()

VERBS = frozenset({"log", "follow", "unfollow"})

_PAUSE = 0.2
_PAUSE_OF_BACKENDS = 2.0
_PATIENCE_WITH_BACKENDS = 4.0
_LINES_OF_BACKENDS = 1000
_LONGEST_LINE = 8 * 1024
_PART = 32 * 1024
"""Bytes in a message: with every character escaped it is still smaller than the bus allows."""
_PARTS = 8
"""Messages to one listener each time: who writes more than that for long has some of it left out."""
_FAR_BEHIND = 1024 * 1024
_CURSOR = re.compile(r"([0-9a-f.]{1,40}):([0-9]{1,18})")
_SAME = 3
"""Lines that have to be the same for a place in a backend's log to be the same."""


@dataclass(eq=False)
class Listener:
    """*since*: the cursor it came with. *until*: by the monotonic clock. Of a file: *place*, where the next lines are.
    Of a backend: *seen*, the lines that it had the last time; null before the first.
    """

    server: str
    id: str
    lines: int
    since: str
    backend: Backend | None
    place: Place | None = None
    seen: list[str] | None = None
    until: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: "asyncio.Task[None] | None" = None

    @property
    def subject(self) -> str:
        return f"hub.logs.{subjects.token(self.server)}.{subjects.token(self.id)}"


class LogStreams:
    """Answers all words about logs. *backend_of*: the log of a server that is not in our files, if it has one."""

    def __init__(
        self,
        logs: Logs,
        publish: Callable[[str, bytes], Awaitable[None]],
        backend_of: Callable[[str], Backend | None] = lambda _: None,
    ) -> None:
        self._logs = logs
        self._publish = publish
        self._backend_of = backend_of
        self._listeners: dict[str, Listener] = {}

    async def hear(self, word: Word) -> LogTail:
        """*word* with one of `VERBS`."""
        try:
            if word.verb == "log":
                return LogTail(text=await self._tail(word))
            if word.verb == "unfollow":
                await self._end(word.listener)
            else:
                self._begin(word)
        except NoLog as error:
            return LogTail(error=str(error))
        return LogTail()

    async def close(self) -> None:
        for listener in list(self._listeners.values()):
            if listener.task is not None:
                await cancel(listener.task)
        self._listeners.clear()

    async def _tail(self, word: Word) -> str:
        backend = self._backend_of(word.server)
        return self._logs.tail(word.server, word.lines) if backend is None else await _asked(backend, word.lines)

    def _begin(self, word: Word) -> None:
        """Or go on: who renews needs say nothing but that."""
        listener = self._listeners.get(word.listener)
        if listener is None:
            backend = self._backend_of(word.server)
            place = self._place(word) if backend is None else None
            listener = Listener(word.server, word.listener, word.lines, word.since, backend, place)
            self._listeners[listener.id] = listener
            listener.task = asyncio.create_task(self._follow(listener))
        listener.until = time.monotonic() + FOLLOWED_FOR

    def _place(self, word: Word) -> Place:
        """Where that listener is to go on; where the last lines begin if that is unknown, or was in another file."""
        last = self._logs.begin(word.server, word.lines)
        found = _CURSOR.fullmatch(word.since)
        return Place(file=last.file, position=int(found[2])) if found and found[1] == last.file else last

    async def _follow(self, listener: Listener) -> None:
        pause = _PAUSE if listener.backend is None else _PAUSE_OF_BACKENDS
        while time.monotonic() < listener.until:
            await self._send_new(listener)
            await asyncio.sleep(pause)
        self._listeners.pop(listener.id, None)

    async def _end(self, id: str) -> None:
        """What was written until now is sent before this returns."""
        if listener := self._listeners.pop(id, None):
            listener.until = 0.0
            await self._send_new(listener, last=True)

    async def _send_new(self, listener: Listener, *, last: bool = False) -> None:
        try:
            async with listener.turn:
                if listener.backend is None:
                    await self._send_files(listener, last=last)
                else:
                    await self._send_backends(listener, listener.backend)
        except (NoLog, OSError) as error:  # it will be back, or the listener goes away
            log.debug("log.unreadable", server=listener.server, error=str(error))

    async def _send_files(self, listener: Listener, *, last: bool) -> None:
        for _ in range(_PARTS):
            assert listener.place is not None
            part = self._logs.read(listener.server, listener.place, _PART)
            behind = part.size - part.place.position
            if behind > _FAR_BEHIND:
                left_out = behind - _PART
                listener.place = _after(part.place, left_out)
                await self._send(listener, [f"[{left_out} bytes are left out here: they came too fast]"])
            elif length := _whole_lines(part, last=last):
                listener.place = _after(part.place, length)
                await self._send(listener, _lines_of(part.data[:length].decode(errors="replace")))
            else:
                return

    async def _send_backends(self, listener: Listener, backend: Backend) -> None:
        now = _lines_of(await _asked(backend, _LINES_OF_BACKENDS))
        new = _first(now, listener) if listener.seen is None else added(listener.seen, now)
        listener.seen = now
        for lines in _batches(new):
            await self._send(listener, lines)

    async def _send(self, listener: Listener, lines: list[str]) -> None:
        place = listener.place
        cursor = f"{place.file}:{place.position}" if place else _mark(listener.seen or [])
        await self._publish(listener.subject, msgspec.json.encode(LogLines(lines=tuple(lines), cursor=cursor)))


async def _asked(backend: Backend, lines: int) -> str:
    """Raises NoLog, whatever goes wrong in there."""
    try:
        async with asyncio.timeout(_PATIENCE_WITH_BACKENDS):
            return await backend(lines)
    except NoLog:
        raise
    except TimeoutError:
        raise NoLog("the log was not to be had in time") from None
    except Exception as error:
        raise NoLog(f"the log cannot be had: {type(error).__name__}: {error}"[:500]) from None


def added(before: list[str], now: list[str]) -> list[str]:
    """The lines of *now* that follow those of *before*: each is the end of the same log."""
    for start in range(len(before) + 1):
        same = before[start:]
        if now[: len(same)] == same:
            return now[len(same) :]
    return now


def _first(now: list[str], listener: Listener) -> list[str]:
    """What follows the mark that it came with; without one, or if that is lost, the last lines."""
    for end in range(len(now), 0, -1):
        if listener.since and _mark(now[max(0, end - _SAME) : end]) == listener.since:
            return now[end:]
    return now[-listener.lines :] if listener.lines > 0 else []


def _mark(lines: list[str]) -> str:
    """Where the end of *lines* is, in a log that has no positions."""
    return hashlib.sha256("\n".join(lines[-_SAME:]).encode()).hexdigest()[:16]


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """Each of them fits into a message; a line that does not is cut."""
    batch, size = list[str](), 0
    for line in lines:
        cut = line[:_LONGEST_LINE]
        if size + len(cut) > _PART and batch:
            yield batch
            batch, size = [], 0
        batch.append(cut)
        size += len(cut) + 1
    if batch:
        yield batch


def _after(place: Place, bytes: int) -> Place:
    return Place(file=place.file, position=place.position + bytes)


def _whole_lines(part: Part, *, last: bool) -> int:
    """How many bytes of *part* to send: up to the end of a line, unless there is none in all of it."""
    length = part.data.rfind(b"\n") + 1
    return len(part.data) if not length and (last or len(part.data) == _PART) else length


def _lines_of(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []
