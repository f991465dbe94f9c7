"""People of the hub who are users of its host; and nobody at all."""

import asyncio
import os
import pwd
import time
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub_auth.authenticators import Authenticator, LocalAuthenticator, NullAuthenticator, configured
from hubbub_auth.authenticators.aside import WAITING, Aside, Full
from hubbub_auth.authenticators.local import groups_of
from hubbub_auth.authenticators.null import NOBODY
from hubbub_auth.testing import House

ME = pwd.getpwuid(os.getuid()).pw_name


class Local(LocalAuthenticator):
    """An operator's own."""

    async def authenticate(self, handler, data):
        return data["username"]


def made(kind=Local, **section) -> Authenticator:
    config = {"JupyterHub": {"authenticator_class": kind}, "LocalAuthenticator": section}
    return configured.make(Options(Config(config)))


def user(name):
    return SimpleNamespace(name=name)


@pytest.fixture
def command(tmp_path) -> Path:
    """In the place of adduser: writes down what it gets, one word a line, and fails for `eve`."""
    script, seen = tmp_path / "adduser", tmp_path / "seen"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {seen}\nif [ "$4" = eve ]; then echo no room; exit 3; fi\n')
    script.chmod(0o755)
    return script


# Users of the host ------------------------------------------------------------------------


async def test_who_is_a_user_of_the_host_is_welcome():
    await made().add_user(user(ME))


@pytest.mark.parametrize("name", ["nobody-of-this-name", "", "a\0b", "x" * 300, "ada:x"])
async def test_who_is_none_is_not(name):
    with pytest.raises(KeyError, match="create_system_users"):
        await made().add_user(user(name))


async def test_users_are_made(command):
    """By words: what a shell would do with them never happens."""
    words = [str(command), "--home", "/custom home/USERNAME; true", "$(id)"]
    making = made(create_system_users=True, add_user_cmd=words, uids={"rhea": 4321})
    await making.add_user(user("nora"))
    await making.add_user(user("rhea"))
    seen = (command.parent / "seen").read_text().splitlines()
    assert seen[:4] == ["--home", "/custom home/nora; true", "$(id)", "nora"]
    assert seen[4:] == ["--home", "/custom home/rhea; true", "$(id)", "--uid", "4321", "rhea"]


async def test_a_command_that_fails_says_why(command):
    making = made(create_system_users=True, add_user_cmd=[str(command), "-q", "--gecos", ""])
    with pytest.raises(RuntimeError, match="Failed to create system user eve: no room"):
        await making.add_user(user("eve"))
    with pytest.raises(RuntimeError, match=r"nora.*No such file"):
        await made(create_system_users=True, add_user_cmd="/nowhere/adduser").add_user(user("nora"))


async def test_whom_somebody_else_has_made_meanwhile_is_welcome(command, monkeypatch):
    making = made(create_system_users=True, add_user_cmd=[str(command), "-q", "--gecos", ""])
    answers = iter([False, True])
    monkeypatch.setattr(making, "system_user_exists", lambda _: next(answers))
    await making.add_user(user("eve"))


@pytest.mark.parametrize(
    "name",
    [
        "-h", "--uid=0", "-", ".", "..", ".profile", "../root", "a/b", "1000", "a b", " a", "a\n", "a:b", "a,b", "a;id",
        "$(id)", "`id`", "a'b", 'a"b', "é", "x" * 33, "", "@", "ａ",
    ],
)  # fmt: skip
async def test_no_user_is_made_by_an_odd_name(command, name):
    making = made(create_system_users=True, add_user_cmd=[str(command)])
    with pytest.raises(ValueError, match="No system user"):
        await making.add_user(user(name))
    assert not (command.parent / "seen").exists()


@pytest.mark.parametrize("name", ["ada", "Ada", "ada.lovelace", "ada_l", "2023a", "_svc", "ada@example.org"])
def test_a_usual_name_is_no_odd_one(name):
    assert made(add_user_cmd=["x"]).command_for(name) == ["x", name]


def test_the_usual_command_asks_nothing():
    assert made().add_user_cmd == ["adduser", "-q", "--gecos", '""', "--disabled-password"]


# Groups of the host -----------------------------------------------------------------------


async def model(authenticator, name):
    return await authenticator.get_authenticated_user(None, {"username": name})


@pytest.mark.parametrize(
    ("section", "name", "is_allowed"),
    [
        ({"allowed_groups": {"root"}}, "root", True),
        ({"allowed_groups": {"daemon"}}, "root", False),
        ({"allowed_groups": {"no-such-group", "root"}}, "root", True),
        ({"allowed_groups": {"no-such-group"}}, "root", False),
        ({"allowed_groups": {"root"}}, "nobody-of-this-name", False),
        ({"allowed_groups": {"daemon"}, "allowed_users": {"root"}}, "root", True),
        ({"group_whitelist": {"root"}}, "root", True),
        ({}, "root", False),
    ],
)
async def test_groups_of_the_host_allow(section, name, is_allowed):
    assert (await model(made(**section), name) is not None) is is_allowed


async def test_a_subclass_may_ask_what_ours_says_as_jupyterhubs_may():
    class Picky(Local):
        def check_allowed(self, username, authentication=None):
            return super().check_allowed(username, authentication) and username != "root"

    assert await model(made(Picky, allowed_groups={"root", "daemon"}), "root") is None
    assert await model(made(Picky, allowed_groups={"root", "daemon"}), "daemon")


async def test_a_list_that_does_not_answer_is_in_nobodys_way(monkeypatch):
    """The host's groups may be in a network."""
    go_on = Event()

    def wait(name):
        go_on.wait(10)
        return groups_of(name)

    monkeypatch.setattr("hubbub_auth.authenticators.local.groups_of", wait)
    asking = asyncio.create_task(model(made(allowed_groups={"root"}), "root"))
    began = time.monotonic()
    await asyncio.sleep(0.05)
    assert time.monotonic() - began < 5
    assert not asking.done()
    go_on.set()
    assert await asking


# Threads for that -------------------------------------------------------------------------


async def test_who_comes_when_too_many_wait_is_told_to_come_again():
    aside, go_on = Aside(2, "test"), Event()
    waiting = [asyncio.create_task(aside.call(go_on.wait, 10)) for _ in range(2 * (1 + WAITING))]
    await asyncio.sleep(0)
    with pytest.raises(Full) as error:
        await aside.call(int)
    assert (error.value.status_code, error.value.headers) == (429, {"Retry-After": "5"})
    go_on.set()
    assert all(await asyncio.gather(*waiting))
    assert await aside.call(int) == 0


async def test_who_does_not_wait_any_more_leaves_their_place():
    aside, go_on = Aside(1, "test"), Event()
    waiting = [asyncio.create_task(aside.call(go_on.wait, 10)) for _ in range(1 + WAITING)]
    await asyncio.sleep(0)
    for task in waiting[1:]:
        task.cancel()
    await asyncio.gather(*waiting[1:], return_exceptions=True)
    last = asyncio.create_task(aside.call(int))
    go_on.set()
    assert await last == 0


# Nobody -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["null", "jupyterhub.auth.NullAuthenticator"])
def test_nobody_is_found_by_both_names(name):
    assert type(made(name)) is NullAuthenticator


async def test_nobody_logs_in(house: House):
    browser = await house.browser(config={"JupyterHub": {"authenticator_class": "null"}})
    for _ in range(12):  # it is no guess to come by
        answer = await browser.get("/hub/login?next=%2Fhub%2Fhome")
        assert (answer.status, answer.location) == (302, "/hub/no-login?next=%2Fhub%2Fhome")
        answer = await browser.get(answer.location)
        assert (answer.status, NOBODY in answer.text) == (403, True)
    assert await (await house.pool()).fetchval("select count(*) from login_attempts") == 0
