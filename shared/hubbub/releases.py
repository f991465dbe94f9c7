"""Old and new releases side by side on one log: what is new is written only once every live process reads it.

Whoever writes the log is connected to Postgres for as long as it lives, and says there of which release it is: so
nobody has to announce itself, and nobody is counted that has died (ADR 27).
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from hubbub import __version__
from hubbub.domain.message import Event, Rejected

#: What 0.1.0 cannot read, each with the first release that does. A type (also one whose schema version went up): until
#: then its events are refused. `Type.field`, of an older type: until then it is written as its default. What else of a
#: state changes with such a field is left at its default so long, too: an older release drops what it does not know.
READ_SINCE: dict[str, str] = {
    "SpawnRequested.profile": "0.2.0",
}

#: Connections of the first release do not say of which release they are.
FIRST = "0.1.0"
#: Seconds for which an answer is good.
LASTING = 5.0

_NUMBERS = re.compile(r"[0-9.]*")
_CONNECTED = """
    select distinct application_name from pg_stat_activity
    where datname = current_database() and application_name ~ '^hubbub-(house|committer|follower)(/|$)'
"""


class NotYet(Rejected):
    """Something older than that still runs."""


def named(part: str) -> str:
    """The `application_name` of a connection that is there for as long as its process is."""
    return f"{part}/{__version__}"


def number(release: str) -> tuple[int, ...]:
    """To compare releases by; what follows the numbers (`0.3.0rc1`) does not count."""
    return tuple(int(found) for found in _NUMBERS.findall(release)[0].split(".") if found)


def needed(event: Event, since: Mapping[str, str] = READ_SINCE) -> str:
    """The release that a reader of *event* must have at least."""
    return since.get(type(event).__name__, FIRST)


def without_news(event: Event, oldest: str, since: Mapping[str, str] = READ_SINCE) -> Event:
    """*event*, silent about what the release *oldest* has no fields for."""
    kind = type(event).__name__
    fields = msgspec.structs.fields(event)
    unknown = [f for f in fields if number(since.get(f"{kind}.{f.name}", FIRST)) > number(oldest)]
    return msgspec.structs.replace(event, **{f.name: _default(f) for f in unknown}) if unknown else event


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


async def living(connection: "asyncpg.Connection[asyncpg.Record]") -> set[str]:
    """The releases of all processes that are connected to this database now."""
    rows = await connection.fetch(_CONNECTED)
    return {row["application_name"].partition("/")[2] or FIRST for row in rows}


class Releases:
    """What a committer knows of the others. Asks Postgres at most every few seconds, and only if there is a reason."""

    def __init__(self, since: Mapping[str, str] = READ_SINCE) -> None:
        self._since = since
        self._kinds = {name.partition(".")[0] for name in since}
        self._oldest = FIRST
        self._good_until = 0.0

    async def readable(
        self, connection: "asyncpg.Connection[asyncpg.Record]", events: Sequence[Event]
    ) -> Sequence[Any]:
        """*events* as all who live can read them. Raises `NotYet` if somebody does not know one's type."""
        if not any(type(event).__name__ in self._kinds for event in events):
            return events
        if time.monotonic() > self._good_until:
            self._oldest = min({__version__, *await living(connection)}, key=number)
            self._good_until = time.monotonic() + LASTING
        for event in events:
            if number(release := needed(event, self._since)) > number(self._oldest):
                raise NotYet(
                    f"This can be done once every api and auth is of release {release} or newer; "
                    f"there is still one of {self._oldest}"
                )
        return [without_news(event, self._oldest, self._since) for event in events]
