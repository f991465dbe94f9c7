"""Answers proxy-syncs: which routes should there be?"""

from collections.abc import Iterable, Sequence

import asyncpg
import msgspec
import structlog

from hubbub.config import Options
from hubbub.hosts import BadHost
from hubbub.route_messages import Routes, Wanted, WantRoutes
from hubbub_api import registry
from hubbub_api.registry import Entry

log = structlog.get_logger()

#: So that a page stays well below what the bus carries in one message.
PAGE = 500
#: The same for services, whose names and addresses can be long.
FEW = 100
#: What a page of services is asked for with, before the number of the last one.
SERVICES = "services:"

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
        """The servers' routes and the position are of one moment; services are read after it: newer, never older."""
        asked = msgspec.json.decode(payload, type=WantRoutes)
        only = None if asked.servers is None else list(asked.servers)
        if asked.after.startswith(SERVICES):
            return await self._more_services(asked)
        rows = await self._pool.fetch(_RUNNING, only, asked.after, PAGE)
        found = [wanted for row in rows if row["id"] is not None and (wanted := self._server(row))]
        following = rows[-1]["id"] if len(rows) == PAGE else ""
        if only is not None:
            found += await self._services_of(only)
        else:
            found += self._own() if not asked.after else []
            following = following or f"{SERVICES}0"
        return Routes(wanted=tuple(found), position=rows[0]["position"], epoch=rows[0]["epoch"], next=following)

    def _server(self, row: asyncpg.Record) -> Wanted | None:
        """None if the operator's hook has no host for its owner: nobody else is to go without a route for that."""
        data: dict[str, str | bool] = {"user": row["owner"], "server_name": row["name"]}
        try:
            spec = self._options.hosts.spec_of_server(row["owner"], row["prefix"])
        except BadHost as error:
            log.error("route.no_host", server=row["id"], error=str(error))
            return None
        return Wanted(server=row["id"], attempt=row["attempt"], spec=spec, target=row["url"], data=data)

    def _own(self) -> list[Wanted]:
        options = self._options
        spec = options.hosts.hub_routespec
        own = [Wanted(server="hub", attempt=0, spec=spec, target=options.hub_connect_url, data={"hub": True})]
        own += self._services(registry.configured(options))
        own += [
            Wanted(server=f"extra:{spec}", attempt=0, spec=spec, target=target, data={"extra": True})
            for spec, target in options.proxy.extra_routes.items()
        ]
        return own

    async def _services_of(self, owners: Sequence[str]) -> list[Wanted]:
        ids = [owner.removeprefix("service:") for owner in owners if owner.startswith("service:")]
        return self._registered(await registry.registered(self._pool, ids)) if ids else []

    async def _more_services(self, asked: WantRoutes) -> Routes:
        """The last pages: those registered while the hub runs."""
        after = int(asked.after.removeprefix(SERVICES))
        entries = await registry.registered(self._pool, after=after, limit=FEW)
        following = f"{SERVICES}{entries[-1].number}" if len(entries) == FEW else ""
        return Routes(wanted=tuple(self._registered(entries)), position=0, epoch="", next=following)

    def _registered(self, entries: Sequence[Entry]) -> list[Wanted]:
        names = self._options.services
        return self._services(entry for entry in entries if entry.spec.name not in names)

    def _services(self, entries: Iterable[Entry]) -> list[Wanted]:
        found = (self._service(entry) for entry in entries if entry.target)
        return [wanted for wanted in found if wanted]

    def _service(self, entry: Entry) -> Wanted | None:
        """As `_server`."""
        name = entry.spec.name
        try:
            spec = self._options.hosts.spec_of_service(name, entry.prefix(self._options.base_url))
        except BadHost as error:
            log.error("route.no_host", service=name, error=str(error))
            return None
        return Wanted(server=entry.owner, attempt=0, spec=spec, target=entry.target, data={"service": name})
