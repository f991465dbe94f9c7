"""Whom and what an event is about: the ids by which its story is found again.

They are not part of an event's hash, since they follow from the log: from the event, from the states of its stream
before and after it, and from who did it.
"""

from collections.abc import Iterator
from typing import Any

from hubbub.domain.message import Event, State

#: Fields that hold the id of a user, server or group, of events and of states.
IDS = ("user", "server", "group")

#: Between subjects where they travel as one text: arrays of different lengths do not go into one array of Postgres.
SEPARATOR = "\x1f"


def about(kind: str, id: str, event: Event, before: State, after: State, actor: str) -> tuple[str, ...]:
    """Each once, in this order: the stream's own id; ids of the user, server, group and holder of a role that are named
    by the event or belong to its stream; `service:<name>`, `worker:<name>`; `by:<actor>`.
    """
    return tuple(dict.fromkeys(each for each in _subjects(kind, id, (event, before, after), actor) if each))


def _subjects(kind: str, id: str, told: tuple[Any, Any, Any], actor: str) -> Iterator[str]:
    yield id
    for field in IDS:
        for source in told:
            yield getattr(source, field, None) or ""
    if kind == "grant":
        yield from (getattr(source, "holder", "") for source in told)
    yield from (_called("service", name) for source in told for name in _services(kind, source))
    yield _called("worker", getattr(told[0], "worker", None))
    yield _called("by", actor)


def _services(kind: str, source: Any) -> Iterator[str]:
    yield getattr(source, "service", None) or ""
    if kind == "service":
        yield getattr(getattr(source, "spec", None), "name", "")
    if kind == "server" and getattr(source, "user", None) == "":
        yield getattr(source, "name", "")  # a managed one: a server without a person


def _called(kind: str, name: str | None) -> str:
    return f"{kind}:{name}" if name else ""
