"""The five checks that every fault test ends with (the design, part 7)."""

import asyncio
from typing import Any

import asyncpg

from stack import Hub, eventually
from tables import tables


async def five_checks(hub: Hub, seconds: float = 30, *, verify: bool = True) -> None:
    """No workload without a counted attempt, none doubled, no overdue state, routes equal ready, `verify` clean.

    *verify*: False for those who ask that once at the end of many.
    """
    await eventually(lambda: _at_rest(hub), seconds, "no server in a transient state")
    await eventually(lambda: _counted_once(hub), seconds, "every workload counted, none doubled")
    await eventually(lambda: _routes_equal_ready(hub), 10, "routes equal ready")
    assert await _overdue(hub) == []
    if not verify:
        return
    status, output = await hub.command("verify")
    assert status == 0, output


async def rows(hub: Hub, query: str) -> list[Any]:
    """Of the hub's database, as its owner."""
    connection = await asyncpg.connect(hub.running()["owner_dsn"])
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def _at_rest(hub: Hub) -> bool:
    return not await rows(hub, "select id from servers where kind not in ('Stopped', 'Running')")


async def _counted_once(hub: Hub) -> bool:
    """As many workloads as running servers and managed services, and each at the address that the log knows."""
    running = "select prefix from servers where kind = 'Running' and url is not null"  # a service may have none
    counted = sorted(row["prefix"] for row in await rows(hub, running))
    found = sorted(process.environ()["JUPYTERHUB_SERVICE_PREFIX"] for process in hub.workloads())
    return counted == found


async def _overdue(hub: Hub) -> list[Any]:
    return await rows(hub, "select id from servers where deadline < now() and kind <> 'Running'")


async def _routes_equal_ready(hub: Hub) -> bool:
    """What each proxy itself says, or leads to, against what the API calls ready."""
    wanted = {
        row["prefix"].rstrip("/"): row["url"]
        for row in await rows(hub, "select prefix, url from servers where kind = 'Running' and user_id <> ''")
    }
    _, models = await hub.api("GET", "/users?state=ready")
    ready = {server["url"].rstrip("/") for user in models for server in user["servers"].values() if server["ready"]}
    return ready == set(wanted) and all(table == wanted for table in await tables(hub))


async def all_ready(hub: Hub, names: list[str], seconds: float) -> None:
    async def each() -> bool:
        return all(await asyncio.gather(*(hub.is_ready(name) for name in names)))

    await eventually(each, seconds, f"{len(names)} servers ready")
