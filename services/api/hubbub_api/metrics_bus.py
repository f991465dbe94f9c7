"""Figures of NATS, asked of it: tickets that wait, and what its streams keep. None of it while it is away."""

import asyncio
from collections.abc import Sequence

import nats

from hubbub.bus import STREAMS, Bus
from hubbub_api.metrics_text import Text

#: Seconds.
PATIENCE = 1.0


async def write(text: Text, bus: Bus, pools: Sequence[str]) -> None:
    if not bus.connected:
        return
    try:
        async with asyncio.timeout(PATIENCE):
            streams = await asyncio.gather(*(bus.js.stream_info(str(stream.name)) for stream in STREAMS))
            waits = await asyncio.gather(*(bus.js.consumer_info("TICKETS", f"pool-{pool}") for pool in pools))
            account = await bus.js.account_info()
    except (nats.errors.Error, OSError, TimeoutError):
        return
    tickets = {
        (pool,): (each.num_pending or 0) + (each.num_ack_pending or 0) for pool, each in zip(pools, waits, strict=True)
    }
    text.gauges("hubbub_tickets", "Hints to workers that none of them has taken", ("pool",), tickets.items())
    messages = {(each.config.name or "",): each.state.messages for each in streams}
    text.gauges("hubbub_bus_stream_messages", "Messages that a stream keeps", ("stream",), messages.items())
    size = {(each.config.name or "",): each.state.bytes for each in streams}
    text.gauges("hubbub_bus_stream_bytes", "How large a stream is", ("stream",), size.items())
    used = {("file",): account.storage, ("memory",): account.memory}
    text.gauges("hubbub_bus_storage_bytes", "What all streams take", ("storage",), used.items())
    most = {("file",): account.limits.max_storage, ("memory",): account.limits.max_memory}
    limited = {kind: limit for kind, limit in most.items() if limit > 0}
    text.gauges(
        "hubbub_bus_most_storage_bytes", "What they may take, if that is limited", ("storage",), limited.items()
    )
