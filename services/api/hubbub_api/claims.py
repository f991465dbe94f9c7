"""Answers workers that ask what they may start."""

import math
from datetime import timedelta
from itertools import accumulate
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from hubbub import faults
from hubbub.bus import LARGEST_PAYLOAD
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
from hubbub_api.colleagues import Colleagues
from hubbub_api.specs import CAUSE, Specs

log = structlog.get_logger()

#: What a worker may take at once, so that others get their share.
LARGEST_CLAIM = 32

_STATE = msgspec.json.Decoder(Server)

_WAITING = f"""
    select s.*, cause.meta, coalesce(octet_length(o.value), 0) as size from (
        select s.id, u.name, count(*) over () as waiting from servers s left join users u on u.id = s.user_id
        where s.kind = 'Spawning' and s.holder is null and s.pool = $1 and (u.id is not null or s.user_id = '')
        order by s.since, s.number limit $2
    ) s left join vault o on o.key = 'options:' || s.id {CAUSE}
"""
_CLAIMED_BEFORE = """
    select t.hash, s.id from tokens t join servers s on s.token = t.id where t.hash = any($1) and s.holder = $2
"""


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

    async def claim(self, subject: str, payload: bytes) -> Claimed:
        """Hand out waiting attempts, oldest first, to each worker its share of them: who has room for more will ask
        again at once. A claim sent again gets what it got before.
        """
        _, _, _, pool, worker = subject.split(".")
        asked = msgspec.json.decode(payload, type=Claim)
        context = Context.of(f"worker:{worker}")

        async def body(tx: Transaction) -> tuple[list[str], int]:
            before = await tx.fetch(_CLAIMED_BEFORE, list(asked.hashes), worker)
            if before:
                return [row["id"] for row in before], 0
            rows = await tx.fetch(_WAITING, pool, min(len(asked.hashes), LARGEST_CLAIM))
            waiting = rows[0]["waiting"] if rows else 0
            rows = _that_fit(rows[: math.ceil(waiting / self._colleagues.of(pool))])
            ids = {row["id"]: uuid4().hex for row in rows}
            await tx.load([*((SERVERS, id) for id in ids), *((TOKENS, token) for token in ids.values())])
            for row, hashed in zip(rows, asked.hashes, strict=False):
                await self._take(tx, row, ids[row["id"]], hashed, worker, asked.host)
            return list(ids), waiting - len(rows)

        taken, waiting = await self._committer.submit(body, context)
        if taken:
            log.info("server.claimed", worker=worker, servers=len(taken), waiting=waiting)
        faults.point("api.claimed")
        return Claimed(specs=tuple(await self._specs.of(taken)), waiting=waiting)

    async def _take(
        self, tx: Transaction, row: asyncpg.Record, token: str, hashed: str, worker: str, host: str
    ) -> None:
        state = await tx.state(SERVERS, row["id"])
        assert isinstance(state, Spawning)
        await tx.know(state.user)
        if row["meta"]:
            tx.speak_as(context_in(row["meta"]).follow(actor=f"worker:{worker}"))
        patience = timedelta(seconds=self._options.spawner.start_timeout + 10)
        claim = ClaimAttempt(attempt=state.attempt, worker=worker, host=host, token=token, deadline=tx.now + patience)
        await tx.act(SERVERS, row["id"], claim)
        about = self._of_person(row["name"], state) if state.user else self._of_service(row["id"], state)
        issue = IssueToken(user=state.user, hash=hashed, note=f"Server at {state.prefix}", server=row["id"], **about)
        await tx.act(TOKENS, token, issue)

    def _of_person(self, owner: str, state: Spawning) -> dict[str, Any]:
        """What the token of such a server is besides others."""
        return {"client": client_id(owner, state.name), "scopes": tuple(self._specs.token_scopes())}

    def _of_service(self, id: str, state: Spawning) -> dict[str, Any]:
        return {"client": self._specs.client(id, state), "service": state.name}


def _that_fit(rows: list[asyncpg.Record]) -> list[asyncpg.Record]:
    """As many as one message carries, with their options; one at least (see `hubbub_api.servers.LARGEST_OPTIONS`)."""
    sizes = list(accumulate(row["size"] for row in rows))
    return [row for row, size in zip(rows, sizes, strict=True) if size <= LARGEST_PAYLOAD] or rows[:1]
