"""`pam` with real users of this host: the suite of all authenticators, and what is PAM's own."""

import grp
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rigs.accounts import Accounts, accounts
from rigs.ground import Ground, run
from traitlets.config import Config

from hubbub.config import Options
from hubbub_auth.authenticators import configured
from login_suite import CAST, RIGHT, WRONG, Door, Kind, LoginSuite, start
from stack import eventually

pytestmark = pytest.mark.system

SERVICE = f"hubbub-rig-{os.getpid()}"


@pytest.fixture(scope="module")
def people() -> Iterator[Accounts]:
    with accounts([*CAST, "grace", "gone", "Bob"], RIGHT) as made:
        run("usermod", "--expiredate", "1", f"{made.prefix}gone")
        yield made


@pytest.fixture(scope="module")
def sessions(open_ground: Ground) -> Iterator[Path]:
    """A PAM service that writes down which sessions it opens and closes; the file that it writes to."""
    room = open_ground.room("pam")
    seen, file = room / "seen", Path("/etc/pam.d") / SERVICE
    script = open_ground.program(room / "note", f'#!/bin/sh\necho "$PAM_TYPE $PAM_USER" >> {seen}\n')
    lines = ("auth required pam_unix.so", "account required pam_unix.so", f"session required pam_exec.so {script}")
    try:
        file.write_text("".join(f"{line}\n" for line in lines))
        seen.touch()
        yield seen
    finally:
        file.unlink(missing_ok=True)


class TestPam(LoginSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, people: Accounts, sessions: Path) -> Kind:
        config = f"""
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.service = {SERVICE!r}
c.PAMAuthenticator.open_sessions = True
"""
        return Kind(config=config, prefix=people.prefix)

    async def test_a_session_is_open_while_a_server_runs(self, door: Door, sessions: Path):
        """The worker opens it, whoever's the spawner: ours here."""
        name = door.name("bob")

        def steps() -> list[str]:
            return [line for line in sessions.read_text().splitlines() if line.endswith(f" {name}")]

        async def is_closed() -> bool:
            return steps() == [f"open_session {name}", f"close_session {name}"]

        async with door.browser() as browser:
            await door.let_in(browser, "bob")
            await start(door, browser, "bob")
            assert steps() == [f"open_session {name}"]
        status, _ = await door.hub.api("DELETE", f"/users/{name}/server")
        assert status in (202, 204)
        await eventually(is_closed, 20, "the session is closed")

    async def test_who_is_no_user_of_the_host_becomes_none_of_the_hub(self, door: Door):
        status, body = await door.hub.api("POST", "/users", {"usernames": ["nobody-of-this-host"]})
        assert status == 400, body
        assert "does not exist on the system" in body["message"]
        assert (await door.hub.api("GET", "/users/nobody-of-this-host"))[0] == 404

    async def test_no_password_is_in_the_logs(self, door: Door):
        async with door.browser() as browser:
            await door.enter(browser, "ada", "a-guess-that-nobody-else-makes")
        logs = "".join(path.read_text(errors="replace") for path in (door.hub.data / "log").glob("*.log"))
        assert "pam.refused" in logs
        for secret in (RIGHT, "a-guess-that-nobody-else-makes"):
            assert secret not in logs


# The class alone --------------------------------------------------------------------------


def made(base: dict[str, Any] | None = None, **section: Any) -> Any:
    config = {
        "JupyterHub": {"authenticator_class": "pam"},
        "Authenticator": {"allow_all": True, **(base or {})},
        "PAMAuthenticator": section,
    }
    return configured.make(Options(Config(config)))


async def tried(authenticator: Any, username: str, password: str = RIGHT, **more: str) -> Any:
    return await authenticator.get_authenticated_user(None, {"username": username, "password": password, **more})


@pytest.mark.parametrize("password", [WRONG, "", " ", f"{RIGHT}\0", f"{RIGHT}x", RIGHT[:-1], "x" * 4096])
async def test_no_password_but_the_right_one_will_do(people: Accounts, password: str):
    assert await tried(made(), f"{people.prefix}ada", password) is None


async def test_the_right_one_does(people: Accounts):
    """By the usual service, and with a one-time password that nobody has asked for, too."""
    assert (await tried(made(), f"{people.prefix}ada"))["name"] == f"{people.prefix}ada"
    assert await tried(made(), f"{people.prefix}ada", otp="123456")


async def test_an_account_that_is_over_is_not_let_in_unless_nobody_asks(people: Accounts):
    assert await tried(made(), f"{people.prefix}gone") is None
    assert await tried(made(check_account=False), f"{people.prefix}gone")


async def test_two_users_who_differ_in_capitals_are_not_one(people: Accounts):
    assert await tried(made(), f"{people.prefix}Bob") is None
    assert await tried(made(), f"{people.prefix}bob")


def remove(name: str) -> None:
    """The user, if there is one."""
    subprocess.run(["userdel", "--force", "--remove", name], check=False, capture_output=True)


@contextmanager
def group(*members: str) -> Iterator[str]:
    name = f"hubbub-rig-{os.getpid()}"
    run("groupadd", name)
    try:
        for member in members:
            run("usermod", "--append", "--groups", name, member)
        yield name
    finally:
        run("groupdel", name)


async def test_groups_of_the_host_allow_and_make_administrators(people: Accounts):
    ada, zed = f"{people.prefix}ada", f"{people.prefix}zed"
    with group(ada) as name:
        assert grp.getgrnam(name).gr_mem == [ada]
        allowing = made({"allow_all": False}, allowed_groups={name}, admin_groups={name})
        assert (await tried(allowing, ada))["admin"] is True
        assert await tried(allowing, zed) is None
        assert (await tried(made(admin_groups={name}), zed))["admin"] is False
    with pytest.raises(KeyError):
        await tried(made(admin_groups={name}), ada)
    assert await tried(allowing, ada) is None


@pytest.mark.parametrize("command", [None, ["useradd", "--create-home", "--home-dir", "HOME/USERNAME"]])
async def test_users_of_the_host_are_made(people: Accounts, tmp_path: Path, command: list[str] | None):
    """By adduser, or by what the operator has in its place."""
    name, more = f"{people.prefix}new", {}
    if command:
        more = {"add_user_cmd": [word.replace("HOME", str(tmp_path)) for word in command], "uids": {name: 54321}}
    making = made(create_system_users=True, **more)
    try:
        await making.add_user(SimpleNamespace(name=name))
        entry = pwd.getpwnam(name)
        await making.add_user(SimpleNamespace(name=name))
        if command:
            assert (entry.pw_uid, entry.pw_dir) == (54321, f"{tmp_path}/{name}")
            assert (tmp_path / name).stat().st_uid == 54321
    finally:
        remove(name)
