"""Backup, restore, archive and check as commands, on a database that something else runs."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub.admin import issue_token
from hubbub.keeping import files
from hubbub.testing.postgres import Database, PostgresServer
from hubbub_local import cli

KEY = Fernet.generate_key().decode()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    monkeypatch.setenv("HUBBUB_VAULT_KEY_FILE", str(tmp_path / "key"))


@pytest.fixture
def used(database: Database) -> Database:
    """With two administrators, who have a token each."""
    for name in ("ada", "bob"):
        asyncio.run(issue_token(database.api_dsn, KEY, name, frozenset({name})))
    return database


def ask(dsn: str, query: str) -> list[tuple[object, ...]]:
    async def rows() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(rows())


def test_a_database_goes_into_a_folder_and_comes_back(
    used: Database, postgres: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, new = str(tmp_path / "b"), postgres.make_empty()
    passwords = ask(used.owner_dsn, "select rolname, rolpassword from pg_authid where rolname like 'hubbub%'")
    assert cli.main(["backup", folder, "--postgres", used.owner_dsn]) == 0
    said = capsys.readouterr().out
    assert said.startswith("4 events, up to 4 (") and "needs the hub's secrets.json" in said
    assert cli.main(["check", folder]) == 0
    key = capsys.readouterr().out.strip().rpartition(" ")[2]
    assert cli.main(["check", folder, "--key", "00" * 32]) == 1
    assert cli.main(["restore", folder, "--postgres", new.owner_dsn, "--to", "2", "--key", key]) == 0
    assert "2 later events were left out\nthe log and every view of it are whole" in capsys.readouterr().out
    assert ask(new.owner_dsn, "select name from users") == [("ada",)]
    # The roles are those of other databases, too: who works there is not disturbed.
    assert passwords == ask(used.owner_dsn, "select rolname, rolpassword from pg_authid where rolname like 'hubbub%'")
    postgres.drop(new)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["restore", "{b}", "--postgres", "{dsn}"], "that database has a log already"),
        (["backup", "{b}", "--postgres", "{dsn}"], "has a backup already"),
        (["restore", "{a}", "--postgres", "{dsn}"], "is no backup and no archive"),
        (["archive", "{b}", "--before", "4", "--postgres", "{dsn}"], "has a backup: take another one"),
        (["restore", "{b}", "--data", "{a}"], "put the hub's secrets.json into"),
        (["backup", "{a}", "--data", "{a}"], "there is no hub in"),
    ],
)
def test_what_cannot_be_done_is_said(
    used: Database, tmp_path: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["backup", str(tmp_path / "b"), "--postgres", used.owner_dsn]) == 0
    places = {"a": tmp_path / "a", "b": tmp_path / "b", "dsn": used.owner_dsn}
    assert cli.main([each.format(**places) for each in arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_another_vault_key_opens_nothing(
    used: Database,
    postgres: PostgresServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cli.main(["backup", str(tmp_path / "b"), "--postgres", used.owner_dsn]) == 0
    monkeypatch.setenv("HUBBUB_VAULT_KEY_FILE", "")
    monkeypatch.setenv("HUBBUB_VAULT_KEY", Fernet.generate_key().decode())
    new = postgres.make_empty()
    assert cli.main(["restore", str(tmp_path / "b"), "--postgres", new.owner_dsn]) == 1
    assert "that vault key does not open this backup" in capsys.readouterr().err
    assert ask(new.owner_dsn, "select count(*) from events") == [(0,)]
    postgres.drop(new)


def test_an_archive_is_made_by_age_or_position(
    used: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "a")
    assert cli.main(["archive", folder, "--before", "90d", "--postgres", used.owner_dsn]) == 0
    assert capsys.readouterr().out == "0 events were archived, 0 deleted here: the log begins with 1\n"
    assert cli.main(["archive", folder, "--before", "4", "--postgres", used.owner_dsn]) == 0
    assert "events were archived" in capsys.readouterr().out
    assert cli.main(["check", folder]) == 0
    assert files.check(tmp_path / "a").kind == "archive"
    with pytest.raises(SystemExit):
        cli.main(["archive", folder, "--before", "whenever", "--postgres", used.owner_dsn])
