"""The whole write side: one committer a process, which decides and appends under the log's lock.

Work that waits is taken together into one transaction. Its first statement locks the row of `log_head`,
so what is read after it cannot change before the commit: no command ever has to be decided twice. If the
database refuses the batch (two users of one name, say), each piece of work is tried again by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog

from hubbub import database, faults, releases, telemetry
from hubbub.away import AWAY
from hubbub.domain.message import AlreadyExists, Command, Event, Rejected, State
from hubbub.eventlog import PLANS, Context
from hubbub.transaction import Parked, PartlySent, Transaction
from hubbub.vault import Vault
from hubbub.views import View

log = structlog.get_logger()
T = TypeVar("T")
Body = Callable[[Transaction], Awaitable[T]]

LARGEST_BATCH = 256


class LogUnavailable(Exception):
    """The event log cannot be reached now; whether the command took effect is not known."""


class LogFull(LogUnavailable):
    """There is no room left for the event log; nothing was changed."""


class Work:
    """Something to be decided under the lock. `reads`: streams it is known to need, loaded together."""

    __slots__ = ("body", "context", "done", "reads")

    def __init__(self, body: Body[Any], context: Context, reads: Sequence[tuple[View, str]]) -> None:
        self.body = body
        self.context = context
        self.reads = reads
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def refuse(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Committer:
    """Run `run` as a task for as long as the process lives."""

    def __init__(self, dsn: str, vault: Vault) -> None:
        self._dsn = dsn
        self._vault = vault
        self._releases = releases.Releases()
        self._queue: asyncio.Queue[Work] = asyncio.Queue()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def execute(self, view: View, id: str, command: Command, context: Context) -> tuple[State, Sequence[Event]]:
        """Carry out one command on one stream; its new state and the events that it led to."""

        async def body(tx: Transaction) -> tuple[State, Sequence[Event]]:
            return await tx.act(view, id, command)

        return await self.submit(body, context, [(view, id)])

    async def submit(self, body: Body[T], context: Context, reads: Sequence[tuple[View, str]] = ()) -> T:
        """Run *body* under the log's lock; return what it returns once that is committed.

        Raises `Rejected` if it is refused, `LogUnavailable` if Postgres is away. *body* may run twice,
        so it has no effect but through its transaction.
        """
        work = Work(body, context, reads)
        self._queue.put_nowait(work)
        with telemetry.span("log.commit", parent=context.traceparent):
            result: T = await work.done
        return result

    async def run(self) -> None:
        try:
            while True:
                await self._commit_waiting()
        finally:
            if self._connection is not None:
                self._connection.terminate()

    async def _commit_waiting(self) -> None:
        batch = [await self._queue.get()]
        while len(batch) < LARGEST_BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        if not (batch := [work for work in batch if not work.done.done()]):
            return  # nobody waits for any of it any more
        try:
            await self._commit(batch)
        except AWAY as error:
            await self._drop(batch, error)
        except (asyncpg.PostgresError, PartlySent) as error:
            if len(batch) > 1:
                log.debug("log.batch_refused", error=str(error), size=len(batch))
                await self._one_by_one(batch)
            else:
                await self._settle(batch[0], error)
        except BaseException as error:
            await self._drop(batch, error)  # nobody is left waiting, whatever has happened
            raise

    async def _one_by_one(self, batch: Sequence[Work]) -> None:
        for work in batch:
            try:
                await self._commit([work])
            except AWAY as error:
                await self._drop([work], error)
            except (asyncpg.PostgresError, PartlySent) as error:
                await self._settle(work, error)

    async def _settle(self, work: Work, error: asyncpg.PostgresError | PartlySent) -> None:
        if isinstance(error, PartlySent):
            work.refuse(error.refusal)
        elif isinstance(error, asyncpg.UniqueViolationError):
            work.refuse(AlreadyExists())
        elif isinstance(
            error, asyncpg.SerializationError | asyncpg.QueryCanceledError | asyncpg.OperatorInterventionError
        ):
            await self._drop([work], error)
        else:
            log.error("log.refused", error=str(error))
            work.refuse(LogUnavailable(str(error)))

    async def _drop(self, batch: Sequence[Work], error: BaseException) -> None:
        """The connection is gone, and with it the transaction, unless it was just committed."""
        log.warning("log.unavailable", error=str(error) or type(error).__name__)
        for work in batch:
            if isinstance(error, asyncpg.DiskFullError):
                work.refuse(LogFull("the disk of the database is full"))
            else:
                work.refuse(LogUnavailable("the database cannot be reached"))
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await database.connect(
                self._dsn,
                timeout=5,
                command_timeout=30,
                server_settings={
                    **PLANS,
                    "application_name": releases.named("hubbub-committer"),
                    # A committer that hangs must not hold up the whole house.
                    "idle_in_transaction_session_timeout": "5000",
                    "lock_timeout": "10000",
                },
            )
        return self._connection

    async def _commit(self, batch: Sequence[Work]) -> None:
        """What it takes is shown in the trace of the first piece of work."""
        connection = await self._connected()
        with telemetry.span("log.batch", parent=batch[0].context.traceparent, commands=len(batch)):
            await self._decide(connection, batch)

    async def _decide(self, connection: "asyncpg.Connection[asyncpg.Record]", batch: Sequence[Work]) -> None:
        outcomes: list[tuple[Work, Any, Exception | None]] = []
        async with connection.transaction():
            tx = await Transaction.begin(connection, self._vault, self._releases)
            # What cannot be read fails the work that needs it, when it comes to it; not the batch.
            with suppress(Parked, msgspec.MsgspecError):
                await tx.load([read for work in batch for read in work.reads])
            for work in batch:
                try:
                    outcomes.append((work, await tx.run(work.body, work.context), None))
                except Rejected as refusal:
                    outcomes.append((work, None, refusal))
                except (asyncpg.PostgresError, PartlySent, *AWAY):
                    raise
                except Exception as error:  # a bug in one piece of work is not the others' misfortune
                    log.exception("log.decision_failed")
                    outcomes.append((work, None, error))
            await tx.end()
            faults.point("log.before_commit")
        faults.point("log.after_commit")
        tx.settle()
        # Refusals too are told only now: they may rest on what others decided in this very batch.
        for work, answer, refused in outcomes:
            if refused is not None:
                work.refuse(refused)
            elif not work.done.done():
                work.done.set_result(answer)
