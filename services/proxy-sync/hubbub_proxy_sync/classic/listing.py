"""What a classic proxy says that it has, in our words."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from hubbub_proxy_sync.proxies.proxy import ProxyRoute
from hubbub_proxy_sync.table import ATTEMPT, SERVER

log = structlog.get_logger()

#: A route has one of these: ours, and those that JupyterHub gives.
_TAGS = frozenset({SERVER, "hub", "user", "service", "extra"})


def ours(found: Any, one_form: Callable[[str], str]) -> dict[str, ProxyRoute]:
    """*found*: what `get_all_routes` has returned. Routes that nobody here has set are left out. Raises TypeError."""
    if not isinstance(found, Mapping):
        raise TypeError(f"it has returned {type(found).__name__}, not a dict of routes")
    routes: dict[str, ProxyRoute] = {}
    for key, route in found.items():
        data = route.get("data")
        if not isinstance(data, Mapping) or _TAGS.isdisjoint(data):
            continue
        try:
            spec = one_form(str(key))
        except ValueError as error:
            log.debug("route.foreign", error=str(error))
            continue
        routes[spec] = ProxyRoute(routespec=spec, target=str(route.get("target", "")), data=_data(data))
    return routes


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy: theirs may be what the proxy lives by. Stores of strings give back strings."""
    attempt = data.get(ATTEMPT)
    if isinstance(attempt, str) and attempt.isdigit():
        return {**data, ATTEMPT: int(attempt)}
    return dict(data)
