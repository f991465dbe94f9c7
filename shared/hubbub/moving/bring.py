"""Brings what was found into the log, by the commands that everything else comes into it by.

Each thing has an id that follows from what it is in JupyterHub, and is brought once: whoever does it again, after a
crash in the middle, goes on where it ended.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec

from hubbub import sessions
from hubbub.config import Options
from hubbub.domain.grant import GrantRole, Kind, grant_id
from hubbub.domain.group import CreateGroup
from hubbub.domain.member import AddMember, member_id
from hubbub.domain.role import DefineRole
from hubbub.domain.server_messages import CreateServer
from hubbub.domain.service import RegisterService
from hubbub.domain.session import OpenSession
from hubbub.domain.share import ShareServer, share_id
from hubbub.domain.token import IssueToken
from hubbub.domain.user import CreateUser, NoUser
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.moving import theirs
from hubbub.moving.running import run
from hubbub.moving.source import Source
from hubbub.moving.survey import Prepared, Survey
from hubbub.moving.theirs import TheirServer, TheirShare, TheirToken
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.views import (
    GRANTS,
    GROUPS,
    MEMBERS,
    ROLES,
    SERVERS,
    SERVICES,
    SESSIONS,
    SHARES,
    TOKENS,
    USERS,
    View,
)

_NAMESPACE = UUID("5f0a2c1e-6c0b-4a52-9d0e-6d0d1b6a7c11")


class Bringing:
    """*taken_over*: the hub has JupyterHub's cookie secret, so that its login cookies are good here."""

    def __init__(
        self, committer: Committer, vault: Vault, survey: Survey, origin: str, *, taken_over: bool = False
    ) -> None:
        self._committer = committer
        self._vault = vault
        self._survey = survey
        self._origin = origin
        self._taken_over = taken_over

    @property
    def _options(self) -> Options:
        return self._survey.options

    def id(self, kind: str, id: int) -> str:
        return uuid5(_NAMESPACE, f"{self._origin}/{kind}/{id}").hex

    async def bring(self, source: Source) -> None:
        """All of it; the survey's report tells how much was new."""
        brought = self._survey.report.brought
        brought.update(await self._submit(self._groups_and_roles))
        async for users in theirs.users(source):
            prepared = [self._survey.prepare(user) for user in users]
            brought.update(await self._submit_users(prepared))
        async for shares in theirs.shares(source):
            self._survey.report.found["shares"] += len(shares)
            brought.update(await self._submit_shares(shares))
        brought.update(await self._submit(self._services))

    async def _submit(self, body: Any) -> Any:
        return await self._committer.submit(body, Context.of("operator"))

    # Groups, roles, services --------------------------------------------------------------

    async def _groups_and_roles(self, tx: Transaction) -> Counter[str]:
        done: Counter[str] = Counter()
        for role in self._survey.roles.values():
            if role.managed and await _is_new(tx, ROLES, role.name):
                await tx.act(ROLES, role.name, DefineRole(scopes=role.scopes, description=role.description))
        await tx.load([(GROUPS, self.id("group", id)) for id in self._survey.groups])
        for group in self._survey.groups.values():
            id = self.id("group", group.id)
            if not await _is_new(tx, GROUPS, id):
                continue
            await tx.act(GROUPS, id, CreateGroup(name=group.name, properties=group.properties))
            await self._grant(tx, "group", id, self._survey.granted(group.roles))
            done["groups"] += 1
        return done

    async def _grant(self, tx: Transaction, kind: Kind, holder: str, roles: Iterable[tuple[str, bool]]) -> None:
        for role, managed in roles:
            source = "login" if managed else "configuration"
            grant = GrantRole(role=role, kind=kind, holder=holder, source=source)
            await tx.act(GRANTS, grant_id(role, kind, holder), grant)

    async def _services(self, tx: Transaction) -> Counter[str]:
        done: Counter[str] = Counter()
        for service, spec in self._survey.services:
            id = self.id("service", service.id)
            if await _is_new(tx, SERVICES, id):
                await tx.act(SERVICES, id, RegisterService(spec=spec))
                done["services"] += 1
        for name, token in self._survey.service_tokens:
            await self._token(tx, token, user="", service=name)
        return done

    # Users --------------------------------------------------------------------------------

    async def _submit_users(self, batch: Sequence[Prepared]) -> Counter[str]:
        async def body(tx: Transaction) -> Counter[str]:
            done: Counter[str] = Counter()
            await self._load(tx, batch)
            names = [each.user.name for each in batch]
            there = {row["name"]: row["id"] for row in await tx.read(_NAMED, names)}
            for each in batch:
                id = self.id("user", each.user.id)
                if there.get(each.user.name, id) == id:
                    await self._user(tx, id, each, done)
                else:
                    self._survey.report.note("not brought: there is a user of that name here", each.user.name)
            return done

        return await self._submit(body)  # type: ignore[no-any-return]

    async def _load(self, tx: Transaction, batch: Sequence[Prepared]) -> None:
        keys: list[tuple[View, str]] = []
        for each in batch:
            id = self.id("user", each.user.id)
            keys += [(USERS, id), (SESSIONS, self.id("session", each.user.id))]
            keys += [(MEMBERS, member_id(self.id("group", group), id)) for group in each.groups]
            keys += [(GRANTS, grant_id(role, "user", id)) for role, _ in each.roles]
            keys += [(SERVERS, self.id("server", server.id)) for server in each.user.servers]
            keys += [(TOKENS, self.id("token", token.id)) for token in each.tokens]
        await tx.load(keys)
        await self._vault.load(_Reads(tx), [self.id("user", each.user.id) for each in batch])

    async def _user(self, tx: Transaction, id: str, prepared: Prepared, done: Counter[str]) -> None:
        user = prepared.user
        if await _is_new(tx, USERS, id):
            tx.welcome(id)
            await tx.act(USERS, id, CreateUser(user=id, name=user.name, admin=user.admin))
            self._note_times(tx, f"user:{id}", user.created, user.last_activity)
            if prepared.auth_state is not None:
                tx.remember(f"auth_state:{id}", id, prepared.auth_state)
                done["auth states"] += 1
            if user.info:
                tx.remember(f"user_info:{id}", id, msgspec.json.encode(user.info))
            await self._session(tx, id, prepared)
            done["users"] += 1
        elif isinstance(await tx.state(USERS, id), NoUser):
            return  # deleted since it was brought
        for group in prepared.groups:
            place = member_id(self.id("group", group), id)
            if await _is_new(tx, MEMBERS, place):
                await tx.act(MEMBERS, place, AddMember(group=self.id("group", group), user=id))
                done["memberships"] += 1
        await self._grant(
            tx,
            "user",
            id,
            [role for role in prepared.roles if await _is_new(tx, GRANTS, grant_id(role[0], "user", id))],
        )
        for token in prepared.tokens:
            server = prepared.belongs.get(token.id)
            done["tokens"] += await self._token(tx, token, user=id, server=server)
        for each in user.servers:
            await self._server(tx, id, prepared, each, done)

    async def _session(self, tx: Transaction, user: str, prepared: Prepared) -> None:
        """The login cookie that JupyterHub has given to all browsers of the user is one of a session here."""
        lasts = timedelta(seconds=self._options.cookie_max_age)
        seen = prepared.user.last_activity
        if not self._taken_over or seen is None or seen + lasts < tx.now:
            return
        id = self.id("session", prepared.user.id)
        opened = OpenSession(user=user, hash=token_hash(prepared.user.cookie), address="", expires_at=tx.now + lasts)
        await tx.act(SESSIONS, id, opened)
        sessions.opened(tx, id)

    async def _token(
        self, tx: Transaction, token: TheirToken, *, user: str, service: str = "", server: TheirServer | None = None
    ) -> int:
        """How many were brought."""
        id = self.id("token", token.id)
        if not await _is_new(tx, TOKENS, id):
            return 0
        is_own = server is not None and token.client == theirs.HUB
        issue = IssueToken(
            user=user,
            hash=token.hashed,
            scopes=token.scopes,
            note=token.note,
            service=service,
            client=server.client if server and is_own and server.client else token.client,
            session=token.session,
            server=self.id("server", server.id) if server else "",
            expires_at=token.expires_at,
        )
        await tx.act(TOKENS, id, issue)
        tx.later(_LEGACY, token.hashed, token.prefix)
        self._note_times(tx, f"token:{id}", token.created, token.last_activity)
        return 1

    async def _server(
        self, tx: Transaction, user: str, prepared: Prepared, server: TheirServer, done: Counter[str]
    ) -> None:
        id = self.id("server", server.id)
        if not await _is_new(tx, SERVERS, id):
            return
        await tx.act(SERVERS, id, CreateServer(user=user, name=server.name, display_name=server.display_name))
        self._note_times(tx, f"server:{id}", None, server.last_activity)
        for kind, secret in (("options", server.options), ("state", server.state)):
            if secret:
                tx.remember(f"{kind}:{id}", user, msgspec.json.encode(secret))
        done["servers"] += 1
        if place := prepared.places.get(server.id):
            own = prepared.own.get(server.id)
            await run(tx, id, server, place, self.id("token", own.id) if own else "")
            done["running servers"] += 1

    # Shares -------------------------------------------------------------------------------

    async def _submit_shares(self, shares: Sequence[TheirShare]) -> Counter[str]:
        async def body(tx: Transaction) -> Counter[str]:
            done: Counter[str] = Counter()
            for share in shares:
                server = self.id("server", share.spawner)
                user = self.id("user", share.user) if share.user else ""
                group = self.id("group", share.group) if share.group else ""
                id = share_id(server, user or group)
                if await _is_new(tx, SERVERS, server) or not await _is_new(tx, SHARES, id):
                    continue
                shared = ShareServer(server=server, user=user, group=group, scopes=share.scopes, at=share.created)
                await tx.act(SHARES, id, shared)
                done["shares"] += 1
            return done

        return await self._submit(body)  # type: ignore[no-any-return]

    def _note_times(
        self, tx: Transaction, subject: str, created: datetime | None, last_activity: datetime | None
    ) -> None:
        if created:
            tx.later(_ORIGIN, subject, created)
        if last_activity:
            tx.later(_ACTIVE, subject, last_activity)


async def _is_new(tx: Transaction, view: View, id: str) -> bool:
    return (await tx.row(view, id)).version == 0


class _Reads:
    """Reads what is in no work that waits."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        return await self._tx.read(query, *args)


_NAMED = "select name, id from users where name = any($1)"
_LEGACY = "insert into legacy_tokens (hashed, prefix) values ($1, $2) on conflict do nothing"
_ORIGIN = "insert into origins (subject, at) values ($1, $2) on conflict do nothing"
_ACTIVE = "insert into activity (subject, at) values ($1, $2) on conflict do nothing"
