"""Attempts that are over, but of which something may still be there: not forgotten until it is known to be gone."""

from collections.abc import Sequence
from typing import assert_never

from hubbub.domain.message import Busy, NotFound, Rejected
from hubbub.domain.server_events import OrphanAdopted, OrphanFound, OrphanRemoved, ServerEvent
from hubbub.domain.server_messages import AdoptOrphan, ForgetOrphan, ReportOrphan, ReportOrphanRemoved
from hubbub.domain.server_states import Held, Known, Spawning, Stopped


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
            return [] if counts else [_removed(server, attempt, known.host if known else command.host)]
        case ForgetOrphan():
            return [_removed(server, attempt, known.host, forced=True)] if known else []
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
                    pool=known.pool,
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


def seen_gone(server: Stopped) -> Sequence[ServerEvent]:
    """Somebody who would not give up has seen the end of the newest attempt."""
    left = [left for left in server.leftovers if left.attempt == server.attempt]
    return [_removed(server, each.attempt, each.host) for each in left]


def check_forgettable(server: Stopped) -> None:
    """Raises Busy if nobody could get at what is left of it once its name is another, or its server unknown.

    A process of a host is found by what is on that host, whether anybody remembers its server or not.
    """
    if any(left.reach != "process" for left in server.leftovers):
        raise Busy("Something of an earlier start is still there, or may be: it has to be removed first")


def _removed(server: Known, attempt: int, host: str, *, forced: bool = False) -> OrphanRemoved:
    pool = server.pool if isinstance(server, Spawning) and server.holder is None else ""
    return OrphanRemoved(attempt=attempt, host=host, forced=forced, pool=pool)
