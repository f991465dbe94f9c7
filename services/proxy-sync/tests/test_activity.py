"""What a proxy-sync tells of who was heard: all of it often enough, in pages, and when the proxy was asked."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from hubbub.watch_messages import Activity
from hubbub_proxy_sync import activity

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Seen:
    """The part of `Sync` that is asked, and a bus. *tells*: so many turns are waited for."""

    def __init__(self, routes: int, tells: int) -> None:
        self.seen: dict[str, Any] = {
            f"/user/u{n}/": {"data": {"last_activity": NOON.isoformat()}} for n in range(routes)
        }
        self.seen_at: datetime | None = None
        self.told: list[Activity] = []
        self.enough = asyncio.Event()
        self._tells = tells

    async def signal(self, _: str, message: Activity) -> None:
        self.told.append(message)
        if len(self.told) == self._tells:
            self.enough.set()

    async def reports(self) -> list[Activity]:
        telling = asyncio.create_task(activity.report(self, self, "p", every=0.001))  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            await self.enough.wait()
        telling.cancel()
        return self.told


def test_all_of_it_is_in_pages_and_one_page_says_that_there_is_nothing() -> None:
    heard = {f"/user/u{n}/": NOON for n in range(2 * activity.BATCH + 1)}
    pages = activity.pages(heard, "p", NOON)
    assert [(page.page, page.pages, len(page.routes), page.proxy, page.at) for page in pages] == [
        (0, 3, activity.BATCH, "p", NOON),
        (1, 3, activity.BATCH, "p", NOON),
        (2, 3, 1, "p", NOON),
    ]
    assert {spec for page in pages for spec in page.routes} == heard.keys()
    [nothing] = activity.pages({}, "p", NOON)
    assert (nothing.pages, nothing.routes, nothing.at) == (1, {}, NOON)


async def test_who_has_not_been_asked_yet_is_said_to_know_nothing() -> None:
    reported = await Seen(routes=3, tells=1).reports()
    assert [(each.proxy, len(each.routes)) for each in reported[:1]] == [("", 3)]


async def test_few_routes_are_told_every_time_and_many_only_now_and_then() -> None:
    few = Seen(routes=3, tells=3)
    few.seen_at = NOON
    assert [(len(each.routes), each.at) for each in (await few.reports())[:3]] == [(3, NOON)] * 3

    many = Seen(routes=2 * activity.BATCH, tells=4)
    many.seen_at = NOON
    told = asyncio.create_task(many.reports())
    while len(many.told) < 2:
        await asyncio.sleep(0)
    many.seen = {**many.seen, "/user/new/": {"data": {"last_activity": (NOON + timedelta(seconds=1)).isoformat()}}}
    news = [each for each in await told if each.pages == 0]
    assert [list(each.routes) for each in news[:1]] == [["/user/new/"]]
