"""A service that was registered while the hub runs. Those of the configuration are the configuration's."""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

import msgspec

from hubbub.domain.message import AlreadyExists, Command, Decider, Event, Json, NotFound, State


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a service is, but for its secret, with JupyterHub's names (its documentation, "Services").

    `oauth_client_id` and `oauth_redirect_uri` are empty for one that nobody logs in to. `timeout`: how many
    seconds to wait for it to answer.
    """

    name: str
    admin: bool = False
    url: str = ""
    info: Json = {}
    display: bool = True
    oauth_client_id: str = ""
    oauth_redirect_uri: str = ""
    oauth_no_confirm: bool = False
    oauth_client_allowed_scopes: tuple[str, ...] = ()
    timeout: int = 30


class RegisterService(Command, frozen=True, kw_only=True):
    spec: Spec


class RemoveService(Command, frozen=True, kw_only=True):
    reason: str = "asked"


ServiceCommand: TypeAlias = RegisterService | RemoveService


class ServiceRegistered(Event, frozen=True, kw_only=True):
    """A service was registered while the hub runs."""

    spec: Spec


class ServiceRemoved(Event, frozen=True, kw_only=True):
    """The service is not registered any more."""

    reason: str


ServiceEvent: TypeAlias = ServiceRegistered | ServiceRemoved


class NoService(State, frozen=True, kw_only=True):
    pass


class Service(State, frozen=True, kw_only=True):
    spec: Spec


ServiceState: TypeAlias = NoService | Service


def decide(state: ServiceState, command: ServiceCommand) -> Sequence[ServiceEvent]:
    match command, state:
        case RegisterService(), NoService():
            return [ServiceRegistered(spec=command.spec)]
        case RegisterService(), Service():
            raise AlreadyExists(f"Service {state.spec.name} already exists")
        case RemoveService(), Service():
            return [ServiceRemoved(reason=command.reason)]
        case RemoveService(), NoService():
            raise NotFound
        case _:
            raise AssertionError((state, command))


def evolve(_: ServiceState, event: ServiceEvent) -> ServiceState:
    match event:
        case ServiceRegistered():
            return Service(spec=event.spec)
        case ServiceRemoved():
            return NoService()
        case _:
            assert_never(event)


decider = Decider[ServiceCommand, ServiceEvent, ServiceState](
    name="service",
    initial=NoService(),
    decide=decide,
    evolve=evolve,
    commands=ServiceCommand,
    events=ServiceEvent,
    states=ServiceState,
)
