"""What JupyterHub keeps secret and this hub goes on with: the key of its cookies, and the token of its proxy."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hubbub.config import Options
from hubbub_local import keys, ports, process
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private

_COOKIE_SECRET = "jupyterhub_cookie_secret"
_USUAL = {"public": 8000, "proxy": 8001, "hub": 8081}


def cookie_secret(options: Options, near: Path) -> str:
    """In hex; "" if it is not found. It is looked for where JupyterHub does, and *near* its database."""
    said: Any = options.traits.get("JupyterHub", {}).get("cookie_secret") or os.environ.get("JPY_COOKIE_SECRET", "")
    if isinstance(said, bytes):
        return said.hex()
    if not said:
        named = Path(str(options.traits.get("JupyterHub", {}).get("cookie_secret_file") or _COOKIE_SECRET))
        for path in (named.expanduser(), near / named):
            if path.is_file():
                said = path.read_text().strip()
                break
    try:
        return bytes.fromhex(str(said)).hex()
    except ValueError:
        raise StackError("JupyterHub's cookie secret is not in hex") from None


def proxy_token(options: Options) -> str:
    """Of the proxy that JupyterHub has left running; "" if nobody tells."""
    if said := options.proxy.auth_token or os.environ.get("CONFIGPROXY_AUTH_TOKEN", ""):
        return said
    port = urlsplit(options.bind_url).port or _USUAL["public"]
    for pid in ports.holders(port):
        for entry in process.environment(pid).split("\0"):
            if entry.startswith("CONFIGPROXY_AUTH_TOKEN="):
                return entry.partition("=")[2]
    return ""


def take_over(folder: Folder, secrets: dict[str, str]) -> None:
    """Raises StackError if the folder is of a hub that has others already, and so is in use."""
    known = {name: text for name, text in secrets.items() if text}
    for name, text in known.items():
        kept = keys.value(folder, name)
        if kept and text not in kept.split(";"):
            raise StackError(
                f"the data folder {folder.root} has a {name} of its own already: bring the JupyterHub into a new one"
            )
    keys.put(folder, {name: text for name, text in known.items() if not keys.value(folder, name)})


def keep_ports(folder: Folder, options: Options, hub: str) -> None:
    """Where JupyterHub was, unless the configuration says so by itself. *hub*: where servers look for it, if known."""
    if folder.ports.exists():
        return
    kept = dict(_USUAL)
    if port := urlsplit(hub).port:
        kept["hub"] = port
    for name, url in (("public", options.bind_url), ("proxy", options.proxy_api_url), ("hub", options.hub_bind_url)):
        said = {"public": options.bind_configured, "proxy": options.proxy_api_configured, "hub": options.hub_configured}
        if said[name]:
            kept[name] = urlsplit(url).port or kept[name]
    write_private(folder.ports, json.dumps(kept, indent=1) + "\n")
