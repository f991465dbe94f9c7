"""What was so at any moment: of each stream a row for every state that it has had, with when that began and ended.

Written in the commit that changes a view, and a function of the log as the view is (see `hubbub.replay`). A commit is
one moment: of what it does to a stream only the outcome is kept. Facts, and what only the vault has, have no history.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from hubbub.domain.message import State
from hubbub.views import ACCOUNTS, GRANTS, GROUPS, MEMBERS, PROXIES, ROUTES, SERVERS, SERVICES, USERS, View

#: The views that have one.
KEPT = (USERS, SERVERS, ROUTES, GROUPS, MEMBERS, GRANTS, PROXIES, SERVICES)

#: Tables of ids that are never deleted, with what they hold besides: whose streams have long histories.
IDS = {SERVERS: ("history.server_ids", "id, user_id"), PROXIES: ("history.proxy_ids", "id")}


#: Columns that Postgres makes of the state, whichever release has written the row: in the view and its history.
DERIVED = {SERVERS: {"profile": "text"}}


def columns(view: View) -> dict[str, str]:
    """Those that a row of *view* has in both places, with their types; `id` is the first."""
    return {**_COMMON, **view.columns}


_COMMON = {"id": "text", "number": "bigint", "version": "int", "position": "bigint", "state": "text"}


async def write(
    connection: "asyncpg.Connection[asyncpg.Record]",
    view: View,
    kept: Sequence[tuple[Any, ...]],
    gone: Sequence[str],
    now: datetime,
) -> None:
    """Since *now*, the time of this commit, these rows are so (in order of `columns`), and those ids have none."""
    if view not in KEPT:
        return
    if gone:
        await connection.execute(_ENDS[view], now, gone)
    if kept:
        await connection.execute(_BEGINS[view], now, *map(list, zip(*kept, strict=True)))
    if view is USERS:
        await connection.execute(_COUNTED, now)


def _ends(view: View) -> str:
    """What this very commit has made was never so."""
    return f"""
        with never as (delete from history.{view.table} where id = any($2) and ended = 'infinity' and began = $1)
        update history.{view.table} set ended = $1 where id = any($2) and ended = 'infinity' and began < $1
    """


def _begins(view: View) -> str:
    """The rows that they follow end; those of this very commit are replaced."""
    names = ", ".join(columns(view))
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(columns(view).values(), 2))
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns(view) if name not in ("id", "number"))
    table, about = IDS.get(view, ("", ""))
    known = f", known as (insert into {table} ({about}) select {about} from said on conflict do nothing)"
    return f"""
        with said as materialized (select * from unnest({arrays}) as t ({names})),
        over as (
            update history.{view.table} set ended = $1 where id = any($2) and ended = 'infinity' and began < $1
            returning 1
        ){known if table else ""}
        insert into history.{view.table} ({names}, began)
        select said.*, $1 from said, (select count(*) from over) first
        on conflict (id, ended) do update set {updates}
    """


_ENDS = {view: _ends(view) for view in KEPT}
_BEGINS = {view: _begins(view) for view in KEPT}
_COUNTED = """
    insert into history.counts (what, began, number)
    select 'users', $1, c.number from public.counts c where c.what = 'users' and c.number is distinct from (
        select number from history.counts where what = 'users' order by began desc limit 1)
    on conflict (what, began) do update set number = excluded.number
"""


# Those who are forgotten -----------------------------------------------------------------

#: What is personal in the rows of a person (by id), as in their events: their name, and where their servers lived.
FORGET = (
    r"""
        update history.users set name = 'forgotten-' || number,
            state = regexp_replace(state, '"name":"([^"\\]|\\.)*"', '"name":"forgotten-' || number || '"')
        where id = $1
    """,
    r"""
        update history.servers h set prefix = left(prefix, 0),
            state = regexp_replace(state, '"prefix":"([^"\\]|\\.)*"', '"prefix":""')
        from history.server_ids i where i.user_id = $1 and h.id = i.id
    """,
)


def forgotten(view: View, state: State, number: int) -> State:
    """*state*, of somebody whose key is destroyed, as `FORGET` leaves it. *number*: of the stream."""
    if view in (USERS, ACCOUNTS) and hasattr(state, "name"):
        return msgspec.structs.replace(state, name=f"forgotten-{number}")
    if view is SERVERS and hasattr(state, "prefix"):
        return msgspec.structs.replace(state, prefix="")
    return state
