"""Answers workers that ask what they may start, take over from lost colleagues, and have to end."""

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from hubbub import faults, house
from hubbub.config import Options
from hubbub.domain.names import client_id
from hubbub.domain.server_messages import ClaimAttempt
from hubbub.domain.server_states import Server, Spawning
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context, context_in
from hubbub.handle import Committer
from hubbub.rpc import Claim, Claimed
from hubbub.transaction import Transaction
from hubbub.views import SERVERS, TOKENS
from hubbub_api import inheritance, queue
from hubbub_api.colleagues import Colleagues
from hubbub_api.leftovers import Leftovers
from hubbub_api.letter import Letter
from hubbub_api.specs import Job, Specs

log = structlog.get_logger()

#: What a worker may take at once, so that others get their share.
LARGEST_CLAIM = 32

_STATE = msgspec.json.Decoder(Server)

_CLAIMED_BEFORE = """
    select t.hash, s.id from tokens t join servers s on s.token = t.id where t.hash = any($1) and s.holder = $2
"""
_ANYTHING = """
    select exists (select from servers where holder is null and kind <> 'Stopped' and pool = $1)
        or exists (select from servers where leftovers > 0) as anything,
        exists (select from houses h cross join lateral json_array_elements(h.state::json -> 'draining') d
            where d ->> 'worker' = $2) as draining
"""


@dataclass
class _Taken:
    """What a claim has got: servers by id. `waiting`: how many more there are. `draining`: workers that get no more."""

    draining: frozenset[str]
    starts: list[str] = field(default_factory=list)
    inherited: list[str] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    waiting: int = 0


class Claims:
    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        committer: Committer,
        specs: Specs,
        options: Options,
        colleagues: Colleagues,
    ) -> None:
        self._pool = pool
        self._committer = committer
        self._specs = specs
        self._options = options
        self._colleagues = colleagues
        self.leftovers = Leftovers(options)

    async def claim(self, subject: str, payload: bytes) -> Claimed:
        """Hand out what lost holders have left, leftovers to be ended, and waiting starts, by turns; to each worker its
        share: who has room for more will ask again at once. A claim sent again gets what it got before. A worker that
        is draining gets nothing that anybody else could have.
        """
        _, _, _, pool, worker = subject.split(".")
        asked = msgspec.json.decode(payload, type=Claim)
        [now] = await self._pool.fetch(_ANYTHING, pool, worker)
        if not asked.again and not now["anything"]:
            return Claimed(draining=now["draining"])  # most of the time; and it needs no lock
        context = Context.of(f"worker:{worker}")
        if asked.id:
            context = msgspec.structs.replace(context, command=asked.id)

        async def body(tx: Transaction) -> _Taken:
            draining = (await house.of(tx)).draining
            letter, taken = Letter(), _Taken(frozenset(drain.worker for drain in draining))
            await self._inherit(tx, pool, worker, asked, letter, taken)
            taken.jobs = await self.leftovers.lease(tx, asked, pool, worker, letter)
            if asked.hashes:
                await self._start(tx, pool, worker, asked, letter, taken)
            return taken

        taken = await self._committer.submit(body, context, [house.KEY])
        if taken.starts or taken.inherited:
            log.info(
                "server.claimed",
                worker=worker,
                servers=len(taken.starts),
                inherited=len(taken.inherited),
                waiting=taken.waiting,
            )
        faults.point("api.claimed")
        return Claimed(
            specs=tuple(await self._specs.of(taken.starts)),
            waiting=taken.waiting,
            inherited=tuple(await self._specs.inherited(taken.inherited)),
            leftovers=tuple(await self._specs.leftovers(taken.jobs)),
            draining=worker in taken.draining,
        )

    async def _inherit(
        self, tx: Transaction, pool: str, worker: str, asked: Claim, letter: Letter, taken: "_Taken"
    ) -> None:
        taken.inherited = await inheritance.before(tx, asked, worker)
        if taken.inherited or (worker in taken.draining and self._can_be_others(pool, asked, taken)):
            return
        rows = await inheritance.waiting(tx, asked, pool)
        waiting = rows[0]["waiting"] if rows else 0
        rows = letter.take(rows[: math.ceil(waiting / self._colleagues.of(pool, but=taken.draining))])
        await tx.load([(SERVERS, row["id"]) for row in rows])
        for row in rows:
            await inheritance.take(tx, self._options, row["id"], worker, asked)
        taken.inherited = [row["id"] for row in rows]
        taken.waiting += waiting - len(rows)

    def _can_be_others(self, pool: str, asked: Claim, taken: "_Taken") -> bool:
        """What lost holders have left; what is out of reach for everybody else would die of it."""
        return asked.reach == "pool" and self._colleagues.alive(pool, but=taken.draining) > 0

    async def _start(
        self, tx: Transaction, pool: str, worker: str, asked: Claim, letter: Letter, taken: "_Taken"
    ) -> None:
        before = await tx.fetch(_CLAIMED_BEFORE, list(asked.hashes), worker)
        if before:
            taken.starts = [row["id"] for row in before]
        if before or worker in taken.draining:
            return
        most = min(len(asked.hashes), LARGEST_CLAIM)
        if asked.room:  # what it has inherited takes room, too
            most = min(most, asked.room - len(taken.inherited))
        rows = await queue.first(tx, self._options, pool, asked.host, max(0, most))
        waiting = rows[0]["waiting"] if rows else 0
        rows = letter.take(rows[: math.ceil(waiting / self._colleagues.of(pool, but=taken.draining))])
        ids = {row["id"]: uuid4().hex for row in rows}
        await tx.load([*((SERVERS, id) for id in ids), *((TOKENS, token) for token in ids.values())])
        for row, hashed in zip(rows, asked.hashes, strict=False):
            await self._take(tx, row, ids[row["id"]], hashed, worker, asked)
        queue.take(tx, pool, rows)
        taken.starts = list(ids)
        taken.waiting += waiting - len(rows)

    async def _take(
        self, tx: Transaction, row: asyncpg.Record, token: str, hashed: str, worker: str, asked: Claim
    ) -> None:
        state = await tx.state(SERVERS, row["id"])
        assert isinstance(state, Spawning)
        await tx.know(state.user)
        if row["meta"]:
            tx.speak_as(context_in(row["meta"]).follow(actor=f"worker:{worker}"))
        patience = timedelta(seconds=self._options.spawner_of(state.pool).start_timeout + 10)
        claim = ClaimAttempt(
            attempt=state.attempt,
            worker=worker,
            host=asked.host,
            token=token,
            deadline=tx.now + patience,
            reach=asked.reach if state.user else "process",
        )
        await tx.act(SERVERS, row["id"], claim)
        about = self._of_person(row["name"], state) if state.user else self._of_service(row["id"], state)
        issue = IssueToken(user=state.user, hash=hashed, note=f"Server at {state.prefix}", server=row["id"], **about)
        await tx.act(TOKENS, token, issue)

    def _of_person(self, owner: str, state: Spawning) -> dict[str, Any]:
        """What the token of such a server is besides others."""
        return {"client": client_id(owner, state.name), "scopes": self._specs.token_scopes(state.pool)}

    def _of_service(self, id: str, state: Spawning) -> dict[str, Any]:
        return {"client": self._specs.client(id, state), "service": state.name}
