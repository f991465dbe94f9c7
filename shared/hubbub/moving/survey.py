"""Looks at what there is to bring, says what cannot be, and works out what only JupyterHub's own rules tell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.fernet import MultiFernet

from hubbub import legacy
from hubbub.config import Options
from hubbub.domain.names import prefix
from hubbub.domain.scope_tree import ROLES
from hubbub.domain.server_messages import Reach
from hubbub.domain.service import Spec
from hubbub.moving import crypt, theirs
from hubbub.moving.report import Report
from hubbub.moving.source import Source
from hubbub.moving.theirs import HUB, TheirGroup, TheirRole, TheirServer, TheirService, TheirToken, TheirUser
from hubbub.services import BadService, spec_of

#: Held by everybody, or by all administrators.
_BY_ITSELF = ("user", "admin")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server that runs was found. `token`: its API token, if that could be read."""

    pool: str
    reach: Reach
    host: str
    token: str = ""


class Finds(Protocol):
    def place(self, user: TheirUser, groups: Sequence[str], server: TheirServer) -> Place | str:
        """Where it runs, or why it cannot be taken over: a sentence without its name."""


@dataclass(kw_only=True)
class Prepared:
    """A user, ready to be brought. `places`: of the servers that go on running, by JupyterHub's id; `own`: the token
    of each, by the id of the server; `belongs`: to which server a token was given, by the id of the token.
    """

    user: TheirUser
    auth_state: bytes | None
    groups: list[int]
    roles: list[tuple[str, bool]]
    tokens: list[TheirToken]
    places: dict[int, Place] = field(default_factory=dict)
    own: dict[int, TheirToken] = field(default_factory=dict)
    belongs: dict[int, TheirServer] = field(default_factory=dict)


@dataclass(kw_only=True)
class Survey:
    """*keys*: what opens their auth state. `report` fills as users are looked at."""

    options: Options
    keys: MultiFernet | None
    finds: Finds
    report: Report = field(default_factory=Report)
    roles: dict[int, TheirRole] = field(default_factory=dict)
    groups: dict[int, TheirGroup] = field(default_factory=dict)
    services: list[tuple[TheirService, Spec]] = field(default_factory=list)
    service_tokens: list[tuple[str, TheirToken]] = field(default_factory=list)
    shared: set[int] = field(default_factory=set)

    async def begin(self, source: Source) -> None:
        """Everything but users, of whom there may be many."""
        self.roles = await theirs.roles(source)
        for role in self.roles.values():
            if not self._is_known(role):
                self.report.note("not brought: roles that the configuration does not have", role.name)
        self.groups = {group.id: group for group in await theirs.groups(source)}
        self.report.found["groups"] = len(self.groups)
        found, tokens = await theirs.services(source)
        self._services(found, tokens)
        self.shared = {row["spawner_id"] for row in await source.rows("select distinct spawner_id from shares")}
        if number := await theirs.count(source, "share_codes"):
            self.report.note(f"not brought: {number} share codes, which have to be made anew")

    def _services(self, found: Sequence[TheirService], tokens: Sequence[TheirToken]) -> None:
        for service in found:
            if service.from_config or service.name in self.options.services:
                if service.name not in self.options.services:
                    self.report.note("not brought: services that the configuration does not have", service.name)
                continue
            try:
                self.services.append((service, spec_of(service.said, self.options.base_url)))
            except BadService as error:
                self.report.note(f"not brought: {error}")
        names = {service.id: service.name for service, _ in self.services}
        self.service_tokens = [
            (names[token.service], token) for token in tokens if token.service in names and not token.over
        ]
        self.report.found["services"] = len(self.services)

    def prepare(self, user: TheirUser) -> Prepared:
        found = self.report.found
        user.servers = [server for server in user.servers if not server.untouched or server.id in self.shared]
        found["users"] += 1
        found["servers"] += len(user.servers)
        found["memberships"] += len(user.groups)
        tokens = [token for token in user.tokens if not token.over]
        found["tokens"] += len(tokens)
        prepared = Prepared(
            user=user,
            auth_state=self._auth_state(user),
            groups=[group for group in user.groups if group in self.groups],
            roles=self.granted(user.roles),
            tokens=tokens,
        )
        for server in user.servers:
            self._look_at(prepared, server)
        return prepared

    def granted(self, held: Iterable[tuple[int, bool]]) -> list[tuple[str, bool]]:
        """By name, those of *held* that somebody has to be given."""
        known = [(self.roles[id], managed) for id, managed in held if id in self.roles]
        return [(role.name, managed) for role, managed in known if self._is_known(role) and role.name not in _BY_ITSELF]

    def _is_known(self, role: TheirRole) -> bool:
        listed: Iterable[Mapping[str, object]] = self.options.hub.load_roles
        return role.managed or role.name in ROLES or any(role.name == each["name"] for each in listed)

    def _auth_state(self, user: TheirUser) -> bytes | None:
        if user.auth_state is None:
            return None
        self.report.found["auth states"] += 1
        state = crypt.opened([self.keys] if self.keys else [], user.auth_state)
        if state is None:
            why = f"{crypt.VARIABLE} is another key" if self.keys else f"{crypt.VARIABLE} is not set"
            self.report.note(f"not brought: auth states, because {why}", user.name)
        return None if state == b"null" else state

    def _look_at(self, prepared: Prepared, server: TheirServer) -> None:
        user, whole = prepared.user, f"{prepared.user.name}/{server.name}"
        at = server.prefix or prefix(self.options.base_url, user.name, server.name)
        notes = (f"Server at {at}", f"retrieved from spawner {server.name}")
        own = [token for token in prepared.tokens if token.client == HUB and token.note in notes]
        given = [token for token in prepared.tokens if server.client and token.client == server.client]
        prepared.belongs |= {token.id: server for token in (*own, *given)}
        if not server.runs:
            return
        self.report.found["running servers"] += 1
        groups = [self.groups[id].name for id in prepared.groups]
        place = self.finds.place(user, groups, server)
        if isinstance(place, str):
            self.report.note(f"not taken over, stopped from now on: {place}", whole)
            return
        prepared.places[server.id] = place
        exact = [token for token in own if place.token and legacy.matches(token.hashed, place.token)]
        if found := exact or own:
            prepared.own[server.id] = found[-1]
        else:
            self.report.note("its API token is not known to JupyterHub: nobody can log in to it", whole)
