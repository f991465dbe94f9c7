"""What `hubbub upgrade --check` finds in the way, and what it only mentions."""

import asyncpg
import pytest

from hubbub import __version__, schema
from hubbub.testing.postgres import Database
from hubbub_local import upgrade
from hubbub_local.cli import main
from hubbub_local.folder import LAYOUT, Folder
from hubbub_local.upgrade import Findings


@pytest.fixture
async def owner(database: Database):
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


async def found(database: Database) -> Findings:
    findings = Findings()
    await upgrade.look(database.owner_dsn, findings)
    return findings


async def test_a_database_of_this_release_is_no_problem(database: Database):
    findings = await found(database)
    assert findings.problems == []
    assert ("ok", f"the database is at migration {schema.NEWEST}, as this release wants it") in findings.found
    assert ("ok", "no api or auth runs now") in findings.found


async def test_migrations_to_come_are_named(database: Database, owner):
    await owner.execute("delete from migrations where number > 10")
    [words] = [words for kind, words in (await found(database)).found if kind == "note"]
    assert words.startswith("migrations to come, which only add: 11 culls, 12 ")


async def test_one_that_breaks_is_in_the_way(database: Database, owner, monkeypatch: pytest.MonkeyPatch):
    breaking = schema.Migration(schema.NEWEST + 1, "less", breaks=True)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, breaking))
    monkeypatch.setattr(schema, "NEWEST", breaking.number)
    [words] = (await found(database)).problems
    assert f"{breaking.number} less; stop them first" in words


async def test_a_database_of_a_newer_release_is_in_the_way(database: Database, owner):
    await owner.execute("insert into migrations (number, name) values (99999, 'from the future')")
    [words] = (await found(database)).problems
    assert words.startswith("the database is at migration 99999")


async def test_events_of_a_newer_release_are_in_the_way(database: Database, owner):
    await owner.execute(
        """insert into events
            (position, stream, version, type, schema_version, data, meta, command_id, recorded_at, hash)
        values (1, 'server-1', 1, 'ServerDreamt', 1, '{}', '{}', 'c1', now(), ''),
               (2, 'planet-1', 1, 'PlanetFound', 1, '{}', '{}', 'c2', now(), ''),
               (3, 'server-2', 1, 'ServerCreated', 2, '{}', '{}', 'c3', now(), '')"""
    )
    [words] = (await found(database)).problems
    assert words.endswith("1 PlanetFound (version 1), 1 ServerCreated (version 2), 1 ServerDreamt (version 1)")


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("hubbub-house/99.0.0", "problem", "an api or auth of release 99.0.0 runs, which is newer"),
        ("hubbub-house", "note", "0.1.0 runs; written once no api or auth is older:"),
        (f"hubbub-house/{__version__}", "ok", f"apis and auths of {__version__} run"),
    ],
)
async def test_who_lives_counts(database: Database, name: str, kind: str, words: str):
    connection = await asyncpg.connect(database.api_dsn, server_settings={"application_name": name})
    assert any(each[0] == kind and each[1].startswith(words) for each in (await found(database)).found)
    await connection.close()


def test_a_folder_of_a_newer_release_is_in_the_way(data: Folder):
    findings = Findings()
    upgrade.look_at_folder(data.root, findings)
    assert findings.problems == []
    (data.root / "version").write_text(f"{LAYOUT + 1}\n")
    upgrade.look_at_folder(data.root, findings)
    assert len(findings.problems) == 1


def test_so_is_a_full_disk(data: Folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upgrade, "ROOM", 10**18)
    findings = Findings()
    upgrade.look_at_folder(data.root, findings)
    assert "MiB are free" in findings.problems[0]


def test_the_command_says_what_it_has_found_and_whether_it_is_in_the_way(tmp_path, database: Database, capsys):
    config = tmp_path / "jupyterhub_config.py"
    config.write_text("c.JupyterHub.authenticator_class = 'dummy'\nc.JupyterHub.db_url = 'x'\n")
    arguments = ["upgrade", "--check", "--data", str(tmp_path), "--postgres", database.owner_dsn, "-f", str(config)]
    assert main(arguments) == 0
    assert "note:    c.JupyterHub.db_url is set, but has no effect in this release\n" in capsys.readouterr().out
    config.write_text("c.JupyterHub.authenticator_class =")
    assert main(arguments) == 1
    assert capsys.readouterr().out.endswith("not yet: 1 in the way\n")
