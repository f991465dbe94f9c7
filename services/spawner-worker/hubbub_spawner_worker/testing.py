"""An api to try workers with: it decides by the real domain and answers on a real bus, but has only dictionaries."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from cryptography.fernet import Fernet
from nats.js.api import AckPolicy, ConsumerConfig

from hubbub.bus import Bus
from hubbub.domain.message import Rejected
from hubbub.domain.server import decider
from hubbub.domain.server_messages import (
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    LoseAttempt,
    Reach,
    ReportFound,
    ServerCommand,
    StartServer,
    StopServer,
)
from hubbub.domain.server_states import Absent, Held, Known, Server, Spawning, react
from hubbub.rpc import (
    Answer,
    Answers,
    Claim,
    Claimed,
    Done,
    Hello,
    Inherited,
    LogTail,
    Person,
    Refusal,
    Report,
    Reports,
    ReportScopes,
    ServerReport,
    Spec,
    Welcome,
    Word,
)
from hubbub.rpc import Held as HeldServers

S = TypeVar("S", bound=Known)

PATIENCE = 20.0


class Api:
    """`states`, `specs`: by server. `seen`: all reports, `hellos`: all greetings with the worker's name.

    `deaf_to_claims`: how many claims are granted without an answer. `hello_refusal`: what workers are
    refused with.
    """

    def __init__(self, connection: Bus, pool: str) -> None:
        self.bus = connection
        self.pool = pool
        self.key = Fernet.generate_key().decode()
        self.states: dict[str, Server] = {}
        self.specs: dict[str, Spec] = {}
        self.seen: list[Report] = []
        self.hellos: list[tuple[str, Hello]] = []
        self.deaf_to_claims = 0
        self.draining: set[str] = set()
        self.hello_refusal = ""
        self._answered: dict[tuple[str, ...], Claimed] = {}
        self._changed = asyncio.Event()
        self._wishes: dict[str, tuple[str, dict[str, Any]]] = {}

    async def open(self) -> None:
        answers = {"claim": self._claim, "report": self._report, "hello": self._hello, "holdings": self._holdings}
        for verb, answer in answers.items():
            await self.bus.answer(f"hub.rpc.{verb}.{self.pool}.*", answer)

    async def make_consumer(self) -> None:
        config = ConsumerConfig(
            durable_name=f"pool-{self.pool}",
            filter_subject=f"hub.ticket.pool.{self.pool}",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=10,
        )
        await self.bus.js.add_consumer("TICKETS", config)

    # What people do ---------------------------------------------------------------------------

    async def start(
        self, server: str, *, user: str = "ada", options: dict[str, Any] | None = None, ticket: bool = True
    ) -> None:
        if server not in self.states:
            self._act(server, CreateServer(user=user, name=""))
        wish = StartServer(pool=self.pool, prefix=f"/user/{user}/", at=_now(), deadline=_soon(), retries=2)
        self._act(server, wish)
        self._wishes[server] = (user, options or {})
        if ticket:
            await self.ticket(b"")

    async def ticket(self, data: bytes) -> None:
        await self.bus.js.publish(f"hub.ticket.pool.{self.pool}", data)

    async def stop(self, server: str, *, tell: bool = True) -> None:
        self._act(server, StopServer(deadline=_soon()))
        if tell:
            await self._tell(server)

    async def cancel(self, server: str) -> None:
        self._act(server, CancelSpawn(deadline=_soon()))
        await self._tell(server)

    def lose(self, server: str) -> None:
        state = self.states[server]
        assert isinstance(state, Held)
        assert state.holder
        self._act(
            server, LoseAttempt(attempt=state.attempt, worker=state.holder, reason="lost", deadline=_soon(), ended=True)
        )

    async def log_of(self, worker: str, server: str, lines: int = 10) -> LogTail:
        word = Word(server=server, attempt=1, verb="log", lines=lines)
        return await self.bus.ask(f"hub.holder.{worker}", word, LogTail)

    async def _tell(self, server: str) -> None:
        state = self.states[server]
        if isinstance(state, Held) and state.holder:
            await self.bus.ask(f"hub.holder.{state.holder}", Word(server=server, attempt=state.attempt), Done)

    # What there is to see -----------------------------------------------------------------------

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until *true* is; it is asked after every change."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def until_is(self, server: str, kind: type[S]) -> S:
        await self.until(lambda: isinstance(self.states.get(server), kind))
        state = self.states[server]
        assert isinstance(state, kind)
        return state

    def holder(self, server: str) -> str | None:
        state = self.states[server]
        return state.holder if isinstance(state, Held) else None

    def are(self, kind: type[Known]) -> list[str]:
        """The servers in that state."""
        return [server for server, state in self.states.items() if isinstance(state, kind)]

    def waiting(self) -> list[str]:
        return [server for server in self.are(Spawning) if not self.holder(server)]

    def reported(self, kind: type[ServerReport]) -> list[ServerReport]:
        return [sent.report for sent in self.seen if isinstance(sent.report, kind)]

    # What workers ask ----------------------------------------------------------------------------

    async def _claim(self, subject: str, data: bytes) -> Claimed:
        claim, worker = msgspec.json.decode(data, type=Claim), subject.rsplit(".", maxsplit=1)[-1]
        if worker in self.draining:
            return Claimed(draining=True)
        if claim.hashes not in self._answered:
            waiting = self.waiting()
            specs = tuple(
                self.give(server, worker, claim.host, hashed, claim.reach)
                for server, hashed in zip(waiting, claim.hashes, strict=False)
            )
            inherited = tuple(self._pass_on(server, worker, claim.host) for server in self._abandoned())
            left = len(waiting) - len(specs)
            self._answered[claim.hashes] = Claimed(specs=specs, waiting=left, inherited=inherited)
        if self.deaf_to_claims:
            self.deaf_to_claims -= 1
            raise RuntimeError("the answer is lost")
        return self._answered[claim.hashes]

    def _abandoned(self) -> list[str]:
        return [server for server in self.are(Held) if not self.holder(server) and server not in self.waiting()]

    def _pass_on(self, server: str, worker: str, host: str) -> Inherited:
        state = self.states[server]
        assert isinstance(state, Held)
        claim = ClaimAttempt(attempt=state.attempt, worker=worker, host=host, token="", deadline=_soon())
        now = self._act(server, claim)
        newest: list[str] = [
            sealed for sent in self.seen if sent.server == server and (sealed := getattr(sent.report, "sealed", ""))
        ]
        found = self.opened(newest[-1]) if newest else {}
        spec = msgspec.structs.replace(self.specs[server], sealed=self._seal(self._wishes[server][1], found))
        return Inherited(spec=spec, state=now)

    def opened(self, sealed: str) -> dict[str, Any]:
        """A spawner's state, as it was reported."""
        state: dict[str, Any] = json.loads(Fernet(self.key).decrypt(sealed.encode()))
        return state

    def _seal(self, options: dict[str, Any], state: dict[str, Any]) -> str:
        return Fernet(self.key).encrypt(json.dumps({"options": options, "state": state}).encode()).decode()

    def give(self, server: str, worker: str, host: str, hashed: str, reach: Reach = "process") -> Spec:
        state = self.states[server]
        assert isinstance(state, Spawning)
        user, options = self._wishes[server]
        claim = ClaimAttempt(
            attempt=state.attempt,
            worker=worker,
            host=host,
            token="t",  # noqa: S106  (an id)
            deadline=_soon(),
            reach=reach,
        )
        self._act(server, claim)
        self.specs[server] = Spec(
            server=server,
            attempt=state.attempt,
            person=Person(id="p1", number=1, name=user, admin=False),
            name=state.name,
            prefix=state.prefix,
            hash=hashed,
            sealed=self._seal(options, {}),
            deadline=_soon(),
            client_id=f"jupyterhub-user-{user}",
            token_scopes=(),
            access_scopes=(f"access:servers!user={user}",),
        )
        return self.specs[server]

    async def _report(self, subject: str, data: bytes) -> Answers:
        worker = subject.rsplit(".", maxsplit=1)[-1]
        sent = msgspec.json.decode(data, type=Reports).reports
        self.seen.extend(sent)
        return Answers(answers=tuple(self._decided(one.server, worker, one.report) for one in sent))

    async def _hello(self, subject: str, data: bytes) -> Welcome:
        worker, hello = subject.rsplit(".", maxsplit=1)[-1], msgspec.json.decode(data, type=Hello)
        self.hellos.append((worker, hello))
        if self.hello_refusal:
            return Welcome(refused=Refusal(kind="Invalid", message=self.hello_refusal))
        answers = []
        for found in hello.found:
            report = ReportFound(attempt=found.attempt, worker=worker, host=hello.host, deadline=_soon(), url=found.url)
            answers.append(self._decided(found.server, worker, report))
        kept = {found.server for found, answer in zip(hello.found, answers, strict=True) if answer.state}
        for server in set(self.states) - kept:
            if self.holder(server) == worker:
                self.lose(server)
        return Welcome(answers=tuple(answers))

    async def _holdings(self, subject: str, _: bytes) -> HeldServers:
        worker = subject.rsplit(".", maxsplit=1)[-1]
        mine = {server: state for server, state in self.states.items() if self.holder(server) == worker}
        return HeldServers(servers={server: state for server, state in mine.items() if react(state)})

    def _decided(self, server: str, worker: str, report: ServerReport) -> Answer:
        if hasattr(report, "worker"):
            report = msgspec.structs.replace(report, worker=worker)
        if isinstance(report, ReportScopes):
            return Answer(state=self.states[server])
        try:
            return Answer(state=self._act(server, report))
        except Rejected as refusal:
            return Answer(refused=Refusal(kind=type(refusal).__name__, message=str(refusal)))

    def _act(self, server: str, command: ServerCommand) -> Server:
        state = self.states.get(server, Absent())
        self._changed.set()
        for event in decider.decide(state, command):
            state = decider.evolve(state, event)
        self.states[server] = state
        return state


def _now() -> datetime:
    return datetime.now(UTC)


def _soon() -> datetime:
    return _now() + timedelta(seconds=60)
