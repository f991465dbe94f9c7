"""From what the api says of an attempt to a spawner that can be asked to start it, watch it and stop it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec

from hubbub.as_in_tornado import Handler, files_of
from hubbub.domain import names
from hubbub.domain.names import client_id
from hubbub.domain.server_messages import Reach
from hubbub.farewell_messages import Gone
from hubbub.floor import Floor, Here, Seat
from hubbub.form_messages import FormAsked
from hubbub.managed import Managed, id_of
from hubbub.rpc import Person, Spec
from hubbub_spawner_worker import response
from hubbub_spawner_worker.authenticators import Unmade, authenticator_of, may_have_a_say
from hubbub_spawner_worker.certificates import Certificates, Issuer
from hubbub_spawner_worker.failures import Failures
from hubbub_spawner_worker.form_hosted import FormHosted
from hubbub_spawner_worker.hosted import PREPARE_PATIENCE, Hosted, Launch
from hubbub_spawner_worker.spawners import Group, Hub, Spawner, User
from hubbub_spawner_worker.spawners.loading import is_classic
from hubbub_spawner_worker.spawners.service import ServiceSpawner
from hubbub_spawner_worker.spawners.surroundings import AuthState, Place
from hubbub_spawner_worker.tagged import revived
from hubbub_spawner_worker.workshop import Sealed, Workshop

_OURS = "hubbub_spawner_worker."
_MAKING_PATIENCE = 60.0

SaveAuthState = Callable[[str, int, dict[str, Any] | None], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Given:
    """All that a spawner is made with, whoever's class it is. `prefix`: the path that the server answers below.

    `state`: what the spawner last said. `certificates`: with internal TLS.
    """

    user: User
    hub: Hub
    name: str
    display_name: str
    prefix: str
    client_id: str
    access_scopes: tuple[str, ...]
    allowed_scopes: tuple[str, ...]
    options: dict[str, Any]
    state: dict[str, Any]
    public_url: str = ""
    public_hub_url: str = ""
    cookie_options: dict[str, Any] = field(default_factory=dict)
    cookie_host_prefix: bool = False
    trusted_alt_names: tuple[str, ...] = ()
    authenticator: Any = None
    certificates: Certificates | None = None


@dataclass(kw_only=True)
class Kept:
    """A person's auth state, as it was when the start was asked for. `save`: hands a new one to the hub."""

    state: dict[str, Any] | None
    save_it: Callable[[dict[str, Any] | None], Awaitable[None]]

    async def get(self) -> dict[str, Any] | None:
        return self.state

    async def save(self, state: dict[str, Any] | None) -> None:
        await self.save_it(state)
        self.state = state


class Hosting:
    """*save_auth_state*: of a server's owner, by its id and attempt; may be called on any loop."""

    def __init__(
        self,
        workshop: Workshop,
        save_auth_state: SaveAuthState,
        issuer: Issuer | None = None,
        *,
        lease: float = 10.0,
    ) -> None:
        """*issuer*: of certificates, with internal TLS. *lease*: seconds."""
        self.workshop = workshop
        self.lease = lease
        self._issuer = issuer
        self._save_auth_state = save_auth_state
        self._options = workshop.options
        self.floor = Floor()
        self.failures = Failures()
        self._classic = is_classic(workshop.kind)
        self._authenticator: Any = None
        self._authenticator_known = not may_have_a_say(self._options.hub.authenticator_class, self._options.traits)

    @property
    def reach(self) -> Reach:
        """Of what the configured class starts. That it is a process of ours nobody but the class can say."""
        found: Reach
        if self._classic:
            from hubbub_spawner_worker.classic.making import reach_of

            found = reach_of(self.workshop.kind)
        else:
            found = self.workshop.kind.reach
        said = self._options.ours.spawner_reach
        return found if found == "process" or not said else said

    async def host(self, spec: Spec, place: Place, *, state: str = "") -> Hosted:
        """The spawner of that attempt, as it was left. *state*: sealed, newer than the spec's.

        Raises Unreadable, or whatever the class does.
        """
        sealed = self.workshop.unseal(spec.sealed)
        if state:
            sealed = msgspec.structs.replace(sealed, state=self.workshop.unseal_state(state))
        given = self._given(spec.person, spec.name, spec.prefix, sealed, spec)
        hosted = self._of_service(spec, given, place) if spec.service else await self._made(given)
        hosted.counts = self.workshop.counts
        if not spec.service and isinstance(hosted.spawner, Spawner):
            hosted.spawner.place = place
        return hosted

    def launch(self, spec: Spec, token: str) -> Launch:
        """What its start begins with. Raises Unreadable."""
        sealed = self.workshop.unseal(spec.sealed)
        asked = sealed.request
        return Launch(
            token=token,
            options=revived(sealed.options),
            auth_state=sealed.auth_state,
            handler=Handler(asked, self._user(asked.user, (), None)) if asked else None,
            admin_access=self._options.hub.admin_access and not spec.service,
        )

    async def version_of(self, hosted: Hosted, url: str) -> str:
        """Wait for the first answer at *url*: the version of JupyterHub that it names, or ""."""
        return await response.version_of(f"{url}{hosted.probe}", self._issuer.probe if self._issuer else None)

    def forget(self, spec: Spec) -> None:
        """The attempt is over: nobody needs its certificate any more."""
        if self._issuer:
            self._issuer.remove(spec.server, spec.attempt)

    # Forms --------------------------------------------------------------------------------

    async def form_spawner(self, asked: FormAsked) -> FormHosted:
        """One that starts nothing: for its options form."""
        hosted = await self._without_attempt(asked, {})
        current = self._user(asked.request.user, (), None)
        handler = Handler(asked.request, current, files_of(asked.files))
        return FormHosted(hosted, handler, asked.auth_state)

    # Farewells ----------------------------------------------------------------------------

    async def gone_spawner(self, gone: Gone) -> Hosted:
        """Of a server that is no more: with what was known of it."""
        return await self._without_attempt(gone, gone.state)

    # Making -------------------------------------------------------------------------------

    async def _without_attempt(self, about: FormAsked | Gone, state: dict[str, Any]) -> Hosted:
        groups = tuple(Group(name=name, properties=about.groups.get(name, {})) for name in about.person.groups)
        sealed = Sealed(options=about.options, state=state, auth_state=about.auth_state, groups=groups)
        prefix = names.prefix(self._options.base_url, about.person.name, about.name)
        return await self._made(self._given(about.person, about.name, prefix, sealed, None))

    async def _made(self, given: Given) -> Hosted:
        kind, config = self.workshop.kind, self.workshop.config
        given = replace(given, authenticator=await self._its_authenticator())
        if self._classic:
            return await self._classic_made(kind, config, given)
        seat: Seat = Here() if kind.__module__.startswith(_OURS) and not self._has_callables() else self.floor
        spawner = await seat.call(partial(_ours, kind, config, given), patience=_MAKING_PATIENCE)
        spawner.aside = None if seat is self.floor else self.floor
        return Hosted(spawner=spawner, seat=seat, floor=self.floor, reach=self.reach, authenticator=given.authenticator)

    async def _classic_made(self, kind: Any, config: Any, given: Given) -> Hosted:
        from hubbub_spawner_worker.classic.driving import ClassicHosted
        from hubbub_spawner_worker.classic.making import make

        spawner = await self.floor.call(make, kind, config, given, patience=_MAKING_PATIENCE)
        return ClassicHosted(
            spawner=spawner,
            seat=self.floor,
            floor=self.floor,
            reach=self.reach,
            authenticator=given.authenticator,
            prefix=given.prefix,
        )

    async def _its_authenticator(self) -> Any:
        if not self._authenticator_known:
            wanted, config = self._options.hub.authenticator_class, self._options.traits
            self._authenticator = await self.floor.call(authenticator_of, wanted, config, patience=PREPARE_PATIENCE)
            self._authenticator_known = not isinstance(self._authenticator, Unmade)
        return self._authenticator

    def _has_callables(self) -> bool:
        """Whether our own class is told to call the operator's functions while it starts a server."""
        sections = [self.workshop.config.get(name, {}) for name in self.workshop.kind.section_names()]
        return any(callable(value) for section in sections for value in dict(section.get("environment", {})).values())

    def _of_service(self, spec: Spec, given: Given, place: Place) -> Hosted:
        """One that runs can be watched and stopped, whatever became of its configuration."""
        service = self.workshop.services.get(id_of(spec.service)) or Managed(name=spec.service, command=())
        flaw = "" if service.digest == spec.digest else "its configuration here is not the api's: restart the worker"
        hosts = self._options.hosts
        domain = hosts.of_service(service.name)
        user = User(
            name=service.user,
            id=0,
            url=f"{hosts.own_origin_of_service(service.name)}{given.prefix}" if domain else "",
            escaped_name=names.escape(service.user),
            domain=domain,
            host=hosts.origin_of_service(service.name),
        )
        public = f"{user.host}{given.prefix}" if service.url and user.host else ""
        given = replace(given, user=user, public_url=public, name="", display_name="")
        spawner = _ours(ServiceSpawner, None, given, service=service, flaw=flaw)
        spawner.place = place
        return Hosted(spawner=spawner, seat=Here(), floor=self.floor, reach="process")

    def _given(self, person: Person, name: str, prefix: str, sealed: Sealed, spec: Spec | None) -> Given:
        options, hub = self._options, self._options.hub
        save = partial(self._save_auth_state, spec.server, spec.attempt) if spec else _keeps_nothing
        user = self._user(person, sealed.groups, Kept(state=sealed.auth_state, save_it=save))
        return Given(
            user=user,
            hub=Hub(api_url=options.hub_api_url, base_url=options.hub_prefix, public_host=options.hosts.public_origin),
            name=name,
            display_name=spec.display_name if spec else name,
            prefix=prefix,
            client_id=spec.client_id if spec else client_id(person.name, name),
            access_scopes=spec.access_scopes if spec else (),
            allowed_scopes=spec.client_allowed_scopes if spec else (),
            options=revived(sealed.options),
            state=sealed.state,
            public_url=f"{user.host}{prefix}" if user.host else "",
            public_hub_url=options.hosts.public(options.hub_prefix) or "",
            cookie_options=hub.tornado_settings.get("cookie_options", {}),
            cookie_host_prefix=hub.cookie_host_prefix_enabled,
            trusted_alt_names=(*hub.trusted_alt_names, *([f"DNS:{user.domain}"] if user.domain else ())),
            certificates=self._issuer.of(spec.server, spec.attempt) if self._issuer and spec else None,
        )

    def _user(self, person: Person, groups: tuple[Group, ...], keeper: AuthState | None) -> User:
        hosts, name = self._options.hosts, person.name
        return User(
            name=name,
            id=person.number,
            url=f"{hosts.own_origin_of_user(name)}{names.prefix(self._options.base_url, name, '')}",
            escaped_name=names.escape(name),
            admin=person.admin,
            groups=groups or tuple(Group(name=group) for group in person.groups),
            domain=hosts.of_user(name),
            host=hosts.origin_of_user(name),
            keeper=keeper,
        )


async def _keeps_nothing(_: dict[str, Any] | None) -> None:
    """A form changes nothing."""


def _ours(kind: type[Spawner], config: Any, given: Given, **more: Any) -> Spawner:
    """A spawner of a class of ours, or derived from one."""
    made = kind(
        config=config,
        user=given.user,
        hub=given.hub,
        name=given.name,
        display_name=given.display_name,
        prefix=given.prefix,
        authenticator=given.authenticator,
        oauth_client_id=given.client_id,
        oauth_access_scopes=list(given.access_scopes),
        cookie_options=given.cookie_options,
        cookie_host_prefix_enabled=given.cookie_host_prefix,
        public_url=given.public_url,
        public_hub_url=given.public_hub_url,
        trusted_alt_names=list(given.trusted_alt_names),
        internal_ssl=given.certificates is not None,
        **more,
    )
    made.certificates = given.certificates
    if not callable(made.oauth_client_allowed_scopes):
        made.oauth_client_allowed_scopes = list(given.allowed_scopes)
    made.user_options = given.options
    made.load_state(given.state)
    return made
