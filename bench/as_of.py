"""What a look at the past costs beside a look at the present, in a log of a million events. Run by `bench/run as_of`.

    as_of.py [events=1000000] [people=50000] [active=1000] [rounds=60]

Without HTTP, which costs both the same. Prints a table for docs/figures.md, and writes all
figures to as_of.json in BENCH_DIR.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.fernet import Fernet
from traitlets.config import Config

from hubbub import eventlog
from hubbub.access import Access, Identity
from hubbub.config import Options
from hubbub.domain.scope_tree import ADMIN_ROLE, TREE
from hubbub.free_port import free_port
from hubbub.schema import migrate
from hubbub.testing.long_log import A_START, write_log
from hubbub.testing.postgres import PASSWORDS
from hubbub.vault import Vault
from hubbub.verify import verify
from hubbub_api.activity import Activities
from hubbub_api.models import Models
from hubbub_api.past import ACTIVE, Past, Unheard
from hubbub_api.proxies import routes_in
from hubbub_api.views import Views
from hubbub_local.folder import take
from hubbub_local.postgres import Postgres

ADMIN = Identity(kind="service", name="bench", admin=True, scopes=TREE.expand(ADMIN_ROLE))
ALL = {"names": None, "groups": (), "state": None, "name_filter": "", "sort": "id"}
Source = tuple[Views, Models]
Read = Callable[[Views, Models], Awaitable[Any]]


def reads(people: int) -> dict[str, Read]:
    """What is asked for, by the names in the table."""

    async def page(views: Views, models: Models, **changed: Any) -> Any:
        offset = people // 4 if "offset" not in changed else changed.pop("offset")
        users, total = await views.users(**{**ALL, **changed}, offset=offset, limit=50)
        return await models.users(views, ADMIN, users, stopped=True), total

    async def one(views: Views, models: Models, name: str) -> Any:
        found = await views.person(name, stopped=True)
        return found and models.user(ADMIN, *found, {}, stopped=True)

    async def routes(views: Views, _: Models) -> Any:
        return await routes_in(views, Options(Config()), offset=0, limit=100)

    return {
        "a page of 50 users": page,
        "the same, the newest first": lambda views, models: page(views, models, sort="-id", offset=0),
        "the same, by name": lambda views, models: page(views, models, sort="name"),
        "50 users with an active server": lambda views, models: page(views, models, state="active", offset=0),
        "50 users by a part of their names": lambda views, models: page(views, models, name_filter="77", offset=0),
        "a user with few starts": lambda views, models: one(views, models, f"person-{people // 2}"),
        "a user with many starts": lambda views, models: one(views, models, "person-7"),
        "100 routes": routes,
        "100 active servers": lambda views, _: views.fetch(ACTIVE, 0, 100),
    }


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[str]:
    """An empty one, of a Postgres as `hubbub up` runs it: the owner's way in."""
    with take(folder) as taken:
        server = Postgres(folder=taken, port=free_port(), password="bench")
        program = server.prepare()
        with (folder / "postgres.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *program.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            while not await program.is_ready(None):
                await asyncio.sleep(0.05)
            await server.make_database()
            await migrate(server.dsn, PASSWORDS)
            yield server.dsn
        finally:
            process.send_signal(program.stop_signal)
            await process.wait()


async def main() -> int:
    asked = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    events, people = int(asked.get("events", 1_000_000)), int(asked.get("people", 50_000))
    active, rounds = int(asked.get("active", 1000)), int(asked.get("rounds", 60))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hubbub-bench-") as scratch:
        async with database(Path(scratch)) as dsn:
            key, began = Fernet.generate_key().decode(), time.monotonic()
            starts = (events - 2 * people) // A_START
            await write_log(dsn, key, people=people, starts=starts, active=active, often=active * 3 // 5)
            connection = await asyncpg.connect(dsn)
            await connection.execute("vacuum analyze")
            found["events"] = await connection.fetchval("select count(*) from events")
            found["server rows"] = await connection.fetchval("select count(*) from history.servers")
            found["written in s"] = round(time.monotonic() - began)
            began = time.monotonic()
            assert await verify(dsn, key) == []
            found["verified in s"] = round(time.monotonic() - began)
            found["reads"] = await measure(dsn, key, people, rounds)
            await connection.close()
    print(_table(found))
    out = Path(os.environ.get("BENCH_DIR", ".bench")) / "as_of.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1))
    return 0


async def measure(dsn: str, key: str, people: int, rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of each read: now, and as of moments in the log, one after the other in turn. They are those
    that processors have spent on it, for us and for Postgres: what else runs on the machine makes no difference.
    """
    options, vault = Options(Config()), Vault(key)
    found: dict[str, dict[str, float]] = {}
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(eventlog.pool(dsn))
        roles = Access(pool, options).roles
        past = await stack.enter_async_context(Past(dsn, vault, Models(options, roles, Unheard())))
        newest = await pool.fetchval("select position from log_head")
        moments = {f"{part} %": await past.moment(str(newest * part // 100)) for part in (25, 50, 90, 100)}
        sources: dict[str, Source] = {"now": (Views(pool, vault), Models(options, roles, Activities(pool)))}
        sources |= {name: (past.views(moment), past.models) for name, moment in moments.items()}
        backends = [row["pid"] for row in await pool.fetch("select pid from pg_stat_activity where usename = 'hub'")]
        for what, read in reads(people).items():
            taken: dict[str, list[float]] = {name: [] for name in sources}
            for _ in range(rounds):
                for name, source in sources.items():
                    began = _spent(backends)
                    await read(*source)
                    taken[name].append(_spent(backends) - began)
            found[what] = {name: round(statistics.median(each), 2) for name, each in taken.items()}
            print(what, found[what], file=sys.stderr)
    return found


def _spent(backends: list[int]) -> float:
    """Milliseconds of processors, of this process and of these of Postgres."""
    nanoseconds = time.process_time_ns()
    for pid in backends:
        with suppress(OSError):
            nanoseconds += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return nanoseconds / 1e6


def _table(found: dict[str, Any]) -> str:
    names = list(next(iter(found["reads"].values())))
    lines = [
        f"{found['events']} events, {found['server rows']} rows of servers; written in {found['written in s']} s, "
    ]
    lines[0] += f"verified in {found['verified in s']} s"
    lines += ["", f"| ms | {' | '.join(names)} | worst |", "|---|" + "---|" * (len(names) + 1)]
    for what, figures in found["reads"].items():
        worst = max(figures[name] for name in names[1:]) / figures["now"]
        lines.append(f"| {what} | {' | '.join(str(figures[name]) for name in names)} | {worst:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
