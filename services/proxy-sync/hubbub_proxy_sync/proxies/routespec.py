"""Routespecs: what the paths, or hosts and paths, of a server or service begin with."""

import re
from urllib.parse import quote, unquote

#: What no proxy can be trusted with: URLs resolve the dots away, and a route of somebody's else is replaced.
_UNROUTABLE = frozenset({".", "..", "__proto__"})
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")


def in_one_form(routespec: str, *, host_routing: bool) -> str:
    """*routespec* quoted, with a slash at each end: `/user/ada/`; after its host, if there are hosts:
    `ada.example.org/user/ada/`. `/` alone is the default of all hosts. Raises ValueError if it cannot be a route.
    """
    host, path = split(routespec)
    if routespec != "/" and bool(host) != host_routing:
        wrong = "begins with a host, but there are no subdomains" if host else "begins with no host"
        raise ValueError(f"route {routespec!r} {wrong}")
    if host and not _HOST.fullmatch(host):
        raise ValueError(f"route {routespec!r} does not begin with a host, or a slash")
    if "%2f" in path.lower():
        raise ValueError(f"route {routespec!r} has a quoted slash")
    path = unquote(path, errors="strict").removesuffix("/") + "/"
    if not _UNROUTABLE.isdisjoint(path.split("/")) or "//" in path:
        raise ValueError(f"route {routespec!r} has a part that cannot be routed")
    return host + quote(path, safe="/@~")


def split(routespec: str) -> tuple[str, str]:
    """Its host in lower case, "" if it has none, and its path."""
    host, slash, path = routespec.partition("/")
    return host.lower(), slash + path
