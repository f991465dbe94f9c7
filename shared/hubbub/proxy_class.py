"""Which proxy the operator has chosen, as far as that can be told without importing it: the api does not drive it."""

from collections.abc import Collection
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from traitlets.config import Config

from hubbub.sections import class_names

#: Where packages announce their classes, as for JupyterHub.
GROUP = "jupyterhub.proxies"
CHP = "ConfigurableHTTPProxy"
#: What our own are called, whatever is installed.
OURS = {
    "": CHP,
    "default": CHP,
    "configurable-http-proxy": CHP,
    "jupyterhub.proxy.ConfigurableHTTPProxy": CHP,
    "haproxy": "HAProxy",
}
#: Options of `c.JupyterHub` that are older than `c.ConfigurableHTTPProxy`, and what they are called there.
_OLD = {
    "proxy_check_interval": "check_running_interval",
    "proxy_cmd": "command",
    "debug_proxy": "debug",
    "proxy_auth_token": "auth_token",
}
_OLD_ADDRESS = ("proxy_api_ip", "proxy_api_port")


def full_name(proxy_class: Any) -> str:
    """`package.module.Class`, or the short name that was given."""
    if isinstance(proxy_class, type):
        return f"{proxy_class.__module__}.{proxy_class.__qualname__}"
    return str(proxy_class)


def sections(proxy_class: Any, said: Collection[str] = ()) -> list[str]:
    """Where options of the chosen class may be, most general first; *said*: all sections of the configuration.

    Whom a class of a package is derived from is known to those alone who import it: all proxies' sections count that
    are none of ours.
    """
    name = full_name(proxy_class)
    if name in OURS:
        return ["Proxy", OURS[name]]
    if isinstance(proxy_class, type):
        return [kind for kind in class_names(proxy_class) if kind.endswith("Proxy") or kind == proxy_class.__name__]
    last = _announced(name) or name.rpartition(".")[2]
    others = sorted(each for each in said if each.endswith("Proxy") and each not in {"Proxy", last, *OURS.values()})
    if _announced(name):
        return ["Proxy", *others, last]
    # By a dotted name it may be one derived from ours.
    below = [] if last in OURS.values() else [CHP]
    return ["Proxy", *below, *others, last]


def has_api(proxy_class: Any) -> bool:
    """Whether it may be one of configurable-http-proxy's kind, which is spoken to at an address of its own."""
    return CHP in sections(proxy_class)


def rename_old(traits: Config) -> None:
    """What `c.JupyterHub` says of the proxy is put where it is looked for, as JupyterHub does."""
    said = traits.get("JupyterHub", {})
    for old, new in _OLD.items():
        if old in said:
            traits[CHP][new] = said.pop(old)
    if any(name in said for name in _OLD_ADDRESS):
        ip, port = (said.pop(name, None) for name in _OLD_ADDRESS)
        traits[CHP]["api_url"] = f"http://{ip or '127.0.0.1'}:{port or said.get('port', 8000) + 1}"


@cache
def _announced(name: str) -> str:
    """The class that a package has announced by this short name, "" if none has. It is not imported."""
    found = [entry.attr for entry in entry_points(group=GROUP) if entry.name.lower() == name.lower()]
    return found[0] if found else ""
