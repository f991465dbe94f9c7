"""Whether an attempt is still ours, before anything is done that could hit the next one instead.

A process is told from any other. What other spawners make may have the name of its owner alone: a worker that slept,
or was cut off, past its lease must neither start such a thing nor stop it, for somebody else may have taken its place.
"""

import time

from hubbub.domain.server_messages import ReportState
from hubbub_spawner_worker.attempt import Attempt

_SURE = 0.75
"""Of a lease: a quarter may have passed since we were last heard."""


class NotOurs(Exception):
    """The attempt is over, or somebody else holds it."""


def sure_after(asked: float, lease: float) -> float:
    """Until when, by the monotonic clock, we hold what the answer to a question of that moment said we do."""
    return asked + lease * _SURE


async def fence(attempt: Attempt) -> None:
    """Ask, unless that was known a moment ago. An answer that was too long on its way says nothing. Raises NotOurs."""
    while time.monotonic() >= attempt.sure_until:
        asked = time.monotonic()
        question = ReportState(attempt=attempt.spec.attempt, worker=attempt.workshop.worker)
        answer = await attempt.send(attempt.report(question, 0))
        if answer.refused is not None:
            raise NotOurs(answer.refused.message)
        attempt.sure_until = sure_after(asked, attempt.hosting.lease)
