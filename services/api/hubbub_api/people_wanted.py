"""Which people are wanted, as conditions for Postgres, and what is shown of those who are found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hubbub import legacy
from hubbub.access import Identity
from hubbub.domain import scope
from hubbub_api.views import Views

STATES = {
    "active": "Active",
    "ready": "Running",
    "pending": "Starting or stopping",
    "stopped": "Nothing running",
    "failed": "Failed",
    "named": "With named servers",
}

#: What `hubbub_api.views.READY` says, for all servers at once.
_READY = """
    coalesce((s.id, s.attempt) in (
        select r.server, r.attempt from routes r join proxies p on p.id = r.proxy
        group by r.server, r.attempt having count(*) = (select count(*) from proxies)), false)
"""
_WITH: dict[str, str] = {
    "active": "s.kind <> 'Stopped'",
    "ready": f"s.kind = 'Running' and {_READY}",
    "pending": f"s.kind <> 'Stopped' and not (s.kind = 'Running' and {_READY})",
    "failed": """
        s.kind = 'Stopped' and (s.state like '%"failure":{%' or s.state like '%"crashed":"%')
        and s.state not like '%"reason":"cancelled"%'
    """,
    "named": "s.name <> ''",
}
_IN_GROUPS = "select m.user_id from members m join groups g on g.id = m.group_id where g.name = any($2)"


def among(users: str) -> str:
    """That the user is one of *users*. Spelled so that Postgres makes a set of those once, instead of looking up each
    user in it.
    """
    return f"coalesce(u.id in ({users}), false)"


ACTIVE = among("select s.user_id from servers s where s.kind <> 'Stopped'")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whom to show. `names`: only these, and those in `groups` (null: all)."""

    search: str = ""
    state: str = ""
    sort: str = "name"
    names: Sequence[str] | None = None
    groups: Sequence[str] = ()

    @classmethod
    def by(cls, identity: Identity, **wanted: str) -> "Wanted":
        """As far as *identity* may list users."""
        only = scope.filters(identity.scopes, "list:users")
        if only is None:
            return cls(**wanted)
        return cls(names=sorted(only.get("user", ())), groups=sorted(only.get("group", ())), **wanted)


@dataclass(frozen=True)
class Person:
    """`groups`: how many."""

    id: str
    name: str
    admin: bool
    created: datetime | None
    last_activity: datetime | None
    groups: int


@dataclass
class Conditions:
    """`$1` and `$2` are the names and groups, if there are any."""

    where: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def __str__(self) -> str:
        return " and ".join(self.where) or "true"

    def value(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def conditions_of(wanted: Wanted) -> Conditions:
    found = Conditions()
    if wanted.names is not None:
        found.values += [list(wanted.names), list(wanted.groups)]
        found.where.append(f"(u.name = any($1) or u.id in ({_IN_GROUPS}))")
    if wanted.search:
        text = wanted.search.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found.where.append(f"lower(u.name) like {found.value(f'%{text}%')}")
    if wanted.state == "stopped":
        found.where.append(f"not {ACTIVE}")
    elif wanted.state:
        found.where.append(among(f"select s.user_id from servers s where {_WITH[wanted.state]}"))
    return found


# What the table shows of them --------------------------------------------------------------


async def people(views: Views, ids: Sequence[str]) -> list[Person]:
    """Those of *ids* that there are, in this order."""
    rows = await views.fetch(_PEOPLE, list(ids))
    return [Person(**row) for row in rows]


_PEOPLE = f"""
    select u.id, u.name, u.admin, {legacy.created("'user:' || u.id")} as created, a.at as last_activity,
           (select count(*) from members m where m.user_id = u.id) as groups
    from unnest($1::text[]) with ordinality w (id, place) join users u on u.id = w.id
    left join events e on e.position = u.number left join activity a on a.subject = 'user:' || u.id
    order by w.place
"""


async def everybody(views: Views, wanted: Wanted) -> list[tuple[str, list[str]]]:
    """The names of all of *wanted* in the order of names, each with the names of their active servers."""
    conditions = conditions_of(wanted)
    rows = await views.fetch(f"select u.id, u.name from users u where {conditions} order by u.name", *conditions.values)
    active: dict[str, list[str]] = {}
    for row in await views.fetch("select user_id, name from servers where kind <> 'Stopped' order by kind, number"):
        active.setdefault(row["user_id"], []).append(row["name"])
    return [(row["name"], active.get(row["id"], [])) for row in rows]
