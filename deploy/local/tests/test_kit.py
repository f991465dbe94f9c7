"""The kit: secrets and settings of a hub that something else than `hubbub up` runs."""

import asyncio
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from hubbub.schema import NEWEST, migrate
from hubbub.testing.postgres import PASSWORDS, PostgresServer
from hubbub_local import cli, keys, kit, running
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder

SECRETS = ("cookie-secret", "vault-key", "bus-key", "forward-key", "proxy-token", "postgres-password", "login-password")


def contents(root: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in root.iterdir()}


def test_what_is_there_is_kept(tmp_path: Path):
    root = tmp_path / "kit"
    kit.make(root, kit.wanted(root))
    before = contents(root)
    kit.make(root, kit.wanted(root))
    assert contents(root) == before
    assert before.keys() >= {*SECRETS, "postgres-url-owner", "nats-url-pool-default", "nats.conf", "nats-users.conf"}


def test_what_was_said_once_need_not_be_said_again(tmp_path: Path):
    root = tmp_path / "kit"
    kit.make(root, kit.wanted(root, pools=("default", "gpu"), postgres="db.example.org:5432/hub?sslmode=require"))
    kit.make(root, kit.wanted(root, mode=0o444))
    assert kit.text(root, "postgres-url-api").endswith("@db.example.org:5432/hub?sslmode=require")
    assert kit.text(root, "nats-url-pool-gpu").startswith("nats://pool-gpu:")


def test_the_folder_is_closed_and_its_files_may_be_open(tmp_path: Path):
    root = tmp_path / "kit"
    names = kit.make(root, kit.wanted(root, mode=0o444))
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert {stat.S_IMODE((root / name).stat().st_mode) for name in names} == {0o444}
    assert stat.S_IMODE((root / "secrets.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("nodes", [("nats:4222",), ("a:4222", "b:4222", "c:4222")])
def test_nats_can_read_what_is_said_to_it(tmp_path: Path, nodes: tuple[str, ...]):
    root = tmp_path / "kit"
    kit.make(root, kit.wanted(root, nats=nodes, nats_store=str(tmp_path / "store")))
    program = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    checked = subprocess.run(
        [str(program), "-t", "-c", str(root / "nats.conf")], cwd=root, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert kit.text(root, "nats-url-api").count("nats://") == len(nodes)


def test_a_damaged_list_of_wishes_is_no_list(tmp_path: Path):
    (tmp_path / "kit.json").write_text("{")
    with pytest.raises(StackError, match=r"kit\.json is damaged"):
        kit.wanted(tmp_path)


async def test_migrate_makes_the_database_and_its_roles(postgres: PostgresServer, tmp_path: Path):
    made = postgres.make_empty()
    try:
        root = tmp_path / "kit"
        kit.make(root, kit.wanted(root))
        (root / "postgres-url-owner").chmod(0o600)
        (root / "postgres-url-owner").write_text(made.owner_dsn)
        command = [sys.executable, "-m", "hubbub_local", "migrate", str(root)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"the database is at migration {NEWEST}\n"), done.stderr
        password = keys.passwords(Folder(root), "postgres", ["hubbub_api"])["hubbub_api"]
        address = made.owner_dsn.rpartition("@")[2]
        connection = await asyncpg.connect(f"postgresql://hubbub_api:{password}@{address}")
        await connection.close()
    finally:
        await migrate(made.owner_dsn, PASSWORDS)  # all databases of the tests have the same roles
        postgres.drop(made)


def test_migrate_gives_up_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = tmp_path / "kit"
    kit.make(root, kit.wanted(root, postgres="127.0.0.1:1/hubbub"))
    assert cli.main(["migrate", str(root), "--seconds", "0"]) == 1
    assert capsys.readouterr().err.startswith("hubbub: Postgres did not answer within 0 s")


def test_other_commands_find_the_hub_by_its_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = tmp_path / "kit"
    kit.make(root, kit.wanted(root))
    config = tmp_path / "config.py"
    config.write_text('c.JupyterHub.public_url = "https://hub.example.org/"\nc.Authenticator.admin_users = {"ada"}\n')
    monkeypatch.setenv("HUBBUB_KIT", str(root))
    monkeypatch.setenv("HUBBUB_CONFIG", str(config))
    found = running.of(tmp_path / "nothing")
    assert (found.public_url, found.admin_users) == ("https://hub.example.org/", ["ada"])
    assert found.owner_dsn == kit.text(root, "postgres-url-owner")
