"""How configurable-http-proxy is started: what it is told by its arguments and its environment."""

import os
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from hubbub.internal_tls.files import Files
from hubbub_proxy_sync.proxies.site import Site

_EVERYWHERE = frozenset({"", "*", "0.0.0.0", "::"})
_PORTS = {"http": 80, "https": 443}


def arguments(site: Site, api_url: str, *, log_level: str, certificates: Mapping[str, Files]) -> list[str]:
    """*certificates*: those of internal TLS, if there is such."""
    public, api = urlsplit(site.bind_url), urlsplit(api_url)
    named = {
        "ip": public.hostname or "",
        "port": str(_port(public)),
        "api-ip": api.hostname or "127.0.0.1",
        "api-port": str(_port(api)),
        "error-target": f"{site.hub.url}error",
        "log-level": log_level,
    }
    if _is_all_ours(site):
        # Until it is filled, and at addresses outside of the hub's, people are better off there than nowhere.
        named["default-target"] = site.hub.host
    if site.ssl_cert:
        named |= {"ssl-key": site.ssl_key, "ssl-cert": site.ssl_cert}
    found = [argument for name, value in named.items() for argument in (f"--{name}", value)]
    if site.host_routing:
        found.append("--host-routing")
    return found + (_internal_tls(certificates) if certificates else [])


def environment(token: str) -> dict[str, str]:
    """Ours, without the secrets that are none of the proxy's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUBBUB_", "OTEL_"))}
    return kept | {"CONFIGPROXY_AUTH_TOKEN": token}


def reached(bind_url: str) -> str:
    """Where a proxy that listens there is reached from this machine."""
    parts = urlsplit(bind_url)
    host = "127.0.0.1" if (parts.hostname or "") in _EVERYWHERE else parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{_port(parts)}"


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _is_all_ours(site: Site) -> bool:
    """Whether nobody has said that there is something else beside the hub."""
    return site.hub.routespec in ("/", urlsplit(site.bind_url).path)


def _internal_tls(certificates: Mapping[str, Files]) -> list[str]:
    """Its API takes nobody without a certificate; what it leads to is shown its own, and checked."""
    found = []
    for side, part in (("api", "proxy-api"), ("client", "proxy-client")):
        files = certificates[part]
        found += [f"--{side}-ssl-key", str(files.keyfile), f"--{side}-ssl-cert", str(files.certfile)]
        found += [f"--{side}-ssl-ca", str(files.cafile), f"--{side}-ssl-request-cert"]
        found += [f"--{side}-ssl-reject-unauthorized"]
    return found
