"""GET /figures: how it has gone, in steps of time: servers, starts and how long they took, failures, logins.

JupyterHub has no such thing. Nobody is named in it.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import asyncpg
import msgspec
from aiohttp import web
from msgspec import Meta

from hubbub.web.request import GATE, ApiError, identify, require
from hubbub_api import steps
from hubbub_api.answers import answer, query_of, stamp
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import POOL
from hubbub_api.schemas import Stamp
from hubbub_api.steps import Step, Steps, share_of

routes = Endpoints("operation")

SCOPES = ("read:metrics", "admin-ui")

STEPS = web.AppKey("steps", Steps)

#: Steps that are chosen, in seconds, unless one is asked for: the first with which there are few enough.
USUAL = (10, 60, 300, 600, 1800, 3600, 10_800, 21_600, 86_400)
ENOUGH = 250
LONGEST_STEP = 366 * 86_400
#: Reasons that have a line of their own; the rarer ones are "other".
REASONS = 8

Moment = Annotated[datetime, Meta(tz=True)]


class ServerFigures(msgspec.Struct, kw_only=True):
    """How many servers of people there were at the end of each step. Null: that is not known."""

    starting: list[int | None]
    running: list[int | None]
    stopping: list[int | None]


class StartFigures(msgspec.Struct, kw_only=True):
    """How many starts were asked for, came to be ready, failed, were called off."""

    asked: list[int]
    ready: list[int]
    failed: list[int]
    cancelled: list[int]


class StartSeconds(msgspec.Struct, kw_only=True):
    """From when a start was asked for until the server answered, of those that became ready: within how many seconds
    half of them, and 95 of 100, had. Null: there were none.
    """

    p50: list[float | None]
    p95: list[float | None]


class LoginFigures(msgspec.Struct, kw_only=True):
    """`failed` is null for what is so long ago that it is not remembered (`c.Hubbub.failed_logins_kept`)."""

    ok: list[int]
    failed: list[int | None]


class Figures(msgspec.Struct, kw_only=True):
    """Each list has a number for each step of so many seconds, from `from` on; the last step may not be over. Steps are
    counted from 1970 on in UTC. `failures`: by reason.
    """

    from_: Stamp = msgspec.field(name="from")
    until: Stamp
    step: int
    servers: ServerFigures
    starts: StartFigures
    start_seconds: StartSeconds
    failures: dict[str, list[int]]
    logins: LoginFigures


class AskedFigures(msgspec.Struct, kw_only=True):
    """Without `from`: the hour before `until`; without `until`: up to now. At most 400 steps."""

    from_: Annotated[Moment, Meta(description="Since when; an hour before the end unless told.")] | None = (
        msgspec.field(name="from", default=None)
    )
    until: Annotated[Moment, Meta(description="Until when; now unless told.")] | None = None
    step: Annotated[
        int, Meta(ge=1, le=LONGEST_STEP, description="Seconds of a step; some 100 of them unless told.")
    ] | (None) = None


@routes.get("/figures", scopes=SCOPES, query=AskedFigures, answers={200: Figures})
async def show(request: web.Request) -> web.Response:
    """Says how it has gone, in steps of time: servers, starts, failures, logins. JupyterHub has no such thing."""
    require(await identify(request), *SCOPES)
    asked, now = query_of(request, AskedFigures), datetime.now(UTC)
    until = min(asked.until or now, now)
    try:
        since = asked.from_ or until - timedelta(hours=1)
        seconds = asked.step or _usual(since, until)
        count = (until - since).total_seconds() / seconds
    except OverflowError:
        raise ApiError(400, "Invalid query: there is no such time") from None
    if count <= 0:
        raise ApiError(400, "Invalid query: from has to be before until, and before now")
    if count > steps.MOST:
        raise ApiError(400, f"Invalid query: these are more than {steps.MOST} steps")
    if since.timestamp() < 0:
        raise ApiError(400, "Invalid query: from is before 1970")
    return answer(await between(request.app, since, until, seconds))


def _usual(since: datetime, until: datetime) -> int:
    whole = (until - since).total_seconds()
    return next((each for each in USUAL if whole / each <= ENOUGH), max(USUAL[-1], round(whole / ENOUGH)))


async def between(app: web.Application, since: datetime, until: datetime, seconds: int) -> Figures:
    """Raises asyncpg's errors."""
    found = await app[STEPS].between(app[POOL], since, until, seconds)
    begin = datetime.fromtimestamp(since.timestamp() // seconds * seconds, UTC)
    kept = timedelta(seconds=app[GATE].options.ours.failed_logins_kept)
    failed = await _failed_logins(app[POOL], begin, seconds, len(found), kept)
    return Figures(
        from_=stamp(begin) or "",
        until=stamp(until) or "",
        step=seconds,
        servers=ServerFigures(
            starting=_servers(found, "starting"),
            running=_servers(found, "running"),
            stopping=_servers(found, "stopping"),
        ),
        starts=StartFigures(
            asked=[step.asked for step in found],
            ready=[len(step.seconds) for step in found],
            failed=[sum(step.failed.values()) for step in found],
            cancelled=[step.cancelled for step in found],
        ),
        start_seconds=StartSeconds(p50=_shares(found, 0.5), p95=_shares(found, 0.95)),
        failures=_failures(found),
        logins=LoginFigures(ok=[step.logins for step in found], failed=failed),
    )


def _servers(found: Iterable[Step], state: str) -> list[int | None]:
    return [None if step.servers is None else step.servers[state] for step in found]


def _shares(found: Iterable[Step], part: float) -> list[float | None]:
    taken = (share_of(step.seconds, part) for step in found)
    return [None if seconds is None else round(seconds, 3) for seconds in taken]


def _failures(found: list[Step]) -> dict[str, list[int]]:
    """The most frequent reason first."""
    total: Counter[str] = Counter()
    for step in found:
        total.update(step.failed)
    named = [reason for reason, _ in total.most_common(REASONS) if reason != "other"]
    failures = {reason: [step.failed.get(reason, 0) for step in found] for reason in named}
    others = [sum(step.failed.values()) - sum(step.failed.get(reason, 0) for reason in named) for step in found]
    return {**failures, "other": others} if any(others) else failures


_FAILED_LOGINS = """
    select floor(extract(epoch from at) / $3)::bigint as step, count(*) as number from login_attempts
    where at >= $1 and at < $2 and why <> '' group by 1
"""


async def _failed_logins(
    pool: "asyncpg.Pool[asyncpg.Record]", begin: datetime, seconds: int, count: int, kept: timedelta
) -> list[int | None]:
    """They are facts in a table that is kept small, so they are counted anew each time."""
    end = begin + timedelta(seconds=count * seconds)
    counted = {row["step"]: row["number"] for row in await pool.fetch(_FAILED_LOGINS, begin, end, seconds)}
    first = round(begin.timestamp() / seconds)
    oldest = (datetime.now(UTC) - kept).timestamp()
    return [
        counted.get(number, 0) if (number + 1) * seconds > oldest else None for number in range(first, first + count)
    ]


class LastHour(msgspec.Struct, kw_only=True):
    """How starts went within the last sixty minutes. `median`: seconds; null if none became ready."""

    asked: int
    ready: int
    failed: int
    median: float | None


async def last_hour(app: web.Application) -> LastHour:
    """Counted by minutes, most of which are known already."""
    now = datetime.now(UTC)
    whole = steps.together(await app[STEPS].between(app[POOL], now - timedelta(hours=1), now, 60))
    return LastHour(
        asked=whole.asked,
        ready=len(whole.seconds),
        failed=sum(whole.failed.values()),
        median=share_of(whole.seconds, 0.5),
    )
