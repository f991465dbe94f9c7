"""What ends each server first, and why, as its owner is told: one source says it of drains, others of other reasons."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from aiohttp import web

from hubbub_api import cull_endings, quota_ends
from hubbub_api.house import Notice, notices_for
from hubbub_api.rows import ServerRow

#: Notices by server id, of those servers that the source has something to say of.
Source: TypeAlias = Callable[[web.Application, Sequence[ServerRow]], Awaitable[Mapping[str, Notice]]]

_NEVER = datetime.max.replace(tzinfo=UTC)


async def endings(app: web.Application, rows: Sequence[ServerRow]) -> dict[str, Notice]:
    """By server id: the notice of what ends it first; but a warning goes before what is only good to know."""
    found: dict[str, Notice] = {}
    for source in SOURCES:
        for id, notice in (await source(app, rows)).items():
            if id not in found or _order(notice) < _order(found[id]):
                found[id] = notice
    return found


def _order(notice: Notice) -> tuple[bool, datetime]:
    return not notice.warns, notice.deadline or _NEVER


async def _drained(app: web.Application, rows: Sequence[ServerRow]) -> dict[str, Notice]:
    return {row.id: notice for row in rows for notice in notices_for(app, [row])}


SOURCES: tuple[Source, ...] = (_drained, cull_endings.notices, quota_ends.notices)
