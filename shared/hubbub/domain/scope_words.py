"""What scopes and their filters are called where people read them: on the page that asks for consent."""

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "no_scope": "Know who you are",
    "self": "Do what you may do with what is yours",
    "inherit": "Do everything that you may do",
    "admin-ui": "Open the administration page",
    "admin:users": "Administer people's accounts",
    "admin:auth_state": "Read what the login system keeps about people",
    "users": "See and change people's accounts",
    "list:users": "See who has an account",
    "read:users": "See people's accounts: name, groups, last activity",
    "read:users:name": "See people's names",
    "read:users:groups": "See which groups people are in",
    "read:users:activity": "See when somebody was active last",
    "read:roles": "See which roles are held, by whom and by what",
    "read:roles:users": "See which roles people have",
    "read:roles:services": "See which roles services have",
    "read:roles:groups": "See which roles groups have",
    "users:activity": "Report that somebody is active",
    "admin:servers": "Administer servers, and see what is kept to find them again",
    "admin:server_state": "See what is kept to find servers again",
    "servers": "Start and stop servers",
    "read:servers": "See which servers there are and whether they run",
    "start:servers": "Start servers",
    "delete:servers": "Stop and remove servers",
    "delete:users": "Delete people's accounts",
    "tokens": "Make and revoke API tokens",
    "read:tokens": "See which API tokens there are",
    "admin:groups": "Make, change and delete groups",
    "groups": "See groups and change who is in them",
    "list:groups": "See which groups there are",
    "read:groups": "See groups and who is in them",
    "read:groups:name": "See the names of groups",
    "delete:groups": "Delete groups",
    "admin:services": "Administer services",
    "list:services": "See which services there are",
    "read:services": "See services and how they are set up",
    "read:services:name": "See the names of services",
    "read:hub": "See details of the hub itself",
    "access:servers": "Open servers and work in them",
    "access:services": "Use services",
    "shares": "Share servers with others, and take that back",
    "read:shares": "See with whom servers are shared",
    "users:shares": "See what is shared with people, and leave it for them",
    "read:users:shares": "See what is shared with people",
    "groups:shares": "See what is shared with groups, and leave it for them",
    "read:groups:shares": "See what is shared with groups",
    "proxy": "Change where the hub sends its visitors",
    "shutdown": "Shut the hub down",
    "read:metrics": "Read the hub's metrics",
    "read:events": "See what has happened, and who did it",
}


def filter_in_words(filter: str) -> str:
    """Of whom or what: *filter* as it stands after the `!`."""
    kind, equals, value = filter.partition("=")
    if not equals:
        return {"user": "for yourself", "server": "for this server", "service": "for this service"}.get(kind, kind)
    if kind == "group":
        return f"for the group {value} and its members"
    if kind == "server":
        owner, _, name = value.partition("/")
        return f"for {owner}'s server {name}" if name else f"for {owner}'s default server"
    return f"for the {kind} {value}"
