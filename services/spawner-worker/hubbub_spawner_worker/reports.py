"""Reports on their way to the api: while one request is under way others gather, and go together."""

import asyncio
from collections import deque

import msgspec
import structlog

from hubbub.bus import Bus, BusUnavailable, Remote
from hubbub.rpc import Answer, Answers, Report, Reports

log = structlog.get_logger()

_LARGEST = 100
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0

_Waiting = tuple[Report, "asyncio.Future[Answer]"]


class Reporter:
    """Sends each report until it is answered. Run `run` as a task."""

    def __init__(self, bus: Bus, subject: str) -> None:
        self._bus = bus
        self._subject = subject
        self._queue: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._alone: set[asyncio.Task[None]] = set()

    async def send(self, report: Report) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((report, answer))
        self._filled.set()
        return await answer

    async def run(self) -> None:
        try:
            while True:
                await self._filled.wait()
                self._filled.clear()
                while batch := self._next():
                    await self._deliver(batch)
        finally:
            for task in self._alone:
                task.cancel()

    def _next(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue and len(batch) < _LARGEST:
            waiting = self._queue.popleft()
            if not waiting[1].done():  # else nobody wants to know any more
                batch.append(waiting)
        return batch

    async def _deliver(self, batch: list[_Waiting]) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                return _tell(batch, await self._ask(batch))
            except (BusUnavailable, Remote) as error:
                log.warning("reports.retry", count=len(batch), error=str(error))
                if isinstance(error, Remote) and len(batch) > 1:
                    # One that the api cannot digest must not hold up the others.
                    return self._each_alone(batch)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _ask(self, batch: list[_Waiting]) -> tuple[Answer, ...]:
        message = Reports(reports=tuple(report for report, _ in batch))
        try:
            answers = (await self._bus.ask(self._subject, message, Answers)).answers
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Remote(f"unreadable answer: {error}") from None
        if len(answers) != len(batch):
            raise Remote(f"{len(answers)} answers to {len(batch)} reports")
        return answers

    def _each_alone(self, batch: list[_Waiting]) -> None:
        for waiting in batch:
            task = asyncio.create_task(self._deliver([waiting]))
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)


def _tell(batch: list[_Waiting], answers: tuple[Answer, ...]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if not future.done():
            future.set_result(answer)
