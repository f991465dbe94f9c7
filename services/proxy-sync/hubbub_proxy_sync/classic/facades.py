"""What a classic proxy sees of the hub: JupyterHub's application, without its database, its users and its servers."""

import logging
from typing import Any, NoReturn

from jupyterhub.objects import Hub
from traitlets.config import LoggingConfigurable

from hubbub.config import Options
from hubbub.internal_tls.files import Files
from hubbub_proxy_sync.proxies.site import Site

#: As proxies of others have them in their logs.
LOGGER = "hubbub.proxy"


class JupyterHub(LoggingConfigurable):
    """`app` and `parent` of a proxy. Its name makes `c.JupyterHub.MyProxy.option` mean what it does there."""

    def __init__(self, options: Options, site: Site, certificates: dict[str, Files]) -> None:
        super().__init__(config=options.traits, log=logging.getLogger(LOGGER))
        self.hub = hub_at(site)
        self.bind_url = site.bind_url
        self.base_url = options.base_url
        self.hub_prefix = options.hub_prefix
        self.public_url = options.hosts.public_url
        self.subdomain_host = options.hosts.subdomain_host
        self.domain = options.hosts.domain
        self.ssl_key, self.ssl_cert = site.ssl_key, site.ssl_cert
        self.tornado_settings = dict(options.hub.tornado_settings)
        self.internal_ssl = bool(certificates)
        self.internal_proxy_certs = {name: files.paths() for name, files in certificates.items()}
        self.internal_trust_bundles = {f"{name}-ca": str(files.cafile) for name, files in certificates.items()}

    def _load_config(self, *_: Any, **__: Any) -> None:
        """The options of the hub are read elsewhere."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a proxy asks for JupyterHub's app.{name}, which is not to be had from here")


def hub_at(site: Site) -> Any:
    """JupyterHub's own object for the hub."""
    hub = Hub.from_url(site.hub.url)
    hub.routespec = site.hub.routespec
    return hub


def no_database() -> NoReturn:
    """Stands where old proxies look for a database session."""
    raise RuntimeError("proxies have no database: a proxy asks for JupyterHub's session, which is not to be had here")
