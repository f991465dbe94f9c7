"""Users and servers as clients see them: each field only if the asker may read it (contract, part 2)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from msgspec import UNSET

from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain import scope
from hubbub.domain.message import Json
from hubbub.domain.names import escape, full_name, prefix
from hubbub.roles import Roles
from hubbub_api.activity import newest
from hubbub_api.answers import stamp
from hubbub_api.rows import ServerRow, UserRow, untouched
from hubbub_api.schemas import IdentifiedService, IdentifiedUser, Server, Service, User
from hubbub_api.views import Views

READ_USER = (
    "read:users",
    "read:users:name",
    "read:servers",
    "read:users:groups",
    "read:users:activity",
    "read:roles:users",
)
#: A model with any servers at all is only for those who hold one of these in some way.
WITH_SERVERS = ("read:servers", "read:users")
#: So is what logins said of people to be shown.
WITH_INFO = ("read:users", "read:users:name")


async def states_for(views: Views, asker: Identity, servers: Iterable[ServerRow]) -> dict[str, Any]:
    """The spawners' states of those that have one, if *asker* may see any; no query if not."""
    active = [server for server in servers if server.active]
    return await views.states(active) if active and scope.held_at_all(asker.scopes, "admin:server_state") else {}


async def infos_for(views: Views, asker: Identity, users: Iterable[UserRow]) -> dict[str, Any]:
    """The `user_info` of *users*, if *asker* may see any."""
    if not any(scope.held_at_all(asker.scopes, base) for base in WITH_INFO):
        return {}
    return await views.infos({user.id: user.user_info for user in users})


class Hears(Protocol):
    """The part of `Activities` that models need."""

    def newer(self, subject: str, stored: datetime | None) -> datetime | None: ...


class Models:
    def __init__(self, options: Options, roles: Roles, activities: Hears) -> None:
        self._options = options
        self._roles = roles
        self._activities = activities

    async def users(self, views: Views, asker: Identity, users: list[UserRow], *, stopped: bool = False) -> list[User]:
        """The models of *users*, in their order: four queries at most, however many they are."""
        found: dict[str, list[ServerRow]] = {}
        options: dict[str, Any] = {}
        states: dict[str, Any] = {}
        if users and any(scope.held_at_all(asker.scopes, base) for base in WITH_SERVERS):
            found = await views.servers_of([user.id for user in users], stopped=stopped)
            all_of_them = [server for servers in found.values() for server in servers]
            options, states = await views.options(all_of_them), await states_for(views, asker, all_of_them)
        infos = await infos_for(views, asker, users)
        return [
            self.user(asker, user, found.get(user.id, []), options, states, infos, stopped=stopped) for user in users
        ]

    def user(
        self,
        asker: Identity,
        user: UserRow,
        servers: list[ServerRow],
        options: dict[str, Any],
        states: Mapping[str, Any] = {},
        infos: Mapping[str, Any] = {},
        *,
        stopped: bool = False,
        as_: type[User] = User,
        **more: Any,
    ) -> User:
        def may(*bases: str) -> bool:
            return any(asker.may(base, user=user.name) for base in bases)

        whole = may("read:users")
        default = next((server for server in servers if server.name == ""), None)
        if stopped and default is None:
            servers = [untouched(user), *servers]
        model = as_(name=user.name, **more)
        if whole or may("read:users:name", "read:roles:users"):
            model.admin = user.admin
        if whole or may("read:users:name"):
            model.user_info = infos.get(user.id)
        if whole or may("read:users:groups"):
            model.groups = user.groups
        if whole or may("read:roles:users"):
            model.roles = list(self._roles.of_user(user.granted, admin=user.admin))
        if whole:
            model.server = default.prefix if default and default.ready else None
            model.pending = default.pending if default else None
            model.created = stamp(user.created)
        if whole or may("read:users:activity"):
            heard = self._activities.newer(f"user:{user.id}", user.last_activity)
            model.last_activity = stamp(newest([heard, *(self._active_at(server) for server in servers)]))
        shown = {
            server.name: self.server(asker, server, options.get(server.id), states.get(server.id))
            for server in servers
            if (stopped or server.active) and asker.may("read:servers", user=user.name, server=server.name)
        }
        if shown or may("read:servers"):
            model.servers = shown
        if may("admin:auth_state"):
            model.auth_state = None
        return model

    def server(self, asker: Identity, server: ServerRow, options: Any = None, state: Any = None) -> Server:
        base_url = self._options.base_url
        place = "server" if not server.name else f"servers/{server.name}"
        hosts = self._options.hosts
        url = hosts.link(server.owner, server.prefix or prefix(base_url, server.owner, server.name))
        progress_url = f"{base_url}hub/api/users/{escape(server.owner)}/{place}/progress"
        empty: Json | None = {} if server.id else None
        return Server(
            name=server.name,
            display_name=server.display_name,
            full_name=full_name(server.owner, server.name),
            last_activity=stamp(self._active_at(server)),
            started=stamp(server.since),
            pending=server.pending,
            ready=server.ready,
            stopped=not server.active,
            url=url,
            user_options=options if options is not None else empty,
            progress_url=progress_url,
            full_url=hosts.public(url),
            full_progress_url=hosts.public(progress_url),
            state=(state or empty) if asker.may("admin:server_state", user=server.owner, server=server.name) else UNSET,
        )

    def _active_at(self, server: ServerRow) -> datetime | None:
        """A start is a sign of life, too, or one that begins would seem as idle as it was when it ended."""
        return self._activities.newer(f"server:{server.id}", newest([server.last_activity, server.since]))

    def identity(
        self,
        asker: Identity,
        seeing: Identity,
        servers: list[ServerRow],
        options: dict[str, Any],
        infos: Mapping[str, Any] = {},
    ) -> IdentifiedUser | IdentifiedService:
        """`GET /user`: the asker, as *seeing* (the asker with the scopes of knowing oneself) sees it."""
        about: dict[str, Any] = {
            "token_id": f"a{asker.token}" if asker.token else None,
            "session_id": asker.session or None,
            "scopes": sorted(asker.scopes),
        }
        if asker.kind == "service":
            # What else is known of a service is asked for by its name; here only that it could be seen.
            known = Service(name=asker.name, url=None, prefix="", command=[], pid=0, info=None, display=None)
            found: IdentifiedService = self.service(seeing, known, IdentifiedService, **about)
            return found
        row = UserRow(
            id=asker.id,
            number=asker.number,
            name=asker.name,
            admin=asker.admin,
            created=asker.created,
            last_activity=asker.last_activity,
            groups=list(asker.groups),
            granted=list(asker.roles),
        )
        model = self.user(seeing, row, servers, options, infos=infos, as_=IdentifiedUser, **about)
        assert isinstance(model, IdentifiedUser)
        return model

    def service(self, asker: Identity, known: Service, as_: Any = Service, **more: Any) -> Any:
        """*known* as far as the asker may read it."""
        model = as_(name=known.name, **more)
        whole = asker.may("read:services", service=known.name)
        with_roles = asker.may("read:roles:services", service=known.name)
        if whole or with_roles or asker.may("read:services:name", service=known.name):
            model.admin = known.admin if known.admin is not UNSET else asker.admin
        if with_roles:
            model.roles = known.roles if known.roles is not UNSET else list(asker.roles)
        if whole:
            for field in ("url", "prefix", "command", "pid", "info", "display"):
                setattr(model, field, getattr(known, field))
        return model
