"""The tree of scopes: what JupyterHub's documentation says of it, custom scopes, filters, roles."""

from typing import Any

import pytest

from hubbub.domain.scope_tree import (
    ADMIN_ROLE,
    BUILT_IN,
    DESCRIPTIONS,
    METASCOPES,
    OURS,
    ROLES,
    SELF,
    TREE,
    Tree,
    check_role,
    check_role_name,
)  # fmt: skip

#: Parent: children, as the contract has them (part 3.1).
DOCUMENTED = """
admin:users: admin:auth_state users read:roles:users delete:users
users: read:users list:users users:activity
list:users: read:users:name
read:users: read:users:name read:users:groups read:users:activity
users:activity: read:users:activity
read:roles: read:roles:users read:roles:services read:roles:groups
admin:servers: admin:server_state servers
servers: read:servers start:servers delete:servers
read:servers: read:users:name
tokens: read:tokens
admin:groups: groups read:roles:groups delete:groups
groups: read:groups list:groups
list:groups: read:groups:name
read:groups: read:groups:name
admin:services: list:services read:services read:roles:services
list:services: read:services:name
read:services: read:services:name
shares: access:servers read:shares users:shares groups:shares
users:shares: read:users:shares
groups:shares: read:groups:shares
"""
DOCUMENTED_ALONE = {"admin-ui", "read:hub", "read:metrics", "proxy", "shutdown", "access:services"}
DOCUMENTED_SELF = {
    "read:users", "users:shares", "read:shares", "users:activity", "servers", "tokens", "access:servers",
}  # fmt: skip
DOCUMENTED_ADMIN = {
    "admin-ui", "admin:users", "admin:servers", "admin:services", "tokens", "admin:groups", "list:services",
    "read:services", "read:hub", "proxy", "shutdown", "access:services", "access:servers", "read:roles",
    "read:metrics", "shares",
}  # fmt: skip
ADMIN_SERVERS = (
    "admin:servers", "admin:server_state", "servers", "read:servers", "start:servers", "delete:servers",
)  # fmt: skip
#: What `list:services` brings, as prefix and suffix of "services".
LISTED = (("list:", ""), ("read:", ":name"))
CUSTOM: dict[str, dict[str, Any]] = {
    "custom:lab:write": {"description": "Change notebooks", "subscopes": ["custom:lab:read", "custom:lab:list"]},
    "custom:lab:read": {"description": "Read notebooks"},
    "custom:lab:list": {"description": "See notebooks", "subscopes": []},
    "custom:ring": {"description": "Leads into the ring", "subscopes": ["custom:ring:one"]},
    "custom:ring:one": {"description": "One", "subscopes": ["custom:ring:two"]},
    "custom:ring:two": {"description": "Two", "subscopes": ["custom:ring:one"]},
}


def test_the_tree_is_the_documented_one() -> None:
    documented = {}
    for line in DOCUMENTED.strip().splitlines():
        parent, _, children = line.partition(": ")
        documented[parent] = set(children.split())
    assert {parent: set(children) for parent, children in BUILT_IN.items() if children} == documented
    below = {child for children in documented.values() for child in children}
    assert BUILT_IN.keys() == documented.keys() | below | DOCUMENTED_ALONE | OURS
    assert set(SELF) == DOCUMENTED_SELF
    assert set(ADMIN_ROLE) == DOCUMENTED_ADMIN | OURS
    assert ROLES == {
        "admin": ADMIN_ROLE,
        "user": ("self",),
        "server": ("users:activity!user", "access:servers!server"),
        "token": ("inherit",),
    }


def test_every_scope_is_described_in_words_of_its_own() -> None:
    assert DESCRIPTIONS.keys() == BUILT_IN.keys() | METASCOPES
    assert len(set(DESCRIPTIONS.values())) == len(DESCRIPTIONS)


@pytest.mark.parametrize(
    ("scopes", "expanded"),
    [
        (["list:users"], {"list:users", "read:users:name"}),
        (["tokens!user=ada"], {"tokens!user=ada", "read:tokens!user=ada"}),
        (["read:servers!user"], {"read:servers!user=ada", "read:users:name!user=ada"}),
        (["access:servers!server"], {"access:servers!server=ada/lab"}),
        (["read:services!service"], set()),
        (["read:users!group"], set()),
        (["read:users!"], set()),
        (["no_scope"], set()),
        (["inherit"], set()),
        (["made:up"], set()),
        (["made:up!user=ada"], set()),
        (["custom:lab:read"], set()),
        (["self!user=bob"], set()),
        # A filter by server brings nothing about its user.
        (["admin:servers!server=ada/"], {f"{each}!server=ada/" for each in ADMIN_SERVERS}),
        (["users:activity!server=ada/"], {"users:activity!server=ada/"}),
        (["read:users!server=ada/"], set()),
        (["read:users:name!server"], set()),
        # No filter, though it reads like one: a service may have any name.
        (["list:services!service=server"], {f"{before}services{after}!service=server" for before, after in LISTED}),
    ],
)
def test_what_a_scope_brings(scopes: list[str], expanded: set[str]) -> None:
    assert TREE.expand(scopes, user="ada", server="ada/lab") == expanded


def test_children_are_what_is_below_with_the_same_filter() -> None:
    assert TREE.children("tokens") == {"tokens", "read:tokens"}
    assert TREE.children("tokens!user=a!b") == {"tokens!user=a!b", "read:tokens!user=a!b"}
    assert TREE.children("tokens!user") == {"tokens!user", "read:tokens!user"}
    assert TREE.children("read:servers!server") == {"read:servers!server"}
    assert TREE.children("made:up") == set()


def test_self_is_everything_of_ones_own() -> None:
    mine = TREE.expand(["self"], user="ada")
    assert {f"{name}!user=ada" for name in SELF} <= mine
    assert all(each.endswith("!user=ada") for each in mine)
    assert "admin:users!user=ada" not in mine


def test_self_is_nothing_for_a_service() -> None:
    assert TREE.expand(["self", "read:hub"], service="culler") == {"read:hub"}
    assert TREE.expand(["read:services!service"], service="culler") >= {"read:services!service=culler"}


def test_nobody_gets_what_was_remembered_of_another() -> None:
    asked = ("self", "access:servers!server", "read:services:name!service")
    of_ada = TREE.expand(asked, user="ada", server="ada/lab", service="s")
    for owner in ({"user": "bob", "server": "ada/lab", "service": "s"}, {"user": "ada", "server": "ada/x"}, {}):
        assert TREE.expand(asked, **owner) != of_ada
    assert TREE.expand(asked, user="ada", server="ada/lab", service="s") == of_ada
    assert Tree(CUSTOM).expand(["custom:lab:read"]) != TREE.expand(["custom:lab:read"])


def test_what_is_remembered_is_bounded() -> None:
    tree = Tree()
    remembered = tree._remembered.cache_info
    for number in range(remembered().maxsize + 10):
        tree.expand(["proxy"], user=str(number))
    assert remembered().currsize == remembered().maxsize
    misses = remembered().misses
    long, many = [f"tokens!user={'x' * 5000}"], [f"tokens!user={number}" for number in range(101)]
    assert (len(tree.expand(long)), len(tree.expand(many))) == (2, 202)
    assert remembered().misses == misses, "was kept, however large it is"


def test_custom_scopes_bring_their_own() -> None:
    tree = Tree(CUSTOM)
    lab = {"custom:lab:write", "custom:lab:read", "custom:lab:list"}
    assert tree.expand(["custom:lab:write"]) == lab
    assert tree.expand(["custom:lab:write!server"], server="ada/") == {f"{each}!server=ada/" for each in lab}
    assert (
        tree.expand(["custom:ring:one"]) == tree.expand(["custom:ring:two"]) == {"custom:ring:one", "custom:ring:two"}
    )
    assert tree.expand(["custom:ring"]) == {"custom:ring", "custom:ring:one", "custom:ring:two"}
    assert tree.expand(["admin:users"]) == TREE.expand(["admin:users"])
    assert tree.known("custom:lab:read!user=ada") and "custom:lab:read" in tree
    assert not TREE.known("custom:lab:read") and "custom:lab:read" not in TREE
    assert tree.describe("custom:lab:read!user=ada") == "Read notebooks (only for the user ada)"


@pytest.mark.parametrize(
    ("custom", "named"),
    [
        *(
            ({name: {"description": "x"}}, repr(name))
            for name in ("lab", "users", "custom:", "custom:a", "custom:ab", "custom:-abc", "custom:abc-",
                         "custom:abc:", "custom:abC", "custom:ab c", "custom:abc!user", "custom:abc\n", "xcustom:abc")
        ),
        ({"custom:abc": {}}, "description"),
        ({"custom:abc": {"description": " "}}, "description"),
        ({"custom:abc": {"description": 1}}, "description"),
        ({"custom:abc": "what it is"}, "dictionary"),
        ({"custom:abc": {"description": "x", "subscope": []}}, "'subscope'"),
        ({"custom:abc": {"description": "x", "subscopes": "custom:abc"}}, "list of strings"),
        ({"custom:abc": {"description": "x", "subscopes": [1]}}, "list of strings"),
        ({"custom:abc": {"description": "x", "subscopes": ["custom:cd"]}}, "'custom:cd'"),
        ({"custom:abc": {"description": "x", "subscopes": ["admin:users"]}}, "'admin:users' is no custom scope"),
        ({"custom:abc": {"description": "x", "subscopes": ["inherit"]}}, "'inherit' is no custom scope"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_custom_scope_is_named(custom: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError) as refused:
        Tree(custom)
    assert named in str(refused.value)


def test_which_scopes_there_are() -> None:
    known = (
        "self", "inherit", "no_scope", "users", "read:users!user", "tokens!server", "tokens!service", "tokens!user=a",
        "tokens!group=a", "tokens!service=a", "servers!server=a/", "servers!server=a/lab", "tokens!user=a!b=c",
    )  # fmt: skip
    assert [each for each in known if not TREE.known(each)] == []
    unknown = (
        "", "!user", "!user=a", "read", "users:", "Users", "custom:x", "self!user", "self!user=a", "inherit!user",
        "no_scope!server", "users!", "users!group", "users!users=a", "users!user=", "users!group=", "users!=a",
        "users!server=", "users!server=a", "users!server=/", "users!server=/lab", "users!server=a/b/c",
        "users!service=", "users!made=up", " users", "users ",
    )  # fmt: skip
    assert [each for each in unknown if TREE.known(each)] == []
    assert "users" in TREE and "self" not in TREE and "users!user=a" not in TREE


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("proxy", "Change where the hub sends its visitors"),
        ("self", "Do what you may do with what is yours"),
        ("tokens!user", "Make and revoke API tokens (only for yourself)"),
        ("tokens!user=ada", "Make and revoke API tokens (only for the user ada)"),
        ("tokens!group=g", "Make and revoke API tokens (only for the group g and its members)"),
        ("access:services!service=culler", "Use services (only for the service culler)"),
        ("access:services!service", "Use services (only for this service)"),
        ("servers!server", "Start and stop servers (only for this server)"),
        ("servers!server=ada/", "Start and stop servers (only for ada's default server)"),
        ("servers!server=ada/lab", "Start and stop servers (only for ada's server lab)"),
        ("made:up", "made:up"),
    ],
)
def test_a_scope_in_words(scope: str, words: str) -> None:
    assert TREE.describe(scope) == words


@pytest.mark.parametrize(
    "role",
    [
        {"name": "abc"},
        {"name": "a" * 255, "description": "x", "scopes": ["self"], "users": [], "groups": ("g",), "services": {"s"}},
        {"name": "user", "scopes": ["self", "access:services!service=x", "custom:lab:write!user"]},
        {"name": "a-b_c~d.e9", "scopes": ["inherit"]},
        {"name": "admin", "users": ["ada"]},
        {"name": "admin", "users": ["ada"], "scopes": [*ADMIN_ROLE]},
        {"name": "admin", "users": ["ada"], "scopes": [*DOCUMENTED_ADMIN]},
    ],
)
def test_a_role_that_is_right(role: dict[str, Any]) -> None:
    check_role(role, Tree(CUSTOM))


@pytest.mark.parametrize(
    ("role", "named"),
    [
        ({}, "name"),
        ({"scopes": ["self"]}, "name"),
        ("admin", "'admin'"),
        ({"name": None}, "None"),
        ({"name": "grader", "scope": ["self"]}, "Role grader: unknown key 'scope'"),
        ({"name": "grader", "scopes": "self"}, "Role grader: scopes must be a list of strings"),
        ({"name": "grader", "users": "ada"}, "Role grader: users must be a list of strings"),
        ({"name": "grader", "services": [None]}, "Role grader: services must be a list of strings"),
        ({"name": "grader", "description": ["x"]}, "Role grader: description must be a string"),
        ({"name": "grader", "scopes": ["proxy", "made:up"]}, "Role grader: there is no scope 'made:up'"),
        ({"name": "grader", "scopes": ["users!grup=g"]}, "Role grader: there is no scope 'users!grup=g'"),
        ({"name": "admin", "scopes": ["self"]}, "Role admin"),
        ({"name": "admin", "scopes": []}, "Role admin"),
    ],
)
def test_what_is_wrong_with_a_role_is_named(role: Any, named: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_role(role, TREE)
    assert named in str(refused.value)


@pytest.mark.parametrize("name", ["", "ab", "a" * 256, "Abc", "1ab", "ab-", "a b", "a/b", "abc\n", "äbc", "abc."])
def test_what_a_role_may_not_be_called(name: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_role_name(name)
    assert repr(name) in str(refused.value)
