"""A hub to which things happen at random: by requests, by reports of workers and proxies, several in one commit."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.grant import GrantRole, WithdrawRole, grant_id
from hubbub.domain.member import AddMember, RemoveMember, member_id
from hubbub.domain.message import Command, Rejected
from hubbub.domain.names import prefix
from hubbub.domain.proxy import JoinProxy, LoseProxy, Mended, NoteCorrections
from hubbub.domain.route import AddRoute, RemoveRoute
from hubbub.domain.server_messages import (
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    DeleteServer,
    Failure,
    ForceStop,
    LoseAttempt,
    RenameServer,
    ReportExit,
    ReportFailed,
    ReportMoved,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.domain.server_states import Known
from hubbub.domain.service import RegisterService, Spec
from hubbub.eventlog import Context
from hubbub.transaction import Transaction
from hubbub.views import GRANTS, MEMBERS, PROXIES, ROUTES, SERVERS, SERVICES

BY_CHANCE = Context.of("chance")
PROXY_NAMES = ("p", "q")
ROLE = "watcher"


class Happenings:
    """*house*: an api of `conftest`. `names`: all that each person (by id) was ever called; `forgotten`: pseudonyms."""

    def __init__(self, house: Any, seed: int, token: str) -> None:
        self.house = house
        self.token = token
        self.dice = random.Random(seed)
        self.names: dict[str, list[str]] = {}
        self.forgotten: dict[str, str] = {}  # name -> pseudonym
        self._number = 0
        self._now: datetime
        self._ways = {
            self.people_come: 1,
            self.person_changes: 2,
            self.person_goes: 1,
            self.server_is_made: 2,
            self.server_goes_on: 16,
            self.servers_change_together: 2,
            self.group_changes: 5,
            self.role_changes: 2,
            self.routes_change: 8,
            self.proxy_changes: 2,
            self.service_changes: 1,
        }
        #: Each of them once, to begin with.
        self._first = self.dice.sample(list(self._ways), len(self._ways))

    async def begin(self) -> None:
        """There is something of everything, so that all of it can change."""
        for way in (self.people_come, self.people_come, *[self.server_is_made] * 4, *[self.group_changes] * 6):
            self._now = (await self.rows("select clock_timestamp()"))[0][0]
            await way()
        await self.commit(*((PROXIES, proxy, JoinProxy(proxy=proxy)) for proxy in PROXY_NAMES))

    async def happen(self) -> str:
        """One of them that changes something; which."""
        [before] = await self.rows("select position, clock_timestamp() as now from log_head")
        self._now = before["now"]
        while True:
            way = self._first.pop() if self._first else self.dice.choices(list(self._ways), [*self._ways.values()])[0]
            await way()
            if (await self.rows("select position from log_head"))[0]["position"] > before["position"]:
                return way.__name__

    def new(self, kind: str) -> str:
        """A name that nothing else has, nor a part of it."""
        self._number += 1
        return f"{kind}z{self._number}z"

    async def ask(self, method: str, path: str, body: Any = None) -> int:
        more = {} if body is None else {"json": body}
        answer = await self.house.ask(f"/hub/api{path}", method=method, token=self.token, **more)
        assert answer.status < 500, await answer.text()
        return int(answer.status)

    async def commit(self, *changes: tuple[Any, str, Command], looking: bool = False) -> None:
        """In one commit; *looking* at the database after each, which sends it. What is refused does not happen."""

        async def body(tx: Transaction) -> None:
            for view, id, command in changes:
                if person := getattr(await tx.state(view, id), "user", ""):
                    await tx.know(person)
                await tx.act(view, id, command)
                if looking:
                    await tx.fetch("select 1")

        with suppress(Rejected):
            await self.house.committer.submit(body, BY_CHANCE.follow())

    async def rows(self, query: str, *args: Any) -> list[Any]:
        return list(await self.house.pool.fetch(query, *args))

    async def one(self, query: str) -> Any:
        rows = await self.rows(query)
        return self.dice.choice(rows) if rows else None

    # People -----------------------------------------------------------------------------

    async def person(self) -> Any:
        return await self.one("select id, name, number from users where name <> 'root' order by number")

    async def people_come(self) -> None:
        names = [self.new("u") for _ in range(self.dice.randint(1, 3))]
        assert await self.ask("POST", "/users", {"usernames": names, "admin": self.dice.random() < 0.2}) == 201
        for row in await self.rows("select id, name from users where name = any($1)", names):
            self.names[row["id"]] = [row["name"]]

    async def person_changes(self) -> None:
        if (who := await self.person()) is None:
            return
        if self.dice.random() < 0.5:
            await self.ask("PATCH", f"/users/{who['name']}", {"admin": self.dice.random() < 0.5})
            return
        name = self.new("u")
        both = {"name": name, "admin": True} if self.dice.random() < 0.3 else {"name": name}
        assert await self.ask("PATCH", f"/users/{who['name']}", both) == 200
        self.names[who["id"]].append(name)

    async def person_goes(self) -> None:
        idle = "not exists (select from servers s where s.user_id = u.id and s.kind <> 'Stopped')"
        who = await self.one(f"select id, name, number from users u where name <> 'root' and {idle} order by number")
        if who is not None:
            assert await self.ask("DELETE", f"/users/{who['name']}") == 204
            self.forgotten |= dict.fromkeys(self.names[who["id"]], f"forgotten-{who['number']}")

    # Servers ----------------------------------------------------------------------------

    async def server_is_made(self) -> None:
        if (who := await self.person()) is not None:
            name = "" if self.dice.random() < 0.5 else self.new("s")
            made = CreateServer(user=who["id"], name=name, display_name=self.dice.choice(["", 'A "lab" \\ ü']))
            more = [(SERVERS, made_id := uuid4().hex, made)]
            if self.dice.random() < 0.3:
                more.append((SERVERS, made_id, self.start(who["name"], name)))
            await self.commit(*more, looking=self.dice.random() < 0.5)

    def start(self, owner: str, name: str) -> StartServer:
        return StartServer(at=self._now, pool="default", prefix=prefix("/", owner, name), deadline=self._now)

    async def server_goes_on(self) -> None:
        row = await self.one(_SERVERS)
        if row is not None:
            await self.commit((SERVERS, row["id"], self.next_of(row)))

    async def servers_change_together(self) -> None:
        rows = await self.rows(_SERVERS)
        chosen = self.dice.sample(rows, min(len(rows), 3))
        changes = [(SERVERS, row["id"], self.next_of(row)) for row in chosen]
        if chosen and chosen[0]["kind"] == "Stopped":
            id = chosen[0]["id"]
            changes = [(SERVERS, id, self.start(chosen[0]["owner"], chosen[0]["name"])), *changes[1:]]
            changes += [(SERVERS, id, CancelSpawn(deadline=self._now)), (SERVERS, id, DeleteServer())]
        await self.commit(*changes, looking=self.dice.random() < 0.5)

    def next_of(self, row: Any) -> Command:
        """Something that may happen to a server in its state."""
        state = SERVERS.decode_state(row["state"])
        assert isinstance(state, Known)
        about: dict[str, Any] = {"attempt": state.attempt, "worker": "w1", "deadline": self._now + timedelta(hours=1)}
        stop: list[Command] = [StopServer(deadline=self._now)]
        exited: list[Command] = [ReportExit(**about, status="1"), ReportExit(**about, status="0", resumes=True)]
        lost: list[Command] = [LoseAttempt(**about, reason="gone")]
        url = f"http://127.0.0.1:{self.dice.randint(1, 9)}"
        claimed: Command = ClaimAttempt(**about, host="h", token=uuid4().hex, reach="host")
        started: Command = ReportStarted(**about, url=url)
        ways: dict[str, list[Command]] = {
            "Stopped": [
                *[self.start(row["owner"], row["name"])] * 6,
                RenameServer(name=row["name"], display_name=self.new("d")),
                DeleteServer(),
            ],
            "Spawning": [
                *([started] * 6 if getattr(state, "holder", None) else [claimed] * 6),
                ReportFailed(**about, failure=Failure(reason="bad", message='no {"prefix":"x"} luck')),
                CancelSpawn(deadline=self._now),
                *lost,
            ],
            "Started": [*[ReportResponded(**about, version="1")] * 8, *stop, *exited, *lost],
            "Running": [*stop * 3, *exited, *lost, ReportMoved(attempt=state.attempt, worker="w1", url=url)],
            "Stopping": [*exited * 3, ForceStop()],
        }
        return self.dice.choice(ways[row["kind"]])

    # Groups, roles ----------------------------------------------------------------------

    async def group_changes(self) -> None:
        group, who = await self.one("select id, name from groups order by number"), await self.person()
        if group is None or self.dice.random() < 0.2:
            assert await self.ask("POST", f"/groups/{self.new('g')}", {"users": [who["name"]] if who else []}) == 201
            return
        path, dice = f"/groups/{group['name']}", self.dice.random()
        if dice < 0.1:
            assert await self.ask("DELETE", path) == 204
        elif dice < 0.3:
            assert await self.ask("PUT", f"{path}/properties", {"n": self._number, "nul": "\0"}) == 200
        elif who and dice < 0.4:
            id = member_id(group["id"], who["id"])
            there, gone = AddMember(group=group["id"], user=who["id"]), RemoveMember()
            changes = [(MEMBERS, id, each) for each in (gone, there, gone, there)]
            await self.commit(*changes, looking=self.dice.random() < 0.5)
        elif who:
            await self.ask(self.dice.choice(["POST", "POST", "DELETE"]), f"{path}/users", {"users": [who["name"]]})

    async def role_changes(self) -> None:
        who, group = await self.person(), await self.one("select id from groups order by number")
        kind, holder = ("group", group) if self.dice.random() < 0.4 else ("user", who)
        if holder is not None:
            granted = GrantRole(role=ROLE, kind=kind, holder=holder["id"], source="configuration")  # type: ignore[arg-type]
            command: Command = WithdrawRole(reason="chance") if self.dice.random() < 0.4 else granted
            await self.commit((GRANTS, grant_id(ROLE, kind, holder["id"]), command))  # type: ignore[arg-type]

    # Proxies ----------------------------------------------------------------------------

    async def routes_change(self) -> None:
        proxy = self.dice.choice(PROXY_NAMES)
        services = [f"service:{row['id']}" for row in await self.rows("select id from services order by number")]
        active = await self.rows("select id, attempt from servers where kind in ('Running', 'Started') order by number")
        known = [(row["id"], row["attempt"]) for row in active]
        server, attempt = self.dice.choice([("hub", 0), *((each, 0) for each in services), *known * 3])
        target = f"http://127.0.0.1:{self.dice.randint(1, 3)}"
        there = AddRoute(proxy=proxy, server=server, attempt=attempt, target=target)
        changes: list[Command] = self.dice.choice(
            [[there], [there], [there], [RemoveRoute()], [RemoveRoute(), there], [there, RemoveRoute()]]
        )
        id = f"{proxy}.{server}"
        await self.commit(*((ROUTES, id, each) for each in changes), looking=self.dice.random() < 0.5)

    async def proxy_changes(self) -> None:
        proxy = self.dice.choice(PROXY_NAMES)
        mended = NoteCorrections(
            proxy=proxy, reason="looked", count=1, routes=(Mended(server="hub", found=None, made="http://h"),)
        )
        command = self.dice.choice([JoinProxy(proxy=proxy), JoinProxy(proxy=proxy), LoseProxy(reason="gone"), mended])
        await self.commit((PROXIES, proxy, command))

    async def service_changes(self) -> None:
        known = await self.one("select name from services order by number")
        if known is not None and self.dice.random() < 0.4:
            assert await self.ask("DELETE", f"/services/{known['name']}") == 200
            return
        spec = Spec(name=self.new("v"), url="http://127.0.0.1:9")
        await self.commit((SERVICES, uuid4().hex, RegisterService(spec=spec)))


@pytest.fixture
def options() -> Options:
    roles = [{"name": ROLE, "scopes": ["read:hub"]}]
    return Options(Config({"JupyterHub": {"allow_named_servers": True, "load_roles": roles}}))


@pytest.fixture
async def admin(house: Any) -> str:
    """A token for everything."""
    await house.person("root", admin=True)
    return str(await house.token("root"))


@pytest.fixture
def happenings(house: Any, admin: str) -> Callable[[int], Happenings]:
    """By their seed."""
    return lambda seed: Happenings(house, seed, admin)


_SERVERS = """
    select s.id, s.name, s.kind, s.state, u.name as owner from servers s join users u on u.id = s.user_id
    order by s.number
"""
