"""The scopes there are: the built-in tree, the operator's custom scopes, and what roles may be made of them.

A scope is `base` or `base!filter`; a filter is `kind=value`, or refers to whoever holds it: `!user` (the
owner), `!server` and `!service` (what the token was given to). See JupyterHub's documentation of scopes.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from hubbub.domain import scope_words

#: Parent -> children. Each child's children follow by expansion.
BUILT_IN: Mapping[str, tuple[str, ...]] = {
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
    "read:events": (),  # not of JupyterHub
}

#: They stand for others and take no filter.
METASCOPES = frozenset({"self", "inherit", "no_scope"})

DESCRIPTIONS: Mapping[str, str] = scope_words.DESCRIPTIONS

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
    "read:events",
)
#: Scopes that JupyterHub does not have: who spells its role out as there still means this one.
OURS = frozenset({"read:events"})
USER_ROLE = ("self",)
SERVER_ROLE = ("users:activity!user", "access:servers!server")

ROLES: Mapping[str, tuple[str, ...]] = {
    "admin": ADMIN_ROLE,
    "user": USER_ROLE,
    "server": SERVER_ROLE,
    "token": ("inherit",),
}

_CUSTOM = re.compile(r"custom:[a-z0-9][a-z0-9_\-*:]+[a-z0-9_*]")
_ROLE_NAME = re.compile(r"[a-z][a-z0-9\-_~.]{1,253}[a-z0-9]")
_ROLE_LISTS = ("scopes", "users", "groups", "services")

#: Expansions remembered, and how large a question may be for that (scopes; characters in all): whoever makes
#: tokens chooses their scopes, and is not to fill our memory with them.
_REMEMBERED, _MOST_SCOPES, _MOST_CHARACTERS = 1024, 100, 4096


class Tree:
    """The built-in scopes and the operator's custom ones. Never changes; equal to itself alone."""

    def __init__(self, custom: Mapping[str, Mapping[str, Any]] = {}) -> None:
        """*custom*: name -> `description` and, if it brings others, `subscopes`. ValueError says what is wrong."""
        for name, definition in custom.items():
            _check_custom(name, definition, custom)
        self._words = {**DESCRIPTIONS, **{name: each["description"] for name, each in custom.items()}}
        parents = {**BUILT_IN, **{name: tuple(each.get("subscopes", ())) for name, each in custom.items()}}
        self._below = {base: _closure(base, parents) for base in parents}
        # What a server's filter leaves: nothing can be read about a user there.
        self._on_a_server = {
            base: frozenset(each for each in below if not each.startswith("read:user"))
            for base, below in self._below.items()
        }
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._expand)

    def __contains__(self, base: object) -> bool:
        return base in self._below

    def known(self, scope: str) -> bool:
        """Whether there is such a scope, and its filter, if it has one, is well-formed."""
        base, mark, filter = scope.partition("!")
        if not mark:
            return base in self._below or base in METASCOPES
        return base in self._below and _is_filter(filter)

    def children(self, scope: str) -> frozenset[str]:
        """*scope* and everything below it, all with its filter; nothing if there is no such scope.

        With a server's filter, none that begins with `read:user`: not even *scope* itself.
        """
        base, mark, filter = scope.partition("!")
        below = (self._on_a_server if filter.startswith("server") else self._below).get(base, frozenset())
        return frozenset([name + mark + filter for name in below]) if mark else below

    def expand(self, scopes: Iterable[str], *, user: str = "", server: str = "", service: str = "") -> frozenset[str]:
        """Every scope that *scopes* bring, with self-referential filters resolved for their owner.

        *user*: the owner's name; *server*: `name/server` of the OAuth client that the scopes were given to;
        *service*: the owner's name, or the client's. A filter that cannot be resolved drops its scope, as does
        `self` for an owner that is no user. `inherit` and `no_scope` bring nothing here.
        """
        asked = scopes if isinstance(scopes, (tuple, frozenset)) else tuple(scopes)
        if len(asked) <= _MOST_SCOPES and sum(map(len, asked)) <= _MOST_CHARACTERS:
            return self._remembered(asked, user, server, service)
        return self._expand(asked, user, server, service)

    def _expand(self, scopes: tuple[str, ...] | frozenset[str], user: str, server: str, service: str) -> frozenset[str]:
        holder = {"user": user, "server": server, "service": service}
        found: set[str] = set()
        for scope in scopes:
            _, mark, filter = scope.partition("!")
            if scope == "self":
                if user:
                    found.update(*(self.children(f"{each}!user={user}") for each in SELF))
            elif not mark or "=" in filter:
                found |= self.children(scope)
            elif value := holder.get(filter):
                found |= self.children(f"{scope}={value}")
        return shortest(found)

    def describe(self, scope: str) -> str:
        """*scope* in words, for the page that asks for consent; an unknown one is its own description."""
        base, mark, filter = scope.partition("!")
        words = self._words.get(base, base)
        return f"{words} (only {scope_words.filter_in_words(filter)})" if mark else words


def shortest(scopes: Collection[str]) -> frozenset[str]:
    """*scopes* without those that have a filter although they are held without one."""
    return frozenset(scope for scope in scopes if "!" not in scope or scope.partition("!")[0] not in scopes)


def _closure(base: str, parents: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    found: set[str] = set()
    todo = [base]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += parents[name]
    return frozenset(found)


def _is_filter(filter: str) -> bool:
    kind, equals, value = filter.partition("=")
    if not equals:
        return kind in ("user", "server", "service")
    if kind == "server":
        owner, slash, name = value.partition("/")
        return bool(owner and slash) and "/" not in name
    return kind in ("user", "group", "service") and bool(value)


def _check_custom(name: str, definition: Any, custom: Mapping[str, Any]) -> None:
    if not isinstance(name, str) or not _CUSTOM.fullmatch(name):
        raise ValueError(
            f"Invalid scope name {name!r}: a custom scope is `custom:` and lower case letters, digits, _, -, : and *; "
            "a letter or digit first, no - or : at the end"
        )
    if not isinstance(definition, Mapping):
        raise ValueError(f"{name}: a custom scope is defined by a dictionary, not {definition!r}")  # noqa: TRY004
    if unknown := definition.keys() - {"description", "subscopes"}:
        raise ValueError(f"{name}: unknown key {_first(unknown)!r}; a custom scope has a description and subscopes")
    description = definition.get("description")
    if not isinstance(description, str) or not description.strip():
        raise ValueError(f"{name}: a custom scope needs a description")
    for each in _strings(name, "subscopes", definition.get("subscopes", ())):
        if each in BUILT_IN or each in METASCOPES:
            raise ValueError(f"{name}: {each!r} is no custom scope; use a role to bring several scopes together")
        if each not in custom:
            raise ValueError(f"{name}: there is no scope {each!r}")


def check_role_name(name: object) -> None:
    """ValueError unless *name* is one that a role may have."""
    if not isinstance(name, str) or not _ROLE_NAME.fullmatch(name):
        raise ValueError(
            f"Invalid role name {name!r}: 3 to 255 lower case letters, digits, -, _, ~ and .; "
            "a letter first, a letter or digit at the end"
        )


def check_role(role: Mapping[str, Any], tree: Tree) -> None:
    """ValueError naming what is wrong with one entry of `c.JupyterHub.load_roles`."""
    if not isinstance(role, Mapping) or "name" not in role:
        raise ValueError(f"A role is a dictionary with a name, not {role!r}")
    name = role["name"]
    check_role_name(name)
    if unknown := role.keys() - {"name", "description", *_ROLE_LISTS}:
        raise ValueError(f"Role {name}: unknown key {_first(unknown)!r}; known: description, {', '.join(_ROLE_LISTS)}")
    if not isinstance(role.get("description", ""), str):
        raise ValueError(f"Role {name}: description must be a string")  # noqa: TRY004
    for key in _ROLE_LISTS:
        _strings(f"Role {name}", key, role.get(key, ()))
    for each in role.get("scopes", ()):
        if not tree.known(each):
            raise ValueError(f"Role {name}: there is no scope {each!r}")
    if name == "admin" and "scopes" in role and {*role["scopes"], *OURS} != set(ADMIN_ROLE):
        raise ValueError("Role admin: its scopes cannot be changed")


def _strings(where: str, key: str, value: Any) -> Iterable[str]:
    # A string is refused: as a list it would be its letters.
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(each, str) for each in value):
        return value
    raise ValueError(f"{where}: {key} must be a list of strings, not {value!r}")


def _first(names: Iterable[Any]) -> str:
    return min(map(str, names))


TREE = Tree()
