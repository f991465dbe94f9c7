"""A hub to which anything happens, a commit after the other: what holds of any log is tried with one of these."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

from hubbub.domain.grant import GrantRole, WithdrawRole, grant_id
from hubbub.domain.group import CreateGroup, DeleteGroup, SetProperties
from hubbub.domain.member import AddMember, RemoveMember, member_id
from hubbub.domain.message import Command, Rejected
from hubbub.domain.proxy import JoinProxy, LoseProxy
from hubbub.domain.route import AddRoute, RemoveRoute
from hubbub.domain.server_messages import (
    ClaimAttempt,
    CreateServer,
    DeleteServer,
    ReportExit,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.domain.token import IssueToken, RevokeToken
from hubbub.domain.user import CreateUser, DeleteUser, RenameUser, SetAdmin
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.transaction import Transaction
from hubbub.views import GRANTS, GROUPS, MEMBERS, PROXIES, ROUTES, SERVERS, TOKENS, USERS, View

PLACES = 4  # of each kind


class RandomLog:
    """*random* alone decides what happens. Ids are used once, but for those that the hub itself uses again."""

    def __init__(self, committer: Committer, random: Random) -> None:
        self.committer = committer
        self._random = random
        self._made = 0
        self._users: dict[int, str] = {}
        self._servers: dict[str, str] = {}

    async def happens(self, commits: int) -> None:
        for _ in range(commits):
            await self.committer.submit(self._something, Context.of("service:chance"))

    async def _something(self, tx: Transaction) -> None:
        for _ in range(self._random.randint(1, 4)):
            step: Callable[[Transaction], Awaitable[None]] = self._random.choice(
                [
                    self._user,
                    self._user,
                    self._server,
                    self._server,
                    self._server,
                    self._group,
                    self._route,
                    self._token,
                ]
            )
            with suppress(Rejected):
                await step(tx)

    async def _act(self, tx: Transaction, view: View, id: str, command: Command) -> Any:
        state, _ = await tx.act(view, id, command)
        return state

    async def _user(self, tx: Transaction) -> None:
        place = self._random.randrange(PLACES)
        if place not in self._users:
            self._made += 1
            id = self._users[place] = f"u{self._made}"
            tx.welcome(id)
            await self._act(tx, USERS, id, CreateUser(user=id, name=f"person-{self._made}"))
            return
        id = self._users[place]
        await tx.know(id)
        match self._random.randrange(4):
            case 0:
                self._made += 1
                await self._act(tx, USERS, id, RenameUser(name=f"renamed-{self._made}"))
            case 1:
                await self._act(tx, USERS, id, SetAdmin(admin=self._random.random() < 0.5))
            case 2:
                await self._act(tx, SERVERS, self._server_of(id), CreateServer(user=id, name="lab"))
            case _:
                await self._leave(tx, place, id)

    def _server_of(self, user: str) -> str:
        return self._servers.setdefault(user, f"s{user}")

    async def _leave(self, tx: Transaction, place: int, user: str) -> None:
        server = self._server_of(user)
        if type(await tx.state(SERVERS, server)).__name__ not in ("Absent", "Stopped"):
            return
        await self._act(tx, USERS, user, DeleteUser())
        with suppress(Rejected):
            await self._act(tx, SERVERS, server, DeleteServer())
        for row in await tx.fetch("select id from members where user_id = $1", user):
            await self._act(tx, MEMBERS, row["id"], RemoveMember(reason="user deleted"))
        for row in await tx.fetch("select id from tokens where user_id = $1", user):
            await self._act(tx, TOKENS, row["id"], RevokeToken(reason="user deleted"))
        for key in (f"auth_state:{user}", f"options:{server}", f"state:{server}"):
            tx.later("delete from vault where key = $1", key)
        tx.forget(user)
        del self._users[place]

    async def _server(self, tx: Transaction) -> None:
        if not self._users:
            return
        user = self._random.choice(list(self._users.values()))
        server, soon = self._server_of(user), tx.now + timedelta(minutes=5)
        state = await tx.state(SERVERS, server)
        by: dict[str, Any] = {"attempt": getattr(state, "attempt", 0), "worker": "w", "deadline": soon}
        await tx.know(user)
        command: Command
        match type(state).__name__:
            case "Absent":
                command = CreateServer(user=user, name="lab")
            case "Stopped":
                command = StartServer(at=tx.now, pool="p", prefix=f"/user/of-{user}/", deadline=soon)
                tx.remember(f"options:{server}", user, f"options {state.attempt + 1}".encode())
            case "Spawning" if state.holder is None:
                command = ClaimAttempt(**by, host="h", token=f"t{state.attempt}")
            case "Spawning":
                command = ReportStarted(**by, url="http://127.0.0.1:1")
                tx.remember(f"state:{server}", user, f"state {state.attempt}".encode())
            case "Started":
                command = ReportResponded(**by)
            case "Running" if self._random.random() < 0.5:
                command = StopServer(deadline=soon)
            case _:
                command = ReportExit(**by, status="0")
                tx.later("delete from vault where key = $1", f"state:{server}")
        await self._act(tx, SERVERS, server, command)

    async def _group(self, tx: Transaction) -> None:
        group = f"g{self._random.randrange(PLACES)}"
        user = self._random.choice([*self._users.values(), "nobody"])
        commands: list[tuple[View, str, Command]] = [
            (GROUPS, group, CreateGroup(name=f"group {group}")),
            (GROUPS, group, SetProperties(properties={"n": self._random.randrange(9)})),
            (GROUPS, group, DeleteGroup()),
            (MEMBERS, member_id(group, user), AddMember(group=group, user=user)),
            (MEMBERS, member_id(group, user), RemoveMember(reason="asked")),
            (GRANTS, grant_id("r", "group", group), GrantRole(role="r", kind="group", holder=group, source="asked")),
            (GRANTS, grant_id("r", "group", group), WithdrawRole(reason="asked")),
        ]
        await self._act(tx, *self._random.choice(commands))

    async def _route(self, tx: Transaction) -> None:
        proxy = f"p{self._random.randrange(2)}"
        if not self._servers or self._random.random() < 0.2:
            lose = LoseProxy(reason="silent")
            await self._act(tx, PROXIES, proxy, self._random.choice([JoinProxy(proxy=proxy), lose]))
            return
        server = self._random.choice(list(self._servers.values()))
        add = AddRoute(proxy=proxy, server=server, attempt=1, target=f"http://127.0.0.1:{self._random.randrange(9)}")
        await self._act(tx, ROUTES, f"{proxy}.{server}", self._random.choice([add, RemoveRoute()]))

    async def _token(self, tx: Transaction) -> None:
        if not self._users:
            return
        user = self._random.choice(list(self._users.values()))
        await tx.know(user)
        rows = await tx.fetch("select id from tokens where user_id = $1 order by number", user)
        if rows and self._random.random() < 0.6:
            await self._act(tx, TOKENS, rows[0]["id"], RevokeToken())
            return
        self._made += 1
        token = IssueToken(user=user, hash=f"hash-{self._made}", note=f"note of {user}")
        await self._act(tx, TOKENS, f"token{self._made}", token)
        tx.remember(f"auth_state:{user}", user, b"{}")
