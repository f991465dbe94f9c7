"""What a client gets: what it asked for, as far as it may have it, as far as the person has it (contract, 4.3)."""

from collections.abc import Collection, Iterable

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.roles import IDENTIFY, Roles
from hubbub_auth.oauth.clients import Client

#: What clients of old asked for; it means no more than what every client gets.
OLD_IDENTIFY = "identify"
INHERIT = "inherit"
FILTERS = frozenset({"user", "server", "group", "service"})

DESCRIPTIONS = {
    INHERIT: "Do everything that you may do",
    "self": "Do what you may do with what is yours",
    "servers": "Start and stop servers",
    "start:servers": "Start servers",
    "delete:servers": "Stop servers",
    "read:servers": "See which servers there are and whether they run",
    "access:servers": "Open servers and work in them",
    "access:services": "Use services",
    "tokens": "Make and revoke API tokens",
    "read:tokens": "See which API tokens there are",
    "users": "See and change people's accounts",
    "read:users": "See people's accounts: name, groups, last activity",
    "read:users:activity": "See when somebody was active last",
    "users:activity": "Report that somebody is active",
    "list:users": "See who has an account",
    "shares": "Share servers with others",
    "read:groups": "See groups and who is in them",
    "proxy": "Change where the hub sends its visitors",
    "admin:users": "Administer people's accounts",
    "admin:servers": "Administer servers",
    "admin:groups": "Administer groups",
}


def required(client: Client) -> frozenset[str]:
    """What every token has: knowing who it is, and the way in."""
    return frozenset({*IDENTIFY, client.access})


def default(client: Client) -> list[str]:
    """What a client asks for that asks for nothing."""
    return sorted({*client.allowed_scopes, *required(client)})


def read(asked: Iterable[str], roles: Roles) -> frozenset[str] | None:
    """The scopes *asked* for; names of roles stand for theirs. None if one is unknown."""
    names = set(asked) - {OLD_IDENTIFY}
    if all(_is_known(name) for name in names):
        return frozenset(names)
    try:
        return frozenset(each for name in names for each in roles[name])
    except KeyError:
        return None


def _is_known(name: str) -> bool:
    _, mark, only = name.partition("!")
    return scope.known(name) and (not mark or only.partition("=")[0] in FILTERS)


def may_ask(client: Client, asked: Collection[str], user: str) -> bool:
    """Whether the client may ask *user* for all of this."""
    allowed = {*client.allowed_scopes, *required(client)}
    expanded = scope.expand(allowed, user=user, server=client.full_name, service=client.service)
    return all(name in allowed or _is_covered(name, expanded, client, user) for name in asked)


def granted(identity: Identity, client: Client, asked: Collection[str]) -> list[str]:
    """The part of *asked* that *identity* has itself, and always what is `required`."""
    found = set(required(client))
    anyway = scope.expand(found, user=identity.name, server=client.full_name, service=client.service)
    for name in set(asked) - found:
        if name == INHERIT or _is_covered(name, identity.scopes, client, identity.name):
            found.add(name)
        else:
            part = scope.intersect(_expanded(name, client, identity.name), identity.scopes)
            found |= {each for each in part if not scope.covers(anyway, each)}
    return sorted(found)


def _is_covered(name: str, held: Collection[str], client: Client, user: str) -> bool:
    expanded = _expanded(name, client, user)
    return bool(expanded) and all(scope.covers(held, each) for each in expanded)


def _expanded(name: str, client: Client, user: str) -> frozenset[str]:
    return scope.expand([name], user=user, server=client.full_name, service=client.service)


def describe(name: str) -> str:
    """One scope in words, for the page that asks for consent."""
    base, mark, only = name.partition("!")
    words = DESCRIPTIONS.get(base, base)
    kind, _, value = only.partition("=")
    return f"{words} (only {kind} {value})" if value else f"{words} (only your own)" if mark else words
