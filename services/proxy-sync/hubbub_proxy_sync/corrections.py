"""What put right what nobody knows a cause of: told to the house, so that the log has it with its reason."""

from uuid import uuid4

from hubbub.route_messages import Corrected, Correction
from hubbub_proxy_sync.changes import Made, Plan

#: Corrections that are named in one report.
NAMED = 100


def corrections(plan: Plan, made: Made, reason: str) -> Corrected | None:
    """Of the changes that were *made*; None if something has happened to the server of each of them."""
    excused = plan.traces.keys() | made.left
    found = [
        Correction(
            spec=change.spec,
            server=plan.owner(change.spec),
            found=plan.found[change.spec].target if change.spec in plan.found else None,
            made=change.target,
        )
        for change in plan.changes
        if plan.owner(change.spec) not in excused and change.spec not in made.failed
    ]
    return Corrected(id=uuid4().hex, reason=reason, count=len(found), routes=tuple(found[:NAMED])) if found else None
