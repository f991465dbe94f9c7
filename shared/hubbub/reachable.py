"""Addresses that cannot work: two parts at one, or a hub that servers elsewhere do not find. Said at the start."""

import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from hubbub.sections import class_names

if TYPE_CHECKING:
    from hubbub.config import Options

_EVERYWHERE = ("", "*", "0.0.0.0", "::")
_OF_SCHEME = {"http": 80, "https": 443}
Resolve: TypeAlias = Callable[[str], object]


def collision(options: "Options", *, settled: bool) -> str:
    """Which two of our own listeners want the same port of the same address; empty if none do.

    *settled*: what nobody has said counts as well. Else a port that was left open may still be chosen.
    """
    places = [("c.JupyterHub.hub_bind_url", options.hub_bind_url, options.hub_configured)]
    if options.proxy_should_start:
        places.append(("c.JupyterHub.bind_url", options.bind_url, options.bind_configured))
        places.append(("c.ConfigurableHTTPProxy.api_url", options.proxy_api_url, options.proxy_api_configured))
    taken: dict[int, list[tuple[str, str]]] = {}
    for name, url, said in places:
        parts = urlsplit(url)
        port, host = parts.port or _OF_SCHEME.get(parts.scheme, 0), parts.hostname or ""
        if not port or not (said or settled):
            continue
        for other, its in taken.setdefault(port, []):
            if host == its or host in _EVERYWHERE or its in _EVERYWHERE:
                return f"{name} is {url}, and {other} has port {port} already: each needs one of its own"
        taken[port].append((name, host))
    return ""


def doubts(
    options: "Options", *, pool: str, elsewhere: bool, contained: bool, resolve: Resolve | None = None
) -> list[str]:
    """Why servers of *pool* may not find the hub, a sentence each, as far as this host can tell.

    *elsewhere*: this worker is not on the hub's host. *contained*: what it starts has an address of its own
    (containers, pods, jobs), so that 127.0.0.1 is somebody else there.
    """
    sections = ("Spawner", *class_names(options.spawner_class_of(pool)))
    if any("hub_connect_url" in options.traits.get(section, {}) for section in sections):
        return []
    said = options.hub_connect_url
    host = urlsplit(said).hostname or ""
    option = "c.JupyterHub.hub_connect_ip (or hub_connect_url)"
    if not (elsewhere or contained):
        return [] if is_here(host) or resolves(host, resolve) else [_unknown(option, host)]
    who = "a worker of another host" if elsewhere else "servers with an address of their own, like containers"
    if is_here(host) or host in _EVERYWHERE:
        return [f"servers are told to find the hub at {said}, which {who} cannot reach: set {option}"]
    if is_here(options.hub_ip):
        words = (
            "unless something forwards that, set c.JupyterHub.hub_ip (or hub_bind_url) to an address that they reach"
        )
        return [f"the hub listens at {options.hub_ip} alone, and servers are told to find it at {said}: {words}"]
    # Names of a container network are known there alone.
    return [] if contained or resolves(host, resolve) else [_unknown(option, host)]


def is_here(host: str) -> bool:
    """Whether it is the machine itself, for whoever asks."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def resolves(host: str, resolve: Resolve | None) -> bool:
    try:
        _ = resolve(host) if resolve else socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _unknown(option: str, host: str) -> str:
    return f"{option} is {host!r}, a name that is not known on this host: servers here will not find the hub"
