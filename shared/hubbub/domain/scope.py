"""The algebra of scopes: what a set of them allows, and what two of them have in common.

A scope is `name` or `name!kind=value`; see "Scopes in JupyterHub" of JupyterHub's documentation. Here a
set of scopes is first expanded (each scope brings its children), so that afterwards membership is enough.
"""

from collections.abc import Collection, Iterable, Mapping

#: Parent -> children. Each child's children follow by expansion.
TREE: Mapping[str, tuple[str, ...]] = {
    "admin-ui": (),
    "admin:users": ("admin:auth_state", "users", "read:roles:users", "delete:users"),
    "admin:auth_state": (),
    "users": ("read:users", "list:users", "users:activity"),
    "list:users": ("read:users:name",),
    "read:users": ("read:users:name", "read:users:groups", "read:users:activity"),
    "read:users:name": (),
    "read:users:groups": (),
    "read:users:activity": (),
    "read:roles": ("read:roles:users", "read:roles:services", "read:roles:groups"),
    "read:roles:users": (),
    "read:roles:services": (),
    "read:roles:groups": (),
    "users:activity": ("read:users:activity",),
    "admin:servers": ("admin:server_state", "servers"),
    "admin:server_state": (),
    "servers": ("read:servers", "start:servers", "delete:servers"),
    "read:servers": ("read:users:name",),
    "start:servers": (),
    "delete:servers": (),
    "delete:users": (),
    "tokens": ("read:tokens",),
    "read:tokens": (),
    "admin:groups": ("groups", "read:roles:groups", "delete:groups"),
    "groups": ("read:groups", "list:groups"),
    "list:groups": ("read:groups:name",),
    "read:groups": ("read:groups:name",),
    "read:groups:name": (),
    "delete:groups": (),
    "admin:services": ("list:services", "read:services", "read:roles:services"),
    "list:services": ("read:services:name",),
    "read:services": ("read:services:name",),
    "read:services:name": (),
    "read:hub": (),
    "access:servers": (),
    "access:services": (),
    "shares": ("access:servers", "read:shares", "users:shares", "groups:shares"),
    "read:shares": (),
    "users:shares": ("read:users:shares",),
    "read:users:shares": (),
    "groups:shares": ("read:groups:shares",),
    "read:groups:shares": (),
    "proxy": (),
    "shutdown": (),
    "read:metrics": (),
}

#: What `self` stands for, each with `!user=<owner>`.
SELF = ("read:users", "users:shares", "read:shares", "users:activity", "servers", "tokens", "access:servers")

ADMIN_ROLE = (
    "admin-ui",
    "admin:users",
    "admin:servers",
    "admin:services",
    "tokens",
    "admin:groups",
    "list:services",
    "read:services",
    "read:hub",
    "proxy",
    "shutdown",
    "access:services",
    "access:servers",
    "read:roles",
    "read:metrics",
    "shares",
)
USER_ROLE = ("self",)
SERVER_ROLE = ("users:activity!user", "access:servers!server")

ROLES: Mapping[str, tuple[str, ...]] = {
    "admin": ADMIN_ROLE,
    "user": USER_ROLE,
    "server": SERVER_ROLE,
    "token": ("inherit",),
}


def known(scope: str) -> bool:
    base = scope.partition("!")[0]
    return base in TREE or base in ("self", "inherit", "no_scope")


def children(scope: str) -> frozenset[str]:
    """*scope* and everything below it, all with its filter. A server's filter brings no `read:users`."""
    base, mark, filter = scope.partition("!")
    found: set[str] = set()
    todo = [base]
    while todo:
        name = todo.pop()
        if name in found or (filter.startswith("server=") and name != base and name.startswith("read:users")):
            continue
        found.add(name)
        todo += TREE.get(name, ())
    return frozenset(name + mark + filter for name in found)


def expand(scopes: Iterable[str], *, user: str = "", server: str = "", service: str = "") -> frozenset[str]:
    """Every scope that *scopes* bring, with self-referential filters resolved for their owner.

    *user*: the owner's name; *server*: `name/server` of the OAuth client that the scopes were given to.
    A filter that cannot be resolved drops its scope, as does `self` for an owner that is no user.
    """
    found: set[str] = set()
    for scope in scopes:
        if scope == "self":
            if user:
                for each in SELF:
                    found |= children(f"{each}!user={user}")
            continue
        base, mark, filter = scope.partition("!")
        if mark and "=" not in filter:
            value = {"user": user, "server": server, "service": service}.get(filter, "")
            if not value:
                continue
            filter = f"{filter}={value}"
        if base in TREE:
            found |= children(base + mark + filter)
    return frozenset(found)


def intersect(left: Collection[str], right: Collection[str]) -> frozenset[str]:
    """What both expanded sets allow. Never wider than either."""
    return frozenset(
        {scope for scope in left if covers(right, scope)} | {scope for scope in right if covers(left, scope)}
    )


def covers(scopes: Collection[str], scope: str) -> bool:
    """Whether the expanded *scopes* allow all that one *scope*, perhaps filtered, does."""
    base, mark, filter = scope.partition("!")
    if base in scopes or scope in scopes:
        return True
    if not mark:
        return False
    kind, _, value = filter.partition("=")
    if kind == "server":
        return f"{base}!user={value.partition('/')[0]}" in scopes
    return False


def allows(scopes: Collection[str], base: str, *, user: str = "", server: str | None = None) -> bool:
    """Whether *base* is allowed on this user, or on this server of the user (`server`: its name)."""
    if base in scopes:
        return True
    if user and f"{base}!user={user}" in scopes:
        return True
    return server is not None and f"{base}!server={user}/{server}" in scopes


def held_at_all(scopes: Collection[str], base: str) -> bool:
    """Whether *base* is held, be it with a filter."""
    return base in scopes or any(scope.startswith(f"{base}!") for scope in scopes)


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
