"""Commands and events of a server."""

from datetime import datetime
from typing import ClassVar, TypeAlias

import msgspec

from hubbub.domain.message import Command, Event


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a start came to nothing. `reason` is a short tag for figures, `message` a sentence for people."""

    reason: str
    message: str
    status: int = 500


# Wishes ---------------------------------------------------------------------------------


class CreateServer(Command, frozen=True, kw_only=True):
    user: str
    name: str
    display_name: str = ""


class StartServer(Command, frozen=True, kw_only=True):
    """Asked by a person or an API client. `deadline`: when to give up if no worker takes it."""

    at: datetime
    pool: str
    prefix: str
    deadline: datetime
    retries: int = 2


class StopServer(Command, frozen=True, kw_only=True):
    deadline: datetime
    reason: str = "asked"


class CancelSpawn(Command, frozen=True, kw_only=True):
    deadline: datetime


class RenameServer(Command, frozen=True, kw_only=True):
    name: str
    display_name: str


class DeleteServer(Command, frozen=True, kw_only=True):
    pass


class GiveUp(Command, frozen=True, kw_only=True):
    """Sent by the sweep when a deadline has passed."""

    attempt: int
    failure: Failure
    deadline: datetime


# Reports --------------------------------------------------------------------------------


class ClaimAttempt(Command, frozen=True, kw_only=True):
    """A worker takes a waiting attempt. `token`: id of the API token issued with the claim."""

    attempt: int
    worker: str
    host: str
    token: str
    deadline: datetime


class ReportState(Command, frozen=True, kw_only=True):
    """The spawner's state changed; it goes to the vault, sealed, not into the log."""

    attempt: int
    worker: str
    sealed: str = ""


class ReportStarted(Command, frozen=True, kw_only=True):
    """The spawner returned: there is a workload, and this is where it listens."""

    attempt: int
    worker: str
    url: str
    deadline: datetime
    sealed: str = ""


class ReportResponded(Command, frozen=True, kw_only=True):
    """The server answered its first HTTP request. `deadline`: by when it should be routed."""

    attempt: int
    worker: str
    deadline: datetime
    version: str = ""


class ReportFailed(Command, frozen=True, kw_only=True):
    attempt: int
    worker: str
    failure: Failure
    deadline: datetime


class ReportExit(Command, frozen=True, kw_only=True):
    """The workload is gone. `status`: exit code, or what the spawner's poll returned, as text."""

    attempt: int
    worker: str
    status: str | None
    deadline: datetime


class ReportFound(Command, frozen=True, kw_only=True):
    """A worker that has just started found this workload on its host."""

    attempt: int
    worker: str
    host: str
    deadline: datetime
    url: str = ""


class LoseAttempt(Command, frozen=True, kw_only=True):
    """The holder is gone, and nothing of the attempt is left on its host."""

    attempt: int
    worker: str
    reason: str
    deadline: datetime


class ReportOrphan(Command, frozen=True, kw_only=True):
    attempt: int
    host: str


class ReportOrphanRemoved(Command, frozen=True, kw_only=True):
    attempt: int
    host: str


ServerCommand: TypeAlias = (
    CreateServer
    | StartServer
    | StopServer
    | CancelSpawn
    | RenameServer
    | DeleteServer
    | GiveUp
    | ClaimAttempt
    | ReportState
    | ReportStarted
    | ReportResponded
    | ReportFailed
    | ReportExit
    | ReportFound
    | LoseAttempt
    | ReportOrphan
    | ReportOrphanRemoved
)

# Events ---------------------------------------------------------------------------------


class ServerCreated(Event, frozen=True, kw_only=True):
    user: str
    name: str
    display_name: str = ""


class SpawnRequested(Event, frozen=True, kw_only=True):
    """`at`: when it was wished for. `prefix`: where the server will live, even if its owner is renamed."""

    personal: ClassVar[tuple[str, ...]] = ("prefix",)

    user: str
    at: datetime
    attempt: int
    pool: str
    prefix: str
    deadline: datetime
    retries: int


class AttemptClaimed(Event, frozen=True, kw_only=True):
    attempt: int
    worker: str
    host: str
    token: str
    deadline: datetime


class ServerStarted(Event, frozen=True, kw_only=True):
    """`url`: where the proxy finds it, e.g. http://127.0.0.1:40123, without the prefix."""

    attempt: int
    url: str
    deadline: datetime


class ServerResponded(Event, frozen=True, kw_only=True):
    attempt: int
    version: str
    deadline: datetime


class SpawnFailed(Event, frozen=True, kw_only=True):
    attempt: int
    failure: Failure
    deadline: datetime


class AttemptLost(Event, frozen=True, kw_only=True):
    attempt: int
    reason: str


class ServerAdopted(Event, frozen=True, kw_only=True):
    attempt: int
    worker: str
    host: str


class StopRequested(Event, frozen=True, kw_only=True):
    attempt: int
    deadline: datetime
    reason: str


class ServerStopped(Event, frozen=True, kw_only=True):
    attempt: int
    status: str | None


class ServerCrashed(Event, frozen=True, kw_only=True):
    attempt: int
    status: str | None


class ServerRenamed(Event, frozen=True, kw_only=True):
    name: str
    display_name: str


class ServerDeleted(Event, frozen=True, kw_only=True):
    pass


class OrphanFound(Event, frozen=True, kw_only=True):
    attempt: int
    host: str


class OrphanRemoved(Event, frozen=True, kw_only=True):
    attempt: int
    host: str


ServerEvent: TypeAlias = (
    ServerCreated
    | SpawnRequested
    | AttemptClaimed
    | ServerStarted
    | ServerResponded
    | SpawnFailed
    | AttemptLost
    | ServerAdopted
    | StopRequested
    | ServerStopped
    | ServerCrashed
    | ServerRenamed
    | ServerDeleted
    | OrphanFound
    | OrphanRemoved
)
