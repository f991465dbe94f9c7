"""Events of a server."""

from datetime import datetime
from typing import ClassVar, TypeAlias

import msgspec

from hubbub.domain.message import Event
from hubbub.domain.server_messages import Failure, Reach


class ServerCreated(Event, frozen=True, kw_only=True):
    """There is a server, which has not been started yet."""

    user: str
    name: str
    display_name: str = ""


class SpawnRequested(Event, frozen=True, kw_only=True):
    """Somebody asked for a start. It waits for a worker of the pool. `at`: when it was wished for. `prefix`: where the
    server will live, even if its owner is renamed. `took`: seconds from the arrival of the request to that.
    `profile`: the one that was chosen, if any.
    """

    personal: ClassVar[tuple[str, ...]] = ("prefix",)

    user: str
    at: datetime
    attempt: int
    pool: str
    prefix: str
    deadline: datetime
    retries: int
    asker: str = ""
    took: float = 0.0
    profile: str = ""


class AttemptClaimed(Event, frozen=True, kw_only=True):
    """A worker took the start, and holds the server from now on."""

    attempt: int
    worker: str
    host: str
    token: str
    deadline: datetime
    reach: Reach = "process"


class StartExtended(Event, frozen=True, kw_only=True):
    """The start has more time, because the spawner said so."""

    attempt: int
    deadline: datetime


class ServerStarted(Event, frozen=True, kw_only=True):
    """The spawner says where the server listens. `url`: where the proxy finds it, e.g. http://127.0.0.1:40123, without
    the prefix. `token`: the id of an earlier attempt's API token that it goes on with; "" for the one issued with the
    claim. `spent`: seconds by step of the start, in order, by the worker's clock (steps: see
    `hubbub_spawner_worker.spent`).
    """

    attempt: int
    url: str
    deadline: datetime
    token: str = ""
    spent: dict[str, float] = msgspec.field(default_factory=dict)


class ServerMoved(Event, frozen=True, kw_only=True):
    """The server listens somewhere else than before."""

    attempt: int
    url: str


class ServerResponded(Event, frozen=True, kw_only=True):
    """The server answered its worker for the first time."""

    attempt: int
    version: str
    deadline: datetime


class SpawnFailed(Event, frozen=True, kw_only=True):
    """The start came to nothing, or was cancelled. What is left of it is stopped. `spent`: seconds by step of the
    start, if it got no further; the last is the one that failed.
    """

    attempt: int
    failure: Failure
    deadline: datetime
    spent: dict[str, float] = msgspec.field(default_factory=dict)


class AttemptLost(Event, frozen=True, kw_only=True):
    """The worker of a start was lost before there was a server. It is tried again."""

    attempt: int
    reason: str


class HolderLost(Event, frozen=True, kw_only=True):
    """The worker of a server was lost, but not the server. What it held goes on, and waits for a worker of *pool* that
    can reach it. `deadline`: for how long.
    """

    attempt: int
    reason: str
    deadline: datetime
    pool: str = ""


class ServerAdopted(Event, frozen=True, kw_only=True):
    """Another worker, or the same one after it began anew, holds the server now. `deadline`: of the new holder; null if
    it took over from another, whose deadline goes on.
    """

    attempt: int
    worker: str
    host: str
    deadline: datetime | None = None


class StopRequested(Event, frozen=True, kw_only=True):
    """Somebody, or the hub itself, wants the server to stop."""

    attempt: int
    deadline: datetime
    reason: str


class ServerStopped(Event, frozen=True, kw_only=True):
    """The server has ended as it was told to. `resumes`: it may be taken up again, with the API token that it has."""

    attempt: int
    status: str | None
    resumes: bool = False


class ServerCrashed(Event, frozen=True, kw_only=True):
    """The server has ended although nobody had told it to."""

    attempt: int
    status: str | None
    resumes: bool = False


class ServerRenamed(Event, frozen=True, kw_only=True):
    """The server has another name."""

    name: str
    display_name: str


class ServerDeleted(Event, frozen=True, kw_only=True):
    """The server is no more."""


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
    """What may have been left of an earlier start is gone. `forced`: nobody has seen that it is gone; an admin said so.
    `pool`: where a start may have waited for this.
    """

    attempt: int
    host: str
    forced: bool = False
    pool: str = ""


class OrphanAdopted(Event, frozen=True, kw_only=True):
    """What was left of an earlier start is the server again. It counts again, and waits for a worker of *pool* that can
    reach it.
    """

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
