"""The proxies that proxy-sync knows how to drive, and what a class of an operator's own is derived from."""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from traitlets import TraitError

from hubbub import proxy_class, public_tls
from hubbub.config import ConfigError, Options
from hubbub.settings import Settings, give_up
from hubbub_proxy_sync.proxies.chp import ConfigurableHTTPProxy
from hubbub_proxy_sync.proxies.proxy import Proxy, ProxyRoute, ProxyUnavailable, RouteRefused
from hubbub_proxy_sync.proxies.site import Hub, Site

#: Where ours are that are imported only if they are chosen.
_ELSEWHERE = {"HAProxy": "hubbub_proxy_sync.proxies.haproxy"}


def make(options: Options, settings: Settings) -> Proxy:
    """The proxy of the configuration. Ends the process, with a sentence, if there is none such, or not with these
    options.
    """
    kind = _kind(options.hub.proxy_class)
    site = site_of(options, settings)
    try:
        if options.proxy_should_start:
            public_tls.check_files(options.hub)
        if issubclass(kind, Proxy):
            return kind(config=options.traits, site=site)
        hosted: Proxy = import_module("hubbub_proxy_sync.classic").host(kind, options, site)
        return hosted
    except (ConfigError, TraitError, ValueError) as error:
        give_up(str(error))


def site_of(options: Options, settings: Settings) -> Site:
    hub = options.hub
    return Site(
        name=settings.instance,
        bind_url=options.bind_url,
        hub=Hub(url=f"{options.hub_connect_url}{options.hub_prefix}", routespec=options.hosts.hub_routespec),
        host_routing=options.hosts.routing,
        ssl_key=_absolute(hub.ssl_key),
        ssl_cert=_absolute(hub.ssl_cert),
        folder=settings.data_folder,
        token=options.proxy.auth_token or settings.proxy_auth_token,
        api_url=options.proxy_api_url if proxy_class.has_api(hub.proxy_class) else "",
        command=settings.chp_command,
    )


def _kind(chosen: Any) -> type:
    """The class that `c.JupyterHub.proxy_class` names."""
    name = proxy_class.full_name(chosen)
    if ours := proxy_class.OURS.get(name):
        found: type = getattr(import_module(_ELSEWHERE[ours]), ours) if ours in _ELSEWHERE else ConfigurableHTTPProxy
        return found
    kind = chosen if isinstance(chosen, type) else _named(name)
    if not isinstance(kind, type) or not (issubclass(kind, Proxy) or _is_classic(kind)):
        give_up(f"c.JupyterHub.proxy_class is {name}, which is no Proxy, neither of ours nor of JupyterHub's kind")
    return kind


def _named(name: str) -> Any:
    """What is installed by this name: announced by a package, or `package.module.Class`."""
    announced = [entry for entry in entry_points(group=proxy_class.GROUP) if entry.name.lower() == name.lower()]
    module, _, attribute = name.rpartition(".")
    if not announced and not module:
        known = sorted({*filter(None, proxy_class.OURS), *entry_points(group=proxy_class.GROUP).names})
        give_up(f"c.JupyterHub.proxy_class is {name}, but there is no such proxy here; there are {', '.join(known)}")
    try:
        return announced[0].load() if announced else getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        give_up(f"c.JupyterHub.proxy_class is {name}, but {error}")


def _is_classic(kind: type) -> bool:
    return any(f"{base.__module__}.{base.__name__}" == "jupyterhub.proxy.Proxy" for base in kind.__mro__)


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


__all__ = ["ConfigurableHTTPProxy", "Proxy", "ProxyRoute", "ProxyUnavailable", "RouteRefused", "make"]
