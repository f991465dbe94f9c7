"""What a server can be asked, and told: wishes of people, and reports of workers. For events see `server_events`."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from hubbub.domain.message import Command

Reach: TypeAlias = Literal["process", "host", "pool"]
"""Who can get at a workload: the workers of its host, who can tell it from any other by its process; those of
its host, who cannot; or every worker of its pool.
"""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a start came to nothing. `reason` is a short tag for figures, `message` a sentence for people, `html`
    the same as the spawner wants it shown.
    """

    reason: str
    message: str
    status: int = 500
    html: str = ""


class Leftover(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that is over, of which something may still be there. `token`: the id of its API token."""

    attempt: int
    host: str
    pool: str = ""
    reach: Reach = "process"
    reason: str = ""
    url: str = ""
    token: str = ""


# Wishes ---------------------------------------------------------------------------------


class CreateServer(Command, frozen=True, kw_only=True):
    user: str
    name: str
    display_name: str = ""


class StartServer(Command, frozen=True, kw_only=True):
    """Asked by a person or an API client. `deadline`: when to give up if no worker takes it. `asker`: who waits for
    it, so that those who ask for many do not keep the others waiting. `took`: seconds from their request to this.
    `profile`: which one its options name.
    """

    at: datetime
    pool: str
    prefix: str
    deadline: datetime
    retries: int = 2
    asker: str = ""
    took: float = 0.0
    profile: str = ""


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


class ForceStop(Command, frozen=True, kw_only=True):
    """An admin does not want to wait for a stop any longer: what is left of it is a leftover from now on."""


class AdoptOrphan(Command, frozen=True, kw_only=True):
    """A leftover of the newest attempt is to count again. `deadline`: by when a worker should have taken it."""

    at: datetime
    attempt: int
    prefix: str
    deadline: datetime


class ForgetOrphan(Command, frozen=True, kw_only=True):
    """An admin says that nothing is left of that attempt, or that it does not matter."""

    attempt: int


# Reports --------------------------------------------------------------------------------


class ClaimAttempt(Command, frozen=True, kw_only=True):
    """A worker takes an attempt that waits, or one whose holder is lost. `token`: id of the API token issued with
    the claim, of no interest in the second case.
    """

    attempt: int
    worker: str
    host: str
    token: str
    deadline: datetime
    reach: Reach = "process"


class ReportState(Command, frozen=True, kw_only=True):
    """The spawner's state changed; it goes to the vault, sealed, not into the log."""

    attempt: int
    worker: str
    sealed: str = ""


class ReportStarted(Command, frozen=True, kw_only=True):
    """The spawner returned: there is a workload, and this is where it listens.

    `resumed`: the hash of the API token of an earlier attempt, if it is that one which was taken up again;
    `token` the id that goes with it, filled in by the api. `spent`: seconds by step of the start, in order.
    """

    attempt: int
    worker: str
    url: str
    deadline: datetime
    sealed: str = ""
    resumed: str = ""
    token: str = ""
    spent: dict[str, float] = msgspec.field(default_factory=dict)


class ReportResponded(Command, frozen=True, kw_only=True):
    """The server answered its first HTTP request. `deadline`: by when it should be routed."""

    attempt: int
    worker: str
    deadline: datetime
    version: str = ""


class ReportDelay(Command, frozen=True, kw_only=True):
    """The start may take longer than was thought: hooks have taken their time, or have allowed more."""

    attempt: int
    worker: str
    deadline: datetime


class ReportMoved(Command, frozen=True, kw_only=True):
    """A server that runs listens somewhere else now."""

    attempt: int
    worker: str
    url: str
    sealed: str = ""


class ReportFailed(Command, frozen=True, kw_only=True):
    """`spent`: seconds by step of the start, in order; the last is the one that failed."""

    attempt: int
    worker: str
    failure: Failure
    deadline: datetime
    spent: dict[str, float] = msgspec.field(default_factory=dict)


class ReportExit(Command, frozen=True, kw_only=True):
    """The workload is gone. `status`: exit code, or what the spawner's poll returned, as text. `resumes`: it only
    sleeps, and will want its API token when it wakes. `sealed`: what its spawner wants to be told at the next start.
    """

    attempt: int
    worker: str
    status: str | None
    deadline: datetime
    resumes: bool = False
    sealed: str = ""


class ReportFound(Command, frozen=True, kw_only=True):
    """A worker that has just started found this workload on its host."""

    attempt: int
    worker: str
    host: str
    deadline: datetime
    url: str = ""


class LoseAttempt(Command, frozen=True, kw_only=True):
    """The holder is gone. `ended`: nothing of the attempt is left on its host, as far as processes go."""

    attempt: int
    worker: str
    reason: str
    deadline: datetime
    ended: bool = False


class ReportOrphan(Command, frozen=True, kw_only=True):
    """There is something of an attempt that is over, and it cannot be removed here and now."""

    attempt: int
    host: str
    pool: str = ""
    reach: Reach = "process"
    reason: str = ""
    sealed: str = ""


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
    | ForceStop
    | AdoptOrphan
    | ForgetOrphan
    | ClaimAttempt
    | ReportState
    | ReportStarted
    | ReportResponded
    | ReportDelay
    | ReportMoved
    | ReportFailed
    | ReportExit
    | ReportFound
    | LoseAttempt
    | ReportOrphan
    | ReportOrphanRemoved
)
