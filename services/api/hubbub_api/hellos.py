"""Answers workers: what my earlier self has left (hello), what I owe (holdings). And what becomes of the lost."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import asyncpg
import msgspec
import structlog

from hubbub import telling
from hubbub.config import Options
from hubbub.counting import POLLS, usable
from hubbub.domain.message import Rejected, StaleAttempt
from hubbub.domain.server_messages import LoseAttempt, ReportFound
from hubbub.domain.server_states import Held as HeldState
from hubbub.domain.server_states import Server, Spawning, react
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.rpc import Answer, Found, Held, Hello, Holdings, Refusal, Welcome
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub_api import leftovers, queue, remains

log = structlog.get_logger()

_STATE = msgspec.json.Decoder(Server)


_NOT_HELD = """
    select id from unnest($1::text[]) as t (id)
    where not exists (select from servers s where s.id = t.id and s.holder = $2)
"""


class Hellos:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, options: Options) -> None:
        self._pool = pool
        self._committer = committer
        self._options = options

    async def hello(self, subject: str, payload: bytes) -> Welcome:
        """A worker is back: settle everything that the log says it holds, by what it found."""
        _, _, _, _, worker = subject.split(".")
        hello = msgspec.json.decode(payload, type=Hello)
        if wrong := self._options.differences(hello.options):
            message = f"{', '.join(wrong)}: not as the api has it; all processes need the same configuration"
            return Welcome(refused=Refusal(kind="Invalid", message=message))
        answers = await asyncio.gather(*(self._found(worker, hello.host, found) for found in hello.found))
        kept = {found.server for found, given in zip(hello.found, answers, strict=True) if given.state}
        rows = await self._pool.fetch("select id from servers where holder = $1", worker)
        lost = [row["id"] for row in rows if row["id"] not in kept]
        reason = "its worker was restarted and found nothing of it"
        await asyncio.gather(
            *(lose(self._committer, self._options, worker, id, reason, searched=hello.host) for id in lost)
        )
        await leftovers.release(self._pool, worker)
        return Welcome(answers=tuple(answers))

    async def _found(self, worker: str, host: str, found: Found) -> Answer:
        context = Context.of(f"worker:{worker}")

        async def body(tx: Transaction) -> Answer:
            command = ReportFound(
                attempt=found.attempt,
                worker=worker,
                host=host,
                url=found.url,
                deadline=tx.now + timedelta(seconds=self._options.spawner.http_timeout + 10),
            )
            state, events = await tx.act(SERVERS, found.server, command)
            if events:
                log.info("server.adopted", server=found.server, attempt=found.attempt, worker=worker)
            return Answer(state=state)

        try:
            return await self._committer.submit(body, context, [(SERVERS, found.server)])
        except Rejected as refusal:
            return Answer(refused=Refusal(kind=type(refusal).__name__, message=str(refusal)))

    async def holdings(self, subject: str, payload: bytes) -> Held:
        """The servers that the worker holds and owes something, and those that it only thinks it holds."""
        _, _, _, _, worker = subject.split(".")
        asked = msgspec.json.decode(payload, type=Holdings)
        held = asked.held
        if asked.counted is not None:
            await telling.add(self._pool, usable(asked.counted, (POLLS,)), "spawner-worker", worker)
        rows = await self._pool.fetch("select id, state from servers where holder = $1 and kind <> 'Running'", worker)
        states = {row["id"]: _STATE.decode(row["state"]) for row in rows}
        lost = await self._pool.fetch(_NOT_HELD, list(held), worker) if held else []
        return Held(
            servers={id: state for id, state in states.items() if react(state) is not None},
            lost=tuple(row["id"] for row in lost),
        )


async def lose(
    committer: Committer, options: Options, worker: str, server: str, reason: str, *, searched: str = ""
) -> None:
    """A worker that held the server (by id) is lost. What others can get at waits for them; of the rest the attempt is
    closed, and the next is asked for while there may be one. *searched*: a host that has nothing of it any more.
    """

    async def body(tx: Transaction) -> None:
        state = await tx.state(SERVERS, server)
        if not isinstance(state, HeldState) or state.holder != worker:
            return
        waits = state.reach != "process" and not isinstance(state, Spawning)
        seconds = options.ours.adoption_timeout if waits else options.ours.queue_timeout
        command = LoseAttempt(
            attempt=state.attempt,
            worker=worker,
            reason=reason,
            deadline=tx.now + timedelta(seconds=seconds),
            ended=bool(searched) and searched == state.host,
        )
        again, _ = await remains.act(tx, server, command)
        if isinstance(again, Spawning):
            queue.give_back(tx, again)
        log.info("server.lost", server=server, worker=worker, reason=reason, waits=waits)

    with suppress(StaleAttempt):
        await committer.submit(body, Context.of("sweep"), [(SERVERS, server)])
