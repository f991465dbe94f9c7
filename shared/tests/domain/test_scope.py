"""Scopes: what JupyterHub's documentation says of them, and what must be so for any of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.access import IDENTIFY, token_scopes
from hubbub.domain.scope import ADMIN_ROLE, SELF, TREE, allows, covers, expand, filters, held_at_all, intersect, known

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


ADMIN_SERVERS = (
    "admin:servers", "admin:server_state", "servers", "read:servers", "start:servers", "delete:servers",
)  # fmt: skip


def test_the_tree_is_the_documented_one() -> None:
    documented = {}
    for line in DOCUMENTED.strip().splitlines():
        parent, _, children = line.partition(": ")
        documented[parent] = set(children.split())
    assert {parent: set(children) for parent, children in TREE.items() if children} == documented
    assert {child for children in TREE.values() for child in children} <= TREE.keys()
    assert all(name.partition("!")[0] in TREE for name in (*SELF, *ADMIN_ROLE))


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
        (["self!user=bob"], set()),
        # A filter by server brings nothing about its user.
        (["admin:servers!server=ada/"], {f"{each}!server=ada/" for each in ADMIN_SERVERS}),
        (["users:activity!server=ada/"], {"users:activity!server=ada/"}),
    ],
)
def test_what_a_scope_brings(scopes: list[str], expanded: set[str]) -> None:
    assert expand(scopes, user="ada", server="ada/lab") == expanded


def test_self_is_everything_of_ones_own() -> None:
    mine = expand(["self"], user="ada")
    assert {f"{name}!user=ada" for name in SELF} <= mine
    assert all(each.endswith("!user=ada") for each in mine)
    assert "admin:users!user=ada" not in mine


def test_self_is_nothing_for_a_service() -> None:
    assert expand(["self", "read:hub"], service="culler") == {"read:hub"}
    assert expand(["read:services!service"], service="culler") >= {"read:services!service=culler"}


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
        ({"servers!group=g"}, {"servers!user=ada"}, set()),  # who is in a group is not known here
    ],
)
def test_what_two_have_in_common(left: set[str], right: set[str], common: set[str]) -> None:
    assert intersect(left, right) == intersect(right, left) == common


@pytest.mark.parametrize(
    ("held", "user", "server", "allowed"),
    [
        ("servers", "ada", "lab", True),
        ("servers", "ada", None, True),
        ("servers!user=ada", "ada", "lab", True),
        ("servers!user=ada", "ada", None, True),
        ("servers!user=ada", "bob", "lab", False),
        ("servers!user=ada", "", None, False),
        ("servers!server=ada/lab", "ada", "lab", True),
        ("servers!server=ada/lab", "ada", "", False),
        ("servers!server=ada/lab", "ada", None, False),
        ("servers!server=ada/", "ada", "", True),
        ("servers!server=ada/", "ada", "lab", False),
        ("servers!user=", "", None, False),
        ("read:servers", "ada", "lab", False),
    ],
)
def test_what_is_allowed(held: str, user: str, server: str | None, allowed: bool) -> None:
    assert allows({held}, "servers", user=user, server=server) is allowed


def test_what_lists_are_filtered_by() -> None:
    held = {"list:users!user=ada", "list:users!user=bob", "list:users!group=g", "list:users:x!user=eve"}
    assert filters(held, "list:users") == {"user": {"ada", "bob"}, "group": {"g"}}
    assert filters({*held, "list:users"}, "list:users") is None
    assert filters(set(), "list:users") == {}
    assert held_at_all(held, "list:users")
    assert not held_at_all(held, "list")


def test_which_scopes_there_are() -> None:
    assert all(known(each) for each in ("self", "inherit", "no_scope", "users", "read:users!user", "tokens!user=a"))
    assert not any(known(each) for each in ("", "!user", "read", "users:", "Users", "custom:x"))


bases = st.sampled_from(sorted(TREE))
marks = st.sampled_from(
    ["", "", "!user=a", "!user=b", "!server=a/", "!server=a/lab", "!server=b/lab", "!group=a", "!service=a"]
)
some_scopes = st.lists(st.builds(str.__add__, bases, marks), max_size=6)
PLACES = [(user, server) for user in ("", "a", "b", "c") for server in (None, "", "lab")]


def granted(scopes: frozenset[str]) -> set[tuple[str, str, str | None]]:
    """All that *scopes* allow, in a small world."""
    return {(base, u, s) for base in TREE for u, s in PLACES if allows(scopes, base, user=u, server=s)}


@given(some_scopes)
def test_expanding_twice_is_expanding_once(scopes: list[str]) -> None:
    once = expand(scopes)
    assert expand(once) == once
    assert set(scopes) <= once


@given(some_scopes, some_scopes)
def test_more_scopes_never_allow_less(scopes: list[str], more: list[str]) -> None:
    assert granted(expand(scopes)) <= granted(expand([*scopes, *more]))


@given(some_scopes, some_scopes)
def test_what_two_have_in_common_is_what_both_allow(left: list[str], right: list[str]) -> None:
    ours, theirs = expand(left), expand(right)
    common = intersect(ours, theirs)
    assert common == intersect(theirs, ours)
    assert granted(common) == granted(ours) & granted(theirs)


@given(some_scopes, some_scopes, some_scopes)
def test_it_does_not_matter_in_which_order_they_are_narrowed(a: list[str], b: list[str], c: list[str]) -> None:
    x, y, z = expand(a), expand(b), expand(c)
    assert intersect(intersect(x, y), z) == intersect(x, intersect(y, z))
    assert intersect(x, x) == x


@given(bases, st.sampled_from(["a", "b"]))
def test_a_filter_never_allows_anything_outside_itself(base: str, user: str) -> None:
    for mark, inside in (
        (f"!user={user}", lambda u, s: u == user),
        (f"!server={user}/lab", lambda u, s: (u, s) == (user, "lab")),
    ):
        assert all(inside(u, s) for _, u, s in granted(expand([base + mark])))


@given(some_scopes, some_scopes)
def test_a_token_never_allows_more_than_its_owner(owner: list[str], asked: list[str]) -> None:
    held = expand([*owner, "self"], user="a")
    allowed = token_scopes(held, "a", tuple(asked), server="a/lab")
    assert all(covers(held, each) for each in allowed)
    assert granted(allowed) <= granted(held) & granted(expand([*asked, *IDENTIFY], user="a", server="a/lab"))
    assert token_scopes(held, "a", ("inherit",)) == held
