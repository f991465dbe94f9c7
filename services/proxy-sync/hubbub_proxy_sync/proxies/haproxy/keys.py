"""The keys of the map: what a routespec is called there, and the same for what somebody asks for.

HAProxy looks for the longest key that what is asked for begins with. Its converters make that of a request's path:
`url_dec`, which sees through quotes as every server does, then `url_enc`, after which only letters, digits and
`-._~%` are left. So a path has one key, however it is quoted, and two paths never share one.
"""

from urllib.parse import quote, unquote_to_bytes

from hubbub_proxy_sync.proxies.routespec import split

#: Bytes of a path, unquoted, that are looked at. No route is longer.
LONGEST = 4096
#: Whatever has no route leads to the hub. No path and no host has such a key.
FALLBACK = "|hub"
#: A path in which dots or backslashes would have to be resolved first: it may mean any server, so it is the hub's.
RESOLVED = r"(^|/)(\.|%2e){1,2}(/|$)"
#: What a host may look like; any other has no routes.
HOST = "^[a-z0-9_.-]+$"


def key_of(routespec: str) -> str:
    """*routespec*: in its one form. Raises ValueError if it is longer than what is looked at."""
    host, path = split(routespec)
    unquoted = unquote_to_bytes(path)
    if len(unquoted) > LONGEST:
        raise ValueError(f"a route of {len(unquoted)} bytes is too long for HAProxy: {routespec[:80]!r}...")
    return host + quote(unquoted, safe="")


def routespec_of(key: str) -> str:
    """Raises ValueError if this is the key of no routespec."""
    host, slash, path = key.partition("%2F")
    if not slash:
        raise ValueError(f"{key!r} is the key of no route")
    return host + quote(unquote_to_bytes(slash + path).decode(), safe="/@~")
