"""Signals: that the proxy is there, and when something was last heard of each route."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from hubbub import __version__
from hubbub.bus import Bus
from hubbub.subjects import token
from hubbub.vitals import vitals
from hubbub.watch_messages import Activity, Heartbeat
from hubbub_proxy_sync.proxies.proxy import Proxy, ProxyRoute
from hubbub_proxy_sync.sync import Sync

#: Routes in one signal, which stays far below the largest payload.
BATCH = 1000


async def beat(bus: Bus, proxy: Proxy, name: str, lease: float) -> None:
    """Say that this proxy counts, as long as it answers; whoever says nothing for a lease has lost it."""
    while True:
        if await proxy.answers():
            beat = Heartbeat(service="proxy-sync", name=name, version=__version__, vitals=vitals())
            await bus.signal(f"hub.heartbeat.proxy-sync.{token(name)}", beat)
        await asyncio.sleep(lease / 4)


async def report(bus: Bus, sync: Sync, name: str, every: float = 5.0) -> None:
    """Say, every few seconds, where something was heard; all of it, or with many routes what is news, and all of it now
    and then: what one signal says may be lost, and with all of it goes when the proxy was asked.
    """
    before: dict[str, datetime] = {}
    turns = 0
    while True:
        await asyncio.sleep(every)
        now, at = last_activity(sync.seen), sync.seen_at
        if turns <= 0 and at is not None:
            said = pages(now, name, at)
            turns = len(said)
        else:
            news = [(spec, heard) for spec, heard in now.items() if before.get(spec) != heard]
            said = [Activity(routes=dict(news[start : start + BATCH])) for start in range(0, len(news), BATCH)]
        for each in said:
            await bus.signal("hub.activity", each)
        before, turns = now, turns - 1


def pages(heard: Mapping[str, datetime], name: str, at: datetime) -> list[Activity]:
    """All of it: one page if there is nothing."""
    specs = list(heard.items())
    starts = range(0, max(1, len(specs)), BATCH)
    return [
        Activity(routes=dict(specs[start : start + BATCH]), proxy=name, at=at, page=place, pages=len(starts))
        for place, start in enumerate(starts)
    ]


def last_activity(routes: Mapping[str, ProxyRoute]) -> dict[str, datetime]:
    """Of the routes that somebody may be using: those of servers and services."""
    found = {}
    for spec, route in routes.items():
        text = route["data"].get("last_activity")
        if isinstance(text, str) and not route["data"].get("hub"):
            with suppress(ValueError):
                found[spec] = datetime.fromisoformat(text)
    return found
