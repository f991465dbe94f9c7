"""What sets of scopes allow and have in common, case by case; the laws are in `test_scope_laws.py`."""

import pytest

from hubbub.domain import scope
from hubbub.domain.scope import allows, covers, filters, groups_in, held_at_all, intersect

MEMBERS = {"g": {"ada", "bob"}, "h": {"bob"}, "empty": set()}


@pytest.mark.parametrize(
    ("left", "right", "common"),
    [
        ({"read:hub"}, {"proxy"}, set()),
        ({"tokens"}, {"tokens"}, {"tokens"}),
        ({"tokens"}, {"tokens!user=ada"}, {"tokens!user=ada"}),
        ({"tokens!user=ada"}, {"tokens!user=bob"}, set()),
        ({"servers!user=ada"}, {"servers!server=ada/lab"}, {"servers!server=ada/lab"}),
        ({"servers!user=ada"}, {"servers!server=adalbert/lab"}, set()),
        ({"servers!user=ada"}, {"servers!server=bob/lab"}, set()),
        ({"servers!server=ada/"}, {"servers!server=ada/lab"}, set()),
        ({"servers"}, {"servers!user=ada", "servers!group=g"}, {"servers!user=ada", "servers!group=g"}),
        ({"servers!group=g"}, {"servers!user=ada"}, {"servers!user=ada"}),
        ({"servers!group=g"}, {"servers!user=eve"}, set()),
        ({"servers!group=g"}, {"servers!server=ada/lab"}, {"servers!server=ada/lab"}),
        ({"servers!group=h"}, {"servers!server=ada/lab"}, set()),
        ({"servers!group=g"}, {"tokens!user=ada"}, set()),
        ({"servers!group=g"}, {"servers!group=g"}, {"servers!group=g"}),
        ({"servers!group=g"}, {"servers!group=h"}, set()),  # though bob is in both
        ({"servers!group=unheard"}, {"servers!user=ada"}, set()),
        ({"read:services!service=ada"}, {"read:services!user=ada"}, set()),
        ({"custom:x:y!group=g"}, {"custom:x:y!user=bob"}, {"custom:x:y!user=bob"}),
    ],
)
def test_what_two_have_in_common(left: set[str], right: set[str], common: set[str]) -> None:
    assert intersect(left, right, MEMBERS) == intersect(right, left, MEMBERS) == common


def test_without_its_members_a_group_has_none() -> None:
    assert intersect({"servers!group=g"}, {"servers!user=ada"}) == set()
    assert not covers({"servers!group=g"}, "servers!user=ada")
    assert not allows({"servers!group=g"}, "servers", user="ada")


@pytest.mark.parametrize(
    ("held", "user", "server", "allowed"),
    [
        ("servers", "ada", "lab", True),
        ("servers", "ada", None, True),
        ("servers", "", None, True),
        ("servers!user=ada", "ada", "lab", True),
        ("servers!user=ada", "ada", None, True),
        ("servers!user=ada", "bob", "lab", False),
        ("servers!user=ada", "", None, False),
        ("servers!server=ada/lab", "ada", "lab", True),
        ("servers!server=ada/lab", "ada", "", False),
        ("servers!server=ada/lab", "ada", None, False),
        ("servers!server=ada/", "ada", "", True),
        ("servers!server=ada/", "ada", "lab", False),
        ("servers!server=/lab", "", "lab", False),
        ("servers!user=", "", None, False),
        ("servers!group=g", "ada", None, True),
        ("servers!group=g", "ada", "lab", True),
        ("servers!group=h", "ada", "lab", False),
        ("servers!group=ada", "ada", "lab", False),
        ("servers!service=ada", "ada", "lab", False),
        ("read:servers", "ada", "lab", False),
    ],
)
def test_what_is_allowed_on_users_and_servers(held: str, user: str, server: str | None, allowed: bool) -> None:
    assert allows({held}, "servers", user=user, server=server, members=MEMBERS) is allowed


@pytest.mark.parametrize(
    ("held", "group", "service", "allowed"),
    [
        ("x", "g", "", True),
        ("x", "", "s", True),
        ("x!group=g", "g", "", True),
        ("x!group=g", "h", "", False),
        ("x!service=s", "", "s", True),
        ("x!service=s", "", "t", False),
        ("x!group=s", "", "s", False),
        ("x!service=g", "g", "", False),
        ("x!user=g", "g", "", False),
        ("x!group=g", "", "", False),
    ],
)
def test_what_is_allowed_on_groups_and_services(held: str, group: str, service: str, allowed: bool) -> None:
    assert allows({held}, "x", group=group, service=service, members=MEMBERS) is allowed


def test_of_several_places_each_must_be_allowed() -> None:
    held = {"x!user=ada", "x!group=g", "x!service=s"}
    assert allows(held, "x", user="ada", group="g", service="s")
    assert not allows(held, "x", user="eve", group="g", service="s")
    assert not allows(held, "x", user="ada", group="h", service="s")
    assert not allows(held, "x", user="ada", group="g", service="t")


def test_what_lists_are_filtered_by() -> None:
    held = {"list:users!user=ada", "list:users!user=bob", "list:users!group=g", "list:users:x!user=eve"}
    assert filters(held, "list:users") == {"user": {"ada", "bob"}, "group": {"g"}}
    assert filters({*held, "list:users"}, "list:users") is None
    assert filters(set(), "list:users") == {}
    assert filters({"list:users!user=a=b!c"}, "list:users") == {"user": {"a=b!c"}}
    assert held_at_all(held, "list:users")
    assert not held_at_all(held, "list")


def test_whose_members_must_be_known() -> None:
    held = {"x!group=g", "y!group=g", "y!group=a!group=b", "x!user=eve", "proxy", "x!user=eve!group=h", "x!service=s"}
    assert groups_in(held) == {"g", "a!group=b"}
    assert groups_in(set()) == set()


# In the log -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "kept", "shown"),
    [
        (["read:hub"], ["read:hub"], ["read:hub"]),
        (["access:servers!server=ada/"], ["access:servers!server"], ["access:servers!server=ada/"]),
        (["access:servers!server=ada/lab"], ["access:servers!server=ada/lab"], ["access:servers!server=ada/lab"]),
        (["read:users!user=ada", "read:users!user"], ["read:users!user"], ["read:users!user"]),
        (["read:users!user=adam"], ["read:users!user=adam"], ["read:users!user=adam"]),
        (["custom:x!group=ada"], ["custom:x!group=ada"], ["custom:x!group=ada"]),
        (["inherit"], ["inherit"], ["inherit"]),
    ],
)
def test_what_a_token_may_do_is_kept_without_the_names_of_its_own(
    scopes: list[str], kept: list[str], shown: list[str]
) -> None:
    found = scope.nameless(scopes, user="ada", server="ada/")
    assert list(found) == kept
    assert list(scope.named(found, server="ada/")) == shown
    assert scope.nameless(shown, user="ada", server="ada/") == found


def test_what_is_given_to_nothing_has_no_server() -> None:
    assert scope.nameless(["x!server=ada/", "y!user="], user="ben") == ("x!server=ada/", "y!user=")
    assert scope.named(["x!server"], server="") == ("x!server",)
