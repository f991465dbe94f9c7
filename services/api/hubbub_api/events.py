"""Reads of the log by what its events are about, quick at any depth, and what they look like to the world."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from hubbub.eventlog import COLUMNS, Recorded, decode, people_in, recorded
from hubbub.vault import Vault
from hubbub.views import VIEWS
from hubbub_api.event_models import EventModel, model, told_to_all
from hubbub_api.event_names import names_of

#: Of the servers that somebody had, those that are looked at: the newest.
MOST_SERVERS = 1000

_LOWEST, _HIGHEST = 0, 2**63 - 1

#: The position up to which the log is in an archive.
_ARCHIVED = "(select oldest - 1 from log_head)"
_SPAN = """
    select h.position, h.oldest, e.recorded_at
    from log_head h left join events e on e.position = h.oldest - 1
"""


@dataclass(frozen=True)
class Filter:
    """Which events. `about`: any of these subjects; None for all. `types`: None for all. `actor`: as in a context.

    `besides`: subjects of which it is heard that something happened, and no more (see `told_to_all`).
    """

    about: frozenset[str] | None = None
    types: frozenset[str] | None = None
    actor: str = ""
    besides: frozenset[str] = frozenset()

    @property
    def subjects(self) -> frozenset[str] | None:
        return None if self.about is None else self.about | self.besides

    def hides(self, record: Recorded) -> bool:
        """Of one that passes: whether it is only heard that it happened."""
        return bool(self.besides) and self.about is not None and self.about.isdisjoint(record.about)

    @classmethod
    def of(
        cls,
        about: Collection[str] | None,
        types: Collection[str] = (),
        aggregates: Collection[str] = (),
        actor: str = "",
    ) -> "Filter":
        """*types* and *aggregates*: empty for all."""
        named = frozenset(types) or None
        if aggregates:
            below = frozenset(type for kind in aggregates for type in types_of(kind))
            named = below if named is None else named & below
        return cls(None if about is None else frozenset(about), named, actor)

    def passes(self, record: Recorded) -> bool:
        return (
            (self.types is None or record.type in self.types)
            and ((subjects := self.subjects) is None or not subjects.isdisjoint(record.about))
            and (not self.actor or f"by:{self.actor}" in record.about)
        )


def types_of(aggregate: str) -> list[str]:
    """The types of its events; none if there is no such aggregate."""
    view = VIEWS.get(aggregate)
    return [event.__name__ for event in view.decider.events.__args__] if view else []


@dataclass(frozen=True)
class Span:
    """Positions of the newest event, and of the oldest that is not in an archive; `horizon`: the time of the newest
    that is, None if none is.
    """

    head: int
    oldest: int
    horizon: datetime | None

    def has(self, *, after: int | None = None, before: int | None = None, since: datetime | None = None) -> bool:
        """Whether all events between those are here."""
        places = (after is None or after >= self.oldest - 1) and (before is None or before >= self.oldest)
        return places and (since is None or self.horizon is None or since > self.horizon)

    @property
    def sentence(self) -> str:
        """What there is to have instead."""
        return f"events up to {self.oldest - 1} were archived: the oldest here is {self.oldest}"


class Events:
    """`source`: a pool, since names are asked for by themselves."""

    def __init__(self, source: "asyncpg.Pool[asyncpg.Record]", vault: Vault) -> None:
        self._source = source
        self._vault = vault
        self._epoch = ""

    async def epoch(self) -> str:
        """Which log this is: positions count in it alone."""
        self._epoch = self._epoch or await self._source.fetchval("select epoch from log_head")
        return self._epoch

    async def head(self) -> int:
        """The position of the newest event."""
        position: int = await self._source.fetchval("select position from log_head")
        return position

    async def span(self) -> Span:
        row = await self._source.fetchrow(_SPAN)
        assert row is not None
        return Span(*row)

    async def page(
        self,
        *,
        about: Collection[str] | None = None,
        types: Collection[str] = (),
        aggregates: Collection[str] = (),
        actor: str = "",
        before: int | None = None,
        after: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> list[Recorded]:
        """*about*: any of these subjects (see `hubbub.about`); None: all events. *before*, *after*: positions, which
        are not in it themselves; *since*: a time, events of that moment and later; *until*: events before that time.
        """
        wanted = Filter.of(about, types, aggregates, actor)
        return await self.filtered(wanted, before, after, since, until, limit, newest_first=newest_first)

    async def filtered(
        self,
        wanted: Filter,
        before: int | None = None,
        after: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        *,
        newest_first: bool = True,
    ) -> list[Recorded]:
        values: list[Any] = [_HIGHEST if before is None else before, _LOWEST if after is None else after]
        # What is left of what was archived is no part of any story.
        high, low = "$1", f"greatest($2, {_ARCHIVED})"
        if since is not None:
            values.append(since)
            low = f"greatest($2, {_ARCHIVED}, {_before(len(values))})"
        if until is not None:
            values.append(until)
            high = f"least($1, {_before(len(values))} + 1)"
        query = _query(wanted, low, high, values, int(limit), "desc" if newest_first else "asc")
        return [recorded(row) for row in await self._source.fetch(query, *values)]

    async def models(self, records: Sequence[Recorded]) -> list[EventModel]:
        """Three queries at most, whatever their number."""
        if not records:
            return []
        await self._vault.load(self._source, people_in(records))
        known = await names_of(self._source, {id for record in records for id in _people_and_things(record)})
        epoch = await self.epoch()
        return [model(each, decode(each, self._vault), known.names, known.groups, epoch) for each in records]

    async def heard(self, records: Sequence[Recorded], wanted: Filter) -> list[EventModel]:
        """Models of *records* as whoever has *wanted* them may see them."""
        models = await self.models(records)
        return [
            told_to_all(model) if wanted.hides(record) else model for record, model in zip(records, models, strict=True)
        ]

    async def of_user(self, user: str) -> frozenset[str]:
        """*user* (an id), and all their servers, also those that are no more."""
        return await self.of_users([user])

    async def of_users(self, users: Collection[str], most: int = MOST_SERVERS) -> frozenset[str]:
        """*users* (ids), and their servers, also those that are no more: the newest *most*."""
        rows = await self._source.fetch(_SERVERS_OF, list(users), most)
        return frozenset([*users, *(row["server"] for row in rows)])

    async def position_before(self, time: datetime) -> int:
        """The position of the last event before *time*; 0 if there is none."""
        position: int = await self._source.fetchval(f"select {_before(1)}", time)
        return position


def _people_and_things(record: Recorded) -> list[str]:
    """Ids that may be those of users, servers and groups."""
    own = record.kind in ("user", "server", "group")
    ids = [each for each in record.about if ":" not in each and (own or each != record.id)]
    kind, _, id = record.context.actor.partition(":")
    return [*ids, id] if kind == "user" else ids


def _before(place: int) -> str:
    """The position of the last event before a time."""
    last = f"select position from events where recorded_at < ${place} order by recorded_at desc, position desc limit 1"
    return f"coalesce(({last}), 0)"


def _query(wanted: Filter, low: str, high: str, values: list[Any], limit: int, order: str) -> str:
    """Of each subject (or type) the first few between *low* and *high*, in order of an index; of these the first few.

    The limit stands in the statement itself, since Postgres would plan for a tenth of the table if it did not know it.
    """

    def place(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    ending = f"position {order} limit {limit}"
    subjects, actor = wanted.subjects, wanted.actor
    if subjects is None and actor:
        subjects, actor = frozenset({f"by:{actor}"}), ""
    if subjects is None and wanted.types is None:
        return f"select {COLUMNS} from events e where position < {high} and position > {low} order by {ending}"
    if subjects is None:
        # Rows are compared, and both columns sorted by, so that no other index will do: by that of positions, all of
        # the log would be gone through for a type that there is not.
        each = (
            f"select j.position from events j where (j.type, j.position) < (i.it, {high}) "
            f"and (j.type, j.position) > (i.it, {low}) order by j.type {order}, j.{ending}"
        )
        these = place(sorted(wanted.types or ()))
    else:
        conditions = [f"j.subject = i.it and j.position < {high} and j.position > {low}"]
        if wanted.types is not None:
            conditions.append(f"j.type = any({place(sorted(wanted.types))}::text[])")
        if actor:
            by = place(f"by:{actor}")
            conditions.append(f"exists (select from subjects a where a.subject = {by} and a.position = j.position)")
        each = f"select j.position from subjects j where {' and '.join(conditions)} order by j.{ending}"
        these = place(sorted(subjects))
    columns = ", ".join(f"e.{name}" for name in COLUMNS.split(", "))
    return f"""
        select {columns} from (
            select distinct q.position from unnest({these}::text[]) as i (it) cross join lateral ({each}) q
            order by q.{ending}
        ) p join events e on e.position = p.position order by e.position {order}
    """


_SERVERS_OF = """
    select substr(e.stream, length('server-') + 1) as server from (
        select position from subjects where subject = any($1) and type = 'ServerCreated'
        order by position desc limit $2
    ) j join events e on e.position = j.position where e.stream like 'server-%'
"""
