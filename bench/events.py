"""The event stream under load, and pages of a log of a million events.

    events.py [events=1000000] [rate=1000] [listeners=50] [seconds=20]

Run by `bench/run events`. One api of a whole hub streams to the listeners what another process commits; each listener
must hear every event once and in order. Pages are read from a log of their own beside it. Prints tables for
docs/figures.md, and writes all figures to events.json in BENCH_DIR.
"""

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "integration"))

import aiohttp
import asyncpg
import psutil

from hubbub import admin, eventlog
from hubbub.domain.group import CreateGroup
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.schema.migrations import MIGRATIONS
from hubbub.vault import Vault
from hubbub.views import GROUPS
from hubbub_api.event_stream import MOST_STREAMS
from hubbub_api.events import Events
from stack import Hub, hub

HERE = Path(__file__).parent
STANDIN = HERE.parent / "tests" / "integration" / "config_standin.py"
ID = re.compile(rb"^id: \w+:(\d+)$", re.MULTILINE)
AT = re.compile(rb'"at":"([^"]+)"')
TIMES = 20
Figures = dict[str, float]

#: A log of users with a server each, a start after the other; the sweep and a service act in it, too.
FILL = """
    insert into events (position, stream, version, type, data, meta, command_id, recorded_at, hash, about)
    select n, 'server-s' || s, 1000 + n, (array['SpawnRequested','AttemptClaimed','ServerStarted','ServerResponded',
           'StopRequested','ServerStopped'])[1 + (n / 5000) % 6], '{}',
           '{"command":"c","correlation":"k","actor":"sweep"}', 'c' || n, now() - ($2 - n) * interval '1 second', '',
           array['s' || s, 'u' || s, case when n % 3 = 0 then 'by:worker:w' || n % 7 else 'by:service:culler' end]
    from (select n, 1 + (n::bigint * 7919) % 5000 as s from generate_series($1::int, $2::int) n) i
"""


async def main() -> int:
    said = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    events, rate = int(said.get("events", 1_000_000)), int(said.get("rate", 1000))
    listeners, seconds = int(said.get("listeners", 50)), float(said.get("seconds", 20))
    with tempfile.TemporaryDirectory() as folder:
        async with hub(Path(folder) / "hub", config=STANDIN) as it:
            streamed = await streaming(it, rate, listeners, seconds) if listeners else {}
            paged = await paging(it, events) if events else {}
    _tell({"stream": streamed, "pages": paged})
    return 0 if streamed.get("gaps", 0) == 0 else 1


def _tell(found: dict[str, Figures]) -> None:
    out = Path(os.environ.get("BENCH_DIR", HERE.parent / ".bench"))
    out.mkdir(parents=True, exist_ok=True)
    (out / "events.json").write_text(json.dumps(found, indent=1))
    for title, figures in found.items():
        print(f"\n| {title} | |\n|---|---:|")
        for name, value in figures.items():
            print(f"| {name} | {value:,.1f} |")


# The stream -----------------------------------------------------------------------------------


class Listener:
    """`last`: the position heard last; `gaps`: how often another came than the one after it."""

    def __init__(self) -> None:
        self.heard = self.last = self.gaps = 0
        self.lags: list[float] = []

    async def run(self, session: aiohttp.ClientSession, url: str, token: str, until: asyncio.Event) -> None:
        rest, headers = b"", {"Accept": "text/event-stream", "Authorization": f"token {token}"}
        async with session.get(url, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            while not until.is_set():
                *frames, rest = (rest + await answer.content.readany()).split(b"\n\n")
                self._hear([frame for frame in frames if b"data: " in frame])

    def _hear(self, frames: list[bytes]) -> None:
        for frame in frames:
            found = ID.search(frame)
            assert found
            position = int(found[1])
            self.gaps += self.last not in (0, position - 1)
            self.last, self.heard = position, self.heard + 1
        if frames:
            at = AT.search(frames[-1])
            assert at
            self.lags.append(time.time() - datetime.fromisoformat(at[1].decode()).timestamp())


async def streaming(it: Hub, rate: int, count: int, seconds: float) -> Figures:
    """Events a second as they were written, the lag from commit to ear, and what the processes took for it."""
    found, until = [Listener() for _ in range(count)], asyncio.Event()
    tokens = [await _admin(it, f"admin{number}") for number in range(-(-count // MOST_STREAMS))]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [
            asyncio.create_task(each.run(session, f"{it.url}hub/api/events", tokens[number // MOST_STREAMS], until))
            for number, each in enumerate(found)
        ]
        await asyncio.sleep(2)
        before = {name: _cpu(it.pid(name)) for name in ("api-1", "postgres")}
        writer = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "write", str(rate), str(seconds), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        began = time.monotonic()
        written = json.loads((await writer.communicate(json.dumps(it.running()).encode()))[0])
        took = time.monotonic() - began
        end = written["last"]
        while any(each.last < end for each in found) and time.monotonic() < began + took + 30:
            await asyncio.sleep(0.05)
        spent = {name: _cpu(it.pid(name)) - before[name] for name in before}
        until.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    lags = sorted(lag for each in found for lag in each.lags)
    return {
        "events a second": written["events"] / written["seconds"],
        "listeners": count,
        "heard in all": sum(each.heard for each in found),
        "gaps": sum(each.gaps for each in found) + sum(end - each.last for each in found),
        "lag p50, ms": lags[len(lags) // 2] * 1e3,
        "lag p95, ms": lags[int(len(lags) * 0.95)] * 1e3,
        "lag most, ms": lags[-1] * 1e3,
        "CPU of the api, % of one": spent["api-1"] / took * 100,
        "CPU of Postgres, % of one": spent["postgres"] / took * 100,
    }


def _cpu(pid: int) -> float:
    """Seconds of a process and all that it has started."""
    process = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:4]) for each in [process, *process.children(recursive=True)])


async def _admin(it: Hub, name: str) -> str:
    """The token of a new one."""
    running = it.running()
    return await admin.issue_token(running["api_dsn"], running["vault_key"], name, frozenset({name}))


async def write(rate: int, seconds: float) -> None:
    """Commit *rate* events a second, a hundredth of them at a time."""
    running = json.loads(sys.stdin.read())
    committer = Committer(running["api_dsn"], Vault(running["vault_key"]))
    task = asyncio.create_task(committer.run())
    began, written = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate) - written
        if due > 0:
            commands = [CreateGroup(name=uuid4().hex) for _ in range(due)]
            context = Context.of("bench")
            await asyncio.gather(*(committer.execute(GROUPS, uuid4().hex, each, context) for each in commands))
            written += due
        await asyncio.sleep(0.01)
    took = time.monotonic() - began
    connection = await asyncpg.connect(running["api_dsn"])
    last = await connection.fetchval("select max(position) from events where type = 'GroupCreated'")
    await connection.close()
    task.cancel()
    print(json.dumps({"events": written, "seconds": took, "last": last}))


# Pages ----------------------------------------------------------------------------------------


async def paging(it: Hub, events: int) -> Figures:
    """Median milliseconds of a page of 50, by what was asked for, in a log of that length; and how large it is."""
    owner = it.running()["owner_dsn"]
    connection = await asyncpg.connect(owner)
    await connection.execute("create database bench_events")
    await connection.close()
    dsn = f"{owner.rpartition('/')[0]}/bench_events"
    connection = await asyncpg.connect(dsn)
    await connection.execute("create table migrations (number int, name text)")
    for migration in MIGRATIONS:
        await connection.execute(migration.sql)
    for first in range(1, events, 50_000):
        last = min(first + 49_999, events)
        await connection.execute(FILL.replace("$1", str(first)).replace("$2", str(last)))
    await connection.execute("insert into subjects select unnest(about), position, type from events")
    await connection.execute("vacuum analyze events")
    await connection.execute("vacuum analyze subjects")
    sizes = await connection.fetchrow(
        "select pg_total_relation_size('events') as events, pg_total_relation_size('subjects') as subjects"
    )
    await connection.close()
    rare = ["u17", "s17"]
    asked: dict[str, dict[str, Any]] = {
        "the newest": {},
        "in the middle": {"before": events // 2},
        "of a user and their server": {"about": rare},
        "the same, in the middle": {"about": rare, "before": events // 2},
        "of a user, one type": {"about": rare, "types": ["ServerStarted"]},
        "of 1,000 servers": {"about": [f"s{n}" for n in range(1, 1001)]},
        "of one type": {"types": ["ServerStarted"]},
        "of an aggregate": {"aggregates": ["server"]},
        "by a service that did most of it": {"actor": "service:culler"},
        "by it, of one type": {"actor": "service:culler", "types": ["ServerStarted"]},
        "by it, of a type that never was": {"actor": "service:culler", "types": ["ServerDeleted"]},
        "about a user, done by it": {"about": rare, "actor": "service:culler"},
        "since a time": {"since": datetime.now(UTC), "newest_first": False},
    }
    found: Figures = {}
    async with eventlog.pool(dsn) as pool:
        events_of = Events(pool, Vault(it.running()["vault_key"]))
        for name, query in asked.items():
            found[f"{name}, ms"] = await _median_ms(events_of, query)
    return {**found, "size of the events, MB": sizes["events"] / 1e6, "of their subjects, MB": sizes["subjects"] / 1e6}


async def _median_ms(events: Events, query: dict[str, Any]) -> float:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await events.page(limit=50, **query)
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        asyncio.run(write(int(sys.argv[2]), float(sys.argv[3])))
    else:
        sys.exit(asyncio.run(main()))
