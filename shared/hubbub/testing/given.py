"""given(decider, *events).when(command).then(*events): the whole test language of the domain."""

import re
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, Generic, TypeVar

import msgspec

from hubbub.domain.message import Command, Decider, Event, Rejected, State

C = TypeVar("C", bound=Command)
E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=State)


def given(decider: Decider[C, E, S], *history: E) -> "Given[C, E, S]":
    """An aggregate to which *history* has happened."""
    return Given(decider, reduce(decider.evolve, history, decider.initial))


def after(decider: Decider[C, E, S], events: Iterable[E], state: S | None = None) -> S:
    """What is true after *events*, from *state* or from nothing on."""
    return reduce(decider.evolve, events, decider.initial if state is None else state)


def stored(decider: Decider[Any, E, Any], events: Iterable[E]) -> list[E]:
    """*events* as they come back from JSON."""
    read = msgspec.json.Decoder(decider.events)
    return [read.decode(msgspec.json.encode(event)) for event in events]


class Given(Generic[C, E, S]):
    def __init__(self, decider: Decider[C, E, S], state: S) -> None:
        self.decider = decider
        self.state = state

    def when(self, command: C) -> "When[C, E, S]":
        return When(self, command)


class When(Generic[C, E, S]):
    def __init__(self, given: Given[C, E, S], command: C) -> None:
        self._given = given
        self._command = command

    def decide(self) -> Sequence[E]:
        return list(self._given.decider.decide(self._given.state, self._command))

    def then(self, *expected: E) -> S:
        """Exactly these events; the state that they lead to is returned."""
        decided = self.decide()
        assert list(expected) == decided
        return after(self._given.decider, decided, self._given.state)

    def then_nothing(self) -> None:
        """It is so already."""
        assert self.decide() == []

    def then_rejected(self, kind: type[Rejected], match: str = "") -> None:
        """Refused as exactly *kind*, with a sentence in which *match* is found."""
        try:
            decided = self.decide()
        except Rejected as error:
            refusal = error
        else:
            raise AssertionError(f"not refused, but decided: {decided}")
        assert type(refusal) is kind, f"refused as {type(refusal).__name__}: {refusal}"
        assert re.search(match, str(refusal)), f"{match!r} is not in {str(refusal)!r}"
