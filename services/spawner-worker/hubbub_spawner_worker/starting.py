"""From an attempt that was claimed to a server that listens somewhere."""

import asyncio
from datetime import UTC, datetime

import msgspec
import structlog

from hubbub import faults
from hubbub.domain.server_messages import Failure, ReportDelay, ReportStarted
from hubbub.plugin import Overdue, cancel
from hubbub.rpc import Report, ReportScopes
from hubbub.tokens import token_hash
from hubbub_spawner_worker.attempt import ANY_TIME, Attempt
from hubbub_spawner_worker.failures import is_error
from hubbub_spawner_worker.fence import fence
from hubbub_spawner_worker.hosted import PREPARE_PATIENCE, Hosted, Prepared, failure_of
from hubbub_spawner_worker.progress import publish_progress
from hubbub_spawner_worker.spent import Spent

log = structlog.get_logger()

LOST = Failure(reason="lost", message="The worker was restarted before the server was")

_STATE_ROUND = 0.25
"""Seconds between looks at the state of what is starting: it says of its own accord only when it has started."""


async def start(attempt: Attempt) -> Report:
    """Hooks first, then the spawner's `start`. Whatever goes wrong is in the report."""
    if not attempt.token:
        return attempt.failed(attempt.flaw or LOST)
    patience, spent = PREPARE_PATIENCE, Spent()
    spent.now("making")
    try:
        hosted = await attempt.open()
        assert hosted is not None
        hosted.spent = spent
        prepared = await hosted.prepare(attempt.hosting.launch(attempt.spec, attempt.token))
        spent.now("telling")
        await _tell(attempt, prepared)
        faults.point("worker.prepared")
        patience = hosted.spawner.start_timeout
        if hosted.reach != "process":
            await fence(attempt)
        if not attempt.spec.service:  # nobody looks at a service
            attempt.progress = asyncio.create_task(publish_progress(hosted, attempt.spec, attempt.workshop.publish))
        attempt.begun = True
        spent.now("start")
        url = await _started(attempt, hosted)
        spent.now("")
        sealed = await _remember(attempt, hosted, url)
    except Exception as error:
        _note(attempt, error)
        if not isinstance(error, Overdue) and not hasattr(error, "status_code"):
            log.warning("server.start_raised", server=attempt.spec.server, exc_info=error)
        return attempt.failed(attempt.without_token(failure_of(error, patience)), spent.told())
    attempt.hosting.failures.note_success()
    faults.point("worker.started")
    token = hosted.spawner.api_token
    started = ReportStarted(
        attempt=attempt.spec.attempt,
        worker=attempt.workshop.worker,
        url=url,
        deadline=ANY_TIME,
        sealed=sealed,
        resumed=token_hash(token) if token and token != attempt.token else "",
        spent=spent.told(),
    )
    return attempt.report(started, hosted.spawner.http_timeout + 10)


def _note(attempt: Attempt, error: Exception) -> None:
    """The house's own faults are counted: with `consecutive_failure_limit` this worker may have seen enough."""
    failures = attempt.hosting.failures
    if is_error(error) and attempt.hosted is not None:
        failures.limit = attempt.hosted.spawner.consecutive_failure_limit
        failures.note_error()
        if failures.exceeded:
            log.error("worker.too_many_failures", in_a_row=failures.in_a_row, remedy="restart it, when it is mended")


async def _tell(attempt: Attempt, prepared: Prepared) -> None:
    """What the hooks have come to, as far as the api has to know before the start."""
    hosted, spec, worker = attempt.hosted, attempt.spec, attempt.workshop.worker
    assert hosted is not None
    if prepared.token_scopes is not None or prepared.browser_scopes is not None:
        scopes = ReportScopes(
            attempt=spec.attempt, worker=worker, token=prepared.token_scopes, browsers=prepared.browser_scopes
        )
        await _send_refusable(attempt, attempt.report(scopes, 0))
    needed = hosted.spawner.start_timeout + 10
    if (spec.deadline - datetime.now(UTC)).total_seconds() < needed - 5:
        delay = ReportDelay(attempt=spec.attempt, worker=worker, deadline=ANY_TIME)
        await _send_refusable(attempt, attempt.report(delay, needed))


async def _send_refusable(attempt: Attempt, report: Report) -> None:
    answer = await attempt.send(report)
    if answer.refused is not None:
        raise RuntimeError(answer.refused.message)
    faults.point("worker.hooks_told")


async def _started(attempt: Attempt, hosted: Hosted) -> str:
    if hosted.reach == "process":
        return await hosted.start()
    telling = asyncio.create_task(_tell_state(attempt, hosted))
    try:
        return await hosted.start()
    finally:
        await cancel(telling)


async def _tell_state(attempt: Attempt, hosted: Hosted) -> None:
    """While it starts: should this worker die, another can only find what it has begun by its state."""
    while True:
        await asyncio.sleep(_STATE_ROUND)
        try:
            report = await attempt.new_state(hosted)
        except Exception as error:  # what is half made may not know its state yet
            log.debug("server.state_unknown", server=attempt.spec.server, error=str(error))
            continue
        if report is not None:
            await attempt.send(report)
            faults.point("worker.state_told")


async def _remember(attempt: Attempt, hosted: Hosted, url: str) -> str:
    """What `start` has made: on the spool if it is a process, and sealed for the api."""
    state = await hosted.state()
    attempt.told = state
    sealed = attempt.workshop.seal(state)
    record = attempt.place.record
    if record is not None and (record.url != url or state != {"pid": record.pid}):
        attempt.place.record = msgspec.structs.replace(record, url=url, sealed=sealed)
        attempt.workshop.spool.write(attempt.place.record)
    return sealed
