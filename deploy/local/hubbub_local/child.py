"""One child of the stack, run again whenever it ends until it is told to stop or refuses its configuration."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from os import SEEK_END
from typing import BinaryIO, Literal

from hubbub.settings import SHUT_DOWN
from hubbub_local import record
from hubbub_local.errors import ShutDown, StackError
from hubbub_local.folder import Folder
from hubbub_local.program import LogPart, Program, open_log, rotate

CONFIGURATION_ERROR = 78
"""The exit status (EX_CONFIG of sysexits.h) by which a service says that trying again is no use."""
_CANNOT_START = 127
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
STEADY = 10.0
"""Seconds alive after which a death is taken for a new trouble, not the old one again."""

State = Literal["starting", "up", "down", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """What there is to see of a child."""

    name: str
    state: State
    where: str
    pid: int | None = None
    deaths: int = 0
    note: str = ""


class Child:
    """A program, and the process that runs it at the moment."""

    def __init__(self, program: Program, folder: Folder, tell: Callable[[Status], None]) -> None:
        self.program = program
        self.up = asyncio.Event()
        self.deaths = 0
        self._log = folder.logs / f"{program.name}.log"
        self._record = folder.run / f"{program.name}.pid"
        self._tell = tell
        self._stopping = asyncio.Event()
        self._stopped = False
        self._replaced = False
        self._pid = 0
        self._part = LogPart(self._log, 0)
        self._process: asyncio.subprocess.Process | None = None
        self.died = asyncio.Event()
        self.task = asyncio.create_task(self._keep(), name=f"keep {program.name}")

    async def first_up(self) -> None:
        """Wait for it to be up, and raise StackError if it dies on the way: for what all the others need."""
        events = [asyncio.create_task(event.wait()) for event in (self.up, self.died)]
        try:
            await asyncio.wait([*events, self.task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for event in events:
                event.cancel()
        if self.task.done():
            self.task.result()
        if not self.up.is_set():
            words = self._part.last_words(shared=self.program.overlaps)
            raise StackError(f"{self.program.name} does not start: {words} (see {self._log})")

    async def stop(self, grace: float) -> None:
        """Ask it to end, kill it if it has not after `grace` seconds. Returns when it is gone."""
        self._stopping.set()
        self._signal_stop()
        if not self.task.done() and not (await asyncio.wait([self.task], timeout=grace))[0] and self._process:
            with suppress(ProcessLookupError):
                self._process.kill()
        await asyncio.wait([self.task])
        if not self._stopped:
            self._stopped = True
            self._say("stopped")

    def replaced(self) -> None:
        """Another one has its name from now on: nobody is shown any more what becomes of this one."""
        self._replaced = True

    def stays(self) -> None:
        """The one that was to replace it has come to nothing: it is the one on record, and shown, again."""
        if self._process and self._process.returncode is None:
            record.write(self._record, self._process.pid, self.program.stop_signal)
            self._say("up")

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            part, status = await self._run()
            if self._stopping.is_set():
                return
            words = part.last_words(shared=self.program.overlaps)
            if status == CONFIGURATION_ERROR:
                self._say("down", note=words)
                raise StackError(f"{self.program.name} cannot run with this configuration: {words}")
            if status == SHUT_DOWN:
                raise ShutDown
            self.deaths += 1
            self.died.set()
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY else pause
            self._say("down", note=f"{_ending(status)}, starts again in {pause:.1f} s: {words}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self) -> tuple[LogPart, int]:
        """One life of the program, from its start to its exit status."""
        await asyncio.to_thread(self.program.before)
        rotate(self._log)
        with open_log(self._log) as log:
            self._part = part = LogPart(self._log, log.seek(0, SEEK_END))
            try:
                self._process = await self._begin(log)
            except OSError as error:
                log.write(f"cannot start: {error}\n".encode())
                return part, _CANNOT_START
        if self._stopping.is_set():
            self._signal_stop()
        self._say("starting")
        watch = asyncio.create_task(self._watch(part))
        try:
            return part, await self._process.wait()
        finally:
            watch.cancel()
            self._process = None
            self.up.clear()
            record.drop(self._record, self._pid)

    async def _begin(self, log: BinaryIO) -> asyncio.subprocess.Process:
        given = [each.fileno() for each in self.program.sockets]
        begun = await asyncio.create_subprocess_exec(
            *self.program.command,
            env=self._environment(given),
            pass_fds=given,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A session of its own, so that Ctrl-C at the terminal reaches the supervisor alone, who stops all in order.
            start_new_session=True,
        )
        self._pid = begun.pid
        record.write(self._record, begun.pid, self.program.stop_signal)
        return begun

    def _environment(self, given: list[int]) -> dict[str, str] | None:
        if not given:
            return None if self.program.environment is None else dict(self.program.environment)
        environment = os.environ if self.program.environment is None else self.program.environment
        return {**environment, "LEASH_SOCKETS": ",".join(map(str, given))}

    async def _watch(self, part: LogPart) -> None:
        while not await self.program.is_ready(part):
            await asyncio.sleep(0.05)
        self.up.set()
        self._say("up")

    def _signal_stop(self) -> None:
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(self.program.stop_signal)

    def _say(self, state: State, note: str = "") -> None:
        if self._replaced:
            return
        pid = self._process.pid if self._process else None
        where = self.program.where
        self._tell(Status(name=self.program.name, state=state, where=where, pid=pid, deaths=self.deaths, note=note))


def _ending(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exited with {status}"
