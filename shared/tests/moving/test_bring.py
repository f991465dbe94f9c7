"""What a JupyterHub's database holds comes into the log once, however often, and wherever it was interrupted."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet

sys.path.insert(0, str(Path(__file__).parent))

from their_database import TheirDatabase, token_of

from hubbub import eventlog
from hubbub.access import Access
from hubbub.config import Options, load
from hubbub.handle import Committer
from hubbub.moving import marks, source
from hubbub.moving.back import Back
from hubbub.moving.bring import Bringing
from hubbub.moving.marks import NotEmpty
from hubbub.moving.source import NotReadable, Source, opened
from hubbub.moving.survey import Place, Survey
from hubbub.moving.theirs import TheirServer, TheirUser
from hubbub.service import end
from hubbub.testing.postgres import Database, PostgresServer
from hubbub.vault import Vault
from hubbub.verify import verify

KEY = Fernet.generate_key().decode()


class Somewhere:
    """Every server that runs is a container that any worker can reach."""

    def place(self, user: TheirUser, groups: Sequence[str], server: TheirServer) -> Place | str:
        return "gone" if server.state == {"gone": True} else Place(pool="default", reach="pool", host="h")


class Breaks:
    """A source that is lost after some queries."""

    def __init__(self, source: Source, queries: int) -> None:
        self._source, self._left = source, queries

    async def rows(self, query: str) -> list[dict[str, Any]]:
        self._left -= 1
        if self._left < 0:
            raise ConnectionError("the disk is gone")
        return await self._source.rows(query)


@pytest.fixture
def theirs(tmp_path: Path) -> TheirDatabase:
    return TheirDatabase(tmp_path / "jupyterhub.sqlite")


async def bring(database: Database, found: Source, options: Options | None = None) -> Survey:
    vault = Vault(KEY)
    survey = Survey(options=options or load(""), keys=None, finds=Somewhere())
    async with _running(database, vault) as committer:
        origin = await marks.fingerprint(found)
        if await marks.begin(committer, origin):
            await survey.begin(found)
            await Bringing(committer, vault, survey, origin, taken_over=True).bring(found)
            await marks.end(committer, origin)
    return survey


@asynccontextmanager
async def _running(database: Database, vault: Vault) -> AsyncIterator[Committer]:
    committer = Committer(database.api_dsn, vault)
    task = asyncio.create_task(committer.run())
    try:
        yield committer
    finally:
        await end(task)


async def counted(database: Database, *tables: str) -> dict[str, int]:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return {table: await connection.fetchval(f"select count(*) from {table}") for table in tables}
    finally:
        await connection.close()


TABLES = ("users", "servers", "tokens", "members", "sessions", "legacy_tokens", "events")


async def test_an_import_that_was_interrupted_anywhere_goes_on_where_it_ended(
    theirs: TheirDatabase, postgres: PostgresServer
) -> None:
    theirs.people(range(1, 451))
    async with opened(str(theirs.path)) as found:
        whole = postgres.make()
        await bring(whole, found)
        wanted = await counted(whole, *TABLES)
        assert wanted["users"] == wanted["servers"] == wanted["tokens"] == 450
        broken = postgres.make()
        breaks = 0
        for queries in range(1, 60, 6):
            try:
                await bring(broken, Breaks(found, queries))
                break
            except ConnectionError:
                breaks += 1
        else:
            pytest.fail("it was never brought")
        assert breaks >= 3
        assert await counted(broken, *TABLES) == wanted
        assert await verify(broken.owner_dsn, KEY) == []
        assert (await bring(broken, found)).report.brought == {}
        assert await counted(broken, *TABLES) == wanted


async def test_a_hub_that_has_people_is_refused(theirs: TheirDatabase, database: Database, tmp_path: Path) -> None:
    theirs.people([1])
    other = TheirDatabase(tmp_path / "other.sqlite")
    other.people([7])
    async with opened(str(theirs.path)) as found, opened(str(other.path)) as more:
        await bring(database, found)
        with pytest.raises(NotEmpty):
            await bring(database, more)


async def test_tokens_are_found_by_their_text_then_by_our_own_hash(theirs: TheirDatabase, database: Database) -> None:
    theirs.people([1, 2])
    theirs.token(2, "0001-chosen-by-somebody", rounds=16384, scopes=["read:users!user"])
    theirs.token(2, "0001-over", expires_at="2020-01-01 00:00:00.000000")
    theirs.save()
    async with opened(str(theirs.path)) as found:
        survey = await bring(database, found)
    assert survey.report.found["tokens"] == 3
    async with eventlog.pool(database.auth_dsn) as pool:
        access = Access(pool, load(""))
        for _ in range(2):
            first, chosen = await access.by_token(token_of(1)), await access.by_token("0001-chosen-by-somebody")
            assert first and (first.name, first.admin) == ("user-1", True)
            assert first.created == datetime(2024, 5, 6, 7, 8, 9, 123, tzinfo=UTC)
            assert chosen and chosen.name == "user-2" and "read:users!user=user-2" in chosen.scopes
        assert await pool.fetchval("select count(*) from legacy_tokens where known is not null") == 2
        for wrong in ("0001-over", "0001-wrong", "", "0001", "0001-token-of-1x" * 9):
            assert await access.by_token(wrong) is None


async def test_a_token_that_was_revoked_is_found_by_neither(theirs: TheirDatabase, database: Database) -> None:
    theirs.people([1, 2])
    async with opened(str(theirs.path)) as found:
        await bring(database, found)
    async with eventlog.pool(database.api_dsn) as pool:
        access = Access(pool, load(""))
        assert await access.by_token(token_of(1))
        async with _running(database, Vault(KEY)) as committer:
            from hubbub.domain.token import RevokeToken
            from hubbub.views import TOKENS

            for row in await pool.fetch("select id from tokens"):
                await committer.execute(TOKENS, row["id"], RevokeToken(), eventlog.Context.of("me"))
        assert [await access.by_token(token_of(number)) for number in (1, 2)] == [None, None]


async def test_a_login_cookie_is_a_session_only_while_jupyterhub_would_take_it(
    theirs: TheirDatabase, database: Database
) -> None:
    theirs.people([1])
    now = datetime.now(UTC).replace(tzinfo=None)
    for number, days in ((2, 13), (3, 15)):
        about = {"created": str(now), "last_activity": str(now - timedelta(days=days)), "cookie_id": f"c{number}"}
        theirs.add("users", id=number, name=f"user-{number}", admin=False, **about)
    theirs.save()
    async with opened(str(theirs.path)) as found:
        await bring(database, found)
    async with eventlog.pool(database.api_dsn) as pool:
        access = Access(pool, load(""))
        known = [await access.by_session(secret) for secret in ("cookie-1", "c2", "c3")]
        assert [person and person.name for person in known] == [None, "user-2", None]


async def test_what_others_can_reach_waits_for_a_worker_and_what_is_gone_is_stopped(
    theirs: TheirDatabase, database: Database
) -> None:
    theirs.people([1])
    for number, state in ((50, {"container": "x"}), (51, {"gone": True})):
        server = {"proto": "http", "ip": "10.0.0.1", "port": 8888, "base_url": f"/user/user-1/s{number}/"}
        theirs.add("servers", id=number, **server)
        theirs.add(
            "spawners", id=number, user_id=1, server_id=number, name=f"s{number}", state=state, started="2025-01-01"
        )
    theirs.token(1, "5050-token", note="Server at /user/user-1/s50/", scopes=["users:activity!user"])
    theirs.save()
    async with opened(str(theirs.path)) as found:
        survey = await bring(database, found)
    assert "- not taken over, stopped from now on: gone: user-1/s51" in survey.report.lines()
    async with eventlog.pool(database.api_dsn) as pool:
        query = "select s.*, t.client, t.server from servers s left join tokens t on t.id = s.token order by s.name"
        lab, runs, gone = [dict(row) for row in await pool.fetch(query)]
        assert (lab["kind"], gone["kind"], runs["kind"]) == ("Stopped", "Stopped", "Running")
        assert (runs["holder"], runs["reach"], runs["pool"]) == (None, "pool", "default")
        assert (runs["url"], runs["prefix"]) == ("http://10.0.0.1:8888", "/user/user-1/s50/")
        assert runs["server"] == runs["id"] and runs["deadline"] > datetime.now(UTC) + timedelta(hours=20)
    assert await verify(database.owner_dsn, KEY) == []


async def test_postgres_and_sqlite_hold_the_same(
    theirs: TheirDatabase, postgres: PostgresServer, database: Database
) -> None:
    theirs.people(range(1, 6))
    theirs.add("services", id=1, name="web", admin=True, timeout=30, from_config=False, info={"a": 1})
    scopes = ["access:servers!server=user-1/lab"]
    theirs.add("shares", id=1, created_at="2025-01-01", owner_id=1, spawner_id=1, user_id=2, scopes=scopes)
    theirs.save()
    server = postgres.make_empty()
    await _copy(theirs, server.owner_dsn)
    async with opened(str(theirs.path)) as here, opened(server.owner_dsn.replace("://", "+psycopg2://", 1)) as there:
        assert await marks.fingerprint(here) == await marks.fingerprint(there)
        await bring(database, there)
        assert (await bring(database, here)).report.brought == {}
    wanted = {"users": 5, "servers": 5, "tokens": 5, "members": 3, "services": 1, "shares": 1}
    assert await counted(database, *wanted) == wanted


async def _copy(theirs: TheirDatabase, dsn: str) -> None:
    from hubbub.moving.their_schema import TABLES as THEIRS

    connection = await asyncpg.connect(dsn)
    try:
        for table, columns in {**THEIRS, "share_codes": "id integer primary key"}.items():
            theirs_ = columns.replace("datetime", "timestamp").replace("blob", "bytea").replace(" user v", ' "user" v')
            await connection.execute(f"create table {table} ({theirs_})")
            kinds = {row["column_name"]: row["data_type"] for row in await connection.fetch(_KINDS, table)}
            for row in theirs.rows(table):
                values = [_as(kinds[name], value) for name, value in row.items()]
                names = ", ".join(f'"{name}"' for name in row)
                marks_ = ", ".join(f"${place}" for place in range(1, len(row) + 1))
                await connection.execute(f"insert into {table} ({names}) values ({marks_})", *values)
    finally:
        await connection.close()


_KINDS = "select column_name, data_type from information_schema.columns where table_name = $1"


def _as(kind: str, value: Any) -> Any:
    if kind == "boolean" and value is not None:
        return bool(value)
    return datetime.fromisoformat(value) if kind.startswith("timestamp") and value else value


async def test_what_went_in_comes_out(theirs: TheirDatabase, database: Database, tmp_path: Path) -> None:
    theirs.people(range(1, 4))
    async with opened(str(theirs.path)) as found:
        await bring(database, found)
    back = TheirDatabase.__new__(TheirDatabase)
    back._file = source.sqlite3.connect(tmp_path / "back.sqlite")
    async with eventlog.pool(database.owner_dsn) as pool:
        report = await Back(pool=pool, vault=Vault(KEY), file=back._file, keys=None).write()
    assert report.brought == report.found == {"groups": 1, "users": 3, "memberships": 2, "servers": 3, "tokens": 3}
    for table, columns in (
        ("users", ("name", "created", "last_activity")),
        ("api_tokens", ("hashed", "prefix", "note", "scopes", "created", "client_id")),
        ("spawners", ("name", "user_options")),
        ("user_group_map", ("user_id", "group_id")),
    ):
        then, now = ([[row[column] for column in columns] for row in each.rows(table)] for each in (theirs, back))
        assert then == now


async def test_other_databases_are_refused_in_words(tmp_path: Path, theirs: TheirDatabase) -> None:
    async def refusal(where: str) -> str:
        with pytest.raises(NotReadable) as refused:
            async with opened(where):
                pass
        return str(refused.value)

    (tmp_path / "text").write_text("no database")
    theirs._file.execute("update alembic_version set version_num = '99a28a4418e1'")
    theirs.save()
    assert "upgrade-db" in await refusal(str(theirs.path))
    assert "there is no file" in await refusal(str(tmp_path / "none"))
    assert "no database of a JupyterHub" in await refusal(str(tmp_path / "text"))
    assert "mysql" in await refusal("mysql+pymysql://x@y/z")
    assert "cannot be reached" in await refusal("postgresql://x@127.0.0.1:1/z")
