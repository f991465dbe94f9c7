"""Answers proxy-syncs: which routes should there be?"""

from typing import Any

import asyncpg
import msgspec

from hubbub.config import Options
from hubbub.rpc import Routes, Wanted, WantRoutes

#: So that a page stays well below what the bus carries in one message.
PAGE = 500

_RUNNING = """
    with head as (select position, epoch from log_head)
    select s.id, s.attempt, s.prefix, s.url, s.name, u.name as owner, head.position, head.epoch
    from head left join (servers s join users u on u.id = s.user_id)
        on s.kind = 'Running' and ($1::text[] is null or s.id = any($1)) and s.id > $2
    order by s.id limit $3
"""


class WantedRoutes:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", options: Options) -> None:
        self._pool = pool
        self._options = options

    async def routes(self, subject: str, payload: bytes) -> Routes:
        """One statement, so that the routes and the position are of one moment."""
        asked = msgspec.json.decode(payload, type=WantRoutes)
        only = None if asked.servers is None else list(asked.servers)
        rows = await self._pool.fetch(_RUNNING, only, asked.after, PAGE)
        found = [self._server(row) for row in rows if row["id"] is not None]
        if only is None and not asked.after:
            found += self._own()
        more = len(rows) == PAGE
        return Routes(
            wanted=tuple(found),
            position=rows[0]["position"],
            epoch=rows[0]["epoch"],
            next=rows[-1]["id"] if more else "",
        )

    def _server(self, row: asyncpg.Record) -> Wanted:
        data: dict[str, str | bool] = {"user": row["owner"], "server_name": row["name"]}
        return Wanted(server=row["id"], attempt=row["attempt"], spec=row["prefix"], target=row["url"], data=data)

    def _own(self) -> list[Wanted]:
        options = self._options
        own = [
            Wanted(server="hub", attempt=0, spec=options.base_url, target=options.hub_connect_url, data={"hub": True})
        ]
        for service in options.hub.services:
            if url := _url(service):
                spec = f"{options.base_url}services/{service['name']}/"
                own.append(
                    Wanted(
                        server=f"service:{service['name']}",
                        attempt=0,
                        spec=spec,
                        target=url,
                        data={"service": service["name"]},
                    )
                )
        own += [
            Wanted(server=f"extra:{spec}", attempt=0, spec=spec, target=target, data={"extra": True})
            for spec, target in options.proxy.extra_routes.items()
        ]
        return own


def _url(service: dict[str, Any]) -> str:
    return str(service.get("url") or "")
