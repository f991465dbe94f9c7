"""The floor: others' code, away from the worker's own loop."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from hubbub.floor import Floor, PluginExited, at_home
from hubbub.plugin import Overdue


@pytest.fixture
def floor() -> Iterator[Floor]:
    made = Floor()
    yield made
    made.close()


async def test_functions_and_coroutines_run_on_another_thread_and_its_loop(floor: Floor) -> None:
    async def loop_of() -> tuple[int, asyncio.AbstractEventLoop]:
        return threading.get_ident(), asyncio.get_running_loop()

    thread, loop = await floor.call(loop_of, patience=5)
    assert thread != threading.get_ident() and loop is not asyncio.get_running_loop()
    assert await floor.call(threading.get_ident, patience=5) == thread
    assert await floor.call(int, "12", patience=5) == 12


async def test_what_is_raised_there_is_raised_here(floor: Floor) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await floor.call(int, "many", patience=5)
    with pytest.raises(TimeoutError):
        await floor.call(_raise, TimeoutError("its own"), patience=5)


async def test_what_blocks_delays_nothing_here(floor: Floor) -> None:
    """Two tenths of a second of sleep there; here the loop goes round all the while."""
    rounds = 0

    async def go_round() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0.005)

    going = asyncio.create_task(go_round())
    await floor.call(time.sleep, 0.2, patience=5)
    going.cancel()
    assert rounds > 10


async def test_who_waits_for_something_that_blocks_is_let_go_when_patience_ends(floor: Floor) -> None:
    free = threading.Event()
    try:
        with pytest.raises(Overdue, match="blocks"):
            await floor.call(free.wait, patience=0.05)
    finally:
        free.set()
    assert await floor.call(int, "3", patience=5) == 3


async def test_an_exit_ends_nothing_but_its_own_call(floor: Floor) -> None:
    async def leave() -> None:
        await asyncio.sleep(0)
        sys.exit(3)

    with pytest.raises(PluginExited, match="3"):
        await floor.call(leave, patience=5)
    with pytest.raises(PluginExited):
        await floor.call(sys.exit, patience=5)
    assert await floor.call(int, "4", patience=5) == 4
    await floor.call(asyncio.sleep, 0.3, patience=5)  # as long as it takes to be sure
    assert not floor.exited.is_set()


async def test_an_exit_in_the_background_is_survived(floor: Floor) -> None:
    left = threading.Event()

    def leave() -> None:
        left.set()
        sys.exit(1)

    floor.post(leave)
    assert await asyncio.to_thread(left.wait, 5)
    assert await floor.call(int, "5", patience=5) == 5
    assert await asyncio.to_thread(floor.exited.wait, 5)


async def test_a_call_that_is_cancelled_is_cancelled_there(floor: Floor) -> None:
    began, ended = threading.Event(), threading.Event()

    async def hang() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    calling = asyncio.create_task(floor.call(hang, patience=60))
    assert await asyncio.to_thread(began.wait, 5)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await asyncio.to_thread(ended.wait, 5)


async def test_frames_come_one_by_one_and_with_their_error(floor: Floor) -> None:
    async def frames() -> AsyncIterator[dict[str, Any]]:
        yield {"progress": 1}
        yield {"progress": 2}
        raise LookupError("no more")

    seen = []

    async def listen() -> None:
        async for frame in floor.frames(frames):
            seen.append(frame["progress"])

    with pytest.raises(LookupError):
        await listen()
    assert seen == [1, 2]


def _raise(error: Exception) -> None:
    raise error


async def test_those_on_it_can_ask_the_process_for_something(floor: Floor):
    home, here = asyncio.get_running_loop(), threading.get_ident()

    async def where() -> int:
        return threading.get_ident()

    async def asking() -> tuple[int, int]:
        return threading.get_ident(), await at_home(home, where())

    there, asked = await floor.call(asking, patience=5)
    assert there != here
    assert asked == here == await at_home(home, where())
