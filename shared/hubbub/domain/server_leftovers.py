"""Attempts that are over, but of which something may still be there: not forgotten until it is known to be gone."""

from collections.abc import Sequence
from typing import assert_never

from hubbub.domain.message import Busy, NotFound, Rejected
from hubbub.domain.server_messages import (
    AdoptOrphan,
    ForgetOrphan,
    OrphanAdopted,
    OrphanFound,
    OrphanRemoved,
    ReportOrphan,
    ReportOrphanRemoved,
    ServerEvent,
)
from hubbub.domain.server_states import Held, Known, Stopped


def settle(
    server: Known, command: AdoptOrphan | ForgetOrphan | ReportOrphan | ReportOrphanRemoved
) -> Sequence[ServerEvent]:
    """What becomes of an attempt that is over, but may have left something behind."""
    attempt = command.attempt
    counts = isinstance(server, Held) and attempt == server.attempt
    known = next((left for left in server.leftovers if left.attempt == attempt), None)
    match command:
        case ReportOrphan():
            if counts or known or attempt > server.attempt:
                return []
            return [
                OrphanFound(
                    attempt=attempt,
                    host=command.host,
                    pool=command.pool,
                    reach=command.reach,
                    reason=command.reason,
                )
            ]
        case ReportOrphanRemoved():
            return [] if counts else [OrphanRemoved(attempt=attempt, host=known.host if known else command.host)]
        case ForgetOrphan():
            return [OrphanRemoved(attempt=attempt, host=known.host, forced=True)] if known else []
        case AdoptOrphan():
            if known is None:
                raise NotFound(f"Nothing is left of attempt {attempt}")
            if not isinstance(server, Stopped) or attempt != server.attempt:
                raise Busy("a later start counts")
            if not known.url or known.reach == "process":
                raise Rejected("it cannot be adopted: only what had started can, and what is no process of a host")
            return [
                OrphanAdopted(
                    user=server.user,
                    at=command.at,
                    attempt=attempt,
                    prefix=command.prefix,
                    deadline=command.deadline,
                )
            ]
        case _:
            assert_never(command)


def orphan(server: Held, reason: str) -> OrphanFound:
    return OrphanFound(
        attempt=server.attempt,
        host=server.host or "",
        pool=server.pool,
        reach=server.reach,
        reason=reason,
        url=getattr(server, "url", ""),
        token=server.token or "",
    )
