"""What somebody may let a token do, as boxes to tick: each scope in words, by what it is about."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hubbub.access import Identity
from hubbub.domain.scope_tree import SELF, Tree

#: In words about oneself: held with `!user=<oneself>`.
_MINE = {
    "servers": "Start, stop and change your servers",
    "read:servers": "See your servers and whether they run",
    "start:servers": "Start your servers",
    "delete:servers": "Stop and remove your servers",
    "access:servers": "Open your servers and work in them",
    "read:users": "See your name, your groups and when you were active last",
    "read:users:name": "See your name",
    "read:users:groups": "See which groups you are in",
    "read:users:activity": "See when you were active last",
    "users:activity": "Report that you are active",
    "tokens": "Make and revoke your API tokens, and end your sessions",
    "read:tokens": "See your API tokens and where you are logged in",
    "shares": "Share your servers with others, and take that back",
    "read:shares": "See with whom your servers are shared",
    "users:shares": "See what is shared with you, and leave it",
    "read:users:shares": "See what is shared with you",
    "groups:shares": "See what is shared with your groups, and leave it",
    "read:groups:shares": "See what is shared with your groups",
    "read:events": "See what happened to you and your servers",
}
#: Titles, and the last words of the scopes below them.
_TOPICS = (
    ("Servers", ("servers", "server_state")),
    ("People", ("users", "users:name", "users:groups", "users:activity", "activity", "auth_state", "roles")),
    ("Tokens and logins", ("tokens",)),
    ("Sharing", ("shares",)),
    ("Groups", ("groups", "groups:name")),
    ("Services", ("services", "services:name")),
    ("The hub itself", ()),
)


@dataclass(frozen=True)
class Choice:
    scope: str
    words: str


@dataclass(frozen=True)
class Topic:
    title: str
    choices: tuple[Choice, ...]


_PEOPLE, _ONESELF, _STORY = "People", "About you", "read:events"


def about_oneself(identity: Identity, tree: Tree) -> list[Topic]:
    """Scopes for what is one's own, as far as one has them. They follow one's name, should that change."""
    bases = [base for base in _MINE if base in tree and identity.may(base, user=identity.name)]
    topics = _by_topic([Choice(f"{base}!user", _MINE[base]) for base in bases if base != _STORY])
    found = [Topic(_ONESELF if topic.title == _PEOPLE else topic.title, topic.choices) for topic in topics]
    return [*found, Topic("What happened", (Choice(f"{_STORY}!user", _MINE[_STORY]),))] if _STORY in bases else found


def beyond(identity: Identity, tree: Tree) -> list[Topic]:
    """What else somebody may do: everybody's, or that of some others."""
    own = f"!user={identity.name}"
    scopes = sorted(scope for scope in identity.scopes if not scope.endswith(own))
    return _by_topic([Choice(scope, tree.describe(scope)) for scope in scopes])


def in_words(scopes: Collection[str], tree: Tree, owner: str) -> list[str]:
    """*scopes* as a token has them; those that others bring left out."""
    brought = {each for scope in scopes for each in tree.children(scope) if each != scope}
    return [_words(scope, tree, owner) for scope in sorted(scopes) if scope not in brought]


def _words(scope: str, tree: Tree, owner: str) -> str:
    base, _, filter = scope.partition("!")
    if filter in ("user", f"user={owner}") and base in _MINE:
        return _MINE[base]
    if base == "access:servers" and filter.startswith(f"server={owner}/"):
        name = filter.partition("/")[2]
        return f"Open your server {name}" if name else "Open your server"
    return tree.describe(scope)


def only_servers(identity: Identity) -> tuple[str, ...]:
    """What is enough to start, stop and use one's servers; nothing if one may not."""
    wanted = ("servers", "access:servers")
    return tuple(f"{base}!user" for base in wanted if identity.may(base, user=identity.name))


def _by_topic(choices: Iterable[Choice]) -> list[Topic]:
    found: dict[str, list[Choice]] = {title: [] for title, _ in _TOPICS}
    for choice in choices:
        found[_topic(choice.scope.partition("!")[0])].append(choice)
    return [Topic(title, tuple(given)) for title, given in found.items() if given]


def _topic(base: str) -> str:
    words = base.partition(":")[2] if base.startswith(("read:", "list:", "admin:", "start:", "delete:")) else base
    if words.startswith("shares") or words.endswith(":shares"):
        return "Sharing"
    if words == "activity" or base == "access:servers":
        return "Servers" if base == "access:servers" else "People"
    if words.startswith("roles"):
        return "People"
    if base == "access:services":
        return "Services"
    return next((title for title, ends in _TOPICS if words in ends), _TOPICS[-1][0])


assert set(SELF) <= set(_MINE), "whatever everybody may do has words of its own"
