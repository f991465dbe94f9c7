"""How much goes into one message to a worker."""

from collections.abc import Sequence
from itertools import accumulate

import asyncpg

from hubbub.bus import LARGEST_PAYLOAD


class Letter:
    """Filled with rows, each with a `size` (bytes); the very first one always fits (see
    `hubbub_api.start_options.LARGEST_OPTIONS`).
    """

    def __init__(self, largest: int = LARGEST_PAYLOAD) -> None:
        self._left = largest
        self._empty = True

    def take(self, rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
        """As many of the first *rows* as fit."""
        sizes = list(accumulate(row["size"] for row in rows))
        number = sum(size <= self._left for size in sizes) or int(self._empty and bool(rows))
        if number:
            self._left -= sizes[number - 1]
            self._empty = False
        return list(rows[:number])
