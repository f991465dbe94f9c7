"""The roles there are: JupyterHub's own, and those of the operator's configuration. Who holds them is in the log."""

from collections.abc import Iterable, Mapping

from hubbub.config import Options
from hubbub.domain import scope
from hubbub.domain.scope_tree import ROLES, Tree

#: What everybody may know about themselves, with whatever token.
IDENTIFY = ("read:users:name!user", "read:users:groups!user")
IDENTIFY_SERVICE = ("read:services:name!service",)

#: A share as far as it grants something: the server's full name, and scopes without a filter.
Shared = tuple[str, tuple[str, ...]]

#: Scopes by the name of a role.
Managed = Mapping[str, tuple[str, ...]]
NONE: Managed = {}


class Roles:
    """`roles[name]`: the scopes of a role; KeyError if there is none of that name."""

    def __init__(self, options: Options) -> None:
        hub = options.hub
        self.tree = Tree(hub.custom_scopes)
        self._roles = dict(ROLES)
        self._of_services: dict[str, list[str]] = {}
        for role in hub.load_roles:
            name = role["name"]
            if name != "admin":
                self._roles[name] = tuple(role["scopes"]) if "scopes" in role else self._roles.get(name, ())
            for service in role.get("services", ()):
                self._of_services.setdefault(service, []).append(name)
        if self._roles["user"] == ROLES["user"]:  # whoever spells the role out means what they say
            self._roles["user"] += tuple(sorted(hub.extra_user_scopes))

    def __contains__(self, name: str) -> bool:
        return name in self._roles

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self._roles[name]

    def of_user(self, granted: Iterable[str], *, admin: bool) -> tuple[str, ...]:
        """Names of the roles that a user holds: everybody's, the administrators', and those *granted*."""
        own = ("user", "admin") if admin else ("user",)
        return (*own, *(role for role in granted if role not in ("user", "admin")))

    def of_service(self, name: str, *, admin: bool) -> tuple[str, ...]:
        granted = self._of_services.get(name, [])
        return tuple(dict.fromkeys([*(["admin"] if admin or "admin" in granted else []), *granted]))

    def user_scopes(
        self, name: str, roles: Iterable[str], shares: Iterable[Shared] = (), managed: Managed = NONE
    ) -> frozenset[str]:
        """All that a user may do by *roles* (their own and their groups') and by what is shared with them.

        *managed*: the scopes of those roles that logins have defined. What the configuration says counts for more.
        """
        scopes = self._expanded(roles, managed, user=name)
        shared = [f"{base}!server={server}" for server, bases in shares for base in bases]
        return scope.shortest(scopes | self.tree.expand(shared)) if shared else scopes

    def service_scopes(self, name: str, *, admin: bool) -> frozenset[str]:
        return self._expanded(self.of_service(name, admin=admin), service=name)

    def token_scopes(
        self,
        kind: str,
        name: str,
        owner: frozenset[str],
        scopes: tuple[str, ...],
        server: str = "",
        members: scope.Members | None = None,
    ) -> frozenset[str]:
        """What a token with *scopes* may do for the user or service (*kind*) *name* who may do *owner*.

        *server*: `name/server` of what the token was given to. *members*: of the groups that either set of
        scopes names in a filter (`scope.groups_in`).
        """
        who = {kind: name}
        wanted = self.tree.expand((*scopes, *(IDENTIFY if kind == "user" else IDENTIFY_SERVICE)), server=server, **who)
        return scope.intersect(wanted, owner, members or {})

    def _expanded(
        self, roles: Iterable[str], managed: Managed = NONE, *, user: str = "", service: str = ""
    ) -> frozenset[str]:
        known = {**managed, **self._roles} if managed else self._roles
        named = [each for role in roles for each in known.get(role, ())]
        return self.tree.expand(named, user=user, service=service)
