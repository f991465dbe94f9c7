"""What is used of the quotas of `c.Hubbub.quotas`, and starts that are more than they allow.

Servers are counted under the log's lock, so that a race cannot pass it. Hours only grow by what runs: they are added
up before (see `hubbub.usage`), and what runs on is ended when they are used up (`hubbub_api.quota_ends`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from hubbub import usage
from hubbub.domain.message import LimitReached
from hubbub.quotas import Period, Quota, Quotas, ends_at, free_at
from hubbub.transaction import Transaction
from hubbub_api.rows import UserRow

_NOW = """
    select clock_timestamp() as now,
        (select count(*) from servers where user_id = $1 and kind <> 'Stopped') as active,
        (select array_agg(name) from groups where name = any($2)) as names,
        (select array_agg(id) from groups where name = any($2)) as ids
"""
_PEOPLE = """
    select u.id, u.name, array(
        select g.name from members m join groups g on g.id = m.group_id where m.user_id = u.id) as groups
    from users u where u.id = any($1)
"""
_ACTIVE = "select count(*) from servers where user_id = $1 and kind <> 'Stopped'"
_ACTIVE_TOGETHER = """
    select count(*) from groups g join members m on m.group_id = g.id
    join servers s on s.user_id = m.user_id and s.kind <> 'Stopped' where g.name = $1
"""


class QuotaUsed(LimitReached):
    """There is nothing left of what may be used. `seconds`: until there is, if that is known."""

    def __init__(self, message: str, seconds: int | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(frozen=True, kw_only=True)
class Use:
    """What is used of *quota* in its *period*: `time` of its hours, by `running` servers and those that ran; `active`
    servers count at once. `now`: when this was so, by Postgres's clock.
    """

    quota: Quota
    period: Period
    time: timedelta
    running: int
    active: int
    now: datetime

    @property
    def left(self) -> timedelta:
        return max(timedelta(), self.quota.time - self.time)

    @property
    def ends_at(self) -> datetime | None:
        """When what runs now will have used it up, if it goes on."""
        return ends_at(self.quota, self.period, self.time, self.running, self.now)

    @property
    def words(self) -> str:
        """`2 of 3 servers at once, 9.5 of 10 h a week`"""
        said = [f"{self.active} of {self.quota.servers} servers at once"] if self.quota.servers else []
        said += [f"{self.time / timedelta(hours=1):.1f} of {self.quota.words}"] if self.quota.hours else []
        together = f", with all in {self.quota.group}" if self.quota.group else ""
        return ", ".join(said) + together


@dataclass(frozen=True, kw_only=True)
class Person:
    name: str
    uses: list[Use]


async def uses(
    pool: "asyncpg.Pool[asyncpg.Record]", quotas: Quotas, id: str, name: str, groups: Sequence[str]
) -> list[Use]:
    """All that limits the user *name*: first what is theirs alone. No query if nothing does."""
    limiting = quotas.of(name, groups)
    if not limiting:
        return []
    row = await pool.fetchrow(_NOW, id, [quota.group for quota in limiting if quota.group])
    assert row is not None
    now, ids = row["now"], dict(zip(row["names"] or (), row["ids"] or (), strict=True))
    return [
        await _use(pool, quotas, quota, now, id, row["active"], ids.get(quota.group, ""))
        for quota in limiting
        if not quota.group or quota.group in ids
    ]


async def people(pool: "asyncpg.Pool[asyncpg.Record]", quotas: Quotas, ids: Sequence[str]) -> dict[str, Person]:
    """Each of *ids* with all that limits them."""
    rows = await pool.fetch(_PEOPLE, list(ids)) if ids and quotas.is_on else []
    return {
        row["id"]: Person(name=row["name"], uses=await uses(pool, quotas, row["id"], row["name"], row["groups"]))
        for row in rows
    }


async def _use(
    pool: "asyncpg.Pool[asyncpg.Record]", quotas: Quotas, quota: Quota, now: datetime, id: str, active: int, group: str
) -> Use:
    period, time, running = quotas.period(quota, now), timedelta(), 0
    if quota.hours and quota.group:
        time, running = await usage.together(pool, group, period.since, now)
    elif quota.hours:
        time, running = (await usage.of_each(pool, {id: period.since}, now))[id]
    if quota.group:
        active = await pool.fetchval(_ACTIVE_TOGETHER, quota.group) if quota.servers else 0
    return Use(quota=quota, period=period, time=time, running=running, active=active, now=now)


# Starts -----------------------------------------------------------------------------------


async def check(pool: "asyncpg.Pool[asyncpg.Record]", quotas: Quotas, owner: UserRow) -> None:
    """Raises `QuotaUsed` if there are no hours for one more start."""
    if not quotas.counts_hours:
        return
    for use in await uses(pool, quotas, owner.id, owner.name, owner.groups):
        if use.quota.hours and use.left < use.quota.worthwhile:
            free = await _free_at(pool, use, owner.id)
            used = f"{use.time / timedelta(hours=1):.1f} h"
            raise QuotaUsed(
                f"{whose(use.quota, owner.name)} may use {use.quota.words}, and {used} are used.{_again(free)}",
                None if free is None else max(1, round((free - use.now).total_seconds())),
            )


def whose(quota: Quota, name: str) -> str:
    return f"All in {quota.group} together" if quota.group else name


def _again(free: datetime | None) -> str:
    return f" There will be something left again on {free.astimezone(UTC):%Y-%m-%d at %H:%M} UTC." if free else ""


async def _free_at(pool: "asyncpg.Pool[asyncpg.Record]", use: Use, id: str) -> datetime | None:
    """Null: what many have used within a time that moves is not gone through for every refusal."""
    if use.period.until is None and use.quota.group:
        return None
    parts = [] if use.period.until else await usage.parts(pool, id, use.period.since, use.now)
    return free_at(use.quota, use.period, parts, use.now)


async def prepare(tx: Transaction, quotas: Quotas, owner: UserRow) -> None:
    """Count the servers that there are. Call it before anything is decided, or the newcomer would be among them."""
    for quota in _counting(quotas, owner):
        key = _note(quota, owner)
        if key not in tx.notes:
            query, about = (_ACTIVE_TOGETHER, quota.group) if quota.group else (_ACTIVE, owner.id)
            [row] = await tx.fetch(query, about)
            tx.notes[key] = row[0]


def admit(tx: Transaction, quotas: Quotas, owner: UserRow) -> None:
    """Count one more start, or refuse it. Call it when nothing else can refuse it any more."""
    for quota in (counting := _counting(quotas, owner)):
        active = tx.notes[_note(quota, owner)]
        if active >= quota.servers:
            limit = f"{quota.servers} server{'s' if quota.servers > 1 else ''}"
            raise QuotaUsed(
                f"{whose(quota, owner.name)} may have {limit} at once, and has {active}: one has to be stopped first."
                if not quota.group
                else f"{whose(quota, owner.name)} may have {limit} at once, and have {active}."
            )
    for quota in counting:
        tx.notes[_note(quota, owner)] += 1


def _counting(quotas: Quotas, owner: UserRow) -> list[Quota]:
    return [quota for quota in quotas.of(owner.name, owner.groups) if quota.servers] if quotas.counts_servers else []


def _note(quota: Quota, owner: UserRow) -> str:
    return f"quota of group {quota.group}" if quota.group else f"quota of {owner.id}"
