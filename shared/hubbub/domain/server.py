"""A single-user server, from the wish to have one to the end of its process.

    Absent -> Stopped -> Spawning (waiting, then held) -> Started -> Running -> Stopping -> Stopped

An attempt has one holder at most. Whatever was held may have left a workload behind, so it ends by way
of Stopping, or is remembered as a leftover; only an attempt that nobody claimed goes straight back to Stopped.
"""

from collections.abc import Sequence
from datetime import datetime

from hubbub.domain.message import AlreadyExists, Busy, Decider, Invalid, NotFound, Rejected, StaleAttempt
from hubbub.domain.server_events import (
    ServerCrashed,
    ServerCreated,
    ServerDeleted,
    ServerEvent,
    ServerMoved,
    ServerRenamed,
    ServerResponded,
    ServerStarted,
    ServerStopped,
    SpawnFailed,
    SpawnRequested,
    StartExtended,
    StopRequested,
)
from hubbub.domain.server_evolve import evolve
from hubbub.domain.server_holders import claim, find, lose
from hubbub.domain.server_leftovers import check_forgettable, orphan, seen_gone, settle
from hubbub.domain.server_messages import (
    AdoptOrphan,
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    DeleteServer,
    Failure,
    ForceStop,
    ForgetOrphan,
    GiveUp,
    LoseAttempt,
    RenameServer,
    ReportDelay,
    ReportExit,
    ReportFailed,
    ReportFound,
    ReportMoved,
    ReportOrphan,
    ReportOrphanRemoved,
    ReportResponded,
    ReportStarted,
    ReportState,
    ServerCommand,
    StartServer,
    StopServer,
)
from hubbub.domain.server_states import Absent, Held, Known, Running, Server, Spawning, Started, Stopped, Stopping

CANCELLED = Failure(reason="cancelled", message="Spawn cancelled")


def decide(server: Server, command: ServerCommand) -> Sequence[ServerEvent]:
    if isinstance(server, Absent) and not isinstance(command, CreateServer):
        if isinstance(command, ReportFound | ReportExit | ReportOrphan | ReportOrphanRemoved):
            raise StaleAttempt
        raise NotFound
    match command:
        case CreateServer():
            if not isinstance(server, Absent):
                raise AlreadyExists(f"{server.name} exists")
            return [ServerCreated(user=command.user, name=command.name, display_name=command.display_name)]
        case StartServer() | StopServer() | CancelSpawn() | RenameServer() | DeleteServer() | GiveUp() | ForceStop():
            assert isinstance(server, Known)
            return _wish(server, command)
        case AdoptOrphan() | ForgetOrphan() | ReportOrphan() | ReportOrphanRemoved():
            assert isinstance(server, Known)
            return settle(server, command)
        case _:
            assert isinstance(server, Known)
            if command.attempt != server.attempt:
                raise StaleAttempt(f"attempt {command.attempt} is over; {server.attempt} counts")
            return _report(server, command)


def _wish(
    server: Known,
    command: StartServer | StopServer | CancelSpawn | RenameServer | DeleteServer | GiveUp | ForceStop,
) -> Sequence[ServerEvent]:
    """What people and the sweep ask for."""
    match command, server:
        case StartServer(), Stopped():
            return [
                SpawnRequested(
                    user=server.user,
                    at=command.at,
                    attempt=server.attempt + 1,
                    pool=command.pool,
                    prefix=command.prefix,
                    deadline=command.deadline,
                    retries=command.retries,
                    asker=command.asker,
                    took=command.took,
                    profile=command.profile,
                )
            ]
        case StartServer(), Spawning() | Started():
            return []
        case StartServer(), Running():
            raise Rejected("already running")
        case StartServer(), Stopping():
            raise Busy("pending stop")

        case StopServer(), Running():
            return [StopRequested(attempt=server.attempt, deadline=command.deadline, reason=command.reason)]
        case StopServer(), Spawning() | Started():
            return _fail(server, CANCELLED, command.deadline)
        case StopServer(), Stopped() | Stopping():
            return []

        case CancelSpawn(), Spawning() | Started():
            return _fail(server, CANCELLED, command.deadline)
        case CancelSpawn(), _:
            return []

        case GiveUp(), Spawning() | Started() if command.attempt == server.attempt:
            return _fail(server, command.failure, command.deadline)
        case GiveUp(), Running(holder=None) if command.attempt == server.attempt:
            return [ServerCrashed(attempt=server.attempt, status=None), orphan(server, command.failure.message)]
        case GiveUp(), Running() if command.attempt == server.attempt:
            return [StopRequested(attempt=server.attempt, deadline=command.deadline, reason=command.failure.message)]
        case GiveUp(), Stopping() if command.attempt == server.attempt:
            return [ServerStopped(attempt=server.attempt, status=None), orphan(server, command.failure.message)]
        case GiveUp(), _:
            return []

        case ForceStop(), Stopping():
            return [ServerStopped(attempt=server.attempt, status=None), orphan(server, "an admin would not wait")]
        case ForceStop(), Stopped():
            return []
        case ForceStop(), _:
            raise Busy("not stopping")

        case RenameServer(), Stopped():
            check_forgettable(server)
            if (command.name, command.display_name) == (server.name, server.display_name):
                return []
            return [ServerRenamed(name=command.name, display_name=command.display_name)]
        case DeleteServer(), Stopped():
            check_forgettable(server)
            return [ServerDeleted()]
        case ((RenameServer() | DeleteServer()), _):
            raise Busy("active")
        case _:
            raise AssertionError((server, command))


def _report(
    server: Known,
    command: ClaimAttempt
    | ReportState
    | ReportStarted
    | ReportResponded
    | ReportDelay
    | ReportMoved
    | ReportFailed
    | ReportExit
    | ReportFound
    | LoseAttempt,
) -> Sequence[ServerEvent]:
    """What workers say of the attempt that counts."""
    match command, server:
        case ClaimAttempt(), Held():
            return claim(server, command)
        case ReportFound(), Held():
            return find(server, command)
        case ReportExit(), Stopped():
            return seen_gone(server)
        case _, Stopped():
            if isinstance(command, LoseAttempt):
                return []
            raise StaleAttempt("it is stopped")
        case _, Held() if server.holder != command.worker:
            raise StaleAttempt(f"held by {server.holder or 'nobody'}")

        case ReportState(), _:
            return []
        case ReportStarted(), Spawning():
            return [
                ServerStarted(
                    attempt=server.attempt,
                    url=command.url,
                    deadline=command.deadline,
                    token=command.token,
                    spent=command.spent,
                )
            ]
        case ReportStarted(), Started() | Running() | Stopping():
            return []
        case ReportResponded(), Started():
            return [ServerResponded(attempt=server.attempt, version=command.version, deadline=command.deadline)]
        case ReportResponded(), Running() | Stopping():
            return []
        case ReportResponded(), Spawning():
            raise Invalid("it has not started")
        case ReportDelay(), Spawning():
            same = command.deadline == server.deadline
            return [] if same else [StartExtended(attempt=server.attempt, deadline=command.deadline)]
        case ReportDelay(), _:
            return []
        case ReportMoved(), Running():
            return [] if command.url == server.url else [ServerMoved(attempt=server.attempt, url=command.url)]
        case ReportMoved(), _:
            return []
        case ReportFailed(), Spawning() | Started():
            failure, deadline = command.failure, command.deadline
            return [SpawnFailed(attempt=server.attempt, failure=failure, deadline=deadline, spent=command.spent)]
        case ReportFailed(), Running() | Stopping():
            return []
        case ReportExit(), Stopping():
            return [ServerStopped(attempt=server.attempt, status=command.status, resumes=command.resumes)]
        case ReportExit(), Spawning() | Started():
            failure = Failure(reason="exited", message=_exit_text(command.status))
            return [SpawnFailed(attempt=server.attempt, failure=failure, deadline=command.deadline)]
        case ReportExit(), Running():
            return [ServerCrashed(attempt=server.attempt, status=command.status, resumes=command.resumes)]
        case LoseAttempt(), _:
            assert isinstance(server, Held)
            return lose(server, command)
        case _:
            raise AssertionError((server, command))


def _fail(server: Spawning | Started, failure: Failure, deadline: datetime) -> Sequence[ServerEvent]:
    failed = SpawnFailed(attempt=server.attempt, failure=failure, deadline=deadline)
    return [failed, orphan(server, failure.message)] if isinstance(server, Started) and not server.holder else [failed]


def _exit_text(status: str | None) -> str:
    return f"Spawner failed to start [status={status}]. The logs for the server may contain details."


decider = Decider[ServerCommand, ServerEvent, Server](
    name="server",
    initial=Absent(),
    decide=decide,
    evolve=evolve,
    commands=ServerCommand,
    events=ServerEvent,
    states=Server,
)
