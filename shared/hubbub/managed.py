"""Managed services: those of the configuration that have a `command`, and so are run by the house itself.

Each is a server without a person: its stream has an id that follows from its name, so it exists once.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from hubbub.sections import ConfigError
from hubbub.subjects import token
from hubbub.vault import each

_ID = "managed:"  # not `service:`, which is how routes name services, managed or not


class Managed(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator says of one, with JupyterHub's names. `timeout`: seconds until `url` has to answer.

    `digest`: of all that its process depends on; keyed, since it travels and there may be passwords in it.
    """

    name: str
    command: tuple[str, ...]
    cwd: str = ""
    environment: dict[str, str] = {}
    user: str = ""
    url: str = ""
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 30
    api_token: str = ""
    oauth_client_id: str = ""
    digest: str = ""

    @property
    def id(self) -> str:
        return id_of(self.name)

    @property
    def client(self) -> str:
        """The OAuth client that it is."""
        return self.oauth_client_id or f"service-{self.name}"


_FIELDS = tuple(name for name in Managed.__struct_fields__ if name != "digest")


def managed(services: Iterable[Mapping[str, Any]], key: str) -> dict[str, Managed]:
    """Those of *services* (the configuration's) that are managed, by id. *key*: the bus key, or several. Raises
    ConfigError.
    """
    made = (_managed(service, key) for service in services if service.get("command"))
    return {service.id: service for service in made}


def _managed(service: Mapping[str, Any], key: str) -> Managed:
    said = {name: service[name] for name in _FIELDS if service.get(name) is not None}
    if isinstance(said["command"], str):
        said["command"] = [said["command"]]
    try:
        found = msgspec.convert(said, Managed)
    except msgspec.ValidationError as error:
        raise ConfigError(f"c.JupyterHub.services: {service['name']}: {error}") from None
    if found.url and urlsplit(found.url).scheme not in ("http", "https"):
        raise ConfigError(f"c.JupyterHub.services: {found.name}: its url must begin with http:// or https://")
    text = msgspec.json.encode(found, order="deterministic")
    return msgspec.structs.replace(found, digest=hmac.new(each(key)[0].encode(), text, hashlib.sha256).hexdigest()[:16])


def id_of(name: str) -> str:
    """Of the stream of the managed service *name*."""
    return f"{_ID}{token(name)}"


def prefix_of(base_url: str, name: str) -> str:
    """Where a service is found: `/services/board/`."""
    return f"{base_url}services/{name}/"
