"""A single-user server, from the wish to have one to the end of its process.

    Absent -> Stopped -> Spawning (waiting, then held) -> Started -> Running -> Stopping -> Stopped

An attempt has one holder at most. Whatever was held may have left a process behind, so it ends by way
of Stopping; only an attempt that nobody claimed goes straight back to Stopped.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from hubbub.domain.message import AlreadyExists, Busy, Decider, Invalid, NotFound, Rejected, StaleAttempt
from hubbub.domain.server_messages import (
    AttemptClaimed,
    AttemptLost,
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    DeleteServer,
    Failure,
    GiveUp,
    LoseAttempt,
    OrphanFound,
    OrphanRemoved,
    RenameServer,
    ReportExit,
    ReportFailed,
    ReportFound,
    ReportOrphan,
    ReportOrphanRemoved,
    ReportResponded,
    ReportStarted,
    ReportState,
    ServerAdopted,
    ServerCommand,
    ServerCrashed,
    ServerCreated,
    ServerDeleted,
    ServerEvent,
    ServerRenamed,
    ServerResponded,
    ServerStarted,
    ServerStopped,
    SpawnFailed,
    SpawnRequested,
    StartServer,
    StopRequested,
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
        case StartServer() | StopServer() | CancelSpawn() | RenameServer() | DeleteServer() | GiveUp():
            assert isinstance(server, Known)
            return _wish(server, command)
        case ReportOrphan(attempt=attempt):
            return [OrphanFound(attempt=attempt, host=command.host)]
        case ReportOrphanRemoved(attempt=attempt):
            return [OrphanRemoved(attempt=attempt, host=command.host)]
        case _:
            assert isinstance(server, Known)
            if command.attempt != server.attempt:
                raise StaleAttempt(f"attempt {command.attempt} is over; {server.attempt} counts")
            return _report(server, command)


def _wish(
    server: Known, command: StartServer | StopServer | CancelSpawn | RenameServer | DeleteServer | GiveUp
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
        case GiveUp(), Running() if command.attempt == server.attempt:
            return [StopRequested(attempt=server.attempt, deadline=command.deadline, reason=command.failure.message)]
        case GiveUp(), Stopping() if command.attempt == server.attempt:
            return [ServerStopped(attempt=server.attempt, status=None)]
        case GiveUp(), _:
            return []

        case RenameServer(), Stopped():
            if (command.name, command.display_name) == (server.name, server.display_name):
                return []
            return [ServerRenamed(name=command.name, display_name=command.display_name)]
        case DeleteServer(), Stopped():
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
    | ReportFailed
    | ReportExit
    | ReportFound
    | LoseAttempt,
) -> Sequence[ServerEvent]:
    """What workers say of the attempt that counts."""
    match command, server:
        case ClaimAttempt(), Spawning(holder=None):
            return [
                AttemptClaimed(
                    attempt=server.attempt,
                    worker=command.worker,
                    host=command.host,
                    token=command.token,
                    deadline=command.deadline,
                )
            ]
        case ClaimAttempt(), Held(holder=command.worker):
            return []
        case ClaimAttempt(), _:
            raise StaleAttempt("held by somebody else")
        case ReportFound(), Spawning() | Started() | Running() | Stopping():
            return _found(server, command)
        case ReportFound(), _:
            raise StaleAttempt
        case _, Stopped():
            if isinstance(command, ReportExit | LoseAttempt):
                return []
            raise StaleAttempt("it is stopped")
        case _, Held() if server.holder != command.worker:
            raise StaleAttempt(f"held by {server.holder or 'nobody'}")

        case ReportState(), _:
            return []
        case ReportStarted(), Spawning():
            return [ServerStarted(attempt=server.attempt, url=command.url, deadline=command.deadline)]
        case ReportStarted(), Started() | Running() | Stopping():
            return []
        case ReportResponded(), Started():
            return [ServerResponded(attempt=server.attempt, version=command.version, deadline=command.deadline)]
        case ReportResponded(), Running() | Stopping():
            return []
        case ReportResponded(), Spawning():
            raise Invalid("it has not started")
        case ReportFailed(), Spawning() | Started():
            return [SpawnFailed(attempt=server.attempt, failure=command.failure, deadline=command.deadline)]
        case ReportFailed(), Running() | Stopping():
            return []
        case ReportExit(), Stopping():
            return [ServerStopped(attempt=server.attempt, status=command.status)]
        case ReportExit(), Spawning() | Started():
            failure = Failure(reason="exited", message=_exit_text(command.status))
            return [SpawnFailed(attempt=server.attempt, failure=failure, deadline=command.deadline)]
        case ReportExit(), Running():
            return [ServerCrashed(attempt=server.attempt, status=command.status)]
        case LoseAttempt(), Spawning() | Started():
            lost = AttemptLost(attempt=server.attempt, reason=command.reason)
            if server.retries <= 0:
                return [lost]
            again = SpawnRequested(
                user=server.user,
                at=server.since,
                attempt=server.attempt + 1,
                pool=server.pool,
                prefix=server.prefix,
                deadline=command.deadline,
                retries=server.retries - 1,
            )
            return [lost, again]
        case LoseAttempt(), Running():
            return [ServerCrashed(attempt=server.attempt, status=None)]
        case LoseAttempt(), Stopping():
            return [ServerStopped(attempt=server.attempt, status=None)]
        case _:
            raise AssertionError((server, command))


def _found(server: Held, command: ReportFound) -> Sequence[ServerEvent]:
    """A worker has read an attempt off a workload: it takes it over, if it counts."""
    if server.holder is None:
        raise StaleAttempt("nobody claimed it")
    adopted: list[ServerEvent] = []
    if server.holder != command.worker:
        adopted = [ServerAdopted(attempt=server.attempt, worker=command.worker, host=command.host)]
    if isinstance(server, Spawning) and command.url:
        adopted.append(ServerStarted(attempt=server.attempt, url=command.url, deadline=command.deadline))
    return adopted


def _fail(server: Spawning | Started, failure: Failure, deadline: datetime) -> Sequence[ServerEvent]:
    return [SpawnFailed(attempt=server.attempt, failure=failure, deadline=deadline)]


def _exit_text(status: str | None) -> str:
    return f"Spawner failed to start [status={status}]. The logs for the server may contain details."


def evolve(server: Server, event: ServerEvent) -> Server:
    if isinstance(event, ServerCreated):
        return Stopped(user=event.user, name=event.name, display_name=event.display_name)
    if isinstance(event, ServerDeleted):
        return Absent()
    assert isinstance(server, Known), (server, event)
    match event:
        case SpawnRequested():
            return server.to(
                Spawning,
                since=event.at,
                attempt=event.attempt,
                pool=event.pool,
                prefix=event.prefix,
                deadline=event.deadline,
                retries=event.retries,
                holder=None,
                host=None,
                token=None,
            )
        case AttemptClaimed():
            return server.to(Spawning, holder=event.worker, host=event.host, token=event.token, deadline=event.deadline)
        case ServerAdopted():
            return server.to(type(server), holder=event.worker, host=event.host)
        case ServerStarted():
            return server.to(Started, url=event.url, deadline=event.deadline)
        case ServerResponded():
            return server.to(Running, version=event.version, deadline=event.deadline)
        case SpawnFailed():
            if isinstance(server, Held) and server.holder is not None:
                return server.to(Stopping, failure=event.failure, deadline=event.deadline)
            return server.to(Stopped, failure=event.failure)
        case AttemptLost():
            return server.to(Stopped, failure=Failure(reason="lost", message=event.reason))
        case StopRequested():
            return server.to(Stopping, failure=None, deadline=event.deadline)
        case ServerStopped():
            return server.to(Stopped)
        case ServerCrashed():
            return server.to(Stopped, failure=None, crashed=event.status or "unknown")
        case ServerRenamed():
            return server.to(Stopped, name=event.name, display_name=event.display_name)
        case OrphanFound() | OrphanRemoved():
            return server
        case _:
            assert_never(event)


decider = Decider[ServerCommand, ServerEvent, Server](
    name="server",
    initial=Absent(),
    decide=decide,
    evolve=evolve,
    commands=ServerCommand,
    events=ServerEvent,
    states=Server,
)
