"""What a person sees of the stack: a live table at a terminal, a line for each change elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

from hubbub_local.child import Status


class Screen(Protocol):
    """Where the stack shows itself."""

    def show(self, status: Status) -> None:
        """A child has changed."""

    def say(self, line: str) -> None:
        """Something a person should read."""


@contextmanager
def on(output: TextIO = sys.stdout) -> Iterator[Screen]:
    """The screen that suits what `output` is."""
    if not output.isatty():
        yield Lines(output)
        return
    from hubbub_local import board  # a terminal deserves the time it takes to load

    with board.on(output) as drawn:
        yield drawn


class Lines:
    """For logs and pipes."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def show(self, status: Status) -> None:
        self.say(" ".join(word for word in _words(status) if word))

    def say(self, line: str) -> None:
        # That nobody reads any more is no reason to stop.
        with suppress(OSError):
            print(line, file=self._output, flush=True)


def _words(status: Status) -> Iterator[str]:
    yield f"{status.name}: {status.state}"
    if status.state == "up":
        yield f"(process {status.pid})"
        yield f"at {status.where}" if status.where else ""
    if status.note:
        yield f"({status.note})"
