"""Calls into code that is not ours: it may fail, return nonsense, or never return."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

_GRACE = 1.0
"""Seconds for what was cancelled to end by itself; then it is left alone."""


class Overdue(Exception):
    """It did not return in time."""


class GaveUp(Exception):
    """It cancelled itself."""


async def call(function: Callable[..., Any], *arguments: Any, patience: float) -> Any:
    """What *function* returns, or its coroutine comes to within *patience* seconds. Raises Overdue, or what it does."""
    result = function(*arguments)
    if not inspect.isawaitable(result):
        return result
    task = asyncio.ensure_future(result)
    try:
        await asyncio.wait({task}, timeout=patience)
        if not task.done():
            raise Overdue(f"no answer within {patience:g} seconds")
    finally:
        await cancel(task)
    if task.cancelled():
        raise GaveUp("it was cancelled from inside")
    return task.result()


async def settled(result: Any) -> Any:
    """*result* of code that may, or may not, be async."""
    return await result if inspect.isawaitable(result) else result


async def cancel(task: "asyncio.Future[Any]") -> None:
    """Cancel, and wait a moment; a task that will not end is no reason for us not to go on."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE)
    if task.done() and not task.cancelled():
        task.exception()  # looked at here, so that asyncio does not complain that nobody did
