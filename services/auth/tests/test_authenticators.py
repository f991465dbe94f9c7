"""Which authenticator is asked, and whom it lets in."""

import pytest
from tornado.web import HTTPError
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.floor import Floor
from hubbub_auth.attempt import FAULT
from hubbub_auth.authenticators import Authenticator, DummyAuthenticator, SharedPasswordAuthenticator, configured
from hubbub_auth.hosted import Hosted
from hubbub_auth.testing import House

USER, ADMIN = "correct horse", "battery staple battery staple battery staple"


def made(kind="dummy", hub=None, **sections) -> Authenticator:
    return configured.make(Options(Config({"JupyterHub": {"authenticator_class": kind, **(hub or {})}, **sections})))


async def model(authenticator, username, password="x"):
    return await authenticator.get_authenticated_user(None, {"username": username, "password": password})


class Mine(Authenticator):
    """An operator's own."""

    async def authenticate(self, handler, data):
        if data["password"] == "teapot":
            raise HTTPError(403, "We are %s", "closed")
        if data["password"] == "bug":
            raise RuntimeError("secret")
        return {"name": data["username"], "admin": data["password"] == "boss"}


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("dummy", DummyAuthenticator),
        ("shared-password", SharedPasswordAuthenticator),
        ("jupyterhub.auth.DummyAuthenticator", DummyAuthenticator),
        ("jupyterhub.auth.SharedPasswordAuthenticator", SharedPasswordAuthenticator),
        ("hubbub_auth.authenticators.dummy.DummyAuthenticator", DummyAuthenticator),
        (Mine, Mine),
    ],
)
def test_a_class_is_found_by_name_or_is_given(kind, found):
    assert type(made(kind)) is found


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("nonsense", "'nonsense', which is unknown"),
        ("no.such.module", "'no.such.module', which cannot be imported"),
        ("os.path.nothing", "'os.path.nothing', which cannot be imported"),
        ("os.path.join", "'os.path.join', which is not derived from"),
        (dict, "builtins.dict, which is not derived from"),
        (None, "None, which is not derived from"),
    ],
)
def test_what_cannot_be_used_is_named(kind, named):
    with pytest.raises(ConfigError) as error:
        made(kind)
    assert named in str(error.value)


@pytest.mark.parametrize(
    "section",
    [{"user_password": "short"}, {"admin_password": "too short"}, {"user_password": ADMIN, "admin_password": ADMIN}],
)
def test_a_bad_password_is_refused_and_not_repeated(section):
    with pytest.raises(ConfigError) as error:
        made("shared-password", SharedPasswordAuthenticator=section)
    assert not any(password in str(error.value) for password in section.values())


def test_a_password_of_the_wrong_type_is_not_repeated():
    with pytest.raises(ConfigError) as error:
        made("shared-password", SharedPasswordAuthenticator={"user_password": 123456789})
    assert "123456789" not in str(error.value)


async def test_nobody_is_allowed_by_default_but_by_the_dummy():
    assert await model(made(Mine), "ada") is None
    assert (
        await model(made("shared-password", SharedPasswordAuthenticator={"user_password": USER}), "ada", USER) is None
    )
    assert (await model(made(), "ada"))["name"] == "ada"
    assert await model(made(Authenticator={"allowed_users": {"bob"}}), "ada") is None


ALLOWED = [
    ({"allow_all": True}, "ada", True),
    ({"allowed_users": {"Ada"}}, "ADA", True),
    ({"allowed_users": {"ada"}, "admin_users": {"eve"}}, "eve", True),
    ({"admin_users": {"eve"}}, "eve", False),
    ({"allow_all": True, "blocked_users": {"ada"}}, "Ada", False),
    ({"allow_existing_users": True}, "known", True),
    ({"allow_existing_users": True}, "unknown", False),
    ({"allowed_users": {"ada"}}, "known", True),
    ({"allowed_users": {"ada"}, "allow_existing_users": False}, "known", False),
    ({"allow_all": True, "username_pattern": "a.*"}, "ada", True),
    ({"allow_all": True, "username_pattern": "a.*"}, "bob", False),
    ({"allow_all": True, "username_map": {"ada": "countess"}}, "Ada", True),
]


@pytest.mark.parametrize(("section", "name", "is_allowed"), ALLOWED)
async def test_who_is_allowed(section, name, is_allowed):
    authenticator = made(Mine, Authenticator=section)

    async def is_known(name: str) -> bool:
        return name == "known"

    Hosted(authenticator, is_known=is_known, floor=Floor())
    assert (await model(authenticator, name) is not None) is is_allowed


async def test_admin_users_of_the_hub_count_too():
    authenticator = made(hub={"admin_users": {"Root"}})
    assert (await model(authenticator, "root"))["admin"] is True
    assert (await model(authenticator, "ada"))["admin"] is None


SHARED = [
    ({}, "ada", USER, False),
    ({}, "ada", ADMIN, None),
    ({}, "root", ADMIN, True),
    ({}, "Root", USER, None),
    ({"admin_password": None}, "root", USER, None),
    ({"admin_password": None, "admins_share_password": True}, "root", USER, True),
    ({"admins_share_password": True}, "root", USER, None),
    ({"user_password": None}, "ada", "", None),
    ({}, "ada", "é", None),
]


@pytest.mark.parametrize(("more", "name", "password", "admin"), SHARED)
async def test_shared_passwords(more, name, password, admin):
    """`admin` None: not let in."""
    section = {"user_password": USER, "admin_password": ADMIN, "allow_all": True, "admin_users": {"root"}, **more}
    found = await model(made("shared-password", SharedPasswordAuthenticator=section), name, password)
    assert (found and found["admin"]) == admin


async def test_groups_by_the_password():
    section = {"user_password": USER, "admin_users": {"root"}, "manage_groups": True, "allow_all": True}
    section["password_groups"] = {"of the crew": ["crew", "staff"], "": ["nobody"]}
    shared = made("shared-password", SharedPasswordAuthenticator=section)
    assert (await model(shared, "ada", "of the crew"))["groups"] == ["crew", "staff"]
    assert (await model(shared, "ada", USER))["groups"] == []
    for name, password in (("root", "of the crew"), ("ada", ""), ("ada", "of the")):
        assert await model(shared, name, password) is None
    with pytest.raises(ConfigError, match="password_groups needs manage_groups") as error:
        made("shared-password", SharedPasswordAuthenticator=section | {"manage_groups": False})
    assert "of the crew" not in str(error.value)


async def test_an_authenticator_of_ones_own(house: House):
    config = {"JupyterHub": {"authenticator_class": Mine}, "Authenticator": {"allow_all": True}}
    browser = await house.browser(config=config)
    assert "We are closed" in (await browser.log_in("ada", "teapot")).text
    broken = await browser.log_in("ada", "bug")
    assert (broken.status, FAULT in broken.text, "secret" in broken.text) == (500, True, False)
    for password, is_admin in (("boss", True), ("x", False)):
        await browser.log_in("ada", password)
        assert await (await house.pool()).fetchval("select admin from users") is is_admin
        await browser.get("/hub/logout")
