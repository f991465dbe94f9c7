"""A log as long as one likes, of a hub that has been used for a while: what costs how much if there is much of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from hubbub import eventlog
from hubbub.about import about
from hubbub.domain.message import Command
from hubbub.domain.proxy import JoinProxy
from hubbub.domain.route import AddRoute, RemoveRoute
from hubbub.domain.server_messages import (
    ClaimAttempt,
    CreateServer,
    ReportExit,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.domain.user import CreateUser
from hubbub.eventlog import Context, Recorded
from hubbub.upcast import newest
from hubbub.vault import Vault
from hubbub.verify import rebuild
from hubbub.views import PROXIES, ROUTES, SERVERS, USERS, View

#: Events of a start, from the wish to the route that is gone again.
A_START = 8
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_AT_ONCE = 5000


async def write_log(dsn: str, vault_key: str, *, people: int, starts: int, active: int, often: int) -> None:
    """Write a log into the empty database of the owner's *dsn*, and make its views and histories.

    *people* have a server each; a minute after the other, *starts* of them are started, every second time one of
    those of *often* people (more than half as many as are *active*). So many are *active* from then on; each is
    stopped when as many others have been started after it. People are called `u0`, ..., in the order they came in, a
    second apart.
    """
    log = _Log(Vault(vault_key))
    connection = await asyncpg.connect(dsn)
    try:
        for _ in _use(log, people=people, starts=starts, active=active, often=often):
            if len(log.records) >= _AT_ONCE:
                await log.send(connection)
        await log.send(connection)
        await connection.execute(
            "update log_head set position = $1, hash = $2, at = $3", log.position, log.hash, log.now
        )
    finally:
        await connection.close()
    problems = await rebuild(dsn, vault_key)
    assert problems == [], problems[:3]


class _Log:
    """What was decided and not sent yet."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._streams: dict[tuple[View, str], tuple[Any, int]] = {}
        self._keys: list[tuple[str, bytes]] = []
        self.records: list[Recorded] = []
        self.position, self.hash, self.now = 0, b"", BEGAN

    def welcome(self, person: str) -> None:
        self._keys.append((person, self._vault.invent(person)))

    def act(self, view: View, id: str, command: Command, later: float = 0.0) -> None:
        """In a commit of its own, *later* than the one before by so many seconds."""
        self.now += timedelta(seconds=later, microseconds=1)
        context = Context(command=f"c{self.position}", correlation=f"c{self.position}", actor="service:long-log")
        meta = msgspec.json.encode(context).decode()
        state, version = self._streams.get((view, id), (view.decider.initial, 0))
        for event in view.decider.decide(state, command):
            before, state = state, view.decider.evolve(state, event)
            version, self.position = version + 1, self.position + 1
            record = Recorded(
                position=self.position,
                stream=view.stream(id),
                version=version,
                type=type(event).__name__,
                data=eventlog.encode(event, self._vault),
                meta=meta,
                command_id=context.command,
                recorded_at=self.now,
                schema_version=newest(type(event).__name__),
                about=about(view.decider.name, id, event, before, state, context.actor),
            ).chained(self.hash)
            self.hash = record.hash
            self.records.append(record)
        self._streams[view, id] = (state, version)

    async def send(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await connection.copy_records_to_table("person_keys", records=self._keys)
        if self.records:
            await connection.execute(eventlog.INSERT, *eventlog.columns_of(self.records))
        self._keys.clear()
        self.records.clear()


def _use(log: _Log, *, people: int, starts: int, active: int, often: int) -> Iterator[None]:
    log.act(PROXIES, "p", JoinProxy(proxy="p"))
    for number in range(people):
        log.welcome(f"u{number}")
        log.act(USERS, f"u{number}", CreateUser(user=f"u{number}", name=f"person-{number}"), later=1)
        log.act(SERVERS, f"s{number}", CreateServer(user=f"u{number}", name=""))
        yield
    attempts = [0] * people
    running: list[int] = []
    for number in range(starts):
        half, odd = divmod(number, 2)
        chosen = often + half % (people - often) if odd else half % often
        attempts[chosen] += 1
        _start(log, chosen, attempts[chosen])
        running.append(chosen)
        if len(running) > active:
            gone = running.pop(0)
            _stop(log, gone, attempts[gone])
        yield


def _start(log: _Log, number: int, attempt: int) -> None:
    server, soon = f"s{number}", log.now + timedelta(minutes=2)
    by: dict[str, Any] = {"attempt": attempt, "worker": f"w{number % 10}", "deadline": soon}
    target = f"http://127.0.0.1:{20000 + number % 20000}"
    wish = StartServer(at=log.now, pool="default", prefix=f"/user/person-{number}/", deadline=soon)
    log.act(SERVERS, server, wish, later=58)
    log.act(SERVERS, server, ClaimAttempt(**by, host="h", token=f"t{log.position}"), later=0.01)
    log.act(SERVERS, server, ReportStarted(**by, url=target), later=1)
    log.act(SERVERS, server, ReportResponded(**by), later=0.5)
    log.act(ROUTES, f"p.{server}", AddRoute(proxy="p", server=server, attempt=attempt, target=target), later=0.01)


def _stop(log: _Log, number: int, attempt: int) -> None:
    server, soon = f"s{number}", log.now + timedelta(minutes=2)
    by: dict[str, Any] = {"attempt": attempt, "worker": f"w{number % 10}", "deadline": soon}
    log.act(SERVERS, server, StopServer(deadline=soon), later=0.1)
    log.act(SERVERS, server, ReportExit(**by, status="0"), later=0.3)
    log.act(ROUTES, f"p.{server}", RemoveRoute(), later=0.01)
