"""Tasks that end together, also those that lose a cancellation; and what a log line is made of."""

import asyncio

import pytest

from hubbub.service import LONGEST_VALUE, cut, end, until


async def deaf() -> None:
    """Loses its first cancellation, as `asyncio.wait_for` may."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def broken() -> None:
    raise ZeroDivisionError


async def test_a_task_that_loses_a_cancellation_ends_all_the_same() -> None:
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task), 5)
    assert task.cancelled()


async def test_tasks_run_until_they_are_told_to_stop() -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(until(stop, deaf(), asyncio.sleep(60)))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(running, 5)


async def test_one_that_fails_ends_the_others() -> None:
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(until(asyncio.Event(), deaf(), broken()), 5)


async def test_one_that_is_over_ends_the_others() -> None:
    await asyncio.wait_for(until(asyncio.Event(), deaf(), asyncio.sleep(0)), 5)


def test_no_value_of_a_log_line_is_longer_than_somebody_reads() -> None:
    long, short = "x" * (LONGEST_VALUE + 1), "x" * LONGEST_VALUE
    line = cut(None, "info", {"event": long, "name": long, "short": short, "number": 1, "exception": long})
    shortened = f"{short}...({len(long)} characters)"
    assert line == {"event": shortened, "name": shortened, "short": short, "number": 1, "exception": long}
    assert len(cut(None, "info", {"exception": "x" * 10**6})["exception"]) < 21_000
