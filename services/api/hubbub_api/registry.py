"""The services there are: those of the configuration, and those that were registered while the hub runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from hubbub.config import Options
from hubbub.domain.service import Service, Spec
from hubbub.managed import prefix_of
from hubbub.services import origin_of
from hubbub.vault import Fetches

_STATE = msgspec.json.Decoder(Service)
_REGISTERED = """
    select id, number, state from services
    where ($1::text[] is null or id = any($1)) and number > $2 order by number limit $3
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """`id`: of its stream; the name of one of the configuration, which has none. `number`: its age, from 1."""

    id: str
    number: int = 0
    spec: Spec
    command: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """How its route names it."""
        return f"service:{self.id}"

    @property
    def target(self) -> str:
        """Where its route leads; empty without a `url`."""
        return origin_of(self.spec.url) if self.spec.url else ""

    def prefix(self, base_url: str) -> str:
        """Its path at the proxy; empty without a `url`."""
        return prefix_of(base_url, self.spec.name) if self.spec.url else ""


def configured(options: Options) -> list[Entry]:
    """In the operator's order."""
    return [_configured(options, said) for said in options.hub.services]


def _configured(options: Options, said: dict[str, Any]) -> Entry:
    command = said.get("command") or ()
    words = (command,) if isinstance(command, str) else tuple(command)
    return Entry(id=said["name"], spec=options.services[said["name"]], command=words)


async def registered(
    source: Fetches, ids: Sequence[str] | None = None, *, after: int = 0, limit: int | None = None
) -> list[Entry]:
    """Oldest first; only *ids*, only those with a `number` above *after*."""
    rows = await source.fetch(_REGISTERED, None if ids is None else list(ids), after, limit)
    return [_registered(row) for row in rows]


def _registered(row: asyncpg.Record) -> Entry:
    return Entry(id=row["id"], number=row["number"], spec=_STATE.decode(row["state"]).spec)


async def find(source: Fetches, options: Options, name: str) -> Entry | None:
    if name in options.services:
        return next(entry for entry in configured(options) if entry.id == name)
    rows = await source.fetch("select id, number, state from services where name = $1", name)
    return _registered(rows[0]) if rows else None


async def everything(source: Fetches, options: Options) -> list[Entry]:
    """Of two with the same name, the configuration's."""
    return [*configured(options), *(e for e in await registered(source) if e.spec.name not in options.services)]
