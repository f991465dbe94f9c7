"""What becomes true of a server by what has happened."""

from typing import assert_never

import msgspec

from hubbub.domain.server_events import (
    AttemptClaimed,
    AttemptLost,
    HolderLost,
    OrphanAdopted,
    OrphanFound,
    OrphanRemoved,
    ServerAdopted,
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
from hubbub.domain.server_messages import Failure, Leftover
from hubbub.domain.server_states import Absent, Held, Known, Running, Server, Spawning, Started, Stopped, Stopping


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
                asker=event.asker,
                profile=event.profile,
                holder=None,
                host=None,
                token=None,
                reach="process",
            )
        case AttemptClaimed():
            return server.to(
                Spawning,
                holder=event.worker,
                host=event.host,
                token=event.token,
                deadline=event.deadline,
                reach=event.reach,
            )
        case StartExtended():
            return server.to(Spawning, deadline=event.deadline)
        case HolderLost():
            return server.to(type(server), holder=None, deadline=event.deadline)
        case ServerAdopted():
            assert isinstance(server, Held)
            deadline = event.deadline or server.deadline
            return server.to(type(server), holder=event.worker, host=event.host, deadline=deadline)
        case ServerStarted():
            assert isinstance(server, Held)
            return server.to(Started, url=event.url, deadline=event.deadline, token=event.token or server.token)
        case ServerMoved():
            return server.to(Running, url=event.url)
        case ServerResponded():
            return server.to(Running, version=event.version, deadline=event.deadline)
        case SpawnFailed():
            if isinstance(server, Held) and server.holder is not None:
                return server.to(Stopping, failure=event.failure, deadline=event.deadline)
            return server.to(Stopped, failure=event.failure, token=None)
        case AttemptLost():
            return server.to(Stopped, failure=Failure(reason="lost", message=event.reason), token=None)
        case StopRequested():
            return server.to(Stopping, failure=None, deadline=event.deadline)
        case ServerStopped():
            return server.to(Stopped, token=_kept(server, event))
        case ServerCrashed():
            return server.to(Stopped, failure=None, crashed=event.status or "unknown", token=_kept(server, event))
        case ServerRenamed():
            return server.to(Stopped, name=event.name, display_name=event.display_name)
        case OrphanFound():
            fields = ("attempt", "host", "pool", "reach", "reason", "url", "token")
            left = Leftover(**{field: getattr(event, field) for field in fields})
            return msgspec.structs.replace(server, leftovers=(*_without(server, event.attempt), left))
        case OrphanRemoved():
            return msgspec.structs.replace(server, leftovers=_without(server, event.attempt))
        case OrphanAdopted():
            left = next(left for left in server.leftovers if left.attempt == event.attempt)
            return server.to(
                Started,
                since=event.at,
                prefix=event.prefix,
                deadline=event.deadline,
                pool=left.pool,
                host=left.host,
                reach=left.reach,
                url=left.url,
                token=left.token or None,
                leftovers=_without(server, event.attempt),
            )
        case _:
            assert_never(event)


def _kept(server: Known, event: ServerStopped | ServerCrashed) -> str | None:
    """The token that a sleeping workload goes on having."""
    return getattr(server, "token", None) if event.resumes else None


def _without(server: Known, attempt: int) -> tuple[Leftover, ...]:
    return tuple(left for left in server.leftovers if left.attempt != attempt)
