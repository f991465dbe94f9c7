"""What a person sees of the stack: a live table at a terminal, a line for each change elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hubbub_local.child import State, Status

_COLOURS: dict[State, str] = {"up": "green", "starting": "yellow", "down": "red", "stopped": "dim"}


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
    console = Console(file=output, highlight=False)
    # No thread of its own: it draws when something changes.
    with Live(console=console, auto_refresh=False) as live:
        yield Board(live)


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


class Board:
    """For a terminal."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._shown: dict[str, Status] = {}

    def show(self, status: Status) -> None:
        self._shown[status.name] = status
        self._live.update(table(list(self._shown.values())), refresh=True)

    def say(self, line: str) -> None:
        self._live.console.print(Text(line), soft_wrap=True)


def table(shown: list[Status]) -> Table:
    """A row for each child."""
    drawn = Table("what", "state", "process", "where", "restarts", "", box=None, pad_edge=False)
    for status in shown:
        state = Text(status.state, style=_COLOURS[status.state])
        cells = [str(status.pid or ""), status.where, str(status.deaths or ""), status.note]
        drawn.add_row(status.name, state, *(Text(cell) for cell in cells))
    return drawn


def _words(status: Status) -> Iterator[str]:
    yield f"{status.name}: {status.state}"
    if status.state == "up":
        yield f"(process {status.pid})"
        yield f"at {status.where}" if status.where else ""
    if status.note:
        yield f"({status.note})"
