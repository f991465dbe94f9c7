"""A hub that is restored is as it was: at any position, from any backup; and whoever is forgotten stays so."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub import faults, history
from hubbub.domain.user import CreateUser, DeleteUser
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.keeping import files
from hubbub.keeping.backup import backup
from hubbub.keeping.files import Damaged, check
from hubbub.keeping.refused import Refused
from hubbub.keeping.restore import Restored, restore
from hubbub.service import end
from hubbub.testing.postgres import Database, PostgresServer
from hubbub.testing.random_log import RandomLog
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.verify import verify
from hubbub.views import USERS

KEY = Fernet.generate_key().decode()


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    async for each in committing(database):
        yield each


async def committing(database: Database) -> AsyncIterator[Committer]:
    made = Committer(database.api_dsn, Vault(KEY))
    running = asyncio.create_task(made.run())
    yield made
    await end(running)


async def ask(database: Database, query: str, *args: Any) -> list[Any]:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return list(await connection.fetch(query, *args))
    finally:
        await connection.close()


async def person(tx: Transaction, id: str, name: str) -> None:
    tx.welcome(id)
    tx.remember(f"auth_state:{id}", id, b"{}")
    await tx.act(USERS, id, CreateUser(user=id, name=name))


async def gone(tx: Transaction, id: str) -> None:
    await tx.act(USERS, id, DeleteUser())
    tx.later("delete from vault where key = $1", f"auth_state:{id}")
    tx.forget(id)


async def as_of(database: Database, position: int) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that has a past, as it was after the commit that *position* was in."""
    connection = await asyncpg.connect(database.owner_dsn, server_settings={"search_path": "past, public"})
    try:
        at = await connection.fetchval("select recorded_at from events where position = $1", position)
        last = await connection.fetchval("select max(position) from events where recorded_at = $1", at)
        await connection.execute(
            "select set_config('hubbub.as_of', $1, false), set_config('hubbub.position', $2, false)",
            at.isoformat(),
            str(last),
        )
        return await rows_of(connection)
    finally:
        await connection.close()


async def now(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return await rows_of(connection)
    finally:
        await connection.close()


async def rows_of(connection: Any) -> dict[str, list[tuple[Any, ...]]]:
    found = {"counts": [tuple(row) for row in await connection.fetch("select what, number from counts")]}
    for view in history.KEPT:
        names = ", ".join(history.columns(view))
        found[view.table] = [
            tuple(row) for row in await connection.fetch(f"select {names} from {view.table} order by id")
        ]
    return found


async def into_new(
    postgres: PostgresServer, folders: list[Path], to: datetime | int | None = None, **others: Any
) -> tuple[Database, Restored]:
    database = postgres.make()
    restored = await restore(database.owner_dsn, KEY, folders, to, **others)
    assert await verify(database.api_dsn, KEY) == []
    return database, restored


# As it was ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_at_any_position_it_is_as_time_travel_says_it_was(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    await RandomLog(committer, random).happens(60)
    manifest = await backup(database.owner_dsn, KEY, tmp_path / "b")
    for position in sorted(random.sample(range(1, manifest.ends.position + 1), 5)):
        restored, said = await into_new(postgres, [tmp_path / "b"], position)
        assert await now(restored) == await as_of(database, position)
        assert said.position >= position
        assert said.position + said.left_out == manifest.ends.position
        postgres.drop(restored)


async def test_the_whole_of_it_goes_on_where_it_was(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path
) -> None:
    log = RandomLog(committer, Random(7))
    await log.happens(40)
    for statement in (
        "insert into activity values ('user:u1', '2026-01-01Z')",
        "insert into settled values ('roles', 'h')",
        "insert into leases values ('relay', 'somebody', 'infinity')",
        "insert into bookmarks select 'webhook:audit', 3, json_build_object('epoch', epoch, 'until', 5) from log_head",
        "insert into bookmarks values ('relay', 3, ''), ('durations', 5, 'x'), ('routes:p', 0, 'y')",
    ):
        await ask(database, statement)
    await backup(database.owner_dsn, KEY, tmp_path / "b")
    restored, said = await into_new(postgres, [tmp_path / "b"])
    assert said.left_out == 0 and said.forgotten == 0
    assert await now(restored) == await now(database)
    for table in ("vault", "person_keys", "activity", "settled", "subjects", "events", "tokens", *HISTORIES):
        query = f"select t.* from {table} t order by t::text"
        assert await ask(restored, query) == await ask(database, query), table
    assert await ask(restored, "select * from leases") == []
    [[before]] = await ask(database, "select epoch from log_head")
    [[epoch]] = await ask(restored, "select epoch from log_head")
    assert epoch != before, "cursors of the old log would mean other events"
    counted, routes, row = await ask(restored, "select reader, position, about from bookmarks order by reader")
    assert (tuple(counted), tuple(routes)) == (("durations", 5, "x"), ("routes:p", 0, "y"))
    assert (row["reader"], row["position"], json.loads(row["about"])) == ("webhook:audit", 3, {"epoch": epoch})

    async for newer in committing(restored):
        log.committer = newer
        await log.happens(20)
    assert await verify(restored.api_dsn, KEY) == []
    postgres.drop(restored)


HISTORIES = [f"history.{view.table}" for view in history.KEPT]


async def test_a_time_is_as_good_as_a_position(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path
) -> None:
    await RandomLog(committer, Random(1)).happens(20)
    await backup(database.owner_dsn, KEY, tmp_path / "b")
    rows = await ask(database, "select max(position) as last, recorded_at as at from events group by 2 order by 2")
    for row, to in ((rows[4], rows[4]["at"]), (rows[4], rows[5]["at"] - timedelta(microseconds=1))):
        restored, said = await into_new(postgres, [tmp_path / "b"], to)
        assert (said.position, said.at) == (row["last"], row["at"])
        postgres.drop(restored)
    restored, said = await into_new(postgres, [tmp_path / "b"], rows[0]["at"] - timedelta(days=1))
    assert said.position == 0
    assert (await now(restored))["users"] == []
    postgres.drop(restored)


async def test_what_was_backed_up_since_then_goes_on_from_there(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path
) -> None:
    log = RandomLog(committer, Random(2))
    await log.happens(20)
    first = await backup(database.owner_dsn, KEY, tmp_path / "1")
    await log.happens(20)
    second = await backup(database.owner_dsn, KEY, tmp_path / "2", since=tmp_path / "1")
    assert second.begins == first.ends
    with pytest.raises(Refused, match=f"events from 1 to {second.ends.position}"):
        await into_new(postgres, [tmp_path / "2"])
    restored, _ = await into_new(postgres, [tmp_path / "2", tmp_path / "1"])
    assert await now(restored) == await now(database)
    postgres.drop(restored)


async def test_it_is_of_one_moment_while_the_hub_works(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path
) -> None:
    log, enough, manifests = RandomLog(committer, Random(6)), asyncio.Event(), []

    async def work() -> None:
        while not enough.is_set():
            await log.happens(1)

    await log.happens(20)
    working = asyncio.create_task(work())
    for number in range(3):
        manifests.append(await backup(database.owner_dsn, KEY, tmp_path / str(number)))
    enough.set()
    await working
    assert manifests[0].ends.position < manifests[2].ends.position
    for number, manifest in enumerate(manifests):
        restored, _ = await into_new(postgres, [tmp_path / str(number)])
        assert without_names(await now(restored)) == without_names(await as_of(database, manifest.ends.position))
        postgres.drop(restored)


def without_names(found: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Whoever was forgotten since then has one in the backup alone."""
    return {table: [row[:4] for row in rows] for table, rows in found.items()}


async def test_one_that_was_interrupted_is_made_again(
    postgres: PostgresServer,
    database: Database,
    committer: Committer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def strike(name: str) -> None:
        if name in ("backup.events_written", "restore.events_written"):
            raise Struck

    await RandomLog(committer, Random(6)).happens(10)
    restored = postgres.make()
    with monkeypatch.context() as patched:
        patched.setattr(faults, "point", strike)
        with pytest.raises(Struck):
            await backup(database.owner_dsn, KEY, tmp_path / "b")
    with pytest.raises(Damaged, match="is no backup and no archive"):
        await restore(restored.owner_dsn, KEY, [tmp_path / "b"])
    await backup(database.owner_dsn, KEY, tmp_path / "b")
    with monkeypatch.context() as patched:
        patched.setattr(faults, "point", strike)
        with pytest.raises(Struck):
            await restore(restored.owner_dsn, KEY, [tmp_path / "b"])
    assert await ask(restored, "select position from log_head") == [(0,)]
    await restore(restored.owner_dsn, KEY, [tmp_path / "b"])
    assert await now(restored) == await now(database)
    postgres.drop(restored)


class Struck(Exception):
    """As if it were killed."""


# What the vault has ---------------------------------------------------------------------------


async def test_of_the_vault_there_is_what_was_chosen_last_and_no_state_of_a_later_attempt(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path
) -> None:
    await RandomLog(committer, Random(5)).happens(60)
    await backup(database.owner_dsn, KEY, tmp_path / "b")
    [[head]] = await ask(database, "select position from log_head")
    position = head * 9 // 10
    restored, said = await into_new(postgres, [tmp_path / "b"], position)
    kept = {row[0] for row in await ask(restored, "select key from vault where key not like 'signing:%'")}
    later = {row[0] for row in await ask(database, "select stream from events where position > $1", said.position)}
    there = {row[0] for row in await ask(restored, "select id from users union select id from servers")}
    everything = [row[0] for row in await ask(database, "select key from vault where key not like 'signing:%'")]
    wanted = {
        key
        for key in everything
        for kind, _, id in [key.partition(":")]
        if id in there and not (kind == "state" and f"server-{id}" in later)
    }
    assert kept == wanted
    assert {key.partition(":")[0] for key in kept} == {"options", "state", "auth_state"}
    assert wanted != set(everything)
    postgres.drop(restored)


# Those who are forgotten -----------------------------------------------------------------------


async def test_whoever_is_forgotten_stays_forgotten(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path
) -> None:
    for id, name in (("u1", "ada"), ("u2", "bob"), ("u3", "eve")):
        await committer.submit(lambda tx, who=id, name=name: person(tx, who, name), Context.of("me"))  # type: ignore[misc]
    early = await backup(database.owner_dsn, KEY, tmp_path / "early")
    for id in ("u1", "u2"):
        await committer.submit(lambda tx, who=id: gone(tx, who), Context.of("me"))  # type: ignore[misc]
    await backup(database.owner_dsn, KEY, tmp_path / "late", since=tmp_path / "early")
    both = [tmp_path / "early", tmp_path / "late"]

    # The later backup does not know them any more, whatever moment is asked for.
    restored, said = await into_new(postgres, both, early.ends.position)
    names = "select name from users order by number"
    assert [row[0] for row in await ask(restored, names)] == ["forgotten-1", "forgotten-2", "eve"]
    assert said.forgotten == 2
    assert {row[0] for row in await ask(restored, "select user_id from refused")} == {"u1", "u2"}
    assert {row[0] for row in await ask(restored, "select key from vault")} == {"auth_state:u3", "signing:archive"}
    postgres.drop(restored)

    # The earlier one does; with a list of them it is told.
    restored, said = await into_new(postgres, both[:1], forgotten={"u2"})
    assert [row[0] for row in await ask(restored, names)] == ["ada", "forgotten-2", "eve"]
    assert {row[0] for row in await ask(restored, "select user_id from refused")} == {"u2"}
    assert "bob" not in str(await ask(restored, "select h.* from history.users h"))
    postgres.drop(restored)


# What is not right ----------------------------------------------------------------------------


async def test_only_an_empty_database_is_restored_into(
    database: Database, committer: Committer, tmp_path: Path
) -> None:
    await RandomLog(committer, Random(3)).happens(3)
    before = await now(database)
    await backup(database.owner_dsn, KEY, tmp_path / "b")
    with pytest.raises(Refused, match="has a backup already"):
        await backup(database.owner_dsn, KEY, tmp_path / "b")
    with pytest.raises(Refused, match="has a log already"):
        await restore(database.owner_dsn, KEY, [tmp_path / "b"])
    assert await now(database) == before


async def test_what_was_changed_is_not_restored(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path
) -> None:
    await RandomLog(committer, Random(3)).happens(10)
    folder = tmp_path / "b"
    manifest = await backup(database.owner_dsn, KEY, folder)
    assert check(folder) == check(folder, manifest.key) == manifest
    with pytest.raises(Damaged, match="was signed with the key"):
        check(folder, "00" * 32)
    for name in (files.MANIFEST, manifest.segments[0].file, "vault.jsonl.gz"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole.replace(whole[20:22], b"#!", 1))
        with pytest.raises(Damaged):
            check(folder)
        empty = postgres.make()
        with pytest.raises(Damaged):
            await restore(empty.owner_dsn, KEY, [folder])
        assert await ask(empty, "select position from events") == []
        (folder / name).write_bytes(whole)
        postgres.drop(empty)
    assert check(folder) == manifest
    for to in (manifest.ends.position + 1,):
        empty = postgres.make()
        with pytest.raises(Refused, match="these end with event"):
            await restore(empty.owner_dsn, KEY, [folder], to)
        postgres.drop(empty)


async def test_tables_of_other_authenticators_come_along(
    postgres: PostgresServer, database: Database, committer: Committer, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(database.auth_dsn)
    await connection.execute("""
        create table plugins.users_info (
            id serial primary key, username varchar(64) unique not null, password bytea, "order" int default 3);
        create table plugins.notes (user_id int references plugins.users_info (id), text text);
        create index notes_text on plugins.notes (text);
        insert into plugins.users_info (username, password) values ('ada', '\\x0001'), ('bob', null);
        insert into plugins.notes values (2, 'x')
    """)
    await connection.close()
    await backup(database.owner_dsn, KEY, tmp_path / "b")
    restored, _ = await into_new(postgres, [tmp_path / "b"])
    for table in ("plugins.users_info", "plugins.notes"):
        assert await ask(restored, f"select * from {table}") == await ask(database, f"select * from {table}")
    connection = await asyncpg.connect(restored.auth_dsn)
    assert await connection.fetchval("insert into plugins.users_info (username) values ('eve') returning id") == 3
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("insert into plugins.users_info (username) values ('ada')")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await connection.execute("insert into plugins.notes values (9, '')")
    await connection.execute("alter table plugins.notes add column more int")
    await connection.close()
    postgres.drop(restored)
