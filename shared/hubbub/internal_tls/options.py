"""What the operator's configuration says of internal TLS: whether it can be meant, and what follows for the folder."""

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hubbub.internal_tls import authorities
from hubbub.internal_tls.authorities import Authorities
from hubbub.internal_tls.certificates import BadRequest, alt_name
from hubbub.internal_tls.parts import AUTHORITIES
from hubbub.sections import ConfigError, Hub

if TYPE_CHECKING:
    from hubbub.config import Options

#: As in JupyterHub: whoever runs on the same machine is always found by these.
HERE = ("IP:127.0.0.1", "IP:::1", "DNS:localhost")
_EVERYWHERE = ("", "*", "0.0.0.0", "::")
_FILES = frozenset({"cert", "key", "ca"})


def check(hub: Hub) -> None:
    """Raises ConfigError with a sentence that names the option."""
    for name, files in hub.external_ssl_authorities.items():
        where = f"c.JupyterHub.external_ssl_authorities[{name!r}]"
        if name not in AUTHORITIES:
            raise ConfigError(f"{where}: there are {', '.join(AUTHORITIES)}")
        if not files.get("cert") or not _FILES.issuperset(files):
            raise ConfigError(f"{where} must have a 'cert', and may have a 'key' and a 'ca': paths of files")
    for text in hub.trusted_alt_names:
        try:
            alt_name(text)
        except BadRequest as error:
            raise ConfigError(f"c.JupyterHub.trusted_alt_names: {error}") from None


def settle(options: "Options") -> Authorities:
    """The authorities of this house; for the api alone. Raises ConfigError."""
    hub, trusted = options.hub, options.hub.trusted_alt_names
    everywhere = (*HERE, f"DNS:{socket.getfqdn()}", *host_of(hub.subdomain_host), *trusted)
    names = {
        "hub-internal": (*everywhere, *host_of(options.hub_bind_url), *host_of(options.hub_connect_url)),
        "auth": everywhere,
        "proxy-api": proxy_names(options),
    }
    return authorities.settle(
        options.certs_folder,
        names,
        external=hub.external_ssl_authorities,
        recreate=hub.recreate_internal_certs,
    )


def proxy_names(options: "Options") -> tuple[str, ...]:
    """Those by which the proxy's API is reached."""
    hub = options.hub
    return (*HERE, *host_of(hub.subdomain_host), *hub.trusted_alt_names, *host_of(options.proxy_api_url))


def host_of(url: str) -> tuple[str, ...]:
    """The host of an address as an alternative name, if it is one by which others find it."""
    host = urlsplit(url).hostname or ""
    if host in _EVERYWHERE:
        return ()
    try:
        alt_name(host)
    except BadRequest:
        return ()
    return (host,)
