"""The views and their tables agree, and what they hold follows from the log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub.domain.grant import GrantRole, WithdrawRole, grant_id
from hubbub.domain.group import CreateGroup, SetProperties
from hubbub.domain.member import AddMember, RemoveMember, member_id
from hubbub.domain.message import AlreadyExists
from hubbub.domain.service import RegisterService, Spec
from hubbub.domain.share import RevokeShare, ShareServer, share_id
from hubbub.domain.share_code import IssueShareCode, UseShareCode
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.history import DERIVED
from hubbub.testing.postgres import Database
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.verify import rebuild, verify
from hubbub.views import GRANTS, GROUPS, MEMBERS, SERVICES, SHARE_CODES, SHARES, USERS, VIEWS, View

KEY = Fernet.generate_key().decode()
NEW = [GROUPS, MEMBERS, GRANTS, SHARES, SHARE_CODES, SERVICES]
SHORT = {"integer": "int", "timestamp with time zone": "timestamptz"}


@asynccontextmanager
async def committing(dsn: str) -> AsyncIterator[Committer]:
    committer = Committer(dsn, Vault(KEY))
    running = asyncio.create_task(committer.run())
    try:
        yield committer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def owner(database: Database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


async def _everything(tx: Transaction) -> None:
    """Something in each of the new views, changed since, and something that is gone again."""
    await tx.act(GROUPS, "g1", CreateGroup(name="class", properties={"year": 1, "nul": "\x00", "ö": [None, 2**70]}))
    await tx.act(GROUPS, "g1", SetProperties(properties={"year": 2, "nul": "\x00"}))
    for user in ("u1", "u2"):
        await tx.act(MEMBERS, member_id("g1", user), AddMember(group="g1", user=user))
    await tx.act(MEMBERS, member_id("g1", "u2"), RemoveMember())
    for source in ("login", "configuration"):
        role = GrantRole(role="teacher", kind="group", holder="g1", source=source)
        await tx.act(GRANTS, grant_id("teacher", "group", "g1"), role)
    cull = grant_id("cull", "user", "u1")
    await tx.act(GRANTS, cull, GrantRole(role="cull", kind="user", holder="u1", source="configuration"))
    await tx.act(GRANTS, cull, WithdrawRole(reason="configuration"))
    await tx.act(SHARES, share_id("s1", "u2"), ShareServer(server="s1", user="u2", scopes=("b", "a"), at=tx.now))
    await tx.act(SHARES, share_id("s1", "u2"), RevokeShare(scopes=("b",)))
    await tx.act(SHARES, share_id("s1", "g1"), ShareServer(server="s1", group="g1", scopes=("a",), at=tx.now))
    await tx.act(SHARES, share_id("s1", "g1"), RevokeShare())
    code = IssueShareCode(server="s1", hash="sha256:1", scopes=("a",), expires_at=tx.now + timedelta(days=1))
    await tx.act(SHARE_CODES, "c1", code)
    await tx.act(SHARE_CODES, "c1", UseShareCode(user="u2", at=tx.now))
    spec = Spec(name="grader", info={"a": {"b": 1.5}}, oauth_client_id="service-grader")
    await tx.act(SERVICES, "v1", RegisterService(spec=spec))


@pytest.fixture
async def filled(database: Database) -> Database:
    async with committing(database.api_dsn) as committer:
        await committer.submit(_everything, Context.of("user:me"))
    return database


Rows = dict[str, list[tuple[object, ...]]]


async def rows(connection: "asyncpg.Connection[asyncpg.Record]") -> Rows:
    return {
        view.table: [tuple(row) for row in await connection.fetch(f"select * from {view.table} order by id")]
        for view in NEW
    }


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
async def test_a_view_and_its_table_have_the_same_columns(
    view: View, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    found = await owner.fetch(
        "select column_name, data_type from information_schema.columns "
        "where table_schema = 'public' and table_name = $1",
        view.table,
    )
    common = {"id": "text", "number": "bigint", "version": "int", "position": "bigint", "state": "text"}
    assert {name: SHORT.get(type, type) for name, type in found} == {**common, **view.columns, **DERIVED.get(view, {})}


async def test_each_new_view_shows_what_there_is_now(
    filled: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for view, columns in (
        (GROUPS, [("g1", "class")]),
        (MEMBERS, [("g1.u1", "g1", "u1")]),
        (GRANTS, [("teacher/group/g1", "teacher", "group", "g1", "configuration")]),
        (SHARES, [("s1.u2", "s1", "u2", "")]),
        (SERVICES, [("v1", "grader", "service-grader")]),
    ):
        found = await owner.fetch(f"select id, {', '.join(view.columns)} from {view.table}")
        assert [tuple(row) for row in found] == columns
    assert await owner.fetchval("select hash || server || (expires_at > now()) from share_codes") == "sha256:1s1true"


async def test_the_new_views_are_what_the_log_says(filled: Database) -> None:
    assert await verify(filled.api_dsn, KEY) == []


@pytest.mark.parametrize("view", NEW, ids=lambda view: view.table)
async def test_a_row_that_was_tampered_with_is_found(
    view: View, filled: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    column = next(iter(view.columns))
    [id] = [row["id"] for row in await owner.fetch(f"update {view.table} set {column} = 'other' returning id")]
    assert await verify(filled.api_dsn, KEY) == [f"{view.table} differs from the log at {id}"]
    await owner.execute(f"delete from {view.table}")
    assert await verify(filled.api_dsn, KEY) == [f"{view.table} differs from the log at {id}"]


async def test_new_views_that_were_dropped_are_replayed_as_they_were(
    filled: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    before = await rows(owner)
    assert all(len(found) == 1 for found in before.values())
    for view in NEW:
        await owner.execute(f"delete from {view.table}")
    assert await rebuild(filled.owner_dsn, KEY) == []
    assert await rows(owner) == before
    assert await verify(filled.api_dsn, KEY) == []


async def test_two_services_are_not_one_client(filled: Database) -> None:
    async def as_grader(tx: Transaction) -> None:
        spec = Spec(name="another", oauth_client_id="service-grader")
        await tx.act(SERVICES, "v2", RegisterService(spec=spec))

    async def without_login(tx: Transaction) -> None:
        for id in ("v3", "v4"):
            await tx.act(SERVICES, id, RegisterService(spec=Spec(name=id)))

    async with committing(filled.api_dsn) as committer:
        with pytest.raises(AlreadyExists):
            await committer.submit(as_grader, Context.of("user:me"))
        await committer.submit(without_login, Context.of("user:me"))
    assert await verify(filled.api_dsn, KEY) == []


async def test_auth_reads_the_new_views_and_changes_only_what_logins_bring(filled: Database) -> None:
    connection = await asyncpg.connect(filled.auth_dsn)
    try:
        for view in NEW:
            assert await connection.fetchval(f"select count(*) from {view.table}") == 1
        for view in (SHARES, SHARE_CODES, SERVICES):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"delete from {view.table}")
        for view in (GRANTS, MEMBERS, GROUPS):
            await connection.execute(f"delete from {view.table}")
    finally:
        await connection.close()


@pytest.mark.parametrize("key", ["auth_state:u1", "user_info:u1", "password:a1"])
async def test_auth_sees_of_the_vault_what_logins_keep(filled: Database, key: str) -> None:
    owner, auth = await asyncpg.connect(filled.owner_dsn), await asyncpg.connect(filled.auth_dsn)
    try:
        for each in (key, "state:s1", "options:s1"):
            await owner.execute("insert into vault values ($1, 'x') on conflict do nothing", each)
        assert [row["key"] for row in await auth.fetch("select key from vault")] == [key]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await auth.execute("insert into vault values ('state:s2', 'x')")
        assert await auth.execute("delete from vault") == "DELETE 1"
    finally:
        await owner.close()
        await auth.close()


async def test_the_number_of_users_is_that_of_their_rows(
    filled: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async def is_right() -> bool:
        return bool(
            await owner.fetchval("select number = (select count(*) from users) from counts where what = 'users'")
        )

    def row(id: str, name: str) -> tuple[object, ...]:
        return (id, 1, 1, 1, "{}", name, False)

    for written in ([row("n1", "n1"), row("n2", "n2")], [row("n2", "renamed"), row("n3", "n3")]):
        await owner.execute(USERS.upsert(), *map(list, zip(*written, strict=True)))
        assert await is_right()
    async with owner.transaction():
        await owner.execute("delete from users where id in ('n1', 'n3', 'nobody')")
        assert await is_right()
    assert await rebuild(filled.owner_dsn, KEY) == []
    assert await is_right()
    connection = await asyncpg.connect(filled.api_dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("update counts set number = 0")
    finally:
        await connection.close()
