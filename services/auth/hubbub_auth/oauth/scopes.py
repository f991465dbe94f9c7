"""What a client gets: what it asked for, as far as it may have it, as far as the person has it (contract, 4.3)."""

from collections.abc import Collection, Iterable

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.scope import NOBODY, Members
from hubbub.domain.scope_tree import Tree
from hubbub.roles import IDENTIFY, Roles
from hubbub_auth.oauth.clients import Client

#: What clients of old asked for; it means no more than what every client gets.
OLD_IDENTIFY = "identify"
INHERIT = "inherit"


def required(client: Client) -> frozenset[str]:
    """What every token has: knowing who it is, and the way in."""
    return frozenset({*IDENTIFY, client.access})


def default(client: Client) -> list[str]:
    """What a client asks for that asks for nothing."""
    return sorted({*client.allowed_scopes, *required(client)})


def read(asked: Iterable[str], roles: Roles) -> frozenset[str] | None:
    """The scopes *asked* for; names of roles stand for theirs. None if one is unknown."""
    names = set(asked) - {OLD_IDENTIFY}
    if all(roles.tree.known(name) for name in names):
        return frozenset(names)
    try:
        return frozenset(each for name in names for each in roles[name])
    except KeyError:
        return None


def may_ask(client: Client, asked: Collection[str], user: str, tree: Tree) -> bool:
    """Whether the client may ask *user* for all of this."""
    allowed = {*client.allowed_scopes, *required(client)}
    expanded = tree.expand(allowed, user=user, server=client.full_name, service=client.service)
    return all(name in allowed or _is_covered(tree, name, expanded, client, user) for name in asked)


def granted(identity: Identity, client: Client, asked: Collection[str], tree: Tree) -> list[str]:
    """The part of *asked* that *identity* has itself, and always what is `required`.

    `!service` is resolved: nobody but the client knows which one is meant, and it is not there when the token is
    used.
    """
    found = set(required(client))
    anyway = tree.expand(found, user=identity.name, server=client.full_name, service=client.service)
    for name in {_resolved(each, client) for each in asked} - found:
        if name == INHERIT or _is_covered(tree, name, identity.scopes, client, identity.name, identity.members):
            found.add(name)
        else:
            expanded = _expanded(tree, name, client, identity.name)
            part = scope.intersect(expanded, identity.scopes, identity.members)
            found |= {each for each in part if not scope.covers(anyway, each, identity.members)}
    return sorted(found)


def _resolved(name: str, client: Client) -> str:
    return f"{name}={client.service}" if client.service and name.endswith("!service") else name


def _is_covered(
    tree: Tree, name: str, held: Collection[str], client: Client, user: str, members: Members = NOBODY
) -> bool:
    expanded = _expanded(tree, name, client, user)
    return bool(expanded) and all(scope.covers(held, each, members) for each in expanded)


def _expanded(tree: Tree, name: str, client: Client, user: str) -> frozenset[str]:
    return tree.expand([name], user=user, server=client.full_name, service=client.service)
