"""A worker as the api sees it: it asks what a worker asks, by the same subjects, and starts nothing."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography.fernet import Fernet, MultiFernet
from msgspec import json as wire

from hubbub.config import Options
from hubbub.domain.names import client_id, prefix
from hubbub.domain.server_messages import (
    CreateServer,
    Reach,
    ReportExit,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.domain.server_states import Known
from hubbub.domain.token import IssueToken, Token
from hubbub.eventlog import Context
from hubbub.rpc import Answer, Claim, Done, Report, Reports, SaveAuthState, ServerReport, Spec
from hubbub.tokens import token_hash
from hubbub.views import SERVERS, TOKENS
from hubbub.web.request import GATE
from hubbub_api import keys
from hubbub_api.auth_states import AuthStates
from hubbub_api.claims import Claims
from hubbub_api.colleagues import Colleagues
from hubbub_api.reports import ReportBook
from hubbub_api.specs import Specs

BUS_KEY = MultiFernet([Fernet(Fernet.generate_key())])
BY_TEST = Context.of("test")
LATER = datetime.now(UTC) + timedelta(hours=1)


@dataclass(frozen=True)
class Claimed:
    """An attempt, and the token that goes with it."""

    spec: Spec
    secret: str

    @property
    def server(self) -> str:
        return self.spec.server

    @property
    def sealed(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(BUS_KEY.decrypt(self.spec.sealed.encode()))
        return found


class Worker:
    """*house*: an api of `conftest`. Servers are asked for in its database, as if by the API."""

    def __init__(self, house: Any, name: str = "w1", *, reach: Reach = "process") -> None:
        app = house.client.app
        gate, self._options = app[GATE], app[GATE].options
        assert isinstance(self._options, Options)
        self.house = house
        self.name = name
        self._reach: Reach = reach
        specs = Specs(house.pool, app[keys.VAULT], BUS_KEY, self._options, gate.access.roles, {})
        self._claims = Claims(house.pool, house.committer, specs, self._options, Colleagues(1))
        self._reports = ReportBook(house.pool, house.committer, BUS_KEY, gate.access.roles, self._options.services)
        self._auth_states = AuthStates(house.committer, BUS_KEY)

    async def asks(self, owner: str, name: str = "") -> str:
        """Somebody wants their server; its id."""
        user = await self.house.views.user(owner)
        found = await self.house.views.server(owner, name)
        id = found.id if found else uuid4().hex

        async def body(tx: Any) -> None:
            await tx.know(user.id)
            if found is None:
                await tx.act(SERVERS, id, CreateServer(user=user.id, name=name))
            start = StartServer(at=tx.now, pool="default", prefix=prefix("/", owner, name), deadline=LATER)
            await tx.act(SERVERS, id, start)

        await self.house.committer.submit(body, BY_TEST.follow(), [(SERVERS, id)])
        return str(id)

    async def claims(self, most: int = 1) -> list[Claimed]:
        tokens = {token_hash(secret): secret for secret in (uuid4().hex for _ in range(most))}
        asked = Claim(host="h", hashes=tuple(tokens), reach=self._reach)
        claimed = await self._claims.claim(f"hub.rpc.claim.default.{self.name}", wire.encode(asked))
        return [Claimed(spec, tokens[spec.hash]) for spec in claimed.specs]

    async def reports(self, server: str, report: ServerReport) -> Answer:
        sent = Reports(reports=(Report(server=server, report=report),))
        answers = await self._reports.report(f"hub.rpc.report.default.{self.name}", wire.encode(sent))
        return answers.answers[0]

    async def started(self, server: str, *, attempt: int = 0, **more: Any) -> Answer:
        attempt = attempt or (await self.state(server)).attempt
        report = ReportStarted(attempt=attempt, worker="?", url="http://127.0.0.1:1", deadline=LATER, **more)
        return await self.reports(server, report)

    async def runs(self, owner: str, name: str = "") -> tuple[str, str]:
        """A server from the wish to have it to its first answer: its id, and its token."""
        server = await self.asks(owner, name)
        [claimed] = await self.claims()
        await self.started(server)
        await self.reports(server, ReportResponded(attempt=claimed.spec.attempt, worker="?", deadline=LATER))
        return server, claimed.secret

    async def stops(self, server: str, *, resumes: bool) -> None:
        await self.house.committer.execute(SERVERS, server, StopServer(deadline=LATER), BY_TEST.follow())
        attempt = (await self.state(server)).attempt
        exited = ReportExit(attempt=attempt, worker="?", status="0", deadline=LATER, resumes=resumes)
        assert (await self.reports(server, exited)).refused is None

    async def saves(self, server: str, attempt: int, state: Any, *, key: MultiFernet = BUS_KEY) -> Done:
        """A hook keeps *state* of the server's owner."""
        asked = SaveAuthState(server=server, attempt=attempt, sealed=key.encrypt(json.dumps(state).encode()).decode())
        return await self._auth_states.save(f"hub.rpc.auth_state.default.{self.name}", wire.encode(asked))

    async def browser(self, owner: str, server: str) -> str:
        """Somebody has logged in to the server: the id of their browser's token."""
        user, id = await self.house.views.user(owner), uuid4().hex
        issue = IssueToken(
            user=user.id, hash=token_hash(id), client=client_id(owner, ""), session="s", server=server, expires_at=LATER
        )
        await self.house.committer.execute(TOKENS, id, issue, BY_TEST.follow())
        return id

    async def state(self, server: str) -> Known:
        text = await self.house.pool.fetchval("select state from servers where id = $1", server)
        state = SERVERS.decode_state(text)
        assert isinstance(state, Known)
        return state

    async def position(self) -> int:
        """Of the log: it does not move if nothing happens."""
        return int(await self.house.pool.fetchval("select position from log_head"))

    async def own(self, server: str) -> list[str]:
        """The ids of the server's tokens, its browsers' too, in the order they were issued in."""
        rows = await self.house.pool.fetch("select id from tokens where server = $1 order by number", server)
        return [row["id"] for row in rows]

    async def token_of(self, server: str) -> str | None:
        """The id of the one that it goes on with."""
        found: str | None = await self.house.pool.fetchval("select token from servers where id = $1", server)
        return found

    async def may(self, secret: str) -> set[str]:
        """What the API lets the holder of a token do; nothing if it is revoked."""
        answer = await self.house.ask("/hub/api/user", token=secret)
        return set((await answer.json())["scopes"]) if answer.status == 200 else set()

    async def token(self, id: str | None) -> Token:
        state = TOKENS.decode_state(await self.house.pool.fetchval("select state from tokens where id = $1", id))
        assert isinstance(state, Token)
        return state
