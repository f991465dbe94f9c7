"""What is known of particular classes: JupyterHub's own, and those that watch Kubernetes."""

import asyncio
from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy

from hubbub_proxy_sync.proxies.site import Site


def options(kind: type[Any], site: Site) -> dict[str, Any]:
    """For one derived from JupyterHub's configurable-http-proxy, in place of JupyterHub's defaults."""
    if not issubclass(kind, ConfigurableHTTPProxy):
        return {}
    found = {
        "api_url": site.api_url,
        "auth_token": site.token,
        "command": list(site.command),
        "pid_file": str(site.folder / f"{site.name}.pid"),
    }
    return {name: value for name, value in found.items() if value}


def calm(proxy: Any) -> None:
    """We see ourselves to it that it runs: what it does on its own would come on top of that."""
    callback = getattr(proxy, "_check_running_callback", None)
    if callback is not None:
        callback.stop()


def is_dead(proxy: Any) -> bool:
    """Whether it has given up for good watching what it lists, as kubespawner's do after a minute without an API."""
    return any(_has_given_up(each) for each in list(vars(proxy).values()))


def _has_given_up(reflector: Any) -> bool:
    loaded, watching = getattr(reflector, "first_load_future", None), getattr(reflector, "watch_task", None)
    if isinstance(loaded, asyncio.Future) and loaded.done() and (loaded.cancelled() or loaded.exception()):
        return True
    return isinstance(watching, asyncio.Future) and watching.done()
