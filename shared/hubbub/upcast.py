"""Old events made new: how the JSON of one schema version of an event becomes that of the next.

An event's shape is at version 1 until it changes in a way that a default cannot bridge. Then its upcaster is
added here, and from that release on the next version is written; what is in the log stays as it is. An
upcaster is pure and works on builtins. Personal fields are still sealed in what it is given: it may move
them, not read them. It keeps the field `user`, by which their key is found.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from hubbub.domain.message import Json

Upcaster: TypeAlias = Callable[[Json], Json]

#: (type, schema version) -> what makes that version's fields the next version's.
UPCASTERS: dict[tuple[str, int], Upcaster] = {}


class Unreadable(Exception):
    """No release up to this one wrote such an event, or its fields are not what they should be."""


def newest(type: str, upcasters: Mapping[tuple[str, int], Upcaster] | None = None) -> int:
    """The schema version in which events of *type* are written now."""
    known = UPCASTERS if upcasters is None else upcasters
    return 1 + max((version for name, version in known if name == type), default=0)


def upcast(type: str, version: int, fields: Json, upcasters: Mapping[tuple[str, int], Upcaster] | None = None) -> Json:
    """*fields*, stored as *version* of *type*, in today's shape. Raises Unreadable."""
    known = UPCASTERS if upcasters is None else upcasters
    today = newest(type, known)
    if not 1 <= version <= today:
        raise Unreadable(f"{type} of version {version}")
    for step in range(version, today):
        try:
            fields = known[type, step](fields)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Unreadable(f"{type} of version {step}: {error!r}") from error
    return fields
