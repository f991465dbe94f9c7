"""Servers of real UNIX users: that they are nobody but themselves, and what is put into their homes."""

# ruff: noqa: ASYNC240  (a test has nobody to keep waiting)

import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from hubbub_spawner_worker import privileges, proc
from hubbub_spawner_worker.gate import Account, CannotRun
from hubbub_spawner_worker.spawners import LocalProcessSpawner, SimpleLocalProcessSpawner, certs

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

SLEEP = ["/bin/sleep", "1000"]


@pytest.fixture(scope="module")
def person():
    """A UNIX user with a home, and with a group besides their own."""
    name = f"hubbub-test-{secrets.token_hex(4)}"
    house = Path(tempfile.mkdtemp())
    house.chmod(0o755)
    subprocess.run(["useradd", "--create-home", "-d", house / name, "-G", "users", "-s", "/bin/sh", name], check=True)
    yield pwd.getpwnam(name)
    subprocess.run(["userdel", name], check=True)
    shutil.rmtree(house)


@pytest.fixture
def paths(tmp_path):
    """What internal TLS has issued, for root's eyes only."""
    tmp_path.chmod(0o700)
    found = {"keyfile": "user.key", "certfile": "user.crt", "cafile": "trust.crt"}
    for kind, name in found.items():
        (tmp_path / name).write_text(f"the {kind}\n")
        (tmp_path / name).chmod(0o600)
    return {kind: str(tmp_path / name) for kind, name in found.items()}


def account(person):
    return Account(uid=person.pw_uid, gid=person.pw_gid, groups=os.getgrouplist(person.pw_name, person.pw_gid))


# As whom ------------------------------------------------------------------------------------


async def test_people_run_as_themselves_in_their_homes(made, person):
    spawner = made("localprocess", user=person.pw_name, cmd=SLEEP)
    await spawner.start()
    status = privileges._fields(Path(f"/proc/{spawner.process.pid}/status").read_text())
    groups = set(map(int, status["Groups"].split()))
    assert set(status["Uid"].split()) == {str(person.pw_uid)}
    assert set(status["Gid"].split()) == {str(person.pw_gid)}
    assert groups == set(os.getgrouplist(person.pw_name, person.pw_gid)) and len(groups) == 2
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert spawner.place.record.uid == person.pw_uid == proc.uid(spawner.process.pid)


async def test_people_are_told_who_they_are(made, person):
    told = made("localprocess", user=person.pw_name).get_env()
    assert (told["USER"], told["HOME"], told["SHELL"]) == (person.pw_name, person.pw_dir, "/bin/sh")


async def test_what_a_user_has_not_is_not_told(made, person, monkeypatch):
    bare = pwd.struct_passwd((person.pw_name, "x", person.pw_uid, person.pw_gid, "", "", ""))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: bare)
    spawner = made("localprocess", user=person.pw_name)
    assert not {"HOME", "SHELL"} & spawner.get_env().keys()
    assert spawner.home() == "/"


async def test_the_worker_must_be_root_or_that_person(made, person, monkeypatch):
    spawner = made("localprocess", user=person.pw_name)
    monkeypatch.setattr(os, "geteuid", lambda: person.pw_uid)
    assert spawner.account() is None
    monkeypatch.setattr(os, "geteuid", lambda: person.pw_uid + 1)
    with pytest.raises(CannotRun, match=person.pw_name):
        spawner.account()


@pytest.mark.parametrize(
    ("options", "left"),
    [({"user": 0}, "Uid: 0"), ({"group": 0}, "Gid: 0"), ({"extra_groups": [0, 4]}, r"Groups: \[0, 4\]")],
)
async def test_a_server_that_keeps_what_is_ours_never_runs(made, person, is_alive, options, left):
    before = {found.pid for found in proc.everybody()}
    spawner = made("localprocess", user=person.pw_name, cmd=SLEEP, popen_kwargs=options)
    with pytest.raises(CannotRun, match=left):
        await spawner.start()
    assert not [
        found
        for found in proc.everybody()
        if found.pid not in before and Path(f"/proc/{found.pid}/cmdline").read_bytes().startswith(b"/bin/sleep")
    ]
    assert spawner.place.record is None


CLEAN = {
    "Uid": "7\t7\t7\t7",
    "Gid": "8\t8\t8\t8",
    "Groups": "8 9",
    "CapPrm": "0000000000000000",
    "CapEff": "0000000000000000",
    "CapAmb": "0000000000000000",
}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, ""),
        ({"Groups": ""}, ""),
        ({"Uid": "7\t7\t0\t7"}, "Uid: 7\t7\t0\t7"),
        ({"Gid": "8\t8\t8\t0"}, "Gid: 8\t8\t8\t0"),
        ({"Groups": "8 9 27"}, "Groups: [27]"),
        ({"CapEff": "0000000000000001"}, "CapEff: 0000000000000001"),
        ({"CapPrm": "0000003fffffffff"}, "CapPrm: 0000003fffffffff"),
        ({"CapAmb": "0000000000000400"}, "CapAmb: 0000000000000400"),
    ],
)
def test_what_is_left_is_named(change, left):
    assert privileges.left_over({**CLEAN, **change}, Account(uid=7, gid=8, groups=[8, 9])) == left


def test_what_does_not_say_who_it_is_is_nobodys():
    assert privileges.left_over({}, Account(uid=7, gid=8, groups=[]))


def test_root_may_keep_what_root_has():
    text = {"Uid": "0 0 0 0", "Gid": "0 0 0 0", "CapEff": "ff"}
    assert privileges.left_over(text, Account(uid=0, gid=0, groups=[])) == ""


# Their certificates -----------------------------------------------------------------------------


async def test_certificates_are_put_where_only_their_owner_can_read_them(made, person, paths):
    moved = await made("localprocess", user=person.pw_name, name="").move_certs(paths)
    folder = Path(person.pw_dir, ".jupyterhub/jupyterhub-certs")
    assert moved == {kind: str(folder / Path(path).name) for kind, path in paths.items()}
    for kind, path in moved.items():
        found = Path(path).stat()
        assert Path(path).read_text() == f"the {kind}\n"
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (person.pw_uid, person.pw_gid, 0o600)
    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (person.pw_uid, 0o700)
    assert all(Path(path).exists() for path in paths.values())


async def test_each_server_has_its_own(made, person, paths):
    folders = set()
    for name in ("", "lab", "gpu"):
        moved = await made("localprocess", user=person.pw_name, name=name).move_certs(paths)
        folders.add(Path(moved["keyfile"]).parent)
        assert {Path(path).parent for path in moved.values()} <= folders
    assert len(folders) == 3
    assert all((folder / "user.key").exists() for folder in folders)


async def test_a_trap_in_the_home_catches_only_its_owner(person, paths, tmp_path):
    roots = Path(tempfile.mkdtemp(dir="/tmp"))
    roots.chmod(0o755)
    home = Path(person.pw_dir)
    (home / "trap").symlink_to(roots)
    with pytest.raises(CannotRun, match="cannot be put into"):
        await certs.hand_over(paths, home / "trap" / "certs", account(person))
    assert list(roots.iterdir()) == [] and roots.stat().st_uid == 0
    secret = roots / "secret"
    secret.write_text("roots")
    (home / "open").mkdir()
    (home / "open/user.key").symlink_to(secret)
    os.chown(home / "open", person.pw_uid, person.pw_gid)
    await certs.hand_over(paths, home / "open", account(person))
    assert secret.read_text() == "roots"
    assert not (home / "open/user.key").is_symlink()
    shutil.rmtree(roots)


async def test_without_a_home_there_is_nowhere_to_put_them(made, paths):
    with pytest.raises(CannotRun, match=r"certificates cannot be put into .*nonexistent"):
        await made("localprocess", user="nobody").move_certs(paths)


async def test_our_own_user_needs_no_help(paths, tmp_path):
    moved = await certs.hand_over(paths, tmp_path / "new", None)
    assert Path(moved["cafile"]).read_text() == "the cafile\n"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


async def test_where_all_are_one_user_nothing_is_moved(made, paths):
    assert await made().move_certs(paths) == paths
    assert await made("localprocess").move_certs({}) == {}
    assert issubclass(SimpleLocalProcessSpawner, LocalProcessSpawner)
