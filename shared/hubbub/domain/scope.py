"""The algebra of scopes: what a set of them allows, and what two of them have in common.

All sets here are expanded (`scope_tree.Tree.expand`): each scope has brought its children and no filter is
self-referential, so membership is enough, save for the hierarchy of filters: a server lies in its user, and
both in each of the user's groups. Who is in a group is not known here: callers give `members` for (at least)
`groups_in` what they ask about. A group whose members are not given has none.
"""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from hubbub.domain import scope_tree

#: Group -> names of its users. Best sets: they are searched.
Members = Mapping[str, Collection[str]]

NOBODY: Members = MappingProxyType({})

shortest = scope_tree.shortest


def intersect(left: Collection[str], right: Collection[str], members: Members = NOBODY) -> frozenset[str]:
    """What both sets allow. Never wider than either.

    Two different groups do not meet, even if they have members in common: that would have to be written out
    user by user, and would go stale with the next change of either group. So it can matter in which order
    three sets are narrowed, if two of them name different groups; whichever way, nothing is gained.
    """
    left, right = frozenset(left), frozenset(right)
    common = left & right
    return shortest(
        common.union(
            [each for each in left - common if covers(right, each, members)],
            [each for each in right - common if covers(left, each, members)],
        )
    )


def covers(scopes: Collection[str], scope: str, members: Members = NOBODY) -> bool:
    """Whether the set *scopes* allows all that one *scope*, perhaps filtered, does."""
    if scope in scopes:
        return True
    base, _, filter = scope.partition("!")
    if base in scopes:
        return True
    kind, _, value = filter.partition("=")
    if kind == "server":
        value = value.partition("/")[0]
        if f"{base}!user={value}" in scopes:
            return True
    elif kind != "user":
        return False
    return bool(members) and _through_a_group(scopes, base, value, members)


def allows(
    scopes: Collection[str],
    base: str,
    *,
    user: str = "",
    server: str | None = None,
    group: str = "",
    service: str = "",
    members: Members = NOBODY,
) -> bool:
    """Whether *base* is allowed on this user, this server of the user (`server`: its name), group or service.

    With none of them given, only *base* without a filter will do. With several given, it must be allowed on each.
    """
    if base in scopes:
        return True
    if not (user or group or service):
        return False
    if group and f"{base}!group={group}" not in scopes:
        return False
    if service and f"{base}!service={service}" not in scopes:
        return False
    if not user or f"{base}!user={user}" in scopes:
        return True
    if server is not None and f"{base}!server={user}/{server}" in scopes:
        return True
    return bool(members) and _through_a_group(scopes, base, user, members)


def _through_a_group(scopes: Collection[str], base: str, user: str, members: Members) -> bool:
    return any(user in names and f"{base}!group={group}" in scopes for group, names in members.items())


def held_at_all(scopes: Collection[str], base: str) -> bool:
    """Whether *base* is held, be it with a filter."""
    if base in scopes:
        return True
    filtered = f"{base}!"
    return any(scope.startswith(filtered) for scope in scopes)


def filters(scopes: Collection[str], base: str) -> dict[str, set[str]] | None:
    """The filters that *base* is held with, as kind -> values; None if it is held without any."""
    if base in scopes:
        return None
    found: dict[str, set[str]] = {}
    for scope in scopes:
        if scope.startswith(f"{base}!"):
            kind, _, value = scope.partition("!")[2].partition("=")
            found.setdefault(kind, set()).add(value)
    return found


def groups_in(scopes: Collection[str]) -> frozenset[str]:
    """The groups that filters name: those whose members must be known."""
    named = [scope.partition("!")[2] for scope in scopes if "!group=" in scope]
    return frozenset(filter.removeprefix("group=") for filter in named if filter.startswith("group="))


# In the log, where names cannot be forgotten -----------------------------------------------


def nameless(scopes: Iterable[str], *, user: str, server: str = "") -> tuple[str, ...]:
    """*scopes* of a token as they are kept: its owner, and the *server* (`owner/name`) that it is given to, are `!user`
    and `!server`, which are resolved whenever somebody asks what it may do.
    """
    told = {f"user={user}": "user", **({f"server={server}": "server"} if server else {})}
    parts = (each.partition("!") for each in scopes)
    return tuple(dict.fromkeys(f"{base}{mark}{told.get(filter, filter)}" for base, mark, filter in parts))


def named(scopes: Iterable[str], *, server: str) -> tuple[str, ...]:
    """The same with the name of the *server*, as it is called now."""
    return tuple(f"{each}={server}" if server and each.endswith("!server") else each for each in scopes)
