"""Names of those whom events are about, as of now: of many events in two queries at most."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import asyncpg
import msgspec

from hubbub.vault import FORGOTTEN, Fetches
from hubbub_api.event_models import WhichServer, Who


@dataclass(frozen=True)
class Known:
    """By id; what is no user, server or group is left out. `groups`: which of them are groups."""

    names: Mapping[str, Who | WhichServer]
    groups: frozenset[str]


class _Server(msgspec.Struct):
    name: str
    user: str = ""


class _Group(msgspec.Struct):
    name: str


async def names_of(source: Fetches, ids: Collection[str]) -> Known:
    """Servers and groups that are no more have the name they had last; users who are no more have none."""
    rows = {row["id"]: row for row in await source.fetch(_NAMES, sorted(ids))} if ids else {}
    owners = {_server(row)[1] for row in rows.values() if _is_server(row)} - rows.keys() - {""}
    if owners:
        rows |= {row["id"]: row for row in await source.fetch(_NAMES, sorted(owners))}
    names: dict[str, Who | WhichServer] = {}
    groups = set()
    for id, row in rows.items():
        if _is_server(row):
            name, owner = _server(row)
            names[id] = WhichServer(id, name, _user(rows.get(owner)) if owner else "")
        elif row["user_name"] is not None or row["stream"] == f"user-{id}":
            names[id] = Who(id, _user(row))
        elif row["group_name"] is not None or row["stream"] == f"group-{id}":
            names[id] = Who(id, row["group_name"] or _GROUP.decode(row["first"]).name)
            groups.add(id)
    return Known(names, frozenset(groups))


def _is_server(row: asyncpg.Record) -> bool:
    return row["server_name"] is not None or row["stream"] == f"server-{row['id']}"


def _server(row: asyncpg.Record) -> tuple[str, str]:
    """Its name, and the id of its owner."""
    if row["server_name"] is not None:
        return row["server_name"], row["owner"]
    first = _SERVER.decode(row["first"])
    return (_SERVER.decode(row["renamed"]).name if row["renamed"] else first.name), first.user


def _user(row: asyncpg.Record | None) -> str:
    return FORGOTTEN if row is None or row["user_name"] is None else row["user_name"]


_SERVER = msgspec.json.Decoder(_Server)
_GROUP = msgspec.json.Decoder(_Group)

#: What is no more is looked up in the log: how it began, and what it was called last.
_NAMES = """
    select i.id, u.name as user_name, s.name as server_name, s.user_id as owner, g.name as group_name,
           f.stream, f.data as first, r.data as renamed
    from unnest($1::text[]) as i (id)
    left join users u on u.id = i.id left join servers s on s.id = i.id left join groups g on g.id = i.id
    left join lateral (
        select stream, data from events
        where stream = any(array['user-' || i.id, 'server-' || i.id, 'group-' || i.id]) and version = 1
        and type = any('{UserCreated,ServerCreated,GroupCreated}') limit 1
    ) f on u.id is null and s.id is null and g.id is null
    left join lateral (
        select j.position from subjects j where j.subject = i.id and j.type = 'ServerRenamed'
        order by j.position desc limit 1
    ) p on f.stream = 'server-' || i.id
    left join events r on r.position = p.position
"""
