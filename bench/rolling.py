"""A rolling restart below people who work: how long it takes, and what they notice.

    rolling.py [people=50] [rounds=3] [scale=api=1]

Run by `bench/run rolling`. Each of the people speaks through a WebSocket twice a second; beside them one starts a
server every second, and others ask the API, look at pages, log in and visit servers. Prints a table for
docs/figures.md, and writes all figures to rolling.json in BENCH_DIR.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "integration"))

from rolling import Crowd, Work, told
from stack import HERE, hub

CONFIG = HERE / "config_several.py"
QUIET = 10.0
OUT = Path(os.environ.get("BENCH_DIR", "."))


async def main() -> int:
    said = dict(word.split("=", 1) for word in sys.argv[1:])
    people, rounds, scale = int(said.get("people", "50")), int(said.get("rounds", "3")), said.get("scale", "api=1")
    with tempfile.TemporaryDirectory() as folder:
        async with hub(Path(folder, "data"), config=CONFIG, scale=scale) as it:
            calm, missing = Crowd(it, people), {}
            async with calm.working():
                await asyncio.sleep(QUIET)
            crowd = Crowd(it, people, name="other")
            crowd.people = calm.people
            async with crowd.working() as work:
                for _ in range(rounds):
                    status, output = await it.command("restart", seconds=600)
                    assert status == 0, output
                    for name, seconds in told(output).items():
                        missing.setdefault(name, []).append(seconds)
            await crowd.settle()
    show(calm.work, work, missing)
    figures = {"calm": vars(calm.work), "rolling": vars(work), "missing": missing}
    (OUT / "rolling.json").write_text(json.dumps(figures, indent=1))
    return 1 if work.failed else 0


def show(calm: Work, work: Work, missing: dict[str, list[float]]) -> None:
    print("| what | of how many | failed | slowest | without a restart |\n|---|---|---|---|---|")
    for kind, number in work.done.items():
        failed = sum(1 for line in work.failed if line.startswith(kind))
        slow, usual = (each.slowest.get(kind, 0.0) * 1e3 for each in (work, calm))
        print(f"| {kind} | {number} | {failed} | {slow:,.0f} ms | {usual:,.0f} ms |")
    print(f"\nwithin {work.seconds:.1f} s; without a process of their name:")
    for name, seconds in missing.items():
        print(f"  {name}: {max(seconds):.1f} s at most")
    for line in work.failed:
        print(line)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
