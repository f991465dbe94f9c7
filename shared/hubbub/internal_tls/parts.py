"""Who has a certificate, of which authority, and whose certificates it takes in return.

The five authorities have JupyterHub's names.
"""

from collections.abc import Mapping

import msgspec

HUB, NOTEBOOKS, PROXY_API, PROXY_CLIENT, SERVICES = AUTHORITIES = (
    "hub-ca",
    "notebooks-ca",
    "proxy-api-ca",
    "proxy-client-ca",
    "services-ca",
)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """`trusts`: authorities. `serves`, `asks`: whether others connect to it, and it to others; its certificate is good
    for nothing else.
    """

    authority: str
    trusts: tuple[str, ...]
    serves: bool = False
    asks: bool = False


#: A worker and a proxy-sync only ask: with what they have, nobody can pose as the hub. A server does not take another
#: server's certificate. JupyterHub's proxy API takes those of servers and services, too: nobody but proxy-sync has to.
PARTS: Mapping[str, Part] = {
    "hub-internal": Part(authority=HUB, trusts=(HUB, NOTEBOOKS, PROXY_CLIENT, SERVICES), serves=True, asks=True),
    "auth": Part(authority=HUB, trusts=(HUB,), serves=True),
    "worker": Part(authority=HUB, trusts=(NOTEBOOKS, SERVICES), asks=True),
    "proxy-sync": Part(authority=HUB, trusts=(PROXY_API,), asks=True),
    "proxy-api": Part(authority=PROXY_API, trusts=(HUB,), serves=True),
    "proxy-client": Part(authority=PROXY_CLIENT, trusts=(HUB, NOTEBOOKS, SERVICES), asks=True),
    "server": Part(authority=NOTEBOOKS, trusts=(HUB, PROXY_CLIENT), serves=True, asks=True),
    "service": Part(authority=SERVICES, trusts=(HUB, PROXY_CLIENT), serves=True, asks=True),
}

#: Those whose key and certificate the api keeps in files, as JupyterHub does: the others ask on the bus.
KEPT = ("hub-internal", "auth", "proxy-api", "proxy-client")

#: The files of trust for those that the operator sets up by hand, with JupyterHub's names: whose they are.
BUNDLES: Mapping[str, str] = {
    "hub-ca_trust.crt": "hub-internal",
    "notebooks-ca_trust.crt": "server",
    "proxy-api-ca_trust.crt": "proxy-api",
    "proxy-client-ca_trust.crt": "proxy-client",
    "services-ca_trust.crt": "service",
    "auth_trust.crt": "auth",
}
BUNDLE_OF: Mapping[str, str] = {part: name for name, part in BUNDLES.items()}
