"""What is asked of PAM, and what its answers come to. With real users: tests/system/test_login_pam.py."""

import asyncio
import pwd
import sys
from threading import Event
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub_auth.authenticators import PAMAuthenticator, configured
from hubbub_auth.authenticators import pam as module

RIGHT = "open sesame"


class PAMError(Exception):
    errno = 7


class Library:
    """In the place of pamela: users with one password, whose accounts may be locked."""

    PAMError = PAMError

    def __init__(self, *names, locked=()):
        self.names = names
        self.locked = locked
        self.asked = []
        self.sessions = []
        self.go_on = Event()
        self.go_on.set()

    def authenticate(self, username, passwords, *, service, encoding, check):
        self.asked.append((username, passwords, service, encoding, check))
        self.go_on.wait(10)
        username.encode(encoding)
        if username not in self.names or passwords[0] != RIGHT or (check and username in self.locked):
            raise PAMError("no")

    def open_session(self, username, *, service, encoding):
        if username in self.locked:
            raise PAMError("no")
        self.sessions.append(f"open {username}")

    def close_session(self, username, *, service, encoding):
        self.sessions.append(f"close {username}")


@pytest.fixture(autouse=True)
def services(tmp_path, monkeypatch):
    (tmp_path / "login").touch()
    (tmp_path / "jupyterhub").touch()
    monkeypatch.setattr(module, "SERVICES", (tmp_path,))
    monkeypatch.setattr(module, "OLD_SERVICES", tmp_path / "pam.conf")
    return tmp_path


@pytest.fixture
def host(monkeypatch):
    """The users of the host, by name, with their numbers."""
    numbers = {"ada": 2001, "bob": 2002, "Bob": 2003, "Eve": 2004}

    def by_name(name):
        return SimpleNamespace(pw_uid=numbers[name.rpartition("\\")[2]], pw_gid=1)

    def by_number(number):
        [name] = [name for name, each in numbers.items() if each == number]
        return SimpleNamespace(pw_name=name)

    monkeypatch.setattr(pwd, "getpwnam", by_name)
    monkeypatch.setattr(pwd, "getpwuid", by_number)


def made(library=None, base=None, **section) -> PAMAuthenticator:
    config = {
        "JupyterHub": {"authenticator_class": "pam"},
        "Authenticator": {"allow_all": True, **(base or {})},
        "PAMAuthenticator": section,
    }
    found = configured.make(Options(Config(config)))
    if library:
        found._pam = library
    return found


async def model(authenticator, username, password=RIGHT, **more):
    data = {"username": username, "password": password, **more}
    return await authenticator.get_authenticated_user(None, data)


@pytest.mark.parametrize("name", ["pam", "PAM", "default", "jupyterhub.auth.PAMAuthenticator"])
def test_it_is_found_by_jupyterhubs_names(name):
    assert type(configured.make(Options(Config({"JupyterHub": {"authenticator_class": name}})))) is PAMAuthenticator


async def test_what_pam_says_counts():
    library = Library("ada", "bob", locked=("bob",))
    asking = made(library)
    assert (await model(asking, "ada"))["name"] == "ada"
    assert await model(asking, "ada", "wrong") is None
    assert await model(asking, "nobody") is None
    assert await model(asking, "bob") is None
    assert library.asked[0] == ("ada", (RIGHT,), "login", "utf8", True)


async def test_the_options_reach_pam():
    library = Library("bob", locked=("bob",))
    assert await model(made(library, service="jupyterhub", encoding="latin1", check_account=False), "bob", otp="123456")
    assert library.asked == [("bob", (RIGHT, "123456"), "jupyterhub", "latin1", False)]


@pytest.mark.parametrize(
    ("name", "password"), [("ada", ""), ("ada", f"{RIGHT}\0x"), ("ada\0x", RIGHT), ("\ud800", RIGHT)]
)
async def test_what_pam_would_misread_never_gets_there(name, password):
    library = Library("ada")
    assert await model(made(library), name, password) is None
    assert all("\0" not in f"{asked[0]}{asked[1]}" and asked[1] != ("",) for asked in library.asked)


async def test_two_users_who_differ_in_capitals_are_not_one(host):
    """In the hub they would be: whoever has the one's password would have the other's servers."""
    library = Library("ada", "bob", "Bob", "Eve")
    asking = made(library)
    assert (await model(asking, "bob"))["name"] == "bob"
    assert await model(asking, "Bob") is None
    assert (await model(asking, "Eve"))["name"] == "eve"


async def test_names_are_the_hosts_own_if_that_is_wanted(host):
    library = Library("ada", "DOMAIN\\ada", "Eve")
    base = {"username_map": {"Eve": "evelyn"}, "admin_users": {"DOMAIN\\ada", "Stranger"}}
    asking = made(library, base, pam_normalize_username=True)
    found = await model(asking, "DOMAIN\\ada")
    assert (found["name"], found["admin"]) == ("ada", True)
    assert (await model(asking, "Eve"))["name"] == "evelyn"
    assert asking.admin_users == {"ada", "stranger"}


ADMINS = [
    ({"admin_groups": {"root"}}, {}, "root", True),
    ({"admin_groups": {"root"}}, {}, "daemon", False),
    ({"admin_groups": {"root"}}, {"admin_users": {"daemon"}}, "daemon", True),
    ({}, {}, "root", None),
]


@pytest.mark.parametrize(("section", "base", "name", "is_admin"), ADMINS)
async def test_groups_make_administrators(section, base, name, is_admin):
    found = await model(made(Library("root", "daemon"), base, **section), name)
    assert found["admin"] is is_admin


@pytest.mark.parametrize(("name", "groups"), [("root", {"no-such-group"}), ("unknown-on-host", {"root"})])
async def test_groups_that_cannot_be_looked_up_are_no_answer(name, groups):
    with pytest.raises(KeyError):
        await model(made(Library("root", "unknown-on-host"), admin_groups=groups), name)


async def test_a_pam_that_takes_its_time_takes_nobody_elses():
    library = Library("ada")
    library.go_on.clear()
    asking = asyncio.create_task(model(made(library), "ada"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not asking.done()
    library.go_on.set()
    assert await asking


async def test_sessions_are_opened_and_closed_until_that_fails():
    library = Library(locked=("eve",))
    ada, eve = SimpleNamespace(name="ada"), SimpleNamespace(name="eve")
    quiet = made(library)
    await quiet.pre_spawn_start(ada, None)
    asking = made(library, open_sessions=True)
    await asking.pre_spawn_start(ada, None)
    await asking.post_spawn_stop(ada, None)
    await asking.pre_spawn_start(eve, None)
    await asking.pre_spawn_start(ada, None)
    assert library.sessions == ["open ada", "close ada"]
    assert not asking.open_sessions


@pytest.mark.parametrize("service", ["nothing", "", "../login", "/etc/pam.d/login"])
def test_a_service_that_is_not_there_ends_the_start(service):
    with pytest.raises(ConfigError, match=r"c.PAMAuthenticator: service is .* no file of that name in /etc/pam.d"):
        made(service=service)


def test_a_service_may_be_in_the_old_place(services):
    (services / "pam.conf").write_text("# all\nold auth required pam_unix.so\n")
    assert made(service="old").service == "old"


def test_a_host_without_pam_is_told_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pamela", None)
    with pytest.raises(ConfigError, match="PAM cannot be used here"):
        made()
