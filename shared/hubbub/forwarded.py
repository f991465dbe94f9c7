"""What proxies say of a request that has come through them: where its browser is, and how its address bar reads.

Each adds what it has seen itself to the end of a list, which may be spread over several headers of the same name.
Whatever was there before it came from outside, and is worth as much as the word of whoever has handed it on.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import TypeAlias

from multidict import MultiMapping

from hubbub.sections import ConfigError, Hub

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Networks: TypeAlias = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

SCHEMES = ("http", "https")

#: `203.0.113.7:51234` or `[2001:db8::1]:51234`, as some proxies write it.
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+):\d+")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
#: A host as browsers send it, perhaps with a port.
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


def read(hub: Hub) -> Networks:
    """The proxies that the configuration trusts. Raises ConfigError."""
    header = hub.forwarded_host_header
    if header and not _HEADER.fullmatch(header):
        raise ConfigError(f"c.JupyterHub.forwarded_host_header: {header!r} is not the name of a header")
    try:
        return networks(hub.trusted_downstream_ips)
    except ValueError as error:
        raise ConfigError(f"c.JupyterHub.trusted_downstream_ips: {error}") from None


def networks(said: Iterable[str]) -> Networks:
    """Addresses, and networks like `10.0.0.0/8`. Raises ValueError, which names what is neither."""
    return tuple(_network(each.strip()) for each in said)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text if (address := _address(text)) is None else address, strict=False)


def client(headers: MultiMapping[str], peer: str, trusted: Networks) -> str:
    """The address of whoever has sent a request: the last one named that is not that of a *trusted* proxy.

    *peer*: whose connection it came by, our own proxy as a rule. That one's word is believed, and the word of
    each trusted one before it; `X-Real-IP` counts where nobody has seen anybody else. What is no address ends the list.
    """
    found, hops = _address(peer), _listed(headers, "X-Forwarded-For")
    if not hops and not _is_in(found, trusted):
        return str(found or peer)
    for hop in reversed(hops):
        if (address := _address(hop)) is None:
            return str(found or peer)
        if not _is_in(address, trusted):
            return str(address)
        found = address
    return str(_address(headers.get("X-Real-IP", "")) or found or peer)


def _is_in(address: Address | None, trusted: Networks) -> bool:
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> Address | None:
    """Always the same for the same one: proxies that listen for both kinds write IPv4 as `::ffff:203.0.113.7`."""
    text = text.strip().strip('"')
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ipaddress.ip_address("" if "%" in text else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def scheme(headers: MultiMapping[str], arrived_by: str) -> str:
    """`http` or `https`, as the browser has it: what the outermost proxy says, in `X-Scheme` or `X-Forwarded-Proto`.

    Who sends a request can make it up, about themselves: no page can have somebody's browser do that.
    """
    said = (each.lower() for name in ("X-Scheme", "X-Forwarded-Proto") for each in _listed(headers, name)[:1])
    return next((each for each in said if each in SCHEMES), arrived_by)


def host(headers: MultiMapping[str], name: str, arrived_at: str) -> str:
    """The host, and its port if it is not the usual one, as the browser has it.

    *name*: the header in which a proxy that asks for another host says so (`c.JupyterHub.forwarded_host_header`).
    """
    said = _listed(headers, name)[:1] if name else []
    return next((each for each in said if _HOST.fullmatch(each)), arrived_at)


def without_port(host: str) -> str:
    """The name alone, in small letters."""
    return re.sub(r":\d*$", "", host).lower()


def _listed(headers: MultiMapping[str], name: str) -> list[str]:
    return [part.strip() for line in headers.getall(name, ()) for part in line.split(",") if part.strip()]
