"""What it takes to back up, restore and archive a log of a million events. Run by `bench/run keeping`.

    keeping.py [events=1000000] [people=50000] [active=1000]

Prints a table for docs/figures.md, and writes all figures to keeping.json in BENCH_DIR. Seconds are those that
processors have spent on it, of this process and of Postgres, beside those of the clock.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from cryptography.fernet import Fernet

from hubbub.free_port import free_port
from hubbub.keeping import files
from hubbub.keeping.archive import archive
from hubbub.keeping.backup import backup
from hubbub.keeping.restore import restore
from hubbub.schema import migrate
from hubbub.testing.long_log import A_START, write_log
from hubbub.testing.postgres import PASSWORDS
from hubbub.verify import verify
from hubbub_local.folder import take
from hubbub_local.postgres import Postgres


@asynccontextmanager
async def server(scratch: Path) -> AsyncIterator[str]:
    """A Postgres of our own, with an empty database `hubbub`; the URL of its owner."""
    with take(scratch / "data") as folder:
        made = Postgres(folder=folder, port=free_port(), password="password-of-the-owner")
        program = made.prepare()
        with (folder.logs / "postgres.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *program.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            while True:
                with suppress(OSError, asyncpg.PostgresError):
                    await made.make_database()
                    break
                await asyncio.sleep(0.1)
            yield made.dsn
        finally:
            process.send_signal(program.stop_signal)
            await process.wait()


class Measured:
    """How long things took: of the clock, and of processors."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}

    async def takes(self, what: str, work: Awaitable[Any]) -> Any:
        began, spent = time.monotonic(), _spent()
        done = await work
        figures = {"s": round(time.monotonic() - began, 1), "processor s": round(_spent() - spent, 1)}
        self.found[what] = figures
        print(what, figures, file=sys.stderr, flush=True)
        return done


def _spent() -> float:
    """Of us, and of all that Postgres has run and runs."""
    return sum(sum(_times(each)) for each in [psutil.Process(), *psutil.Process().children(recursive=True)])


def _times(process: psutil.Process) -> tuple[float, ...]:
    try:
        return tuple(process.cpu_times()[:4])  # its own, and that of children that have ended
    except psutil.Error:
        return (0.0,)


async def main() -> int:
    asked = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    events, people = int(asked.get("events", 1_000_000)), int(asked.get("people", 50_000))
    active = int(asked.get("active", 1000))
    with tempfile.TemporaryDirectory(prefix="hubbub-bench-") as scratch:
        async with server(Path(scratch)) as dsn:
            found = await measure(dsn, Path(scratch), events, people, active)
    print(_table(found))
    out = Path(os.environ.get("BENCH_DIR", ".bench")) / "keeping.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1))
    return 0


async def measure(dsn: str, scratch: Path, events: int, people: int, active: int) -> dict[str, Any]:
    key, measured = Fernet.generate_key().decode(), Measured()
    await migrate(dsn, PASSWORDS)
    starts = (events - 2 * people) // A_START
    writing = write_log(dsn, key, people=people, starts=starts, active=active, often=active * 3 // 5)
    await measured.takes("write it", writing)
    owner = await asyncpg.connect(dsn)
    await owner.execute("vacuum analyze")
    await owner.execute("create database restored")
    head = await owner.fetchval("select position from log_head")
    size = "select pg_total_relation_size('events') + pg_total_relation_size('subjects')"
    found: dict[str, Any] = {"events": head, "bytes of the log": await owner.fetchval(size)}
    await measured.takes("verify", verify(dsn, key))
    await measured.takes("backup", backup(dsn, key, scratch / "backup"))
    found["bytes of the backup"] = _size(scratch / "backup")
    await measured.takes("check", asyncio.to_thread(files.check, scratch / "backup"))
    other = dsn.rpartition("/")[0] + "/restored"
    await measured.takes("restore", restore(other, key, [scratch / "backup"]))
    await measured.takes("archive 90 %", archive(dsn, key, scratch / "archive", head * 9 // 10))
    found["bytes of the archive"] = _size(scratch / "archive")
    found["events that stay"] = await owner.fetchval("select count(*) from remains")
    problems = await measured.takes("verify what is left", verify(dsn, key))
    assert problems == [], problems[:3]
    await owner.close()
    return {**found, "took": measured.found}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _table(found: dict[str, Any]) -> str:
    megabytes = {name: round(found[name] / 1e6) for name in found if name.startswith("bytes")}
    lines = [
        f"{found['events']} events, {found['events that stay']} of which stay; MB: {megabytes}",
        "",
        "| | seconds | of processors |",
        "|---|---|---|",
    ]
    return "\n".join(
        [*lines, *(f"| {what} | {each['s']} | {each['processor s']} |" for what, each in found["took"].items())]
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
