"""What the configuration says there is: scopes, roles, groups and services. Each check names what is wrong."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from hubbub.domain.message import Invalid, Json
from hubbub.domain.names import check_group_name, check_service_name, check_user_name, normalize_user_name
from hubbub.domain.scope_tree import Tree, check_role
from hubbub.sections import ConfigError, Hub
from hubbub.tokens import LONGEST_TOKEN
from hubbub.views import VIEWS
from hubbub.webhooks import Webhook

#: The keys of a service (JupyterHub's documentation, "Services"), and what they may be besides None.
SERVICE_KEYS: Mapping[str, Any] = {
    "name": str,
    "admin": bool,
    "url": str,
    "api_token": str,
    "command": str | list[str],
    "cwd": str,
    "environment": dict[str, Any],
    "user": str,
    "info": dict[str, Any],
    "display": bool,
    "timeout": float,
    "oauth_client_id": str,
    "oauth_redirect_uri": str,
    "oauth_no_confirm": bool,
    "oauth_client_allowed_scopes": list[str],
    "oauth_roles": list[str],
}

#: Bytes of a group's properties, as JSON.
LARGEST_PROPERTIES = 64 * 1024


class DeclaredGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`users`: names, as users have them. `properties`: None leaves them as they are."""

    users: list[str] = []
    properties: Json | None = None


def check(hub: Hub) -> None:
    """ConfigError if the scopes, roles or services of *hub* cannot be meant."""
    try:
        tree = Tree(hub.custom_scopes)
    except ValueError as error:
        raise ConfigError(f"c.JupyterHub.custom_scopes: {error}") from None
    _check_scopes("c.JupyterHub.extra_user_scopes", hub.extra_user_scopes, tree)
    for place, service in enumerate(hub.services):
        _check_service(place, service, tree)
    _check_once("c.JupyterHub.services", "service", [service["name"] for service in hub.services])
    services = {service["name"] for service in hub.services} | set(hub.service_tokens.values())
    for place, role in enumerate(hub.load_roles):
        _check_role(place, role, tree, services)
    _check_once("c.JupyterHub.load_roles", "role", [role["name"] for role in hub.load_roles])
    _check_tokens(hub)


def groups(hub: Hub, *, managed: bool = False) -> dict[str, DeclaredGroup]:
    """`c.JupyterHub.load_groups` by name. Each is a list of users, or `{"users": [...], "properties": {...}}`.

    *managed*: logins say who is in which group, and nobody else.
    """
    check_managed(hub, managed=managed)
    found = {}
    for name, said in hub.load_groups.items():
        where = f"c.JupyterHub.load_groups[{name!r}]"
        try:
            group = msgspec.convert(said if isinstance(said, Mapping) else {"users": said}, DeclaredGroup)
            size = len(msgspec.json.encode(group.properties))
        except (msgspec.MsgspecError, TypeError) as error:
            raise ConfigError(f"{where}: {error}") from None
        if size > LARGEST_PROPERTIES:
            raise ConfigError(f"{where}: properties are {LARGEST_PROPERTIES} bytes of JSON at most")
        _check_names(where, [name], check_group_name)
        users = user_names(group.users)
        _check_names(where, users, check_user_name)
        found[name] = DeclaredGroup(users=users, properties=group.properties)
    return found


def check_managed(hub: Hub, *, managed: bool) -> None:
    """ConfigError if the configuration has groups where logins bring them, as in JupyterHub."""
    if managed and hub.load_groups:
        raise ConfigError("c.JupyterHub.load_groups is set, but the authenticator manages groups (manage_groups)")


def user_names(names: Iterable[str]) -> list[str]:
    """As users have them, each once, in their order."""
    return list(dict.fromkeys(normalize_user_name(name) for name in names))


def check_user_names(where: str, names: Iterable[str]) -> None:
    """ConfigError unless each of *names* can be a user's."""
    _check_names(where, user_names(names), check_user_name)


def _check_service(place: int, service: dict[str, Any], tree: Tree) -> None:
    name = service.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"c.JupyterHub.services[{place}] has no name")
    where = f"c.JupyterHub.services[{place}]"
    _check_names(where, [name], check_service_name)
    token = service.get("api_token")
    if token is not None and (not isinstance(token, str) or not 8 <= len(token) <= 64):
        raise ConfigError(f"the api_token of service {name} must have 8 to 64 characters")
    for key, value in service.items():
        if key not in SERVICE_KEYS:
            raise ConfigError(f"{where}: unknown key {key!r} of service {name}; known: {', '.join(SERVICE_KEYS)}")
        try:
            msgspec.convert(value, SERVICE_KEYS[key] | None)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{where}: {key} of service {name}: {error}") from None
    _check_scopes(f"{where}: oauth_client_allowed_scopes", service.get("oauth_client_allowed_scopes") or (), tree)


def _check_role(place: int, role: dict[str, Any], tree: Tree, services: set[str]) -> None:
    where = f"c.JupyterHub.load_roles[{place}]"
    try:
        check_role(role, tree)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    check_user_names(where, role.get("users", ()))
    _check_names(where, role.get("groups", ()), check_group_name)
    for service in role.get("services", ()):
        if service not in services:
            raise ConfigError(f"{where}: role {role['name']}: c.JupyterHub.services has no service {service!r}")


def _check_scopes(where: str, scopes: Iterable[str], tree: Tree) -> None:
    for scope in sorted(scopes):
        if not tree.known(scope):
            raise ConfigError(f"{where}: there is no scope {scope!r}")


def _check_names(where: str, names: Iterable[str], rule: Callable[[str], None]) -> None:
    for name in names:
        try:
            rule(name)
        except Invalid as error:
            raise ConfigError(f"{where}: {error}") from None


def _check_tokens(hub: Hub) -> None:
    """Those of services are checked with the services. A message names whose token it is, never the token."""
    seen = {service["api_token"]: service["name"] for service in hub.services if service.get("api_token")}
    for option, tokens in (("service_tokens", hub.service_tokens), ("api_tokens", hub.api_tokens)):
        for token, owner in tokens.items():
            if not 8 <= len(token) <= LONGEST_TOKEN or not token.isascii() or len(token.split()) != 1:
                raise ConfigError(
                    f"a token of {owner!r} in c.JupyterHub.{option} must have 8 to {LONGEST_TOKEN} ASCII characters, "
                    "none of them a space"
                )
            if option == "api_tokens" and token in seen:
                raise ConfigError(f"a token in c.JupyterHub.api_tokens is that of {owner!r} and of {seen[token]!r}")
            seen[token] = owner


def check_webhooks(webhooks: Sequence[Webhook]) -> None:
    """ConfigError if two have one name, or one is to tell of what there is not."""
    where = "c.Hubbub.webhooks"
    _check_once(where, "webhook", [each.name for each in webhooks])
    for place, webhook in enumerate(webhooks):
        for kind in webhook.aggregates:
            if kind not in VIEWS:
                raise ConfigError(f"{where}[{place}]: Webhook {webhook.name}: there is no aggregate {kind!r}")


def _check_once(where: str, what: str, names: list[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise ConfigError(f"{where}: there are {times} {what}s of the name {name!r}")
