"""Tables for people: aligned columns, cut to the width of the terminal; and text that cannot play tricks on it."""

import json
import os
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

GAP = "  "
#: No column is cut to less.
LEAST = 6

COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


class Paper:
    """Where a command writes. `width`: in columns, null where nothing is to be cut (a file, a pipe)."""

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.is_terminal = output.isatty()
        self.width = shutil.get_terminal_size().columns if self.is_terminal else None
        self._colours = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def line(self, text: str = "") -> None:
        print(text, file=self.output, flush=True)

    def json(self, value: object, *, whole: bool = True) -> None:
        """*whole*: the only one there will be; else one of many, on a line of its own."""
        self.line(json.dumps(value, indent=1 if whole and self.is_terminal else None, ensure_ascii=False))

    def progress(self, text: str) -> None:
        """In the place of the one before: on a terminal alone, and on its last line. Empty: nothing any more."""
        if self.is_terminal and self.width:
            print(f"\r{cut(plain(text), self.width - 1)}\x1b[K", end="", file=self.output, flush=True)

    def coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._colours and colour else text

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[object]], right: str = "") -> None:
        """*right*: a letter a column, `r` for those that are aligned to the right."""
        cells = [[Styled(title, "bold") for title in titles], *([styled(cell) for cell in row] for row in rows)]
        widths = widths_of([max(wide(cell.text) for cell in column) for column in zip(*cells, strict=True)], self.width)
        for row in cells:
            self.line(self._row(row, widths, right))

    def _row(self, row: Sequence["Styled"], widths: Sequence[int], right: str) -> str:
        found = []
        for place, (cell, room) in enumerate(zip(row, widths, strict=True)):
            text = cut(cell.text, room)
            space, shown = " " * (room - wide(text)), self.coloured(text, cell.colour if text.strip() else "")
            is_last = place == len(row) - 1
            found.append(space + shown if right[place : place + 1] == "r" else shown if is_last else shown + space)
        return GAP.join(found).rstrip()


@dataclass(frozen=True)
class Styled:
    """A cell in a colour of `COLOURS`."""

    text: str
    colour: str = ""


def styled(cell: object) -> Styled:
    return Styled(plain(cell.text), cell.colour) if isinstance(cell, Styled) else Styled(plain(cell))


def widths_of(wanted: list[int], width: int | None) -> list[int]:
    """The widest give way first."""
    if width is None:
        return wanted
    room = width - len(GAP) * (len(wanted) - 1)
    while sum(wanted) > room and max(wanted) > LEAST:
        widest = wanted.index(max(wanted))
        wanted[widest] -= 1
    return wanted


def plain(cell: object) -> str:
    """On one line, with nothing in it that a terminal would obey."""
    text = "" if cell is None else str(cell)
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def cut(text: str, room: int) -> str:
    """At most *room* columns of it."""
    if wide(text) <= room:
        return text
    kept, used = "", 0
    for character in text:
        used += wide(character)
        if used > room - 1:
            break
        kept += character
    return kept + "…"


def wide(text: str) -> int:
    """Columns that a terminal takes for it."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
