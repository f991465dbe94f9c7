"""How long servers ran: seconds by person, group, profile, pool, server, hour or day, added up when somebody asks.

A server counts from the commit that says that it was started (`ServerStarted`) until the one that says that it has
ended, by the log's times alone. In its history these are the rows that have an address (ADR 32). So nothing is kept
for it: what was used follows from the history, and that from the log. Times are exact to the microsecond. Each attempt
is a run of its own; what is lost and goes on without a worker counts; what counted as ended and was found again counts
from then on. Managed services are nobody's, and do not count.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, get_args

import asyncpg

By: TypeAlias = Literal["user", "group", "profile", "pool", "server", "hour", "day"]
#: Postgres's, for one of these questions: those of a year do not go by way of its disk.
_MEMORY = "64MB"
BYS: tuple[By, ...] = get_args(By)


@dataclass(frozen=True, kw_only=True)
class Used:
    """`name`: whose, or of what; of a server `owner/name`; of an hour or a day when it began. `runs`: attempts that ran
    within the time that was asked about (or the hour, or day); `running`: those of them that ran on at its end.
    """

    name: str
    time: timedelta
    runs: int
    running: int


@dataclass(frozen=True, kw_only=True)
class Sums:
    """`items`: a part of `total` lines, the most used first, hours and days in order. `time`: of all lines."""

    items: list[Used]
    total: int
    time: timedelta


# A row of a history is a part of a run. Who is in several groups counts in each.
_PARTS = """
    select s.user_id, s.id, s.attempt, coalesce(s.pool, '') as pool, coalesce(s.profile, '') as profile,
           {group} as group_name, greatest(s.began, {began} $1::timestamptz) as began,
           least(s.ended, {ended} $2::timestamptz) as ended, least(s.ended, {ended} 'infinity') as over
    from history.servers s {members}
    where s.url is not null and s.user_id <> '' and s.ended > $1 and s.began < $2 {whose}
"""
_MEMBERS = """
    join history.members m on m.user_id = s.user_id and m.began < s.ended and m.ended > s.began
    join (select distinct on (id) id, name from history.groups order by id, ended desc) g on g.id = m.group_id
"""
_IN_TIME = "and m.ended > $1 and m.began < $2"

_STEPS: dict[By, str] = {"hour": "1 hour", "day": "1 day"}
#: From which steps are counted: days are those of UTC.
_ORIGIN = "timestamptz '2000-01-01 00:00:00+00'"
_CUT = f"""
    select p.*, greatest(p.began, c.at) as cut_began, least(p.ended, c.at + interval '{{step}}') as cut_ended, c.at,
           p.over > least(c.at + interval '{{step}}', $2) as open
    from parts p cross join lateral generate_series(
        date_bin('{{step}}', p.began, {_ORIGIN}), p.ended, interval '{{step}}') as c (at)
    where c.at < p.ended
"""

_KEYS: dict[By, str] = {
    "user": "user_id",
    "group": "group_name",
    "profile": "profile",
    "pool": "pool",
    "server": "id",
    "hour": "at",
    "day": "at",
}
# Names of now; of somebody or something that is no more the last one, which of people is `forgotten-<number>`.
_PERSON = """
    coalesce((select u.name from users u where u.id = {id}),
        (select u.name from history.users u where u.id = {id} order by u.ended desc limit 1), '')
"""
_SERVER = f"""
    (select {_PERSON.format(id="s.user_id")} || '/' || s.name from history.servers s
     where s.id = key order by s.ended desc limit 1)
"""
_NAMES: dict[By, str] = {"user": _PERSON.format(id="key"), "server": _SERVER}

_SUMS = """
    with parts as not materialized ({parts}), cut as (
        {cut}
    ), runs as (
        select {key} as key, id, attempt, sum(cut_ended - cut_began) as time, bool_or(open) as open
        from cut group by 1, 2, 3
    ), sums as (
        select key, sum(time) as time, count(*) as runs, count(*) filter (where open) as running from runs group by key
    ), shown as (
        select *, count(*) over () as total, sum(time) over () as whole from sums order by {order} offset $3 limit $4
    )
    select {name} as name, key, time, runs, running, total, whole from shown order by {order}
"""


def _query(by: By, *, group: bool) -> str:
    """$1, $2: from when until when; $3, $4: offset and limit; $5: ids of users or null; $6: the same of groups."""
    step = _STEPS.get(by)
    joined = group or by == "group"
    parts = _PARTS.format(
        group="g.name" if joined else "''",
        began="m.began," if joined else "",
        ended="m.ended," if joined else "",
        members=f"{_MEMBERS} {_IN_TIME}" if joined else "",
        whose="and ($5::text[] is null or s.user_id = any($5))"
        + (" and ($6::text[] is null or m.group_id = any($6))" if joined else " and $6::text[] is null"),
    )
    whole = "select *, began as cut_began, ended as cut_ended, over > $2 as open from parts"
    return _SUMS.format(
        parts=parts,
        cut=_CUT.format(step=step) if step else whole,
        key=_KEYS[by],
        order="key" if step else "time desc, key",
        name="''" if step else _NAMES.get(by, "key"),
    )


_QUERIES = {(by, group): _query(by, group=group) for by in BYS for group in (False, True)}


async def used(
    pool: "asyncpg.Pool[asyncpg.Record]",
    since: datetime,
    until: datetime,
    by: By,
    *,
    users: list[str] | None = None,
    groups: list[str] | None = None,
    offset: int = 0,
    limit: int | None = None,
) -> Sums:
    """What ran from *since* until *until*, which is not later than now. *users*, *groups* (ids): only theirs, of groups
    while they were in it.
    """
    query = _QUERIES[by, groups is not None]
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(f"set local work_mem = '{_MEMORY}'")
        rows = await connection.fetch(query, since, until, offset, limit, users, groups)
    items = [Used(name=_name(by, row), time=row["time"], runs=row["runs"], running=row["running"]) for row in rows]
    return Sums(items=items, total=rows[0]["total"] if rows else 0, time=rows[0]["whole"] if rows else timedelta())


def _name(by: By, row: asyncpg.Record) -> Any:
    return row["key"].isoformat() if by in _STEPS else row["name"]


# Of few people, for quotas ----------------------------------------------------------------

_OF_EACH = """
    select w.user_id, coalesce(sum(least(s.ended, $3) - greatest(s.began, w.since)) filter (where s.id is not null),
               interval '0') as time,
           count(s.id) filter (where s.ended = 'infinity') as running
    from unnest($1::text[], $2::timestamptz[]) as w (user_id, since)
    left join history.servers s on s.user_id = w.user_id and s.url is not null and s.user_id <> ''
        and s.ended > w.since and s.began < $3
    group by w.user_id
"""
_TOGETHER = """
    select coalesce(sum(least(s.ended, m.ended, $3) - greatest(s.began, m.began, $2)), interval '0') as time,
           count(s.id) filter (where s.ended = 'infinity' and m.ended = 'infinity') as running
    from history.members m join history.servers s on s.user_id = m.user_id and s.url is not null and s.user_id <> ''
        and s.ended > $2 and s.began < $3 and m.began < s.ended and m.ended > s.began
    where m.group_id = $1 and m.ended > $2 and m.began < $3
"""


async def of_each(
    pool: "asyncpg.Pool[asyncpg.Record]", since: dict[str, datetime], now: datetime
) -> dict[str, tuple[timedelta, int]]:
    """Of people, by their ids, what they have used since a moment each, and how many servers of theirs run now."""
    rows = await pool.fetch(_OF_EACH, list(since), list(since.values()), now)
    return {row["user_id"]: (row["time"], row["running"]) for row in rows}


async def together(
    pool: "asyncpg.Pool[asyncpg.Record]", group: str, since: datetime, now: datetime
) -> tuple[timedelta, int]:
    """What those in *group* (an id) have used while they were in it, and how many servers of theirs run now."""
    row = await pool.fetchrow(_TOGETHER, group, since, now)
    assert row is not None
    return row["time"], row["running"]


_PARTS_OF = """
    select greatest(began, $2) as began, least(ended, $3) as ended from history.servers
    where user_id = $1 and url is not null and user_id <> '' and ended > $2 and began < $3
"""


async def parts(
    pool: "asyncpg.Pool[asyncpg.Record]", user: str, since: datetime, now: datetime
) -> list[tuple[datetime, datetime]]:
    """From when until when servers of *user* (an id) ran; whatever runs is cut at *now*."""
    return [(row["began"], row["ended"]) for row in await pool.fetch(_PARTS_OF, user, since, now)]
