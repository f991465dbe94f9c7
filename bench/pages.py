"""What people wait for in a browser: the admin room's table of people, its pages, searches and orders; the home page.

    pages.py [users=50000] [active=1000] [times=15]

Run by `bench/run pages`. Needs Chromium, as the tests of the pages do. Prints a table for docs/figures.md, and writes
all figures to pages.json in BENCH_DIR. `server` is the hub's own part (the header Server-Timing), `seen` the time from
the click or key to the new rows on the screen; of a first visit, from the request to the first content with all rows.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "integration"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "system"))

from aiohttp import web
from pages_rig import Person, chromium, person
from playwright.async_api import Page, Response

from stack import Hub, hub

AT_ONCE, BATCH = 32, 10_000
Figures = dict[str, list[float]]

#: From the click on an element to the moment at which the rows that it leads to are on the screen.
_ACT = """
    async ([id, value]) => {
        const table = document.getElementById("people"), element = document.getElementById(id);
        const shown = new Promise((resolve) => table.addEventListener("renewed", () =>
            requestAnimationFrame(() => setTimeout(resolve)), {once: true}));
        const began = performance.now();
        if (value === null) {
            element.click();
        } else {
            element.value = value;
            element.dispatchEvent(new Event("input", {bubbles: true}));
        }
        await shown;
        return performance.now() - began;
    }
"""
_FIRST = """
    () => {
        const [visit] = performance.getEntriesByType("navigation");
        const paint = performance.getEntriesByName("first-contentful-paint")[0];
        return Math.max(paint?.startTime ?? 0, visit.domContentLoadedEventStart) - visit.requestStart;
    }
"""


async def main() -> int:
    said = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    users, active, times = (int(said.get(name, usual)) for name, usual in _USUAL.items())
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="hubbub-bench-") as scratch:
        async with (
            _standin() as port,
            hub(
                Path(scratch) / "data",
                config=Path(__file__).with_name("config_pages.py"),
                environ={"BENCH_STANDIN_PORT": str(port)},
            ) as house,
            chromium() as browser,
        ):
            await _fill(house, users, active)
            async with person(browser, house) as operator, person(browser, house) as somebody:
                await operator.login("operator", "benchbench")
                await somebody.login(_name(0), "benchbench")
                found["the home page"] = await _visits(somebody, "hub/home", times)
                found["the table of people"] = await _visits(operator, "hub/admin/users", times)
                for what, (path, acts) in _ACTS.items():
                    found[what] = await _acts(operator, path, acts, times)
    print(_table(found))
    out = Path(os.environ.get("BENCH_DIR", ".bench")) / "pages.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1))
    return 0


_USUAL = {"users": 50_000, "active": 1_000, "times": 15}
#: Where one is, and by turns what is pressed or typed (an element's id, and what is typed into it).
_ACTS: dict[str, tuple[str, list[tuple[str, str | None]]]] = {
    "a page on": ("hub/admin/users", [("pages-next", None)]),
    "to the last page and back": ("hub/admin/users", [("pages-last", None), ("pages-first", None)]),
    "a search that finds a few": ("hub/admin/users", [("search", "0123"), ("search", "4321")]),
    "a search that finds nobody, or most": ("hub/admin/users", [("search", "nobody"), ("search", "user")]),
    "those whose servers run, and whose do not": ("hub/admin/users", [("state", "ready"), ("state", "stopped")]),
    "those who were active last, and longest ago": (
        "hub/admin/users",
        [("sort", "-last_activity"), ("sort", "last_activity")],
    ),
    "running first, and stopped first": ("hub/admin/users", [("sort", "state"), ("sort", "-state")]),
    "a page on, of a search in order of activity": (
        "hub/admin/users?search=user&sort=-last_activity",
        [("pages-next", None)],
    ),
}


@asynccontextmanager
async def _standin() -> AsyncIterator[int]:
    """The port of what all servers are."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="hello", headers={"X-JupyterHub-Version": "6.1.1"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _name(number: int) -> str:
    return f"user-{number:05}"


async def _fill(house: Hub, users: int, active: int) -> None:
    began = time.perf_counter()
    for first in range(0, users, BATCH):
        names = [_name(number) for number in range(first, min(first + BATCH, users))]
        status, body = await house.api("POST", "/users", {"usernames": names})
        assert status == 201, body
    print(f"{users} users after {time.perf_counter() - began:.0f} s", file=sys.stderr)
    free = asyncio.Semaphore(AT_ONCE)

    async def start(number: int) -> None:
        async with free:
            status, body = await house.api("POST", f"/users/{_name(number)}/server")
            assert status in (201, 202), body

    # All over the alphabet.
    await asyncio.gather(*(start(number) for number in range(0, users, max(users // active, 1))[:active]))
    print(f"{active} servers after {time.perf_counter() - began:.0f} s", file=sys.stderr)


async def _visits(someone: Person, path: str, times: int) -> Figures:
    figures: Figures = {"seen": [], "server": []}
    async with _timed(someone.page, figures["server"]):
        for _ in range(times + 1):
            await someone.go(path)
            figures["seen"].append(await someone.page.evaluate(_FIRST))
    return {name: values[1:] for name, values in figures.items()}


async def _acts(someone: Person, path: str, acts: list[tuple[str, str | None]], times: int) -> Figures:
    await someone.go(path)
    figures: Figures = {"seen": [], "server": []}
    async with _timed(someone.page, figures["server"]):
        for number in range(times + len(acts)):
            figures["seen"].append(await someone.page.evaluate(_ACT, list(acts[number % len(acts)])))
    return {name: values[len(acts) :] for name, values in figures.items()}


@asynccontextmanager
async def _timed(page: Page, figures: list[float]) -> AsyncIterator[None]:
    """Puts what the hub itself took for each page into *figures* (milliseconds)."""

    def answered(response: Response) -> None:
        if timing := response.headers.get("server-timing"):
            figures.append(float(timing.partition("dur=")[2]))

    page.on("response", answered)
    try:
        yield
    finally:
        page.remove_listener("response", answered)


def _table(found: dict[str, Figures]) -> str:
    lines = ["| | server, p50 · most | seen, p50 · most |", "|---|---|---|"]
    for what, figures in found.items():
        lines.append(f"| {what} | {_said(figures['server'])} | {_said(figures['seen'])} |")
    return "\n".join(lines)


def _said(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} · {max(values):.0f} ms" if values else "-"


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
