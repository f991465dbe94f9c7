"""Which hosts the hub, and everybody's servers, are found at: `subdomain_host`, `public_url` and their kin."""

from functools import lru_cache
from urllib.parse import SplitResult

import structlog

from hubbub import subdomains
from hubbub.addresses import BadAddress, netloc, parsed, quoted, slashed
from hubbub.sections import ConfigError, Hub
from hubbub.subdomains import BadHost, Kind

log = structlog.get_logger()

#: How many names' hosts are remembered: an operator's hook is not asked again each time that a route is compared.
_REMEMBERED = 16_384


class Hosts:
    """Origins are like `https://hub.test:8443`: without a path, without a slash at the end. Hosts have no port.

    `routing`: everybody has a host of their own. `domain`: the hub's, which cookies of all its subdomains are for.
    `public_url`: where people find the hub, with its base URL; `public_origin`: without. All three are empty if
    nothing was said.
    """

    def __init__(self, hub: Hub, base_url: str) -> None:
        """*base_url*: quoted, with a slash at both ends. Raises BadAddress, BadHost."""
        self._outside = _outside(hub.subdomain_host)
        self._hook = subdomains.hook_of(hub.subdomain_hook)
        self.routing = self._outside is not None
        self.subdomain_host = _origin(self._outside, self._outside.hostname or "") if self._outside else ""
        self.public_url = _public_url(hub.public_url, base_url) or (
            f"{self.subdomain_host}{base_url}" if self.routing else ""
        )
        public = parsed(self.public_url) if self.public_url else None
        self.public_origin = f"{public.scheme}://{public.netloc}" if public else ""
        self.domain = (public.hostname or "") if public else ""
        #: Below which the hub is asked.
        self.hub_routespec = _routespec(hub.hub_routespec, "/" if self.routing else base_url, routing=self.routing)
        self._host_of = lru_cache(_REMEMBERED)(self._ask)

    def _ask(self, name: str, kind: Kind) -> str:
        # As in JupyterHub, services go by `subdomain_host` alone, users by `public_url` if there is one.
        domain = self.domain if kind == "user" or self._outside is None else self._outside.hostname
        return subdomains.host_of(self._hook, name, domain or "", kind)

    def of_user(self, name: str) -> str:
        """`ada.hub.test`; empty without subdomains. Raises BadHost if the operator's hook fails."""
        return self._host_of(name, "user") if self.routing else ""

    def of_service(self, name: str) -> str:
        """As `of_user`."""
        return self._host_of(name, "service") if self.routing else ""

    def own_origin_of_user(self, name: str) -> str:
        """`https://ada.hub.test:8443`; empty without subdomains. Raises BadHost."""
        return _origin(self._outside, self.of_user(name)) if self._outside else ""

    def own_origin_of_service(self, name: str) -> str:
        """As `own_origin_of_user`."""
        return _origin(self._outside, self.of_service(name)) if self._outside else ""

    def origin_of_user(self, name: str) -> str:
        """With subdomains their own, else the hub's; empty if that is not known. Raises BadHost."""
        return self.own_origin_of_user(name) or self.public_origin

    def origin_of_service(self, name: str) -> str:
        """As `origin_of_user`."""
        return self.own_origin_of_service(name) or self.public_origin

    def link(self, owner: str, path: str) -> str:
        """Where a page sends browsers that want *path*, which is one of *owner*'s server: with its host if it has one.

        Without if the operator's hook fails: what lists many people is to be shown all the same.
        """
        try:
            return f"{self.own_origin_of_user(owner)}{path}"
        except BadHost as error:
            log.error("hosts.none", error=str(error))
            return path

    def public(self, place: str) -> str | None:
        """The full address of *place*: a path, or what `link` has made of one. None if it is not known."""
        if not place.startswith("/"):
            return place
        return f"{self.public_origin}{place}" if self.public_origin else None

    def spec_of_server(self, owner: str, path: str) -> str:
        """The routespec of *owner*'s server at *path*: `/user/ada/`, or `ada.hub.test/user/ada/`. Raises BadHost."""
        return f"{self.of_user(owner)}{path}"

    def spec_of_service(self, name: str, path: str) -> str:
        """As `spec_of_server`."""
        return f"{self.of_service(name)}{path}"

    def is_ours(self, host: str) -> bool:
        """Whether *host*, without its port, is the hub's or, with subdomains, may be somebody's."""
        host = host.lower()
        inside = self.routing and self._outside is not None and host.endswith(f".{self._outside.hostname}")
        return host == self.domain or inside or (self.routing and host.endswith(f".{self.domain}"))


def _outside(subdomain_host: str) -> SplitResult | None:
    """Its parts, the host in the form that browsers ask for; None if it is empty."""
    if not subdomain_host:
        return None
    parts = _parts("subdomain_host", subdomain_host)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BadAddress(f"c.JupyterHub.subdomain_host: {subdomain_host!r} is not like https://hub.example.org:8443")
    try:
        host = subdomains.parent(parts.hostname or "")
    except BadHost as error:
        raise BadAddress(f"c.JupyterHub.subdomain_host: {error}") from None
    return parts._replace(netloc=netloc(host, parts.port), path="")


def _parts(option: str, said: str) -> SplitResult:
    """As in JupyterHub, HTTP has to be said."""
    try:
        parts = parsed(said if "://" in said else f"https://{said}")
    except BadAddress as error:
        raise BadAddress(f"c.JupyterHub.{option}: {error}") from None
    if not parts.hostname or "@" in parts.netloc:
        raise BadAddress(f"c.JupyterHub.{option}: {said!r} is not like https://hub.example.org")
    return parts


def _origin(outside: SplitResult | None, host: str) -> str:
    return f"{outside.scheme}://{netloc(host, outside.port)}" if outside else ""


def _public_url(said: str, base_url: str) -> str:
    """With a protocol, the base URL and a slash at its end, all of which may be missing."""
    if not said:
        return ""
    parts = _parts("public_url", said)
    path = quoted(slashed(parts.path, leading=True))
    if path == "/":
        path = base_url
    if not path.endswith(base_url):
        raise BadAddress(f"c.JupyterHub.public_url: {said!r} must include the base URL {base_url!r}")
    return f"{parts.scheme}://{netloc(subdomains.in_ascii(parts.hostname or ''), parts.port)}{path}"


def _routespec(said: str, usual: str, *, routing: bool) -> str:
    """Of the hub: *usual* if nothing was said, else with the slashes that a routespec has."""
    host, slash, path = slashed(said or usual, leading=not routing).partition("/")
    if routing and path and not host:
        raise BadAddress(f"c.JupyterHub.hub_routespec: {said!r} has no host, which routes have with subdomains")
    try:
        return f"{host.lower()}{quoted(slash + path)}"
    except BadAddress as error:
        raise BadAddress(f"c.JupyterHub.hub_routespec: {error}") from None


def read(hub: Hub, base_url: str) -> Hosts:
    """Those of the configuration. Raises ConfigError."""
    try:
        return Hosts(hub, base_url)
    except (BadAddress, BadHost) as error:
        raise ConfigError(str(error)) from None


__all__ = ["BadHost", "Hosts", "read"]
