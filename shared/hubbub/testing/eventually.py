"""Waiting for what nobody announces: look, and look again, until it is so or time is up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(look: Callable[[], Any | Awaitable[Any]], seconds: float = 10.0) -> Any:
    """What *look* returns, once that is true; it may be a coroutine function. Fails after *seconds*."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        seen = look()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen:
            return seen
        assert loop.time() < end, f"still {seen!r} after {seconds} s"
        await asyncio.sleep(0.01)
