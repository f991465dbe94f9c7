"""Names that templates written for JupyterHub know besides ours (contract, part 5). Made only where there are such."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hubbub import __version__
from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain.names import escape


@dataclass(frozen=True)
class Named:
    """A group."""

    name: str


@dataclass(frozen=True)
class Service:
    name: str
    href: str


class User:
    """Whoever is logged in. What is not here is not known to a page: its servers, for one, unless it is about them."""

    def __init__(self, identity: Identity, options: Options) -> None:
        self.name = identity.name
        self.admin = identity.admin
        self.groups = [Named(name) for name in identity.groups]
        self.escaped_name = escape(identity.name)
        self.url = f"{options.base_url}user/{self.escaped_name}/"
        self.may = identity.may  # which the frame of ours asks

    def __str__(self) -> str:
        return self.name


def names(options: Options, identity: Identity | None) -> dict[str, Any]:
    """`user`, `services`, `parsed_scopes`, `expanded_scopes`, `version_hash`, `login_service`."""
    scopes = identity.scopes if identity else frozenset()
    return {
        "user": User(identity, options) if identity else None,
        "services": list(_services(options, identity)) if identity else [],
        "expanded_scopes": scopes,
        "parsed_scopes": _parsed(scopes),
        "version_hash": __version__,
        "login_service": "",
    }


def _services(options: Options, identity: Identity) -> Iterable[Service]:
    """Those of the configuration that this person may open."""
    for each in options.hub.services:
        if each.get("url") and each.get("display", True) and identity.may("access:services", service=each["name"]):
            yield Service(each["name"], each.get("href") or f"{options.base_url}services/{escape(each['name'])}/")


def _parsed(scopes: Iterable[str]) -> dict[str, Any]:
    """By base: True, or the values of each kind of filter."""
    found: dict[str, Any] = {}
    for each in scopes:
        base, mark, filter = each.partition("!")
        if not mark:
            found[base] = True
        elif found.get(base) is not True:
            kind, _, value = filter.partition("=")
            found.setdefault(base, {}).setdefault(kind, set()).add(value)
    return found
