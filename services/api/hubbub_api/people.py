"""People as the admin room's table has them: found, ordered and cut into pages by Postgres, however many there are.

What few people match is put in order as a whole, and a page of it is a slice. What many match is read along an index
from where the page before it ended (a `Key`), so that the thousandth page costs what the first does.
"""

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from hubbub.domain.message import Invalid
from hubbub_api.people_wanted import ACTIVE, Conditions, Wanted, conditions_of
from hubbub_api.views import Views

#: As many are put in order at once; a quarter of that by what stands in another table.
FEW = 5000

SORTS = tuple(sign + key for key in ("name", "created", "last_activity", "state") for sign in ("", "-"))


_SEEN = "coalesce('user:' || u.id in (select subject from activity where subject like 'user:%'), false)"
_RANK = "case when s.kind = 'Running' then 1 else 0 end"


@dataclass(frozen=True)
class Place:
    """Where a page begins: `start` people stand before it. `after`, `before`: the `Key` it follows or precedes; both
    empty: the first page, or, if `last`, the last one.
    """

    start: int = 0
    after: str = ""
    before: str = ""
    last: bool = False

    @property
    def query(self) -> dict[str, str]:
        given = {"from": str(self.start or ""), "after": self.after, "before": self.before, "last": "1" * self.last}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Slice:
    """A page: ids of users in order. `total` of all that match; `start` of them stand before it."""

    ids: list[str]
    total: int
    start: int
    previous: Place | None
    following: Place | None


@dataclass(frozen=True)
class _Part:
    """A stretch of an order that one index has: rows `u`, by `keys` (expression, type), upwards."""

    rows: str
    keys: tuple[tuple[str, str], ...]
    where: str = "true"


_BY_NAME = _Part("users u", (("u.name", "text"),))
#: Each order as the stretches it has, upwards; downwards is all of that the other way round.
_ORDERS: dict[str, tuple[_Part, ...]] = {
    "name": (_BY_NAME,),
    "created": (_Part("users u", (("u.number", "bigint"),)),),
    "last_activity": (
        _Part("users u", (("u.number", "bigint"),), f"not {_SEEN}"),
        _Part(
            # Fenced off, here and below: Postgres would rather go through all users for each.
            "activity a cross join lateral (select * from users where id = substr(a.subject, 6) offset 0) u",
            (("a.at", "timestamptz"), ("a.subject", "text")),
            "a.subject like 'user:%'",
        ),
    ),
    "state": (
        _Part(
            f"(select s.user_id, min({_RANK}) as rank from servers s where s.kind <> 'Stopped' group by s.user_id) r"
            " cross join lateral (select * from users where id = r.user_id offset 0) u",
            (("r.rank", "int"), ("u.name", "text")),
        ),
        _Part("users u", (("u.name", "text"),), f"not {ACTIVE}"),
    ),
}
#: The same orders of few: from, and by what.
_OF_FEW: dict[str, tuple[str, str, str]] = {
    "name": ("", "f.name", "f.name desc"),
    "created": ("", "f.number", "f.number desc"),
    "last_activity": (
        "left join activity a on a.subject = 'user:' || f.id",
        "a.at nulls first, a.subject, f.number",
        "a.at desc nulls last, a.subject desc, f.number desc",
    ),
    "state": (
        (
            f"left join lateral (select min({_RANK}) as rank from servers s"
            " where s.user_id = f.id and s.kind <> 'Stopped') r on true"
        ),
        "r.rank, f.name",
        "r.rank desc, f.name desc",
    ),
}


async def page(views: Views, wanted: Wanted, place: Place, limit: int) -> Slice:
    """A page of *wanted*, at most *limit* long. Raises `Invalid` for a *place* that was never told by a page."""
    conditions = conditions_of(wanted)
    if conditions.where:
        they_are_many = place.after or place.before  # or the page before this one would not have said so
        if not they_are_many and (found := await _of_few(views, wanted, conditions, place, limit)) is not None:
            return found
        number = f"select count(*) from users u where {conditions}"
    else:
        number = "select number from counts where what = 'users'"
    [counted], cut = await asyncio.gather(
        views.fetch(number, *conditions.values), _along(views, wanted.sort, conditions, place, limit)
    )
    return cut(counted[0])


async def _of_few(views: Views, wanted: Wanted, conditions: Conditions, place: Place, limit: int) -> Slice | None:
    """None if they are more than a few."""
    start = 0 if place.last else place.start // limit * limit
    rows = await _few(views, wanted.sort, conditions, start, limit, backwards=place.last)
    if not rows and start:
        return await _of_few(views, wanted, conditions, Place(last=True), limit)
    total = rows[0]["total"] if rows else 0
    if total > _few_by(wanted.sort):
        return None
    ids = [row["id"] for row in rows]
    if place.last:
        start = max(total - 1, 0) // limit * limit
        ids = ids[: total - start][::-1]
    return Slice(
        ids=ids,
        total=total,
        start=start,
        previous=Place(start - limit) if start else None,
        following=Place(start + limit) if start + limit < total else None,
    )


def _few_by(sort: str) -> int:
    joined, *_ = _OF_FEW[sort.removeprefix("-")]
    return FEW // 4 if joined else FEW


async def _few(
    views: Views, sort: str, conditions: Conditions, start: int, limit: int, *, backwards: bool
) -> list[asyncpg.Record]:
    """Part of them in order; their `total` is more than a few if there are more."""
    joined, upwards, downwards = _OF_FEW[sort.removeprefix("-")]
    return await views.fetch(
        "select f.id, count(*) over () as total"
        f" from (select u.id, u.number, u.name from users u where {conditions} limit {_few_by(sort) + 1}) f {joined}"
        f" order by {downwards if sort.startswith('-') != backwards else upwards}"
        f" limit {int(limit)} offset ${len(conditions.values) + 1}",
        *conditions.values,
        start,
    )


async def _along(views: Views, sort: str, conditions: Conditions, place: Place, limit: int) -> Callable[[int], Slice]:
    """The page, once it is known how many there are in all."""
    backwards = bool(place.before or place.last)
    parts = _ORDERS[sort.removeprefix("-")]
    downwards = sort.startswith("-") != backwards
    key = _key(place.after or place.before, parts)
    rows = await _walk(views, parts, conditions, key, limit + 1, downwards=downwards)

    def cut(total: int) -> Slice:
        length = (total % limit or limit) if place.last else limit
        more, found = len(rows) > length, rows[:length]
        if backwards:
            found.reverse()
        has_before = more if backwards else bool(place.after)
        has_after = bool(place.before) if backwards else more
        start = max(total - len(found), 0) if place.last else place.start
        start = start if has_before else 0
        return Slice(
            ids=[row["id"] for _, row in found],
            total=total,
            start=start,
            previous=Place(max(start - limit, 0), before=_name(*found[0])) if has_before and found else None,
            following=Place(start + len(found), after=_name(*found[-1])) if has_after and found else None,
        )

    return cut


async def _walk(
    views: Views,
    parts: Sequence[_Part],
    conditions: Conditions,
    key: tuple[int, list[str]] | None,
    length: int,
    *,
    downwards: bool,
) -> list[tuple[int, asyncpg.Record]]:
    """As many as *length* rows that come after *key*, each with the number of its part."""
    numbers = range(len(parts))[::-1] if downwards else range(len(parts))
    found: list[tuple[int, asyncpg.Record]] = []
    for number in numbers:
        if key is not None and (number > key[0] if downwards else number < key[0]):
            continue
        after = key[1] if key is not None and number == key[0] else None
        rows = await _read(views, parts[number], conditions, after, length - len(found), downwards=downwards)
        found += [(number, row) for row in rows]
        if len(found) >= length:
            break
    return found


async def _read(
    views: Views, part: _Part, conditions: Conditions, after: list[str] | None, length: int, *, downwards: bool
) -> list[asyncpg.Record]:
    values, where = [*conditions.values], [part.where, str(conditions)]
    if after is not None:
        bounds = [f"(${len(values) + place}::text)::{kind}" for place, (_, kind) in enumerate(part.keys, 1)]
        mine = ", ".join(expression for expression, _ in part.keys)
        where.append(f"({mine}) {'<' if downwards else '>'} ({', '.join(bounds)})")
        values += after
    order = ", ".join(f"{expression}{' desc' if downwards else ''}" for expression, _ in part.keys)
    keys = ", ".join(f"({expression})::text" for expression, _ in part.keys)
    return await views.fetch(
        f"select u.id, array[{keys}] as key from {part.rows} where {' and '.join(where)}"
        f" order by {order} limit {int(length)}",
        *values,
    )


# Keys of rows, in addresses ----------------------------------------------------------------


def _name(part: int, row: asyncpg.Record) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([part, *row["key"]])).decode().rstrip("=")


def _key(text: str, parts: Sequence[_Part]) -> tuple[int, list[str]] | None:
    """Raises `Invalid`."""
    if not text:
        return None
    try:
        number, *values = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=list[Any])
        kinds = [kind for _, kind in parts[number].keys]
        for value, kind in zip(values, kinds, strict=True):
            _check(value, kind)
    except (ValueError, TypeError, IndexError, msgspec.MsgspecError) as error:
        raise Invalid("There is no such page of this list") from error
    return number, values


def _check(value: Any, kind: str) -> None:
    """ValueError or TypeError unless Postgres will read *value*, a string, as a *kind*."""
    if not isinstance(value, str) or "\0" in value:
        raise TypeError
    if kind in ("int", "bigint") and abs(int(value)) >= 2**31 and not (kind == "bigint" and abs(int(value)) < 2**63):
        raise ValueError
    if kind == "timestamptz":
        datetime.fromisoformat(value)
