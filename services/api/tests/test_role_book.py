"""What a role lets somebody do, and for whom, in words."""

import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub.roles import Roles
from hubbub_api.role_book import Entry, brings, in_words

ROLES = Roles(Options(Config({"JupyterHub": {"custom_scopes": {"custom:grade": {"description": "Grade the work"}}}})))


def entry(*scopes: str) -> Entry:
    return Entry(name="role", description="", scopes=scopes, source="configuration")


@pytest.mark.parametrize(
    ("scopes", "base", "whom"),
    [
        (("admin:servers",), "delete:servers", ["everybody"]),
        (("servers", "self"), "delete:servers", ["everybody"]),
        (("self",), "delete:servers", ["themselves"]),
        (("servers!group=class", "self"), "delete:servers", ["the group class and its members", "themselves"]),
        (("access:servers!server",), "access:servers", ["the server itself"]),
        (("access:servers!server=ada/lab",), "access:servers", ["ada's server lab"]),
        (("read:services!service",), "read:services", ["itself"]),
        (("read:users",), "delete:servers", []),
        (("inherit",), "delete:servers", []),
        (("custom:grade",), "custom:grade", ["everybody"]),
    ],
)
def test_a_role_lets_somebody_do_something_for_some(scopes, base, whom):
    assert brings(ROLES, entry(*scopes), base) == whom


def test_what_a_role_may_do_is_said_in_words():
    assert in_words(ROLES, ["custom:grade", "delete:servers!user"]) == [
        "Grade the work",
        "Stop and remove servers (only for yourself)",
    ]
