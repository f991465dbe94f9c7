"""Who holds an attempt: how it is taken, lost, and found again."""

from collections.abc import Sequence

from hubbub.domain.message import StaleAttempt
from hubbub.domain.server_events import (
    AttemptClaimed,
    AttemptLost,
    HolderLost,
    ServerAdopted,
    ServerCrashed,
    ServerEvent,
    ServerStarted,
    ServerStopped,
    SpawnRequested,
)
from hubbub.domain.server_leftovers import orphan
from hubbub.domain.server_messages import ClaimAttempt, LoseAttempt, ReportFound
from hubbub.domain.server_states import Held, Running, Spawning, Started, Stopping


def claim(server: Held, command: ClaimAttempt) -> Sequence[ServerEvent]:
    """A worker takes what waits for one: a start, or what a lost holder has left. Whose it is already keeps it."""
    if server.holder == command.worker:
        return []
    if server.holder is not None:
        raise StaleAttempt(f"held by {server.holder}, and so by somebody else")
    if not isinstance(server, Spawning):
        return [_adopted(server, command)]
    return [
        AttemptClaimed(
            attempt=server.attempt,
            worker=command.worker,
            host=command.host,
            token=command.token,
            deadline=command.deadline,
            reach=command.reach,
        )
    ]


def find(server: Held, command: ReportFound) -> Sequence[ServerEvent]:
    """A worker has the workload before it: it takes it over, unless somebody else may have it before them as well."""
    adopted: list[ServerEvent] = []
    if server.holder is None:
        if isinstance(server, Spawning):
            raise StaleAttempt("nobody claimed it")
        adopted = [_adopted(server, command)]
    elif server.holder != command.worker:
        if server.reach != "process":
            raise StaleAttempt(f"held by {server.holder}")
        adopted = [ServerAdopted(attempt=server.attempt, worker=command.worker, host=command.host)]
    if isinstance(server, Spawning) and command.url:
        adopted.append(ServerStarted(attempt=server.attempt, url=command.url, deadline=command.deadline))
    return adopted


def _adopted(server: Held, command: ClaimAttempt | ReportFound) -> ServerAdopted:
    if server.reach == "host" and server.host != command.host:
        raise StaleAttempt(f"only {server.host} can get at it")
    return ServerAdopted(attempt=server.attempt, worker=command.worker, host=command.host, deadline=command.deadline)


def lose(server: Held, command: LoseAttempt) -> Sequence[ServerEvent]:
    """Its holder is gone. What others can get at waits for one of them; the rest ends here, and so does a start,
    which nobody else could go on with.
    """
    if server.reach != "process" and not isinstance(server, Spawning):
        lost = HolderLost(attempt=server.attempt, reason=command.reason, deadline=command.deadline, pool=server.pool)
        return [lost]
    left = [] if command.ended and server.reach == "process" else [orphan(server, command.reason)]
    match server:
        case Spawning() | Started():
            return [AttemptLost(attempt=server.attempt, reason=command.reason), *left, *_again(server, command)]
        case Running():
            return [ServerCrashed(attempt=server.attempt, status=None), *left]
        case Stopping():
            return [ServerStopped(attempt=server.attempt, status=None), *left]
        case _:
            raise AssertionError(server)


def _again(server: Spawning | Started, command: LoseAttempt) -> list[ServerEvent]:
    """The next attempt, for a wish that is as old as it was."""
    if server.retries <= 0:
        return []
    again = SpawnRequested(
        user=server.user,
        at=server.since,
        attempt=server.attempt + 1,
        pool=server.pool,
        prefix=server.prefix,
        deadline=command.deadline,
        retries=server.retries - 1,
        asker=server.asker,
        profile=server.profile,
    )
    return [again]
