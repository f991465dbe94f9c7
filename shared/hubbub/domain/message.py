"""The kinds of message, how a decision says no, and what an aggregate is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import msgspec

Json: TypeAlias = dict[str, Any]


class Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="type"):
    """Something a caller would like to happen. Named in the imperative."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="type"):
    """Something that has happened. Named in the past tense; never edited, never deleted.

    Fields named in `personal` are stored encrypted under the key of the person whose user id stands in
    the field `user`, so that destroying that key makes the log forget them.
    """

    personal: ClassVar[tuple[str, ...]] = ()


class Unknown(Event, frozen=True, kw_only=True):
    """An event of a type or shape that this release cannot read. Parks its own stream, nothing else."""

    name: str
    data: str


class State(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="type", omit_defaults=True):
    """What is true of one aggregate now."""


class Rejected(Exception):
    """The command makes sense, but not now."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class NotFound(Rejected):
    """There is no such thing."""


class AlreadyExists(Rejected):
    """There is one already."""


class Busy(Rejected):
    """Something else is in progress; try again when it has finished."""


class LimitReached(Rejected):
    """There are as many as there may be."""


class Invalid(Rejected):
    """The request says something that cannot be meant."""


class Forbidden(Rejected):
    """Not for you."""


class StaleAttempt(Rejected):
    """That attempt no longer counts: somebody else holds the server, or nobody should."""


REFUSALS: dict[str, type[Rejected]] = {
    kind.__name__: kind
    for kind in (Rejected, NotFound, AlreadyExists, Busy, LimitReached, Invalid, Forbidden, StaleAttempt)
}

C = TypeVar("C", bound=Command)
E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Decider(Generic[C, E, S]):
    """An aggregate, as two functions and a starting point.

    `commands`, `events` and `states` are the unions of its messages, as types msgspec can decode.
    """

    name: str
    initial: S
    decide: Callable[[S, C], Sequence[E]]
    evolve: Callable[[S, E], S]
    commands: Any
    events: Any
    states: Any
