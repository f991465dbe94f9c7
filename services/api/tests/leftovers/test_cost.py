"""What a claim looks at is found by indexes, however many servers there are, and however many of them were lost."""

import json
import time

import asyncpg

from hubbub.eventlog import PLANS
from hubbub_api import inheritance, leftovers
from hubbub_api.orphans import LISTED

MANY = """
    insert into servers (id, number, version, position, state, user_id, name, display_name, kind, attempt, since, pool,
        holder, host, deadline, reach, leftovers)
    select 's' || g, g, 1, 1, $1, 'u' || g, '', '', $2, 1, now(), 'default', $3, 'h1', now(), 'pool', $4
    from generate_series($5::int, $6::int) g
"""


async def test_a_claim_costs_the_same_with_thousands_of_servers(house, database):
    state = json.dumps({"type": "Stopped", "leftovers": [{"attempt": 1, "host": "h1", "pool": "p", "reach": "pool"}]})
    owner = await asyncpg.connect(database.owner_dsn)
    for kind, holder, left, first, last in (
        ("Running", "w1", None, 1, 5000),
        ("Running", None, None, 5001, 5100),
        ("Stopped", None, 1, 5101, 5200),
        ("Stopped", None, None, 5201, 9000),
    ):
        await owner.execute(MANY, state, kind, holder, left, first, last)
    await owner.execute("analyze servers")
    await owner.close()
    connection = await asyncpg.connect(database.api_dsn, server_settings=PLANS)
    now = await connection.fetchval("select now()")
    for query, args, index in (
        (inheritance._LOST, ("default", "pool", "h2", 32), "servers_lost"),
        (leftovers._JOBS, ("h2", "pool", "p", "w2 x", now, "w2", 16), "servers_leftovers"),
        (LISTED, (50, 0), "servers_leftovers"),
    ):
        statement = await connection.prepare(query)
        plan = json.dumps(await statement.explain(*args))
        assert index in plan
        assert "Hash Join" not in plan
        began = time.perf_counter()
        assert await statement.fetch(*args)
        assert time.perf_counter() - began < 0.25
    await connection.close()
