"""`hubbub import` and `hubbub export` where the hub is not a data folder's: by an api's environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

sys.path.insert(0, str(Path(__file__).parent))

from their_database import TheirDatabase, token_of

from hubbub import eventlog
from hubbub.access import Access
from hubbub.config import load
from hubbub.testing.postgres import Database

CONFIG = """
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
"""


@pytest.fixture
def environ(database: Database) -> dict[str, str]:
    told = {"HUBBUB_POSTGRES_URL": database.api_dsn, "HUBBUB_VAULT_KEY": Fernet.generate_key().decode()}
    return {**os.environ, **told}


def hubbub(folder: Path, environ: dict[str, str], *arguments: str) -> tuple[int, str]:
    (folder / "config.py").write_text(CONFIG)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "hubbub"), *arguments, "-f", "config.py"],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )
    return done.returncode, done.stdout


async def test_an_import_and_an_export_by_an_apis_environment(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    theirs = TheirDatabase(tmp_path / "jupyterhub.sqlite")
    theirs.people(range(1, 4))
    where = f"sqlite:///{theirs.path}"
    status, would = hubbub(tmp_path, environ, "import", where, "--dry-run")
    assert status == 0 and "users: 3\n" in would and "cleanup_servers and cleanup_proxy are not False" in would, would
    assert "c.JupyterHub.db_url" in would
    assert hubbub(tmp_path, environ, "import", where) == (0, would)
    async with eventlog.pool(database.api_dsn) as pool:
        found = await Access(pool, load("")).by_token(token_of(3))
        assert found and found.name == "user-3"
    assert sorted(os.listdir(tmp_path)) == ["config.py", "jupyterhub.sqlite"]
    status, said = hubbub(tmp_path, environ, "export", "back.sqlite")
    assert status == 0 and "tokens: 3\n" in said, said
    assert (tmp_path / "back.sqlite").stat().st_mode & 0o777 == 0o600
    status, said = hubbub(tmp_path, environ, "export", "back.sqlite")
    assert status == 1 and said == "hubbub: back.sqlite is there already: name a new file\n"


def test_what_cannot_be_read_is_said_in_a_sentence(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database at all")
    for wrong, said in (("none", "hubbub: there is no file"), ("text", "hubbub: it is no database of a JupyterHub")):
        status, output = hubbub(tmp_path, environ, "import", wrong)
        assert status == 1 and output.startswith(said), output
