"""Answers what workers and proxy-syncs report: decided and committed first, then answered with what is true."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta

import asyncpg
import msgspec
import structlog
from cryptography.fernet import InvalidToken, MultiFernet

from hubbub import faults, telemetry
from hubbub.domain.message import Command, Rejected
from hubbub.domain.proxy import JoinProxy, Mended, NoteCorrections, NotJoined
from hubbub.domain.route import AddRoute, RemoveRoute, Route
from hubbub.domain.server_events import ServerCrashed, ServerStarted, ServerStopped
from hubbub.domain.server_messages import ReportOrphan, ReportOrphanRemoved, ReportStarted
from hubbub.domain.server_states import Absent, Known
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.roles import Roles
from hubbub.route_messages import Corrected, Routed, RouteReport
from hubbub.rpc import Answer, Answers, Done, Refusal, Report, Reports, ReportScopes
from hubbub.transaction import Transaction
from hubbub.views import PROXIES, ROUTES, SERVERS
from hubbub_api import leftovers, remains, route_figures, server_tokens
from hubbub_api.tokens import revoke_of

log = structlog.get_logger()

_ENDS = frozenset({"ReportExit", "ReportFailed"})

_LOST = "select position from events where stream = $1 and type = 'ProxyLost' order by version desc limit 1"

# Routes of what is not there any more. What has just been stopped is reported like everything that happens.
_GONE = """
    select r.id, r.attempt
    from routes r left join servers s on s.id = r.server left join services v on v.id = substr(r.server, 9)
    where r.proxy = $1 and r.server <> 'hub' and case when r.server like 'service:%'
        then v.id is null and substr(r.server, 9) <> all($2)
        else s.id is null or s.kind not in ('Running', 'Stopping') end
"""


class ReportBook:
    """*services*: the names of those of the configuration."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        committer: Committer,
        bus_key: MultiFernet,
        roles: Roles,
        services: Collection[str],
    ) -> None:
        self._services = services
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
        if sent.corrected is not None:
            await self._correct(proxy, sent.corrected)
        if sent.joined:
            await self._join(proxy, sent)
        return Done()

    async def _correct(self, proxy: str, report: Corrected) -> None:
        """Once, however often it is reported: the id of the report is that of the command."""
        id = f"{proxy}.{report.id}"
        routes = tuple(Mended(server=each.server, found=each.found, made=each.made) for each in report.routes)
        command = NoteCorrections(proxy=proxy, reason=report.reason, count=report.count, routes=routes)

        async def body(tx: Transaction) -> None:
            if not await tx.fetch("select from events where command_id = $1 limit 1", id):
                await tx.act(PROXIES, proxy, command)
                log.warning("routes.corrected", proxy=proxy, reason=report.reason, routes=report.count)

        context = Context(command=id, correlation=id, actor=f"proxy:{proxy}", traceparent=telemetry.traceparent())
        await self._committer.submit(body, context, [(PROXIES, proxy)])

    async def _join(self, proxy: str, sent: Routed) -> None:
        """Everything wanted is there, and nothing else: not what it had when it was last heard of, either.

        What it said before it was lost, and says once more since nobody answered, does not make it count again.
        """
        gone = await self._pool.fetch(_GONE, proxy, list(self._services))

        async def body(tx: Transaction) -> None:
            if isinstance(await tx.state(PROXIES, proxy), NotJoined):
                lost = await tx.fetch(_LOST, PROXIES.stream(proxy))
                if lost and 0 <= sent.position < lost[0]["position"]:
                    log.info("proxy.said_before_it_was_lost", proxy=proxy)
                    return
            for row in gone:
                state = await tx.state(ROUTES, row["id"])
                if isinstance(state, Route) and state.attempt == row["attempt"]:
                    await tx.act(ROUTES, row["id"], RemoveRoute(reason="not there any more"))
            await tx.act(PROXIES, proxy, JoinProxy(proxy=proxy))
            if sent.figures is not None:
                await route_figures.add(tx, proxy, sent.figures)

        reads = [(PROXIES, proxy), *((ROUTES, row["id"]) for row in gone)]
        await self._committer.submit(body, Context.of(f"proxy:{proxy}"), reads)

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
