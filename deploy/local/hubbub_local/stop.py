"""What a person at the keyboard wants: to stop, and with a second Ctrl-C to stop quickly."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """`asked` at the first signal, `hurry` at the second."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()

    def signalled(self) -> None:
        (self.hurry if self.asked.is_set() else self.asked).set()


@contextmanager
def listening() -> Iterator[Stop]:
    """Turn the signals that end a program into wishes, as long as the block runs."""
    loop = asyncio.get_running_loop()
    stop = Stop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.signalled)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def first(*works: Coroutine[Any, Any, object]) -> None:
    """Do all of these until one ends; raise what it raised, and end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
