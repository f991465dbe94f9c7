"""What has happened, in a plain sentence for people: one a type of event."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from hubbub.domain.message import Event, Unknown
from hubbub.eventlog import Recorded

if TYPE_CHECKING:
    from hubbub_api.event_models import Actor, WhichServer, Who

#: What parts of the system are called that act by themselves.
_SYSTEM = {
    "sweep": "the hub",
    "configuration": "the configuration",
    "operator": "an operator on the terminal",
    "login": "a login",
    "account": "somebody at the login page",
    "authenticator": "the authenticator",
}

#: A text with places for fields of the event (`0`) and the words of `sentence`, or what makes one of these.
Words: TypeAlias = str | Callable[[Any, Mapping[str, str]], str]


def sentence(
    record: Recorded,
    event: Event,
    actor: "Actor",
    user: "Who | None",
    server: "WhichServer | None",
    group: "Who | None",
) -> str:
    """Total: also of what this release cannot read, or has no words for."""
    if isinstance(event, Unknown):
        return f"something that this release cannot read: {event.name}"
    words = {
        "actor": _actor(actor),
        "user": user.name if user else "somebody",
        "server": _server(server),
        "group": f"the group {group.name}" if group else "a group",
        "with": user.name if user else f"the group {group.name}" if group else "somebody",
        "id": record.id,
    }
    known = SENTENCES.get(record.type, f"{record.type} of {record.kind} {record.id}")
    return known.format(event, **words) if isinstance(known, str) else known(event, words)


def _actor(actor: "Actor") -> str:
    if actor.kind == "user":
        return actor.name
    if actor.kind == "system":
        return _SYSTEM.get(actor.name, "the hub")
    return f"{actor.kind} {actor.name}"


def _server(server: "WhichServer | None") -> str:
    if server is None:
        return "a server"
    if not server.user:
        return f"the service {server.name}"
    return f"{server.user}'s server {server.name}".rstrip()


def _because(reason: str | None, *usual: str) -> str:
    return f" ({reason})" if reason and reason not in usual else ""


def _failed(event: Any, words: Mapping[str, str]) -> str:
    if event.failure.reason == "cancelled":
        return f"{words['actor']} cancelled the start of {words['server']}"
    return f"the start of {words['server']} failed: {event.failure.message}"


def _token(event: Any, words: Mapping[str, str]) -> str:
    if event.session:
        where = words["server"] if event.server else event.client.removeprefix("service-")
        return f"{words['user']} was let in to {where}"
    if event.server:
        return f"{words['server']} got a token of its own"
    owner = f"service {event.service}" if event.service else words["user"]
    return f"{words['actor']} made a token for {owner}" + (f": {event.note}" if event.note else "")


def _withdrawn(_: Any, words: Mapping[str, str]) -> str:
    return f"{words['actor']} took the role {words['id'].partition('/')[0]} from {words['with']}"


def _proxy_of(words: Mapping[str, str]) -> str:
    return words["id"].rpartition(".")[0]


SENTENCES: Mapping[str, Words] = {
    "UserCreated": lambda _, w: (
        f"{w['user']} came for the first time" if w["actor"] == w["user"] else f"{w['actor']} made the user {w['user']}"
    ),
    "UserRenamed": "{actor} gave a user the name {0.name}",
    "AdminSet": lambda e, w: (
        f"{w['actor']} made {w['user']} an administrator"
        if e.admin
        else f"{w['actor']} made {w['user']} an ordinary user"
    ),
    "UserDeleted": "{actor} deleted a user",
    "ServerCreated": "{actor} made {server}",
    "SpawnRequested": "{actor} asked for a start of {server}",
    "AttemptClaimed": "worker {0.worker} took the start of {server}",
    "StartExtended": "the start of {server} was given more time",
    "ServerStarted": "{server} was started",
    "ServerResponded": "{server} answered",
    "ServerMoved": "{server} listens at another address",
    "SpawnFailed": _failed,
    "AttemptLost": lambda e, w: f"the start of {w['server']} was lost, and is tried again{_because(e.reason)}",
    "HolderLost": lambda e, w: f"{w['server']} goes on, but its worker is lost{_because(e.reason)}",
    "ServerAdopted": "worker {0.worker} took over {server}",
    "StopRequested": lambda e, w: f"{w['actor']} asked {w['server']} to stop{_because(e.reason, 'asked')}",
    "ServerStopped": lambda e, w: f"{w['server']} stopped{_because(e.status, '0', 'exit status 0')}",
    "ServerCrashed": lambda e, w: f"{w['server']} ended by itself{_because(e.status)}",
    "ServerRenamed": lambda e, w: f"{w['actor']} renamed a server to {e.name or 'the default server'}",
    "ServerDeleted": "{actor} deleted {server}",
    "OrphanFound": lambda e, w: f"something may be left of start {e.attempt} of {w['server']}{_because(e.reason)}",
    "OrphanRemoved": lambda e, w: (
        f"{w['actor']} had what may be left of start {e.attempt} of {w['server']} forgotten"
        if e.forced
        else f"nothing is left of start {e.attempt} of {w['server']}"
    ),
    "OrphanAdopted": "{actor} had what was left of start {0.attempt} of {server} made the server again",
    "TokenIssued": _token,
    "TokenRestricted": "the token of {server} was given the scopes of its start",
    "TokenRevoked": lambda e, w: f"{w['actor']} revoked a token of {w['user']}{_because(e.reason, 'asked')}",
    "SessionOpened": lambda e, w: f"{w['user']} logged in" + (f" from {e.address}" if e.address else ""),
    "SessionClosed": lambda e, w: (
        f"{w['user']} logged out"
        if e.reason == "logout"
        else f"a session of {w['user']} was ended{_because(e.reason, 'ended')}"
    ),
    "CodeIssued": "{user} was sent on, to be let in",
    "CodeRedeemed": "the code that {user} was sent on with was used",
    "CodeExpired": "the code that {user} was sent on with was never used",
    "RouteAdded": "proxy {0.proxy} leads to {server}",
    "RouteRemoved": lambda _, w: f"proxy {_proxy_of(w)} does not lead to {w['server']} any more",
    "ProxyJoined": "proxy {0.proxy} has all routes, and counts from now on",
    "ProxyLost": lambda e, w: f"proxy {w['id']} does not count any more{_because(e.reason)}",
    "ProxyMoved": "{actor} moved proxy {0.proxy}",
    "RoutesCorrected": lambda e, _: f"proxy {e.proxy} was corrected: {e.count} routes were not as they should be",
    "GroupCreated": "{actor} made {group}",
    "PropertiesSet": "{actor} changed the properties of {group}",
    "GroupDeleted": lambda e, w: f"{w['actor']} deleted {w['group']}{_because(e.reason, 'asked')}",
    "RoleDefined": "{actor} defined the role {id}",
    "RoleDropped": lambda e, w: f"{w['actor']} dropped the role {w['id']}{_because(e.reason)}",
    "MemberAdded": "{actor} put {user} into {group}",
    "MemberRemoved": lambda e, w: f"{w['actor']} took {w['user']} out of {w['group']}{_because(e.reason, 'asked')}",
    "RoleGranted": "{actor} gave {with} the role {0.role}",
    "RoleWithdrawn": _withdrawn,
    "ServerShared": "{actor} shared {server} with {with}",
    "ShareRevoked": lambda e, w: (
        f"{w['actor']} ended the share of {w['server']} with {w['with']}{_because(e.reason, 'asked')}"
    ),
    "ShareCodeIssued": "{actor} made a link that shares {server}",
    "ShareCodeUsed": "{user} used a link that shares {server}",
    "ShareCodeRevoked": "{actor} took back a link that shares {server}",
    "ServiceRegistered": "{actor} registered the service {0.spec.name}",
    "ServiceRemoved": lambda e, w: f"{w['actor']} removed a service{_because(e.reason, 'asked')}",
    "AccountRequested": "somebody signed up as {0.name}, and waits for approval",
    "AccountMade": "the account {0.name} was made",
    "AccountApproved": "{actor} approved of an account",
    "PasswordSet": lambda e, _: (
        f"a password was chosen by a link{_because(e.address)}"
        if e.how == "link"
        else f"a password was changed{_because(e.address)}"
    ),
    "LinkGiven": "{actor} had a link made by which a password may be chosen",
    "AccountRemoved": lambda e, w: f"{w['actor']} removed an account{_because(e.reason, 'asked')}",
    "StartsPaused": lambda e, w: f"{w['actor']} paused starts" + (f": {e.reason}" if e.reason else ""),
    "StartsResumed": "{actor} let starts go on",
    "BannerPut": "{actor} put up a banner: {0.text}",
    "BannerTaken": "{actor} took down the banner",
    "WorkerDrained": lambda e, w: f"{w['actor']} drains worker {e.worker}" + (f": {e.message}" if e.message else ""),
    "WorkerUndrained": "{actor} lets worker {0.worker} take work again",
}
