"""The write side over a real Postgres: batches, refusals, races, memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub.domain.message import AlreadyExists, Busy, Rejected
from hubbub.domain.server_messages import ClaimAttempt, CreateServer, StartServer
from hubbub.domain.user import CreateUser, DeleteUser
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.testing.postgres import Database
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.verify import rebuild, verify
from hubbub.views import SERVERS, USERS, VIEWS

KEY = Fernet.generate_key().decode()
ME = "user:me"


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    made = Committer(database.api_dsn, Vault(KEY))
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def create_user(committer: Committer, name: str) -> str:
    id = uuid4().hex

    async def body(tx: Transaction) -> None:
        tx.welcome(id)
        await tx.act(USERS, id, CreateUser(user=id, name=name))

    await committer.submit(body, Context.of(ME))
    return id


async def start_server(committer: Committer, user: str, name: str) -> str:
    id = uuid4().hex

    async def body(tx: Transaction) -> None:
        await tx.act(SERVERS, id, CreateServer(user=user, name=name))
        await tx.act(
            SERVERS,
            id,
            StartServer(at=tx.now, pool="default", prefix=f"/user/{name}/", deadline=tx.now + timedelta(seconds=9)),
        )

    await committer.submit(body, Context.of(ME), [(SERVERS, id)])
    return id


async def count(database: Database, query: str) -> int:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def test_what_is_committed_is_in_the_log_and_in_the_views(committer: Committer, database: Database) -> None:
    user = await create_user(committer, "ada")
    await start_server(committer, user, "lab")
    assert await count(database, "select count(*) from events") == 3
    assert await count(database, "select count(*) from servers where kind = 'Spawning'") == 1
    assert await verify(database.api_dsn, KEY) == []


async def test_two_users_of_one_name_are_one(committer: Committer, database: Database) -> None:
    outcomes = await asyncio.gather(*(create_user(committer, "ada") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
    assert all(isinstance(outcome, str | AlreadyExists) for outcome in outcomes)
    assert await verify(database.api_dsn, KEY) == []


async def test_a_refused_name_does_not_cost_the_others_of_its_batch(committer: Committer, database: Database) -> None:
    await create_user(committer, "ada")
    names = [f"u{n}" for n in range(30)]
    outcomes = await asyncio.gather(*(create_user(committer, n) for n in [*names, "ada"]), return_exceptions=True)
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 1
    assert await count(database, "select count(*) from users") == 31


async def test_a_refusal_leaves_nothing_behind(committer: Committer, database: Database) -> None:
    user = await create_user(committer, "ada")

    async def half(tx: Transaction) -> None:
        await tx.act(SERVERS, "s1", CreateServer(user=user, name="lab"))
        tx.later("insert into vault (key, value) values ($1, $2)", "k", b"v")
        raise Busy

    works = [committer.submit(half, Context.of(ME)), create_user(committer, "bob")]
    refused, made = await asyncio.gather(*works, return_exceptions=True)
    assert isinstance(refused, Busy)
    assert isinstance(made, str)
    assert await count(database, "select count(*) from servers") == 0
    assert await count(database, "select count(*) from vault") == 0
    assert await verify(database.api_dsn, KEY) == []


async def test_a_refusal_after_a_part_was_sent_leaves_nothing_behind(committer: Committer, database: Database) -> None:
    user = await create_user(committer, "ada")

    async def half(tx: Transaction) -> None:
        await tx.act(SERVERS, "s1", CreateServer(user=user, name="lab"))
        await tx.fetch("select 1")
        raise Busy

    works = [create_user(committer, "eve"), committer.submit(half, Context.of(ME)), create_user(committer, "bob")]
    _, refused, _ = await asyncio.gather(*works, return_exceptions=True)
    assert isinstance(refused, Busy)
    assert await count(database, "select count(*) from servers") == 0
    assert await count(database, "select count(*) from users") == 3
    assert await verify(database.api_dsn, KEY) == []


async def test_a_bug_in_one_decision_fails_only_itself(committer: Committer) -> None:
    async def bug(tx: Transaction) -> None:
        raise ZeroDivisionError

    broken, made = await asyncio.gather(
        committer.submit(bug, Context.of(ME)), create_user(committer, "ada"), return_exceptions=True
    )
    assert isinstance(broken, ZeroDivisionError)
    assert isinstance(made, str)


async def test_positions_have_no_gap_with_several_committers(database: Database) -> None:
    vaults = [Vault(KEY) for _ in range(3)]
    committers = [Committer(database.api_dsn, vault) for vault in vaults]
    running = [asyncio.create_task(each.run()) for each in committers]
    await asyncio.gather(*(create_user(committers[n % 3], f"user{n % 40}") for n in range(120)), return_exceptions=True)
    assert await count(database, "select count(*) from users") == 40
    assert await count(database, "select max(position) - count(*) from events") == 0
    assert await verify(database.api_dsn, KEY) == []
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_one_attempt_has_one_holder(committer: Committer, database: Database) -> None:
    user = await create_user(committer, "ada")
    server = await start_server(committer, user, "lab")

    async def claim(worker: str) -> None:
        async def body(tx: Transaction) -> None:
            command = ClaimAttempt(attempt=1, worker=worker, host="h", token="t", deadline=tx.now)
            await tx.act(SERVERS, server, command)

        await committer.submit(body, Context.of(worker))

    outcomes = await asyncio.gather(*(claim(f"w{n}") for n in range(10)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, Rejected) for outcome in outcomes)


async def test_a_person_can_be_forgotten(committer: Committer, database: Database) -> None:
    user = await create_user(committer, "ada-lovelace")

    async def body(tx: Transaction) -> None:
        await tx.act(USERS, user, DeleteUser())
        tx.forget(user)

    await committer.submit(body, Context.of(ME))
    connection = await asyncpg.connect(database.owner_dsn)
    everything = str(await connection.fetch("select * from events")) + str(
        await connection.fetch("select * from users")
    )
    await connection.close()
    assert "ada-lovelace" not in everything
    assert await verify(database.api_dsn, KEY) == []


async def test_the_services_may_not_rewrite_history(database: Database, committer: Committer) -> None:
    await create_user(committer, "ada")
    for dsn in (database.api_dsn, database.auth_dsn):
        connection = await asyncpg.connect(dsn)
        for statement in ("update events set data = '{}'", "delete from events", "truncate events"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()


async def test_a_flipped_byte_is_found(committer: Committer, database: Database) -> None:
    await create_user(committer, "ada")
    await create_user(committer, "bob")
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("update events set meta = replace(meta, 'user:me', 'user:mf') where position = 1")
    await connection.close()
    assert [problem[:7] for problem in await verify(database.api_dsn, KEY)] == ["event 1"]


async def test_a_view_that_was_tampered_with_is_found(committer: Committer, database: Database) -> None:
    await create_user(committer, "ada")
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("update users set admin = true")
    await connection.close()
    assert [problem[:13] for problem in await verify(database.api_dsn, KEY)] == ["users differs"]


async def test_views_that_were_dropped_are_replayed_as_they_were(committer: Committer, database: Database) -> None:
    for name in ("ada", "bob"):
        await start_server(committer, await create_user(committer, name), "lab")
    connection = await asyncpg.connect(database.owner_dsn)

    async def everything() -> list[object]:
        found = []
        for view in VIEWS.values():
            found += [tuple(row) for row in await connection.fetch(f"select * from {view.table} order by id")]
        return found

    before = await everything()
    for view in VIEWS.values():
        await connection.execute(f"delete from {view.table}")
    assert await everything() == []
    assert await rebuild(database.owner_dsn, KEY) == []
    assert await everything() == before
    await connection.execute("update events set data = replace(data, 'lab', 'lob')")
    assert await rebuild(database.owner_dsn, KEY) != []
    assert await everything() == before
    await connection.close()


async def test_work_goes_on_after_the_connection_broke(committer: Committer, database: Database) -> None:
    await create_user(committer, "ada")
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'hubbub-committer%' "
        "and datname = current_database()"
    )
    await connection.close()
    outcomes = [await asyncio.gather(create_user(committer, f"b{n}"), return_exceptions=True) for n in range(2)]
    assert isinstance(outcomes[-1][0], str)
    assert await verify(database.api_dsn, KEY) == []
