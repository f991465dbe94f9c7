"""Secrets of a kit change step by step: whoever restarts its parts is told whom, and when to go on."""

from pathlib import Path

import pytest

from hubbub_local import bus_users, keys, kit, place, rotation, workers
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.place import Place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kit.make(tmp_path / "kit", kit.Wanted(pools=("default", "gpu")))
    return tmp_path / "kit"


def text(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def rotated(folder: Path, kind: str, **commands: str) -> str:
    said: list[str] = []
    rotation.rotate(of(folder, **commands), kind, said.append)
    return "\n".join(said)


def of(folder: Path, **commands: str) -> Place:
    return place.of(Path("nowhere"), folder, **commands)


@pytest.mark.parametrize(("kind", "file"), [("cookie", "cookie-secret"), ("bus", "bus-key")])
def test_a_key_is_known_to_all_before_it_is_used_and_then_alone(folder: Path, kind: str, file: str) -> None:
    old = text(folder, file)
    said = rotated(folder, kind)
    assert "now restart api" in said
    assert f"then run `hubbub rotate {kind}` again" in said
    first, new = text(folder, file).split(";")
    assert (first, new != old) == (old, True)
    rotated(folder, kind)
    assert text(folder, file) == f"{new};{old}"
    assert "again" not in rotated(folder, kind)
    assert text(folder, file) == new
    assert not [name for name in keys.names(Folder(folder), "") if name.startswith(("new ", "old ", "rotating "))]


def test_a_step_may_be_done_again(folder: Path) -> None:
    old = text(folder, "cookie-secret")
    for _ in range(2):
        rotation.KINDS["cookie"][0].do(of(folder))
    first, _, new = keys.load(Folder(folder)).cookie_secret.partition(";")
    assert first == old
    assert len(new) == 64


def test_with_commands_it_goes_all_the_way(folder: Path, tmp_path: Path) -> None:
    before, log = text(folder, "nats-url-api"), tmp_path / "log"
    commands = {"reload": f"sh -c 'echo reload >> {log}'", "restart": f"sh -c 'echo {{}} >> {log}'"}
    assert rotated(folder, "nats", **commands) == "nats: done"
    assert log.read_text().split() == ["reload", "api", "poller", "proxy-sync", "spawner-worker", "reload"]
    after = text(folder, "nats-url-api")
    assert after.startswith("nats://api~2:")
    names = [user["user"] for user in bus_users.users(Folder(folder), {"api": {}, "pool-gpu": {}})]
    assert names == ["api~2", "pool-gpu~2"]
    assert before.split(":")[2].split("@")[0] not in text(folder, "nats-users.conf")
    assert rotated(folder, "nats", **commands) == "nats: done"
    assert text(folder, "nats-url-api").startswith("nats://api:")


def test_between_the_two_both_users_are_let_in(folder: Path) -> None:
    rotated(folder, "nats", reload="true")
    assert {"api", "api~2"} <= {user["user"] for user in bus_users.users(Folder(folder), {"api": {}})}


def test_the_nodes_of_a_cluster_keep_their_own_password(tmp_path: Path) -> None:
    kit.make(tmp_path / "kit", kit.Wanted(nats=("a:1", "b:1", "c:1")))
    before = text(tmp_path / "kit", "nats.conf")
    assert rotated(tmp_path / "kit", "nats", reload="true", restart="true") == "nats: done"
    assert text(tmp_path / "kit", "nats.conf") == before


def test_nats_has_to_be_told(folder: Path) -> None:
    with pytest.raises(StackError, match="say how by --reload"):
        rotated(folder, "nats")


def test_a_command_that_fails_is_not_passed_over(folder: Path) -> None:
    with pytest.raises(StackError, match=r"false api has failed \(exit status 1\)"):
        rotated(folder, "cookie", restart="false {}")
    assert text(folder, "cookie-secret").count(";") == 1
    assert "run `hubbub rotate cookie` once more" in rotated(folder, "cookie", restart="true")


def test_passwords_of_postgres_are_both_told_until_they_have_changed(folder: Path) -> None:
    rotated(folder, "postgres")
    now, coming = text(folder, "postgres-url-api").split()
    assert now != coming
    assert now.partition("@")[2] == coming.partition("@")[2]


def test_workers_elsewhere_need_the_new_key_first(folder: Path) -> None:
    made = workers.add(of(folder), "gpu", "far", ["hub:4222"])
    assert "give far fresh credentials" in rotated(folder, "bus", restart="true")
    fresh = workers.renew(of(folder), "far", ["hub:4222"])
    assert fresh.bus_key.split(";")[0] == made.bus_key
    assert rotated(folder, "bus", restart="true").startswith("the old key is of no use any more")
    assert text(folder, "bus-key") == fresh.bus_key.split(";")[1]


def test_a_rotation_that_an_earlier_release_has_begun_is_finished(folder: Path) -> None:
    """That one knew two steps: the new key is first, and everybody has been restarted."""
    old, new = text(folder, "vault-key"), keys.new_fernet()
    keys.put(Folder(folder), {"vault_key": f"{new};{old}"})
    rotated(folder, "crypt")
    assert text(folder, "vault-key") == f"{new};{old}"
