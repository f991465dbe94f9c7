"""How long proxies took, of the whole house: proxy-syncs tell, and what they have told is added up in `bookmarks`."""

from collections import defaultdict

import asyncpg
import msgspec

from hubbub.route_messages import BOUNDS, Figures, Took
from hubbub.transaction import Transaction
from hubbub_api.durations import Series

_READER = "routes:"
_KEPT = "select about from bookmarks where reader = $1"
_ALL = "select about from bookmarks where reader like 'routes:%'"
_KEEP = """
    insert into bookmarks (reader, position, about) values ($1, 0, $2)
    on conflict (reader) do update set about = excluded.about
"""

#: By the name after the prefix: what it is, and of what (see `Took`).
NAMES = {
    "proxy_add_duration_seconds": ("How long it took to add a route", "add"),
    "proxy_delete_duration_seconds": ("How long it took to delete a route", "delete"),
    "proxy_poll_duration_seconds": ("How long it took to list all routes", "poll"),
    "check_routes_duration_seconds": ("How long it took to compare all routes, and to mend them", "check"),
}
STATUSES = ("success", "failure")
WITH_STATUS = frozenset({"add", "delete"})


class _Kept(msgspec.Struct):
    """`run`, `number`: of the part that was added last. `took`: by "<what> <status>"."""

    run: str = ""
    number: int = 0
    took: dict[str, Series] = {}


async def add(tx: Transaction, proxy: str, figures: Figures) -> None:
    """Once, however often they are told."""
    rows = await tx.fetch(_KEPT, _READER + proxy)
    kept = _decoded(rows[0]["about"]) if rows else _Kept()
    if (kept.run, kept.number) == (figures.run, figures.number):
        return
    for took in figures.took:
        if _is_usable(took):
            _add(kept.took.setdefault(f"{took.what} {took.status}", _nothing()), took.counts, took.seconds)
    kept.run, kept.number = figures.run, figures.number
    tx.later(_KEEP, _READER + proxy, msgspec.json.encode(kept).decode())


async def load(pool: "asyncpg.Pool[asyncpg.Record]") -> dict[str, dict[str, Series]]:
    """Of all proxies there have been: by what, then by status. What never happened is there, too, at 0."""
    found: defaultdict[str, dict[str, Series]] = defaultdict(dict)
    for _, what in NAMES.values():
        for status in STATUSES if what in WITH_STATUS else ("",):
            found[what][status] = _nothing()
    for row in await pool.fetch(_ALL):
        for key, series in _decoded(row["about"]).took.items():
            what, _, status = key.partition(" ")
            _add(found[what].setdefault(status, _nothing()), tuple(series.counts), series.seconds)
    return found


def _is_usable(took: Took) -> bool:
    statuses = STATUSES if took.what in WITH_STATUS else ("",)
    known = took.what in {what for _, what in NAMES.values()} and took.status in statuses
    return known and len(took.counts) == len(BOUNDS) + 1


def _decoded(text: str) -> _Kept:
    """Another release may have kept other things."""
    try:
        kept = msgspec.json.decode(text, type=_Kept)
    except msgspec.MsgspecError:
        return _Kept()
    kept.took = {key: series for key, series in kept.took.items() if len(series.counts) == len(BOUNDS) + 1}
    return kept


def _nothing() -> Series:
    return Series([0] * (len(BOUNDS) + 1))


def _add(series: Series, counts: tuple[int, ...], seconds: float) -> None:
    series.counts = [one + other for one, other in zip(series.counts, counts, strict=True)]
    series.seconds += seconds
