"""What it costs to add up who has used how much, in a log of a million events. Run by `bench/run usage`.

    usage.py [events=1000000] [people=5000] [active=1000] [rounds=9]

Without HTTP. Prints a table for docs/figures.md: median milliseconds as the asker waits, and those of the processors,
with one process of Postgres (which uses more of them if it may).
"""

import asyncio
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from as_of import _spent, database
from cryptography.fernet import Fernet

from hubbub import eventlog, usage
from hubbub.testing.long_log import A_START, write_log

#: Every person is in one of so many groups from the beginning.
GROUPS = 20

_GROUPS = """
    insert into history.groups (id, number, version, position, state, name, began)
    select 'g' || n, n, 1, n, '{}', 'group-' || n, '-infinity' from generate_series(1, $1::int) n
"""
_MEMBERS = """
    insert into history.members (id, number, version, position, state, group_id, user_id, began)
    select 'm' || number, number, 1, number, '{}', 'g' || (1 + number % $1::int), id, '-infinity' from users
"""


async def main() -> int:
    asked = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    events, people = int(asked.get("events", 1_000_000)), int(asked.get("people", 5000))
    active, rounds = int(asked.get("active", 1000)), int(asked.get("rounds", 9))
    with tempfile.TemporaryDirectory(prefix="hubbub-bench-") as scratch:
        async with database(Path(scratch)) as dsn:
            starts = (events - 2 * people) // A_START
            key = Fernet.generate_key().decode()
            await write_log(dsn, key, people=people, starts=starts, active=active, often=active * 3 // 5)
            connection = await asyncpg.connect(dsn)
            # So that the one process that is looked at does all the work.
            await connection.execute("alter role current_user set max_parallel_workers_per_gather = 0")
            await connection.close()
            pool = await eventlog.pool(dsn)
            await pool.execute(_GROUPS, GROUPS)
            await pool.execute(_MEMBERS, GROUPS)
            await pool.execute("vacuum analyze")
            rows = await pool.fetchval("select count(*) from history.servers where url is not null")
            size = await pool.fetchval("select pg_size_pretty(pg_relation_size('history.servers_used'))")
            print(f"{starts} starts, {rows} rows that count, an index of {size}")
            print("| ms | waited | of processors |\n|---|---|---|")
            await measure(pool, rounds)
            await pool.close()
    return 0


async def measure(pool: "asyncpg.Pool[asyncpg.Record]", rounds: int) -> None:
    backends = [row["pid"] for row in await pool.fetch("select pid from pg_stat_activity where usename = 'hub'")]
    row = await pool.fetchrow("select min(recorded_at) as first, max(recorded_at) as last from events")
    assert row is not None
    first, last = row["first"], row["last"]
    reads: dict[str, Any] = {
        f"by {by}, all of it": lambda by=by: usage.used(pool, first, last, by, limit=50)
        for by in usage.BYS
        if by != "hour"
    }
    month = last - timedelta(days=30)
    reads |= {
        "by user, the last 30 days": lambda: usage.used(pool, month, last, "user", limit=50),
        "one person's days": lambda: usage.used(pool, month, last, "day", users=["u7"]),
        "a quota of one person": lambda: usage.of_each(pool, {"u7": month}, last),
        "quotas of 1000": lambda: usage.of_each(pool, {f"u{n}": month for n in range(1000)}, last),
        "a quota of a group": lambda: usage.together(pool, "g3", month, last),
    }
    for what, read in reads.items():
        waited, spent = [], []
        for _ in range(rounds):
            began, work = time.perf_counter(), _spent(backends)
            await read()
            waited.append((time.perf_counter() - began) * 1e3)
            spent.append(_spent(backends) - work)
        print(f"| {what} | {statistics.median(waited):.1f} | {statistics.median(spent):.1f} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
