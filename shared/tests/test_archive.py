"""The old part of a log is in files, and everything else is as it was: views, histories, their proof, what comes."""

import asyncio
import gzip
from collections.abc import AsyncIterator
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
from hubbub.keeping.archive import archive
from hubbub.keeping.backup import backup
from hubbub.keeping.refused import Refused
from hubbub.keeping.restore import restore
from hubbub.service import end
from hubbub.testing.postgres import Database, PostgresServer
from hubbub.testing.random_log import RandomLog
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.verify import rebuild, verify
from hubbub.views import USERS, VIEWS

KEY = Fernet.generate_key().decode()
TABLES = [*(view.table for view in VIEWS.values()), *(f"history.{view.table}" for view in history.KEPT)]


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    made = Committer(database.api_dsn, Vault(KEY))
    running = asyncio.create_task(made.run())
    yield made
    await end(running)


@pytest.fixture
async def log(committer: Committer) -> RandomLog:
    """To which something has happened."""
    made = RandomLog(committer, Random(4))
    await made.happens(60)
    return made


async def ask(database: Database, query: str, *args: Any) -> list[Any]:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return list(await connection.fetch(query, *args))
    finally:
        await connection.close()


async def value(database: Database, query: str, *args: Any) -> Any:
    [[found]] = await ask(database, query, *args)
    return found


async def all_rows(database: Database) -> dict[str, list[Any]]:
    return {table: await ask(database, f"select t.* from {table} t order by t::text") for table in TABLES}


async def put_away(database: Database, folder: Path, before: Any, **others: Any) -> Any:
    return await archive(database.owner_dsn, KEY, folder, before, say=lambda _: None, **others)


async def test_nothing_is_different_but_that_the_log_begins_later(
    database: Database, log: RandomLog, tmp_path: Path
) -> None:
    before, head = await all_rows(database), await value(database, "select position from log_head")
    done = await put_away(database, tmp_path / "a", head * 2 // 3)
    assert await verify(database.api_dsn, KEY) == []
    assert await all_rows(database) == before
    assert 0 < done.horizon < head * 2 // 3
    assert done.written == done.horizon
    assert await value(database, "select oldest from log_head") == done.horizon + 1
    left = await value(database, "select count(*) from events where position <= $1", done.horizon)
    assert left == done.horizon - done.deleted == await value(database, "select count(*) from remains")
    assert left < done.horizon
    orphans = "select count(*) from subjects s where not exists (select from events e where e.position = s.position)"
    assert await value(database, orphans) == 0

    await log.happens(40)
    assert await verify(database.api_dsn, KEY) == []
    before = await all_rows(database)
    assert await rebuild(database.owner_dsn, KEY) == []
    assert await all_rows(database) == before, "also what was so before the horizon"
    assert await verify(database.api_dsn, KEY) == []


async def test_a_later_archive_goes_on_where_the_earlier_one_ends(
    postgres: PostgresServer, database: Database, log: RandomLog, tmp_path: Path
) -> None:
    for _ in range(3):
        head = await value(database, "select position from log_head")
        await put_away(database, tmp_path / "a", head - 20)
        assert await verify(database.api_dsn, KEY) == []
        await log.happens(20)
    manifest = files.check(tmp_path / "a")
    assert (manifest.begins.position, len(manifest.segments)) == (0, 3)
    named = [each.file for each in manifest.segments] + [each.file for each in manifest.tables]
    found = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert found == sorted([files.MANIFEST, files.SIGNATURE, *named])
    # Together with a backup it is the whole log.
    await backup(database.owner_dsn, KEY, tmp_path / "b")
    restored = postgres.make()
    await restore(restored.owner_dsn, KEY, [tmp_path / "b", tmp_path / "a"])
    assert await verify(restored.api_dsn, KEY) == []
    assert await value(restored, "select oldest from log_head") == 1
    assert await all_rows(restored) == await all_rows(database)
    postgres.drop(restored)


async def test_a_backup_of_what_is_left_is_restored_without_the_archive(
    postgres: PostgresServer, database: Database, log: RandomLog, tmp_path: Path
) -> None:
    head = await value(database, "select position from log_head")
    done = await put_away(database, tmp_path / "a", head // 2)
    await log.happens(10)
    await backup(database.owner_dsn, KEY, tmp_path / "b")
    restored = postgres.make()
    with pytest.raises(Refused, match=f"begin with event {done.horizon + 1}: name the archive"):
        await restore(restored.owner_dsn, KEY, [tmp_path / "b"], done.horizon - 1)
    await restore(restored.owner_dsn, KEY, [tmp_path / "b"])
    assert await verify(restored.api_dsn, KEY) == []
    for table in (*TABLES, "events", "subjects", "snapshot", "remains", "history.counts"):
        query = f"select t.* from {table} t order by t::text"
        assert await ask(restored, query) == await ask(database, query), table
    early = postgres.make()
    await restore(early.owner_dsn, KEY, [tmp_path / "b", tmp_path / "a"], done.horizon // 2)
    assert await verify(early.api_dsn, KEY) == []
    for each in (restored, early):
        postgres.drop(each)


# Those who are forgotten ---------------------------------------------------------------------


async def test_whoever_is_forgotten_is_so_in_the_archive_too(
    database: Database, committer: Committer, tmp_path: Path
) -> None:
    async def come(tx: Transaction) -> None:
        for id, name in (("u1", "ada-lovelace"), ("u2", "bob-of-the-archive")):
            tx.welcome(id)
            await tx.act(USERS, id, CreateUser(user=id, name=name))

    async def go(tx: Transaction) -> None:
        await tx.act(USERS, "u1", DeleteUser())
        tx.forget("u1")

    await committer.submit(come, Context.of("me"))
    await put_away(database, tmp_path / "a", 3)
    readable = "".join(gzip.decompress(path.read_bytes()).decode() for path in (tmp_path / "a").glob("*.gz"))
    assert "u1" in readable and "ada" not in readable and "bob-of" not in readable
    await committer.submit(go, Context.of("me"))
    assert await verify(database.api_dsn, KEY) == []
    assert await rebuild(database.owner_dsn, KEY) == []
    assert "ada" not in str(await all_rows(database))
    assert [row[0] for row in await ask(database, "select name from users")] == ["bob-of-the-archive"]
    # Those of then are in the next one, too, as the keys are by then.
    await put_away(database, tmp_path / "a", 4)
    assert await verify(database.api_dsn, KEY) == []


# Whatever it dies of --------------------------------------------------------------------------

POINTS = ["archive.events_written", "archive.manifest_written", "archive.horizon_moved", "archive.some_deleted"]


class Struck(Exception):
    """As if it were killed."""


@pytest.mark.parametrize("point", POINTS)
async def test_it_goes_on_wherever_it_was_killed(
    database: Database, log: RandomLog, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike(name: str) -> None:
        if name == point:
            raise Struck

    before, head = await all_rows(database), await value(database, "select position from log_head")
    with monkeypatch.context() as patched:
        patched.setattr(faults, "point", strike)
        patched.setattr("hubbub.keeping.archive.AT_ONCE", 20)
        with pytest.raises(Struck):
            await put_away(database, tmp_path / "a", head // 2)
    assert await verify(database.api_dsn, KEY) == []
    assert await all_rows(database) == before
    moved = point in ("archive.horizon_moved", "archive.some_deleted")
    assert (await value(database, "select oldest from log_head") > 1) == moved
    await log.happens(3)
    done = await put_away(database, tmp_path / "a", head // 2)
    assert done.deleted > 0
    assert await value(database, "select count(*) from events where position <= $1", done.horizon) == await value(
        database, "select count(*) from remains"
    )
    assert files.check(tmp_path / "a").ends.position == done.horizon
    assert await verify(database.api_dsn, KEY) == []


# What is not right ------------------------------------------------------------------------------

TAMPERED = {
    "update snapshot set version = version + 1 where stream like 'proxy-%'": "was changed after it was signed",
    "delete from snapshot where stream = (select min(stream) from snapshot)": "was changed after it was signed",
    "update events set data = replace(data, 'u', 'v') where position = (select min(position) from remains)": (
        "was changed after it was written"
    ),
    "delete from events where position = (select min(position) from remains)": "should have stayed",
    'update archives set statement = replace(statement, \'"at":"2\', \'"at":"1\')': "does not have the signature",
    "update archives set key = repeat('00', 32)": "was signed with",
    "update events set data = data || ' ' where position = (select oldest from log_head)": (
        "was changed after it was written"
    ),
    "update users set name = 'x' where id = (select min(id) from users)": "users differs from the log",
    "delete from history.servers where ended > (select at from history.beginning)": "the history of servers differs",
}


@pytest.mark.parametrize("statement", TAMPERED)
async def test_what_was_tampered_with_is_found(
    database: Database, log: RandomLog, tmp_path: Path, statement: str
) -> None:
    head = await value(database, "select position from log_head")
    await put_away(database, tmp_path / "a", head - 40)
    await ask(database, statement)
    found = await verify(database.api_dsn, KEY)
    assert any(TAMPERED[statement] in problem for problem in found), found


async def test_what_somebody_has_not_read_yet_stays(database: Database, log: RandomLog, tmp_path: Path) -> None:
    head = await value(database, "select position from log_head")
    await ask(
        database,
        "insert into bookmarks values ('webhook:audit', 5, '{}'), ('routes:p', 0, ''), ('relay', $1, '')",
        head,
    )
    with pytest.raises(Refused, match=r"read yet, by webhook:audit \(at 5\)"):
        await put_away(database, tmp_path / "a", head)
    assert await value(database, "select oldest from log_head") == 1
    assert (await put_away(database, tmp_path / "a", head, unread=True)).horizon > 5


async def test_only_a_folder_of_this_log_is_taken(
    postgres: PostgresServer, database: Database, log: RandomLog, tmp_path: Path
) -> None:
    head = await value(database, "select position from log_head")
    await put_away(database, tmp_path / "a", head // 3)
    await put_away(database, tmp_path / "b", head // 2)
    with pytest.raises(Refused, match="are in another one"):
        await put_away(database, tmp_path / "a", head)
    assert files.check(tmp_path / "b").begins == files.check(tmp_path / "a").ends
    await backup(database.owner_dsn, KEY, tmp_path / "c")
    with pytest.raises(Refused, match="has a backup"):
        await put_away(database, tmp_path / "c", head)
    horizon = await value(database, "select oldest - 1 from log_head")
    assert (await put_away(database, tmp_path / "b", horizon)).written == 0
    assert await verify(database.api_dsn, KEY) == []


async def test_a_log_that_is_not_whole_is_left_alone(database: Database, log: RandomLog, tmp_path: Path) -> None:
    await ask(database, "update events set data = data || ' ' where position = 7")
    with pytest.raises(Refused, match=r"event 7 .* was changed"):
        await put_away(database, tmp_path / "a", 50)
    assert not (tmp_path / "a" / files.MANIFEST).exists()
    assert await value(database, "select count(*) from events where position < 50") == 49


async def test_an_older_release_beside_it_is_a_hindrance(database: Database, log: RandomLog, tmp_path: Path) -> None:
    old = await asyncpg.connect(database.api_dsn, server_settings={"application_name": "hubbub-committer"})
    with pytest.raises(Refused, match=r"still an api or auth of release 0\.1\.0"):
        await put_away(database, tmp_path / "a", 50)
    await old.close()
