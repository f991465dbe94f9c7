"""The environment that a single-user server finds (contract, section 4.5)."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hubbub.addresses import netloc

if TYPE_CHECKING:
    from hubbub_spawner_worker.spawners.spawner import Spawner

_OURS = ("HUBBUB_", "CONFIGPROXY_")
"""The worker's own variables, secrets among them, begin like this: no server ever sees one."""


def of(spawner: "Spawner") -> dict[str, str]:
    """What *spawner*'s server is told. Later entries win; what the operator sets comes last."""
    api_url = _api_url(spawner)
    scopes = json.dumps(list(spawner.oauth_access_scopes))
    allowed = spawner.oauth_client_allowed_scopes
    found = {
        **kept(spawner.env_keep),
        "JUPYTERHUB_API_TOKEN": spawner.api_token,
        "JPY_API_TOKEN": spawner.api_token,
        "JUPYTERHUB_API_URL": api_url,
        "JUPYTERHUB_ACTIVITY_URL": f"{api_url}/users/{spawner.user.escaped_name}/activity",
        "JUPYTERHUB_BASE_URL": spawner.hub.base_url.removesuffix("hub/"),
        "JUPYTERHUB_CLIENT_ID": spawner.oauth_client_id,
        "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED": str(int(spawner.cookie_host_prefix_enabled)),
        "JUPYTERHUB_HOST": spawner.hub.public_host,
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{spawner.user.own_host}{spawner.prefix}oauth_callback",
        "JUPYTERHUB_OAUTH_SCOPES": scopes,
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": scopes,
        "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": json.dumps(list(allowed(spawner) if callable(allowed) else allowed)),
        "JUPYTERHUB_USER": spawner.user.name,
        "JUPYTERHUB_SERVER_NAME": spawner.name,
        "JUPYTERHUB_SERVICE_PREFIX": spawner.prefix,
        "JUPYTERHUB_SERVICE_URL": _service_url(spawner),
        "JUPYTERHUB_PUBLIC_URL": spawner.public_url,
        "JUPYTERHUB_PUBLIC_HUB_URL": spawner.public_hub_url,
        **_only_if_set(spawner),
    }
    for name, value in spawner.environment.items():
        found[name] = value(spawner) if callable(value) else value
    return found


def kept(names: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Those of our own variables that are handed on."""
    return {name: environ[name] for name in names if name in environ and not name.startswith(_OURS)}


def _only_if_set(spawner: "Spawner") -> dict[str, str]:
    """What is false, empty or zero is left out, as JupyterHub does."""
    certs = spawner.cert_paths
    found = {
        "JUPYTERHUB_ADMIN_ACCESS": "1" if spawner.admin_access else "",
        "JUPYTERHUB_COOKIE_OPTIONS": json.dumps(spawner.cookie_options) if spawner.cookie_options else "",
        "JUPYTERHUB_ROOT_DIR": spawner.format_string(spawner.notebook_dir),
        "JUPYTERHUB_DEFAULT_URL": spawner.format_string(spawner.default_url),
        "JUPYTERHUB_DEBUG": "1" if spawner.debug else "",
        "JUPYTERHUB_DISABLE_USER_CONFIG": "1" if spawner.disable_user_config else "",
        "JUPYTERHUB_SSL_KEYFILE": certs.get("keyfile", ""),
        "JUPYTERHUB_SSL_CERTFILE": certs.get("certfile", ""),
        "JUPYTERHUB_SSL_CLIENT_CA": certs.get("cafile", ""),
        "MEM_LIMIT": str(spawner.mem_limit or ""),
        "MEM_GUARANTEE": str(spawner.mem_guarantee or ""),
        "CPU_LIMIT": str(spawner.cpu_limit or ""),
        "CPU_GUARANTEE": str(spawner.cpu_guarantee or ""),
    }
    return {name: value for name, value in found.items() if value}


def _service_url(spawner: "Spawner") -> str:
    scheme = "https" if spawner.internal_ssl else "http"
    return f"{scheme}://{netloc(spawner.ip, spawner.port)}{spawner.prefix}"


def _api_url(spawner: "Spawner") -> str:
    url: str = spawner.hub.api_url
    if not spawner.hub_connect_url:
        return url
    return spawner.hub_connect_url.rstrip("/") + urlsplit(url).path
