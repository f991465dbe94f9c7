"""The laws of scopes, held against a small world in which one can count what a set of scopes allows.

There a set of scopes means a set of pairs (base, place), and a filter a set of places. Users' names are as
awkward as they may be: who is called like a filter must not be one.
"""

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from hubbub.domain.scope import allows, covers, groups_in, intersect
from hubbub.domain.scope_tree import BUILT_IN, SELF, Tree, shortest

CUSTOM = {
    "custom:lab:all": {"description": "x", "subscopes": ["custom:lab:read"]},
    "custom:lab:read": {"description": "x", "subscopes": ["custom:lab:all"]},
}
TREE = Tree(CUSTOM)
PARENTS = {**BUILT_IN, "custom:lab:all": ("custom:lab:read",), "custom:lab:read": ("custom:lab:all",)}

Place = tuple[str, ...]
Meaning = set[tuple[str, Place]]

USERS = ("a", "b", "a!user=b")
SERVERS = ("", "lab")
SERVICES = ("a", "s")
MEMBERS: Mapping[str, frozenset[str]] = {
    "a": frozenset({"b"}),  # called like a user who is not in it
    "both": frozenset({"a", "b"}),
    "odd": frozenset({"b", "a!user=b"}),
    "empty": frozenset(),
}
#: The same groups, but nobody is in two of them.
APART = {**MEMBERS, "a": frozenset(), "odd": frozenset({"a!user=b"})}


def users(names: Iterable[str]) -> set[Place]:
    return {place for user in names for place in [("user", user), *(("server", user, each) for each in SERVERS)]}


def world(members: Mapping[str, frozenset[str]]) -> dict[str, set[Place]]:
    """Filter -> the places in it; "" is no filter."""
    filters: dict[str, set[Place]] = {}
    filters |= {f"!user={user}": users([user]) for user in USERS}
    filters |= {f"!server={user}/{each}": {("server", user, each)} for user in USERS for each in SERVERS}
    filters |= {f"!group={group}": {("group", group)} | users(names) for group, names in members.items()}
    filters |= {f"!service={service}": {("service", service)} for service in SERVICES}
    return filters | {"": {("hub",)}.union(*filters.values())}


WORLD, WORLD_APART = world(MEMBERS), world(APART)


def meaning(scopes: Iterable[str], filters: Mapping[str, set[Place]] = WORLD) -> Meaning:
    found: Meaning = set()
    for scope in scopes:
        base, mark, filter = scope.partition("!")
        found |= {(base, place) for place in filters[mark + filter]}
    return found


def asked(place: Place) -> dict[str, str]:
    """*place* as arguments of `allows`."""
    match place:
        case ("server", user, server):
            return {"user": user, "server": server}
        case (kind, name):
            return {kind: name}
        case _:
            return {}


def counted(scopes: frozenset[str]) -> Meaning:
    """What *scopes* mean according to `allows`."""
    bases = {scope.partition("!")[0] for scope in scopes}
    return {
        (base, place)
        for base in [*bases, "proxy", "custom:lab:read"]
        for place in WORLD[""]
        if allows(scopes, base, **asked(place), members=MEMBERS)
    }


def brought(scope: str) -> set[str]:
    """The model of expansion: walk down, and leave out what a server's filter does."""
    base, mark, filter = scope.partition("!")
    walked = {base}
    while more := {child for name in walked for child in PARENTS[name]} - walked:
        walked |= more
    return {each + mark + filter for each in walked if not (filter[:7] == "server=" and each[:9] == "read:user")}


def only_groups_apart(left: str, right: str) -> bool:
    """Whether these two are the pair that does not meet even where it overlaps."""
    return "!group=" in left and "!group=" in right and left != right


# Few bases, related to each other, so that sets of scopes meet often; all of them where it is cheap.
bases = st.sampled_from(sorted(PARENTS))
related = st.sampled_from(["servers", "read:servers", "list:users", "custom:lab:all", "read:services"])
marks = st.sampled_from(sorted(WORLD))
any_scopes = st.lists(st.builds(str.__add__, bases, marks), max_size=6)
close_scopes = st.lists(st.builds(str.__add__, related, marks), max_size=8)
expanded = st.builds(TREE.expand, close_scopes | any_scopes)
referring = st.builds(
    str.__add__, bases | related, st.sampled_from(["!user", "!server", "!service", "!group", "!", ""])
) | st.sampled_from(["self", "inherit", "no_scope", "self!user=b", "made:up"])


@given(any_scopes)
def test_a_scope_brings_what_is_below_it_and_no_more(scopes: list[str]) -> None:
    whole = set().union(*map(brought, scopes))
    found = TREE.expand(scopes)
    assert found <= whole
    # Left out is only what is held without its filter too.
    assert all("!" in each and each.partition("!")[0] in found for each in whole - found)


@given(any_scopes)
def test_expanding_twice_is_expanding_once(scopes: list[str]) -> None:
    once = TREE.expand(scopes)
    assert TREE.expand(once) == once


@given(st.lists(referring | st.builds(str.__add__, bases, marks), max_size=6), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(scopes: list[str], random) -> None:
    shuffled = [*scopes, *scopes]
    random.shuffle(shuffled)
    owner = {"user": "a", "server": "a/lab", "service": "s"}
    once = TREE.expand(scopes, **owner)
    assert TREE.expand(shuffled, **owner) == TREE.expand(frozenset(scopes), **owner) == once
    # One too large to be remembered.
    assert TREE.expand(["no_scope"] * 101 + scopes, **owner) == once


@given(any_scopes, any_scopes)
def test_more_scopes_never_allow_less(scopes: list[str], more: list[str]) -> None:
    assert TREE.expand([*scopes, *more]) == shortest(TREE.expand(scopes) | TREE.expand(more))


@given(bases, marks)
def test_a_filter_never_allows_anything_outside_itself(base: str, mark: str) -> None:
    assert {place for _, place in counted(TREE.expand([base + mark]))} <= WORLD[mark]


@given(st.lists(referring, max_size=6), st.sampled_from(USERS), st.sampled_from(SERVERS))
def test_whoever_refers_to_oneself_gets_nothing_of_anybody_else(scopes: list[str], user: str, server: str) -> None:
    filtered = [each for each in scopes if "!" in each or each == "self"]
    of_me = TREE.expand(filtered, user=user, server=f"{user}/{server}")
    assert {place for _, place in counted(of_me)} <= WORLD[f"!user={user}"]
    if "self" in scopes:
        assert of_me >= {f"{each}!user={user}" for each in SELF}
    assert TREE.expand(filtered) == set()


@given(expanded)
def test_allowed_is_what_is_meant(scopes: frozenset[str]) -> None:
    assert counted(scopes) == meaning(scopes)


@given(expanded, st.builds(str.__add__, related, marks))
def test_a_scope_is_covered_if_one_means_as_much(scopes: frozenset[str], scope: str) -> None:
    wanted = meaning([scope])
    assert covers(scopes, scope, MEMBERS) is any(wanted <= meaning([each]) for each in scopes)


@given(expanded, st.builds(str.__add__, related, marks))
def test_what_is_covered_is_allowed_wherever_it_applies(scopes: frozenset[str], scope: str) -> None:
    if covers(scopes, scope, MEMBERS):
        assert meaning([scope]) <= counted(scopes)


@given(expanded, expanded, expanded)
def test_covering_is_reflexive_and_transitive(a: frozenset[str], b: frozenset[str], c: frozenset[str]) -> None:
    assert all(covers(a, each, MEMBERS) for each in a)
    below_b = [each for each in c if covers(b, each, MEMBERS)]
    if all(covers(a, each, MEMBERS) for each in b):
        assert all(covers(a, each, MEMBERS) for each in below_b)


@given(related, marks, marks, marks)
def test_covering_is_transitive_link_by_link(base: str, x: str, y: str, z: str) -> None:
    if covers({base + x}, base + y, MEMBERS) and covers({base + y}, base + z, MEMBERS):
        assert covers({base + x}, base + z, MEMBERS)


@given(expanded, expanded)
def test_what_two_have_in_common_is_what_both_mean(left: frozenset[str], right: frozenset[str]) -> None:
    common = meaning(intersect(left, right, MEMBERS))
    assert common <= meaning(left) & meaning(right)
    pairs = [(x, y) for x in left for y in right if not only_groups_apart(x, y)]
    assert common == set().union(*(meaning([x]) & meaning([y]) for x, y in pairs))


@given(expanded, expanded)
def test_with_nobody_in_two_groups_nothing_is_lost(left: frozenset[str], right: frozenset[str]) -> None:
    common = meaning(intersect(left, right, APART), WORLD_APART)
    assert common == meaning(left, WORLD_APART) & meaning(right, WORLD_APART)


@given(expanded, expanded)
def test_sides_do_not_matter_and_once_is_enough(left: frozenset[str], right: frozenset[str]) -> None:
    common = intersect(left, right, MEMBERS)
    assert common == intersect(right, left, MEMBERS)
    assert intersect(left, left, MEMBERS) == left
    assert intersect(common, left, MEMBERS) == intersect(common, right, MEMBERS) == common


@given(expanded, expanded)
def test_to_know_less_of_groups_never_gives_more(left: frozenset[str], right: frozenset[str]) -> None:
    assert intersect(left, right) <= intersect(left, right, APART) <= intersect(left, right, MEMBERS)


@given(expanded, expanded)
def test_only_the_groups_that_are_named_need_be_known(left: frozenset[str], right: frozenset[str]) -> None:
    named = groups_in(left) | groups_in(right)
    some = {group: names for group, names in MEMBERS.items() if group in named}
    assert intersect(left, right, some) == intersect(left, right, MEMBERS)


@given(expanded, expanded, expanded)
def test_it_does_not_matter_in_which_order_they_are_narrowed(
    a: frozenset[str], b: frozenset[str], c: frozenset[str]
) -> None:
    for members in ({}, APART):
        assert intersect(intersect(a, b, members), c, members) == intersect(a, intersect(b, c, members), members)


@given(expanded, expanded, expanded)
def test_where_the_order_matters_nothing_is_gained(a: frozenset[str], b: frozenset[str], c: frozenset[str]) -> None:
    all_three = meaning(a) & meaning(b) & meaning(c)
    assert meaning(intersect(intersect(a, b, MEMBERS), c, MEMBERS)) <= all_three
    assert meaning(intersect(a, intersect(b, c, MEMBERS), MEMBERS)) <= all_three


def test_the_order_matters_where_groups_overlap() -> None:
    a, b, c = {"servers!group=a"}, {"servers!group=both"}, {"servers!user=b"}
    assert intersect(intersect(a, b, MEMBERS), c, MEMBERS) == set()
    assert intersect(a, intersect(b, c, MEMBERS), MEMBERS) == c


@given(any_scopes, st.lists(referring, max_size=6), any_scopes, st.sampled_from(USERS))
def test_a_token_never_has_what_its_owner_lacks(
    held: list[str], asked_for: list[str], more: list[str], owner: str
) -> None:
    has = TREE.expand([*held, "self"], user=owner)
    wants = TREE.expand([*asked_for, *more], user=owner, server=f"{owner}/lab")
    gets = intersect(wants, has, MEMBERS)
    assert all(covers(has, each, MEMBERS) and covers(wants, each, MEMBERS) for each in gets)
    assert counted(gets) <= counted(has) & counted(wants)
    # What it gets is whole: what is below it need not be looked for again.
    assert counted(TREE.expand(gets)) == counted(gets)
