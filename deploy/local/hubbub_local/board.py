"""The live table at a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hubbub_local.child import State, Status

_COLOURS: dict[State, str] = {"up": "green", "starting": "yellow", "down": "red", "stopped": "dim"}


@contextmanager
def on(output: TextIO) -> "Iterator[Board]":
    """The table, drawn while the block runs."""
    console = Console(file=output, highlight=False)
    # No thread of its own: it draws when something changes.
    with Live(console=console, auto_refresh=False) as live:
        yield Board(live)


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
