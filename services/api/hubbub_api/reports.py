"""Answers what workers and proxy-syncs report: decided and committed first, then answered with what is true."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import msgspec
import structlog
from cryptography.fernet import InvalidToken, MultiFernet

from hubbub import faults, telemetry
from hubbub.domain.message import Command, Rejected
from hubbub.domain.proxy import JoinProxy
from hubbub.domain.route import AddRoute, RemoveRoute
from hubbub.domain.server_events import ServerCrashed, ServerStarted, ServerStopped
from hubbub.domain.server_messages import ReportOrphan, ReportOrphanRemoved, ReportStarted
from hubbub.domain.server_states import Absent, Known
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.roles import Roles
from hubbub.route_messages import Routed, RouteReport
from hubbub.rpc import Answer, Answers, Done, Refusal, Report, Reports, ReportScopes
from hubbub.transaction import Transaction
from hubbub.views import PROXIES, ROUTES, SERVERS
from hubbub_api import leftovers, remains, server_tokens
from hubbub_api.tokens import revoke_of

log = structlog.get_logger()

_ENDS = frozenset({"ReportExit", "ReportFailed"})


class ReportBook:
    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, bus_key: MultiFernet, roles: Roles
    ) -> None:
        self._pool = pool
        self._committer = committer
        self._bus_key = bus_key
        self._roles = roles

    async def report(self, subject: str, payload: bytes) -> Answers:
        """Who reports is read from the subject; what they call themselves is not looked at."""
        _, _, _, _, worker = subject.split(".")
        reports = msgspec.json.decode(payload, type=Reports).reports
        tokens = await self._tokens_of([r.server for r in reports if type(r.report).__name__ in _ENDS])
        answers = await asyncio.gather(*(self._one(worker, r, tokens.get(r.server, [])) for r in reports))
        faults.point("api.reported")
        return Answers(answers=tuple(answers))

    async def _tokens_of(self, servers: Sequence[str]) -> dict[str, list[str]]:
        """Tokens that end with these servers. Read ahead of the lock: one that slips through is swept."""
        if not servers:
            return {}
        rows = await self._pool.fetch("select id, server from tokens where server = any($1)", list(servers))
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row["server"], []).append(row["id"])
        return found

    async def _one(self, worker: str, sent: Report, tokens: list[str]) -> Answer:
        context = Context.of(f"worker:{worker}", traceparent=sent.traceparent or telemetry.traceparent())

        async def body(tx: Transaction) -> Answer:
            report = sent.report
            if not isinstance(report, ReportOrphan | ReportOrphanRemoved):
                seconds = max(0.0, min(sent.seconds, 86_400.0))
                report = msgspec.structs.replace(
                    report,
                    worker=worker,
                    **({"deadline": tx.now + timedelta(seconds=seconds)} if hasattr(report, "deadline") else {}),
                )
            if isinstance(report, ReportScopes):
                return Answer(state=await server_tokens.restrict(tx, self._roles, sent.server, report))
            if isinstance(report, ReportStarted):
                report = await server_tokens.settled(tx, sent.server, report)
            state, events = await remains.act(tx, sent.server, report)
            sealed = getattr(sent.report, "sealed", "")
            if sealed and isinstance(state, Known) and (where := _state_key(sent.server, state, report)):
                keeper = state.user or sent.server  # a managed service is nobody's: it has a key of its own
                await tx.know(keeper)
                tx.remember(where, keeper, self._bus_key.decrypt(sealed.encode()))
            if isinstance(report, ReportOrphan):
                leftovers.put_off(tx, sent.server, report.attempt, worker)
            if any(isinstance(event, ServerStarted) and (event.token or state.reach != "process") for event in events):
                await server_tokens.revoke_others(tx, sent.server, state)
            if any(isinstance(event, ServerStopped | ServerCrashed) and not event.resumes for event in events):
                await revoke_of(tx, [token for token in tokens if token not in remains.kept(state)], "server stopped")
            for event in events:
                log.info("server.reported", server=sent.server, worker=worker, event_type=type(event).__name__)
            return Answer(state=state)

        try:
            return await self._committer.submit(body, context, [(SERVERS, sent.server)])
        except Rejected as refusal:
            log.info("report.refused", server=sent.server, worker=worker, why=str(refusal))
            return Answer(refused=Refusal(kind=type(refusal).__name__, message=str(refusal)))
        except InvalidToken:
            return Answer(refused=Refusal(kind="Invalid", message="the state was not sealed with the bus key"))

    async def routed(self, subject: str, payload: bytes) -> Done:
        """A proxy's routes as they are now; with `joined`, everything wanted was there."""
        _, _, _, _, proxy = subject.split(".")
        sent = msgspec.json.decode(payload, type=Routed)
        await asyncio.gather(*(self._route(proxy, report) for report in sent.routes))
        if sent.joined:
            await self._committer.execute(PROXIES, proxy, JoinProxy(proxy=proxy), Context.of(f"proxy:{proxy}"))
        return Done()

    async def _route(self, proxy: str, report: RouteReport) -> None:
        id = f"{proxy}.{report.server}"
        command: AddRoute | RemoveRoute = RemoveRoute(reason=report.reason)
        if report.target is not None:
            command = AddRoute(
                proxy=proxy, server=report.server, attempt=report.attempt, target=report.target, reason=report.reason
            )
        context = Context.of(f"proxy:{proxy}", traceparent=report.traceparent or telemetry.traceparent())

        async def body(tx: Transaction) -> None:
            if isinstance(command, AddRoute) and not await _is_known(tx, report.server):
                # Deleted meanwhile, and the proxy will be told so; or nonsense.
                log.warning("route.of_nobody", proxy=proxy, server=report.server)
                return
            await tx.act(ROUTES, id, command)

        await self._committer.submit(body, context, [(ROUTES, id), (SERVERS, report.server)])


async def _is_known(tx: Transaction, owner: str) -> bool:
    """Whether a route can be this one's: the hub's, a service's or a server's (see `hubbub_api.wanted`)."""
    if owner == "hub" or owner.startswith("service:"):
        return True
    return not isinstance(await tx.state(SERVERS, owner), Absent)


def _state_key(server: str, state: Known, report: Command) -> str | None:
    """Where the vault is to have the spawner's state that came with *report*, if it still matters."""
    if not isinstance(report, ReportOrphan):
        return remains.state_key(server)
    known = any(left.attempt == report.attempt for left in state.leftovers)
    return remains.state_key(server, report.attempt) if known else None
