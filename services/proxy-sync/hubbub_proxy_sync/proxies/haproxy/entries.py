"""The entries of the map: where a route leads, in the form that HAProxy takes apart, and what we keep with it.

An entry is `hubbub|backend|address|port|name|path|kept`. The first field says that it is ours; `kept` is the target and
data of the route as JSON in base64, so that whoever finds the entry knows whose it is. Entries of others have another
first field and may leave out the last.
"""

import base64
import binascii
import ipaddress
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from hubbub_proxy_sync.proxies.proxy import RouteRefused

OURS = "hubbub"
#: The fields, by their numbers in HAProxy's `field` converter.
BACKEND, ADDRESS, PORT, NAME, PATH = 2, 3, 4, 5, 6


class Upstream(msgspec.Struct, frozen=True):
    """A target's parts. `address`: where it is; "" as long as a `name` has not been looked up. `name`: "" for one that
    is an address itself. `path`: what is put before every path, quoted, without a slash at its end.
    """

    scheme: str
    address: str
    port: int
    name: str = ""
    path: str = ""

    @classmethod
    @lru_cache(16_384)
    def of(cls, target: str) -> "Upstream":
        """Raises RouteRefused if HAProxy cannot lead there."""
        try:
            parts = urlsplit(target)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise RouteRefused(f"{target!r} is no URL") from None
        if not host or parts.scheme not in ("http", "https") or parts.username is not None:
            raise RouteRefused(f"HAProxy leads to http:// and https:// only, not to {target!r}")
        port = port or (443 if parts.scheme == "https" else 80)
        path = quote(parts.path.rstrip("/"), safe="/%~@!$&'()*+,;=:")
        try:
            return cls(parts.scheme, str(ipaddress.ip_address(host)), port, path=path)
        except ValueError:
            return cls(parts.scheme, "", port, quote(host, safe="."), path)


def name_of(target: str) -> str:
    """What has to be looked up, "" if nothing has."""
    try:
        return Upstream.of(target).name
    except RouteRefused:
        return ""


class Kept(msgspec.Struct, frozen=True):
    target: str
    data: dict[str, Any]


def entry(upstream: Upstream, target: str, data: dict[str, Any], *, hub: bool) -> str:
    """*upstream* has an address."""
    backend = f"{'hub' if hub else 'servers'}_{upstream.scheme}"
    kept = base64.urlsafe_b64encode(msgspec.json.encode(Kept(target, data))).decode()
    fields = (
        OURS,
        backend,
        upstream.address,
        str(upstream.port),
        upstream.name,
        upstream.path.replace("|", "%7C"),
        kept,
    )
    return "|".join(fields)


def is_ours(value: str) -> bool:
    return value.startswith(f"{OURS}|")


def address_of(value: str) -> tuple[str, str]:
    """The name, "" if there is none, and the address of an entry of ours."""
    fields = value.split("|")
    return (fields[NAME - 1], fields[ADDRESS - 1]) if len(fields) >= NAME else ("", "")


def at_address(value: str) -> str:
    """Where an entry of ours leads, whatever its target's name."""
    _, backend, address, port, *_ = value.split("|")
    return f"{backend.rpartition('_')[2]}://{f'[{address}]' if ':' in address else address}:{port}"


def kept_of(value: str) -> Kept:
    """Of an entry of ours. One that somebody has spoilt has a target that nobody wants, and is replaced."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(value.rpartition("|")[2]), type=Kept)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return Kept("", {})
