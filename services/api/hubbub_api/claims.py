"""Answers workers: what may I start (claim), what did my earlier self leave (hello), what do I owe (holdings)."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import structlog
from cryptography.fernet import MultiFernet

from hubbub import faults
from hubbub.bus import LARGEST_PAYLOAD
from hubbub.config import Options
from hubbub.domain.message import Rejected, StaleAttempt
from hubbub.domain.names import client_id, full_name
from hubbub.domain.server_messages import ClaimAttempt, LoseAttempt, ReportFound
from hubbub.domain.server_states import Held as HeldState
from hubbub.domain.server_states import Known, Server, Spawning, react
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context, context_in
from hubbub.handle import Committer
from hubbub.managed import Managed
from hubbub.roles import Roles
from hubbub.rpc import Answer, Claim, Claimed, Found, Held, Hello, Person, Refusal, Spec, Welcome
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.views import SERVERS, TOKENS
from hubbub_api.colleagues import Colleagues

log = structlog.get_logger()

#: What a worker may take at once, so that others get their share.
LARGEST_CLAIM = 32

_STATE = msgspec.json.Decoder(Server)

# What asked for the attempt: so that its start belongs to the same conversation and trace.
_CAUSE = """
    left join lateral (select meta from events e where e.stream = 'server-' || s.id and e.type = 'SpawnRequested'
        order by e.version desc limit 1) cause on true
"""
_WAITING = f"""
    select s.*, cause.meta, coalesce(octet_length(o.value), 0) as size from (
        select s.id, u.name, count(*) over () as waiting from servers s left join users u on u.id = s.user_id
        where s.kind = 'Spawning' and s.holder is null and s.pool = $1 and (u.id is not null or s.user_id = '')
        order by s.since, s.number limit $2
    ) s left join vault o on o.key = 'options:' || s.id {_CAUSE}
"""
_CLAIMED_BEFORE = """
    select t.hash, s.id from tokens t join servers s on s.token = t.id where t.hash = any($1) and s.holder = $2
"""
_SPECS = f"""
    select s.id, s.state, u.number, u.name, u.admin, t.hash, cause.meta,
           coalesce(u.id, s.id) as secrets_of, o.value as options, v.value as spawner_state, x.hash as digest
    from servers s left join users u on u.id = s.user_id left join tokens t on t.id = s.token
    left join vault o on o.key = 'options:' || s.id left join vault v on v.key = 'state:' || s.id
    left join settled x on x.section = s.id and s.user_id = ''
    {_CAUSE}
    where s.id = any($1) and (u.id is not null or s.user_id = '')
"""


class Claims:
    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        committer: Committer,
        vault: Vault,
        bus_key: MultiFernet,
        options: Options,
        roles: Roles,
        colleagues: Colleagues,
        managed: Mapping[str, Managed],
    ) -> None:
        """*managed*: this process's managed services, by id."""
        self._pool = pool
        self._committer = committer
        self._vault = vault
        self._bus_key = bus_key
        self._options = options
        self._roles = roles
        self._colleagues = colleagues
        self._managed = managed

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
        return Claimed(specs=tuple(await self.specs(taken)), waiting=waiting)

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
        return {"client": client_id(owner, state.name), "scopes": tuple(self._token_scopes())}

    def _of_service(self, id: str, state: Spawning) -> dict[str, Any]:
        return {"client": self._client(id, state), "service": state.name}

    def _client(self, id: str, state: HeldState) -> str:
        service = self._managed.get(id)
        return service.client if service else f"service-{state.name}"

    def _token_scopes(self) -> list[str]:
        given = self._options.spawner.server_token_scopes or list(self._roles["server"])
        return list(dict.fromkeys([*given, "users:activity!user"]))

    async def specs(self, ids: Sequence[str]) -> list[Spec]:
        """Everything a worker needs to start each of these servers; one query."""
        if not ids:
            return []
        rows = await self._pool.fetch(_SPECS, list(ids))
        await self._vault.load(self._pool, {row["secrets_of"] for row in rows})
        return [self._spec(row) for row in rows if isinstance(_STATE.decode(row["state"]), HeldState)]

    def _spec(self, row: asyncpg.Record) -> Spec:
        state = _STATE.decode(row["state"])
        assert isinstance(state, HeldState)
        secret = msgspec.json.encode({"options": self._open(row, "options"), "state": self._open(row, "spawner_state")})
        cause = context_in(row["meta"]) if row["meta"] else None
        about = self._spec_of_person(row, state) if state.user else self._spec_of_service(row, state)
        return Spec(
            server=row["id"],
            attempt=state.attempt,
            name=state.name,
            display_name=state.display_name,
            traceparent=cause.traceparent if cause else "",
            correlation=cause.correlation if cause else "",
            prefix=state.prefix,
            hash=row["hash"] or "",
            sealed=self._bus_key.encrypt(secret).decode(),
            deadline=state.deadline,
            **about,
        )

    def _spec_of_person(self, row: asyncpg.Record, state: HeldState) -> dict[str, Any]:
        owner, allowed = row["name"], self._options.spawner.oauth_client_allowed_scopes
        return {
            "person": Person(id=state.user, number=row["number"], name=owner, admin=row["admin"]),
            "client_id": client_id(owner, state.name),
            "token_scopes": tuple(self._token_scopes()),
            "access_scopes": (
                f"access:servers!server={full_name(owner, state.name)}",
                f"access:servers!user={owner}",
            ),
            "client_allowed_scopes": tuple(sorted(self._roles.tree.expand(allowed))),
        }

    def _spec_of_service(self, row: asyncpg.Record, state: HeldState) -> dict[str, Any]:
        """What is secret of it the worker has in its own configuration."""
        return {
            "person": Person(id="", number=0, name="", admin=False),
            "client_id": self._client(row["id"], state),
            "token_scopes": ("inherit",),
            "access_scopes": ("access:services", f"access:services!service={state.name}"),
            "service": state.name,
            "digest": row["digest"] or "",
        }

    def _open(self, row: asyncpg.Record, column: str) -> Any:
        data = self._vault.open_bytes(row["secrets_of"], row[column]) if row[column] else None
        return msgspec.json.decode(data) if data else {}

    async def hello(self, subject: str, payload: bytes) -> Welcome:
        """A worker is back: settle everything that the log says it holds, by what it found."""
        _, _, _, _, worker = subject.split(".")
        hello = msgspec.json.decode(payload, type=Hello)
        if wrong := self._differences(hello.options):
            message = f"{', '.join(wrong)}: not as the api has it; all processes need the same configuration"
            return Welcome(refused=Refusal(kind="Invalid", message=message))
        answers = await asyncio.gather(*(self._found(worker, hello.host, found) for found in hello.found))
        kept = {found.server for found, given in zip(hello.found, answers, strict=True) if given.state}
        rows = await self._pool.fetch("select id, state from servers where holder = $1", worker)
        for row in rows:
            if row["id"] not in kept:
                await self._lose(worker, row["id"], "its worker was restarted and found nothing of it")
        return Welcome(answers=tuple(answers))

    def _differences(self, options: dict[str, str]) -> list[str]:
        ours = self._options.hashes
        return sorted(name for name in options.keys() | ours.keys() if options and options.get(name) != ours.get(name))

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

    async def _lose(self, worker: str, server: str, reason: str) -> None:
        await lose(self._committer, self._options, worker, server, reason)

    async def holdings(self, subject: str, payload: bytes) -> Held:
        """The servers that the worker holds and owes something."""
        _, _, _, _, worker = subject.split(".")
        rows = await self._pool.fetch("select id, state from servers where holder = $1 and kind <> 'Running'", worker)
        states = {row["id"]: _STATE.decode(row["state"]) for row in rows}
        return Held(servers={id: state for id, state in states.items() if react(state) is not None})


def _that_fit(rows: list[asyncpg.Record]) -> list[asyncpg.Record]:
    """As many as one message carries, with their options; one at least (see `hubbub_api.servers.LARGEST_OPTIONS`)."""
    sizes = list(accumulate(row["size"] for row in rows))
    return [row for row, size in zip(rows, sizes, strict=True) if size <= LARGEST_PAYLOAD] or rows[:1]


async def lose(committer: Committer, options: Options, worker: str, server: str, reason: str) -> None:
    """Close the attempt that a lost worker held, and ask for the next while there may be one."""

    async def body(tx: Transaction) -> None:
        state = await tx.state(SERVERS, server)
        if isinstance(state, HeldState) and isinstance(state, Known) and state.holder == worker:
            deadline = tx.now + timedelta(seconds=options.ours.queue_timeout)
            command = LoseAttempt(attempt=state.attempt, worker=worker, reason=reason, deadline=deadline)
            await tx.act(SERVERS, server, command)

    try:
        await committer.submit(body, Context.of("sweep"), [(SERVERS, server)])
    except StaleAttempt:
        return
    log.info("server.lost", server=server, worker=worker, reason=reason)
