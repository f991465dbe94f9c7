"""What was so at any moment follows from the log, and nothing of those who are forgotten is in it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub import history
from hubbub.domain.grant import GrantRole, grant_id
from hubbub.domain.group import CreateGroup, DeleteGroup, SetProperties
from hubbub.domain.member import AddMember, RemoveMember, member_id
from hubbub.domain.message import Busy, Rejected
from hubbub.domain.proxy import JoinProxy
from hubbub.domain.route import AddRoute, RemoveRoute
from hubbub.domain.server_messages import CancelSpawn, ClaimAttempt, CreateServer, DeleteServer, StartServer
from hubbub.domain.service import RegisterService, Spec
from hubbub.domain.user import CreateUser, DeleteUser, RenameUser, SetAdmin
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.schema import MIGRATIONS, migrate
from hubbub.service import end
from hubbub.testing.postgres import PASSWORDS, Database, PostgresServer
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.verify import rebuild, verify
from hubbub.views import GRANTS, GROUPS, MEMBERS, PROXIES, ROUTES, SERVERS, SERVICES, USERS, View

KEY = Fernet.generate_key().decode()
Connection = "asyncpg.Connection[asyncpg.Record]"
Body = Callable[[Transaction], Awaitable[Any]]
SHORT = {"integer": "int", "timestamp with time zone": "timestamptz"}


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    made = Committer(database.api_dsn, Vault(KEY))
    running = asyncio.create_task(made.run())
    yield made
    await end(running)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


async def commit(committer: Committer, body: Body) -> Any:
    return await committer.submit(body, Context.of("me"))


async def told(owner: Any, view: View, *columns: str) -> list[tuple[Any, ...]]:
    """The history of *view*: these columns, the number of the commit it began with and of the one it ended with."""
    rows = await owner.fetch(f"""
        with commits as (select recorded_at, row_number() over (order by recorded_at) as n
                         from (select distinct recorded_at from events) e)
        select {", ".join(f"h.{name}" for name in columns)}, b.n as b, e.n as e from history.{view.table} h
        join commits b on b.recorded_at = h.began left join commits e on e.recorded_at = h.ended
        where e.n is not null or h.ended = 'infinity' order by h.id, h.began
    """)
    assert len(rows) == await owner.fetchval(f"select count(*) from history.{view.table}")
    return [tuple(row) for row in rows]


async def person(tx: Transaction, id: str, name: str) -> None:
    tx.welcome(id)
    await tx.act(USERS, id, CreateUser(user=id, name=name))


async def test_a_row_is_so_from_its_commit_to_the_next(committer: Committer, owner: Any, database: Database) -> None:
    async def come(tx: Transaction) -> None:
        await person(tx, "u1", "ada")

    async def change(tx: Transaction) -> None:
        await tx.know("u1")
        await tx.act(USERS, "u1", SetAdmin(admin=True))
        await tx.fetch("select 1")  # which sends it
        await tx.act(USERS, "u1", RenameUser(name="ida"))

    async def go(tx: Transaction) -> None:
        await tx.act(USERS, "u1", DeleteUser())

    for body in (come, change, go):
        await commit(committer, body)
    assert await told(owner, USERS, "name", "admin") == [("ada", False, 1, 2), ("ida", True, 2, 3)]
    counts = await owner.fetch("select number from history.counts where what = 'users' order by began")
    assert [row["number"] for row in counts] == [0, 1, 0]
    assert await verify(database.api_dsn, KEY) == []


@pytest.mark.parametrize("looking", [False, True])
async def test_what_a_commit_makes_and_ends_was_never_so(
    committer: Committer, owner: Any, database: Database, looking: bool
) -> None:
    async def act(tx: Transaction, *commands: Any) -> None:
        for command in commands:
            await tx.act(MEMBERS, member_id("g", "u"), command)
            if looking:
                await tx.fetch("select 1")

    there, gone = AddMember(group="g", user="u"), RemoveMember()
    for commands in ([there, gone], [there], [gone, there], [gone], [there, gone, there], [gone, there, gone]):
        await commit(committer, lambda tx, commands=commands: act(tx, *commands))  # type: ignore[misc]
    assert await told(owner, MEMBERS, "user_id") == [("u", 2, 3), ("u", 3, 4), ("u", 5, 6)]
    assert await verify(database.api_dsn, KEY) == []


async def test_what_is_refused_leaves_no_history(committer: Committer, owner: Any, database: Database) -> None:
    async def refused(tx: Transaction) -> None:
        await tx.act(GROUPS, "g1", CreateGroup(name="a"))
        await tx.fetch("select 1")
        raise Busy

    async def made(tx: Transaction) -> None:
        await tx.act(GROUPS, "g2", CreateGroup(name="b"))

    outcomes = await asyncio.gather(commit(committer, made), commit(committer, refused), return_exceptions=True)
    assert isinstance(outcomes[1], Rejected)
    assert [row["id"] for row in await owner.fetch("select id from history.groups")] == ["g2"]
    assert await verify(database.api_dsn, KEY) == []


async def test_every_commit_is_later_than_the_one_before(committer: Committer, owner: Any, database: Database) -> None:
    ahead = await owner.fetchval("update log_head set at = now() + interval '1 hour' returning at")

    async def nothing(tx: Transaction) -> Any:
        return tx.now

    async def something(tx: Transaction) -> Any:
        group = CreateGroup(name=str(tx.now)) if tx.now - ahead == timedelta(microseconds=1) else DeleteGroup()
        await tx.act(GROUPS, "g", group)
        return tx.now

    moments = [await commit(committer, body) for body in (nothing, something, something)]
    assert [moment - ahead for moment in moments] == [timedelta(microseconds=n) for n in (1, 1, 2)]
    found = await owner.fetch("select recorded_at from events order by position")
    assert [row["recorded_at"] for row in found] == moments[1:]
    assert await owner.fetchval("select at from log_head") == moments[-1]
    assert await verify(database.api_dsn, KEY) == []


@pytest.mark.parametrize("view", history.KEPT, ids=lambda view: view.table)
async def test_a_view_its_history_and_its_past_have_the_same_columns(view: View, owner: Any) -> None:
    for schema, more in (("history", {"began": "timestamptz", "ended": "timestamptz"}), ("past", {})):
        found = await owner.fetch(
            "select column_name, data_type from information_schema.columns where table_schema = $1 and table_name = $2",
            schema,
            view.table,
        )
        assert {name: SHORT.get(type, type) for name, type in found} == {
            **history.columns(view),
            **history.DERIVED.get(view, {}),
            **more,
        }


# Those who are forgotten -----------------------------------------------------------------


async def test_nothing_of_a_forgotten_person_is_left(committer: Committer, owner: Any, database: Database) -> None:
    name = 'ada "q\\" löve'

    async def live(tx: Transaction) -> None:
        for id, called in (("u1", name), ("u2", "bob")):
            await person(tx, id, called)
            await tx.act(SERVERS, f"s-{id}", CreateServer(user=id, name="lab"))

    async def start(tx: Transaction) -> None:
        for id, called in (("u1", name), ("u2", "bob")):
            await tx.know(id)
            start = StartServer(at=tx.now, pool="p", prefix=f"/user/{called}/lab/", deadline=tx.now)
            await tx.act(SERVERS, f"s-{id}", start)

    async def stop(tx: Transaction) -> None:
        await tx.act(SERVERS, "s-u1", CancelSpawn(deadline=tx.now))

    async def rename(tx: Transaction) -> None:
        await tx.know("u1")
        await tx.act(USERS, "u1", RenameUser(name=f"{name}2"))

    async def go(tx: Transaction) -> None:
        await tx.act(USERS, "u1", DeleteUser())
        await tx.act(SERVERS, "s-u1", DeleteServer())
        tx.forget("u1")

    async def everything() -> str:
        tables = [f"history.{view.table}" for view in history.KEPT]
        return "".join([str(await owner.fetch(f"select h.* from {table} h order by h::text")) for table in tables])

    for body in (live, start, stop, rename):
        await commit(committer, body)
    assert "ada" in await everything()
    await commit(committer, go)
    left = await everything()
    assert "ada" not in left and "/user/bob/lab/" in left
    assert await told(owner, USERS, "name") == [("forgotten-1", 1, 4), ("forgotten-1", 4, 5), ("bob", 1, None)]
    assert (await told(owner, SERVERS, "kind", "prefix"))[1] == ("Spawning", "", 2, 3)
    assert await verify(database.api_dsn, KEY) == []
    assert await rebuild(database.owner_dsn, KEY) == []
    assert await everything() == left
    # A history that has kept a name is found.
    await owner.execute("update history.users set name = 'ada' where name = 'forgotten-1'")
    assert await verify(database.api_dsn, KEY) == ["the history of users differs from the log at u1"]


# Proving it, and making it anew ----------------------------------------------------------


async def everything_of(owner: Any) -> dict[str, list[tuple[Any, ...]]]:
    tables = [*(view.table for view in history.KEPT), "server_ids", "proxy_ids", "counts"]
    return {
        table: [tuple(row) for row in await owner.fetch(f"select h.* from history.{table} h order by h::text")]
        for table in tables
    }


@pytest.fixture
async def filled(committer: Committer, database: Database) -> Database:
    """Something of everything that has a history, some of it over."""

    async def first(tx: Transaction) -> None:
        await person(tx, "u1", "ada")
        await person(tx, "u2", "bob")
        await tx.act(SERVERS, "s1", CreateServer(user="u1", name=""))
        await tx.act(SERVERS, "s1", StartServer(at=tx.now, pool="p", prefix="/user/ada/", deadline=tx.now))
        await tx.act(GROUPS, "g1", CreateGroup(name="class", properties={"nul": "\0"}))
        await tx.act(MEMBERS, member_id("g1", "u1"), AddMember(group="g1", user="u1"))
        role = GrantRole(role="r", kind="user", holder="u1", source="login")
        await tx.act(GRANTS, grant_id("r", "user", "u1"), role)
        await tx.act(PROXIES, "p", JoinProxy(proxy="p"))
        await tx.act(ROUTES, "p.s1", AddRoute(proxy="p", server="s1", attempt=1, target="http://t"))
        await tx.act(SERVICES, "v", RegisterService(spec=Spec(name="grader")))

    async def second(tx: Transaction) -> None:
        await tx.know("u2")
        await tx.act(USERS, "u2", DeleteUser())
        claim = ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=tx.now)
        await tx.act(SERVERS, "s1", claim)
        await tx.act(GROUPS, "g1", SetProperties(properties={}))
        await tx.act(ROUTES, "p.s1", RemoveRoute())
        tx.forget("u2")

    for body in (first, second):
        await commit(committer, body)
    return database


TAMPERED = {
    "delete from history.servers where ended < 'infinity'": "the history of servers differs from the log at s1",
    "update history.groups set name = 'x' where ended = 'infinity'": "the history of groups differs from the log at g1",
    "update history.routes set ended = ended + interval '1us'": "the history of routes differs from the log at p.s1",
    "update history.users set began = began - interval '1s' where id = 'u1'": (
        "the history of users differs from the log at u1"
    ),
    "insert into history.proxies select 'q', 1, 1, 1, '{}', now()": (
        "the history of proxies differs from the log at q"
    ),
    "delete from history.server_ids": "the history of servers differs from the log at s1",
    "update history.server_ids set user_id = 'u2'": "the history of servers differs from the log at s1",
    "update history.counts set number = 7 where number = 1": (
        "the history of how many users there are differs from the log"
    ),
    "delete from history.counts where number = 2": "the history of how many users there are differs from the log",
}


@pytest.mark.parametrize("statement", TAMPERED)
async def test_a_history_that_was_tampered_with_is_found(filled: Database, owner: Any, statement: str) -> None:
    assert await verify(filled.api_dsn, KEY) == []
    await owner.execute(statement)
    assert await verify(filled.api_dsn, KEY) == [TAMPERED[statement]]


async def test_histories_that_were_dropped_are_made_anew_as_they_were(filled: Database, owner: Any) -> None:
    before = await everything_of(owner)
    assert all(before.values())
    for table in before:
        await owner.execute(f"delete from history.{table}")
    await owner.execute("update history.beginning set at = now()")
    assert await rebuild(filled.owner_dsn, KEY) == []
    assert await everything_of(owner) == before
    assert await owner.fetchval("select not isfinite(at) from history.beginning")
    assert await verify(filled.api_dsn, KEY) == []


async def test_an_older_database_has_a_history_from_now_on(
    filled: Database, owner: Any, postgres: PostgresServer, committer: Committer
) -> None:
    before = await everything_of(owner)
    old = postgres.make_empty()
    connection = await asyncpg.connect(old.owner_dsn)
    await connection.execute("create table migrations (number int primary key, name text not null)")
    for migration in MIGRATIONS[:4]:
        await connection.execute(migration.sql)
        await connection.execute("insert into migrations values ($1, $2)", migration.number, migration.name)
    for table in ("events", "person_keys", *(view.table for view in history.KEPT)):
        await _copy(owner, connection, table)
    await connection.execute("delete from log_head")
    await _copy(owner, connection, "log_head")
    await migrate(old.owner_dsn, PASSWORDS)
    assert await verify(old.api_dsn, KEY) == []
    found = await everything_of(connection)
    assert {len(found[view.table]) for view in (USERS, SERVERS, GROUPS, MEMBERS, SERVICES)} == {1}
    assert not found["routes"]

    newer = Committer(old.api_dsn, Vault(KEY))
    running = asyncio.create_task(newer.run())
    await commit(newer, lambda tx: tx.act(GROUPS, "g1", SetProperties(properties={"n": 1})))
    await end(running)
    assert await verify(old.api_dsn, KEY) == []
    assert await connection.fetchval("select count(*) from history.groups") == 2
    assert await rebuild(old.owner_dsn, KEY) == []
    assert await verify(old.api_dsn, KEY) == []
    rebuilt = await everything_of(connection)
    assert {table: rows for table, rows in rebuilt.items() if table != "groups"} == {
        table: rows for table, rows in before.items() if table != "groups"
    }
    assert len(rebuilt["groups"]) == 3
    await connection.close()
    with suppress(asyncpg.PostgresError):
        postgres.drop(old)


async def _copy(source: Any, target: Any, table: str) -> None:
    """The columns of *table* that there are in *target*, of all its rows."""
    names = ", ".join(
        f'"{row[0]}"'
        for row in await target.fetch(
            "select column_name from information_schema.columns where table_schema = 'public' and table_name = $1",
            table,
        )
    )
    rows = [tuple(row) for row in await source.fetch(f"select {names} from {table}")]
    await target.copy_records_to_table(table, records=rows, columns=names.replace('"', "").split(", "))
