"""Signals: that the proxy is there, and when something was last heard of each route."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from hubbub.bus import Bus
from hubbub.subjects import token
from hubbub.watch_messages import Activity, Heartbeat
from hubbub_proxy_sync.proxies.base import Proxy, ProxyRoute, ProxyUnavailable
from hubbub_proxy_sync.sync import Sync

#: Routes in one signal, which stays far below the largest payload.
BATCH = 1000


async def beat(bus: Bus, proxy: Proxy, name: str, lease: float) -> None:
    """Say that this proxy counts, as long as it answers; whoever says nothing for a lease has lost it."""
    while True:
        if await proxy.answers():
            await bus.signal(f"hub.heartbeat.proxy-sync.{token(name)}", Heartbeat(service="proxy-sync", name=name))
        await asyncio.sleep(lease / 4)


async def report(bus: Bus, sync: Sync, every: float = 5.0) -> None:
    """Say, every few seconds, where something was heard since the last time."""
    before: dict[str, datetime] = {}
    while True:
        await asyncio.sleep(every)
        with suppress(ProxyUnavailable):
            now = last_activity(await sync.look())
            news = [(spec, heard) for spec, heard in now.items() if before.get(spec) != heard]
            for start in range(0, len(news), BATCH):
                await bus.signal("hub.activity", Activity(routes=dict(news[start : start + BATCH])))
            before = now


def last_activity(routes: Mapping[str, ProxyRoute]) -> dict[str, datetime]:
    """Of the routes that somebody may be using: those of servers and services."""
    found = {}
    for spec, route in routes.items():
        text = route["data"].get("last_activity")
        if isinstance(text, str) and not route["data"].get("hub"):
            with suppress(ValueError):
                found[spec] = datetime.fromisoformat(text)
    return found
