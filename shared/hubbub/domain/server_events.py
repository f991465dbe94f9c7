"""Events of a server."""

from datetime import datetime
from typing import ClassVar, TypeAlias

from hubbub.domain.message import Event
from hubbub.domain.server_messages import Failure, Reach


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
    asker: str = ""


class AttemptClaimed(Event, frozen=True, kw_only=True):
    attempt: int
    worker: str
    host: str
    token: str
    deadline: datetime
    reach: Reach = "process"


class StartExtended(Event, frozen=True, kw_only=True):
    attempt: int
    deadline: datetime


class ServerStarted(Event, frozen=True, kw_only=True):
    """`url`: where the proxy finds it, e.g. http://127.0.0.1:40123, without the prefix. `token`: the id of an earlier
    attempt's API token that it goes on with; "" for the one issued with the claim.
    """

    attempt: int
    url: str
    deadline: datetime
    token: str = ""


class ServerMoved(Event, frozen=True, kw_only=True):
    attempt: int
    url: str


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


class HolderLost(Event, frozen=True, kw_only=True):
    """What it held goes on, and waits for a worker of *pool* that can reach it. `deadline`: for how long."""

    attempt: int
    reason: str
    deadline: datetime
    pool: str = ""


class ServerAdopted(Event, frozen=True, kw_only=True):
    """`deadline`: of the new holder; null if it took over from another, whose deadline goes on."""

    attempt: int
    worker: str
    host: str
    deadline: datetime | None = None


class StopRequested(Event, frozen=True, kw_only=True):
    attempt: int
    deadline: datetime
    reason: str


class ServerStopped(Event, frozen=True, kw_only=True):
    """`resumes`: it may be taken up again, with the API token that it has."""

    attempt: int
    status: str | None
    resumes: bool = False


class ServerCrashed(Event, frozen=True, kw_only=True):
    attempt: int
    status: str | None
    resumes: bool = False


class ServerRenamed(Event, frozen=True, kw_only=True):
    name: str
    display_name: str


class ServerDeleted(Event, frozen=True, kw_only=True):
    pass


class OrphanFound(Event, frozen=True, kw_only=True):
    """Something may be left of an attempt that is over: it is not forgotten until it is known to be gone."""

    attempt: int
    host: str
    pool: str = ""
    reach: Reach = "process"
    reason: str = ""
    url: str = ""
    token: str = ""


class OrphanRemoved(Event, frozen=True, kw_only=True):
    """`forced`: nobody has seen that it is gone; an admin said so. `pool`: where a start may have waited for this."""

    attempt: int
    host: str
    forced: bool = False
    pool: str = ""


class OrphanAdopted(Event, frozen=True, kw_only=True):
    """It counts again, and waits for a worker of *pool* that can reach it."""

    personal: ClassVar[tuple[str, ...]] = ("prefix",)

    user: str
    at: datetime
    attempt: int
    prefix: str
    deadline: datetime
    pool: str = ""


ServerEvent: TypeAlias = (
    ServerCreated
    | SpawnRequested
    | AttemptClaimed
    | StartExtended
    | ServerStarted
    | ServerResponded
    | ServerMoved
    | SpawnFailed
    | AttemptLost
    | HolderLost
    | ServerAdopted
    | StopRequested
    | ServerStopped
    | ServerCrashed
    | ServerRenamed
    | ServerDeleted
    | OrphanFound
    | OrphanRemoved
    | OrphanAdopted
)
