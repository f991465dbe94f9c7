"""Care for jupyterhub-traefik-proxy: what its classes cannot know that are used as they are, by a house like ours.

* Its process and its files outlive us. So they have a folder, and a port and a secret that the next proxy-sync knows.
* Rules have to be true of nobody else's paths: see `rules`.
* The provider of files keeps a copy of its table, writes it as TOML, route by route, and asks for each whether Traefik
  has it yet. Here the file is read again once somebody has changed it, written once for many routes, and a mark in it
  tells when Traefik has loaded it.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from hubbub.free_port import free_port
from hubbub.internal_tls.files import write_private
from hubbub_proxy_sync.classic.rules import rule
from hubbub_proxy_sync.classic.table_file import Rules
from hubbub_proxy_sync.classic.traefik_file import Watched
from hubbub_proxy_sync.proxies.site import Site

AT_ONCE = 10_000
_TRAEFIK = ("jupyterhub_traefik_proxy.proxy", "TraefikProxy")
_FILE = ("jupyterhub_traefik_proxy.fileprovider", "TraefikFileProviderProxy")
#: bcrypt's cost protects weak passwords, which ours is not, and is paid for each question to Traefik.
_CHEAP = 4
#: How what is inside the house is reached by TLS.
_INSIDE = "hubbub"


class Careful:
    """Before the class itself: for all providers."""

    def _dynamic_config_for_route(self, routespec: str, target: str, data: Any) -> tuple[Any, Any]:
        ours: Any
        ours, theirs = super()._dynamic_config_for_route(routespec, target, data)  # type: ignore[misc]
        for router in ours["http"]["routers"].values():
            router["rule"] = rule(routespec)
        if target.startswith("https://") and self.app.internal_ssl:  # type: ignore[attr-defined]
            for service in ours["http"]["services"].values():
                service["loadBalancer"]["serversTransport"] = _INSIDE
        return ours, theirs

    async def _setup_traefik_dynamic_config(self) -> None:
        me: Any = self
        if me.app.internal_ssl:
            files = me.app.internal_proxy_certs["proxy-client"]
            own = {"certFile": files["certfile"], "keyFile": files["keyfile"]}
            transports = me.dynamic_config.setdefault("http", {}).setdefault("serversTransports", {})
            transports[_INSIDE] = {"rootCAs": [files["cafile"]], "certificates": [own]}
        await super()._setup_traefik_dynamic_config()  # type: ignore[misc]


def cared_for(kind: type[Any]) -> type[Any]:
    """*kind*, or a class derived from it by the same name."""
    if not _is(kind, _TRAEFIK):
        return kind
    bases = (Watched, Careful, kind) if _is(kind, _FILE) else (Careful, kind)
    return type(kind.__name__, bases, {"__module__": kind.__module__})


def is_one(kind: type[Any]) -> bool:
    return issubclass(kind, Careful)


def takes_many(kind: type[Any]) -> bool:
    """Whether it has `change_routes`."""
    return issubclass(kind, Watched)


def options(kind: type[Any], site: Site) -> dict[str, Any]:
    """In place of its defaults."""
    if not issubclass(kind, Careful):
        return {}
    return {
        "static_config_file": str(site.folder / f"{site.name}-traefik.toml"),
        "traefik_api_url": f"http://127.0.0.1:{_port(site)}",
        "traefik_api_username": "hubbub",
        "traefik_api_password": hashlib.sha256(f"traefik {site.token}".encode()).hexdigest(),
    }


def settle(proxy: Any, site: Site, said: Callable[[str], bool]) -> None:
    """What is no option of it, once it is made."""
    if not isinstance(proxy, Careful):
        return
    made: Any = proxy
    site.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not said("traefik_api_password") and not said("traefik_api_hashed_password"):
        import bcrypt  # the package's own

        hashed = bcrypt.hashpw(made.traefik_api_password.encode(), bcrypt.gensalt(_CHEAP))
        made.traefik_api_hashed_password = hashed.decode()
    made.static_config = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"format": "json"},
        # By itself it cuts uploads after a minute.
        "entryPoints": {made.traefik_entrypoint: {"transport": {"respondingTimeouts": {"readTimeout": "0s"}}}},
    }
    if isinstance(proxy, Watched) and not said("dynamic_config_file") and not said("toml_dynamic_config_file"):
        made.unobserve_all("dynamic_config_file")  # it would choose its own way to write the file
        path = site.folder / f"{site.name}-routes.yaml"
        made.dynamic_config_file, made.dynamic_config_handler = str(path), Rules(path, proxy.check)


def listed(proxy: Any) -> None:
    """The routes have just been listed: see `Watched.listed`."""
    if isinstance(proxy, Watched):
        proxy.listed()


def forget(proxy: Any) -> None:
    """Before Traefik is started for the first time: routes of an earlier one are not to be there for a moment."""
    if isinstance(proxy, Watched):
        proxy.forget_routes()


def _port(site: Site) -> int:
    """Of Traefik's API: a free one, which is kept, since the process outlives us."""
    kept = site.folder / f"{site.name}-traefik.json"
    try:
        return int(json.loads(kept.read_text()))
    except (OSError, ValueError, TypeError):
        port = free_port()
    write_private(kept, json.dumps(port))
    return port


def renew_port(site: Site) -> None:
    """The next one made has another: somebody has taken it."""
    (site.folder / f"{site.name}-traefik.json").unlink(missing_ok=True)


def _is(kind: type[Any], wanted: tuple[str, str]) -> bool:
    return any((base.__module__, base.__qualname__) == wanted for base in kind.__mro__)
