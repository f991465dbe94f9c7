"""Starts of a server as the API tells them."""

from typing import Literal, TypeAlias

import msgspec

from hubbub_api.event_models import Actor
from hubbub_api.start_words import title

Outcome: TypeAlias = Literal["waiting", "starting", "ready", "failed", "cancelled", "lost", "stopped"]
Ended: TypeAlias = Literal["done", "failed", "open"]


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a start: `begin` and `end` in seconds since it was asked for; `end` null: it still goes on. `why`: what
    was waited for. `proxy`: of a `route`. Routes come about at the same time, all other phases follow each other.
    """

    name: str
    title: str
    begin: float
    end: float | None
    ended: Ended
    why: str
    proxy: str

    @classmethod
    def of(cls, name: str, begin: float, end: float | None, ended: Ended, why: str, proxy: str = "") -> "Phase":
        return cls(name=name, title=title(name, proxy), begin=begin, end=end, ended=ended, why=why, proxy=proxy)

    @property
    def seconds(self) -> float:
        return 0.0 if self.end is None else self.end - self.begin


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """`asked`: when, `by` whom. `seconds`: until it could be reached or came to nothing, or until now. `message`: why
    it came to nothing.
    """

    attempt: int
    asked: str
    by: Actor
    outcome: Outcome
    seconds: float
    message: str


class Starts(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first. `before`: for the next page; null if there are none."""

    items: list[Start]
    before: int | None


class Waterfall(Start, frozen=True, kw_only=True):
    """`summary`: where most of the time went. `trace`: the id that logs and traces have it by. `from_position`,
    `to_position`: its events in the log. `earlier`, `later`: tries of the same wish, whose worker was lost.
    """

    user: str
    server: str
    summary: str
    pool: str
    worker: str
    host: str
    trace: str
    from_position: int
    to_position: int
    earlier: int | None
    later: int | None
    phases: list[Phase]
