"""Shares and share codes as clients see them (contract, 2.7), and how they are found: a query a list."""

from typing import Any, Literal, TypeVar
from urllib.parse import quote

import asyncpg
import msgspec
from msgspec import Struct

from hubbub.config import Options
from hubbub.domain import share, share_code
from hubbub.domain.names import full_name, prefix
from hubbub.views import SHARE_CODES, SHARES
from hubbub_api.answers import Page, stamp
from hubbub_api.schemas import Stamp
from hubbub_api.views import READY, Views

T = TypeVar("T")


class Named(Struct):
    """Who it is, by name alone."""

    name: str


class SharedServer(Struct, kw_only=True):
    """`name` is empty for the default server; `full_url` null unless the hub knows its public address."""

    user: Named
    name: str
    url: str
    full_url: str | None
    ready: bool


class Share(Struct, kw_only=True):
    """What a user or a group (`kind`) may do on a server. `created_at`: when the first of its scopes was granted."""

    server: SharedServer
    scopes: list[str]
    user: Named | None
    group: Named | None
    kind: Literal["user", "group"]
    created_at: Stamp


class ShareCode(Struct, kw_only=True):
    """`exchange_count`: how often it has been accepted."""

    server: SharedServer
    scopes: list[str]
    id: str
    created_at: Stamp
    expires_at: Stamp
    exchange_count: int
    last_exchanged_at: Stamp | None


class NewShareCode(ShareCode, kw_only=True):
    """The one answer in which the code itself stands, and where to accept it."""

    code: str
    accept_url: str
    full_accept_url: str | None


def share_model(options: Options, row: asyncpg.Record) -> Share:
    state = _SHARE.decode(row["state"])
    assert isinstance(state, share.Share)
    return Share(
        server=_server(options, row),
        scopes=_scopes(row, state.scopes),
        user=Named(row["user_name"]) if state.user else None,
        group=Named(row["group_name"]) if state.group else None,
        kind="user" if state.user else "group",
        created_at=_stamp(state.since),
    )


def code_model(options: Options, row: asyncpg.Record, as_: Any = ShareCode, **more: str | None) -> Any:
    state = state_of_code(row)
    return as_(
        server=_server(options, row),
        scopes=_scopes(row, state.scopes),
        id=f"sc_{row['number']}",
        created_at=_stamp(row["created"]),
        expires_at=_stamp(state.expires_at),
        exchange_count=state.uses,
        last_exchanged_at=stamp(state.used_at),
        **more,
    )


def new_code_model(options: Options, row: asyncpg.Record, code: str) -> NewShareCode:
    accept = f"{options.hub_prefix}accept-share?code={quote(code)}"
    model: NewShareCode = code_model(
        options, row, NewShareCode, code=code, accept_url=accept, full_accept_url=options.hosts.public(accept)
    )
    return model


def state_of_code(row: asyncpg.Record) -> share_code.ShareCode:
    state = _CODE.decode(row["state"])
    assert isinstance(state, share_code.ShareCode)
    return state


def _server(options: Options, row: asyncpg.Record) -> SharedServer:
    path = row["prefix"] or prefix(options.base_url, row["owner"], row["name"])
    url = options.hosts.link(row["owner"], path)
    return SharedServer(
        user=Named(row["owner"]), name=row["name"], url=url, full_url=options.hosts.public(url), ready=row["ready"]
    )


def _scopes(row: asyncpg.Record, scopes: tuple[str, ...]) -> list[str]:
    """They are stored without a filter: it is always that of the server, by today's names."""
    return sorted(f"{scope}!server={full_name(row['owner'], row['name'])}" for scope in scopes)


def _stamp(time: Any) -> str:
    return stamp(time) or ""


# Finding them ---------------------------------------------------------------------------

#: Which shares; `$1` is an id.
OF_OWNER = "h.server in (select id from servers where user_id = $1)"
OF_SERVER = "h.server = $1"
OF_GROUP = "h.group_id = $1 and h.group_id <> ''"
#: Those of the user's groups too.
OF_USER = """
    h.id in (select id from shares where user_id = $1 and user_id <> '' union all
             select x.id from members m join shares x on x.group_id = m.group_id and x.group_id <> ''
             where m.user_id = $1)
"""
#: Which share codes.
CODES_OF_OWNER = f"{OF_OWNER} and h.expires_at > now()"
CODES_OF_SERVER = f"{OF_SERVER} and h.expires_at > now()"


async def shares(views: Views, options: Options, which: str, id: str, page: Page) -> tuple[list[Share], int]:
    """A page of the shares that *which* (above) is true of, oldest first, and how many there are."""
    rows, total = await _page(views, "shares", _SHARES, which, id, page)
    return [share_model(options, row) for row in rows], total


async def codes(views: Views, options: Options, which: str, id: str, page: Page) -> tuple[list[ShareCode], int]:
    """As `shares`."""
    rows, total = await _page(views, "share_codes", _CODES, which, id, page)
    return [code_model(options, row) for row in rows], total


async def share_by_id(views: Views, options: Options, id: str) -> Share | None:
    row = await views.row(_SHARES.format(rows="(select *, 1 as total from shares where id = $1)"), id)
    return share_model(options, row) if row else None


async def code_row(views: Views, hash: str) -> asyncpg.Record | None:
    """A share code that has not expired, by its hash."""
    rows = "(select *, 1 as total from share_codes where hash = $1 and expires_at > now())"
    return await views.row(_CODES.format(rows=rows), hash)


async def _page(
    views: Views, table: str, query: str, which: str, id: str, page: Page
) -> tuple[list[asyncpg.Record], int]:
    part = f"(select *, count(*) over () as total from {table} h where {which} order by number limit $2 offset $3)"
    rows = await views.fetch(query.format(rows=part), id, page.limit, page.offset)
    if rows or page.offset == 0:
        return rows, rows[0]["total"] if rows else 0
    [counted] = await views.fetch(f"select count(*) from {table} h where {which}", id)
    return [], counted[0]


_SHARE = msgspec.json.Decoder(SHARES.decider.states)
_CODE = msgspec.json.Decoder(SHARE_CODES.decider.states)

_SHARES = f"""
    select h.state, h.total, s.name, s.prefix, o.name as owner, {READY} as ready,
           u.name as user_name, g.name as group_name
    from {{rows}} h join servers s on s.id = h.server join users o on o.id = s.user_id
    left join users u on u.id = h.user_id and h.user_id <> ''
    left join groups g on g.id = h.group_id and h.group_id <> ''
    order by h.number
"""
_CODES = f"""
    select h.id, h.number, h.state, h.total, h.server, s.name, s.prefix, o.name as owner, o.id as owner_id,
           {READY} as ready, e.recorded_at as created
    from {{rows}} h join servers s on s.id = h.server join users o on o.id = s.user_id
    join events e on e.position = h.number
    order by h.number
"""
