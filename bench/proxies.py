"""What each proxy does with 1, 1,000 and 5,000 routes, and how soon servers of a whole hub are reachable through it.

    proxies.py [KIND ...] [-s sizes=1,1000,5000] [-s seconds=3] [-s starts=50]

Run by `bench/run proxies`. Needs wrk (apt-get install wrk) and HAProxy, which is the upstream: it answers without a
word from a disk or another process. KIND: chp, haproxy, traefik; else all that are installed. Prints a table for
docs/figures.md, and writes all figures to proxies.json in BENCH_DIR.
"""

import asyncio
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "integration"))

import psutil

from checks import rows
from fronts import ChpFront, HaproxyFront, TraefikFront, free_port
from hubbub.watch_messages import Head
from proxy_rig import Rig, rig
from stack import Hub, hub

FRONTS = {"chp": ChpFront, "haproxy": HaproxyFront, "traefik": TraefikFront}
CONNECTIONS, TIMES = 50, 10
STANDIN = Path(__file__).parent.parent / "tests" / "integration" / "config_standin.py"
Figures = dict[str, float]


def installed() -> list[str]:
    there = {"chp": True, "haproxy": shutil.which("haproxy"), "traefik": find_spec("jupyterhub_traefik_proxy")}
    return [kind for kind in FRONTS if there[kind]]


def asked_for() -> tuple[list[str], list[int], float, int]:
    arguments = sys.argv[1:]
    kinds = [word for word in arguments if word in FRONTS] or installed()
    options = dict(word.split("=", 1) for word in arguments if "=" in word)
    sizes = [int(size) for size in options.get("sizes", "1,1000,5000").split(",")]
    return kinds, sizes, float(options.get("seconds", 3)), int(options.get("starts", 50))


async def main() -> int:
    for program in ("wrk", "haproxy"):
        if shutil.which(program) is None:
            print(f"there is no {program}: apt-get install {program}", file=sys.stderr)
            return 1
    kinds, sizes, seconds, starts = asked_for()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hubbub-bench-") as scratch:
        async with _upstream(Path(scratch)) as port:
            found["none"] = {"direct": await _load(f"http://127.0.0.1:{port}/", seconds, [])}
            for kind in kinds:
                folder = Path(scratch) / kind
                folder.mkdir()
                found[kind] = await routes(kind, folder, port, sizes, seconds)
        for kind in kinds:
            found[kind]["hub"] = await reachable(kind, Path(scratch) / f"hub-{kind}", starts)
    print(_table(found, kinds, sizes))
    out = Path(os.environ.get("BENCH_DIR", ".bench")) / "proxies.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1))
    return 0


@asynccontextmanager
async def _upstream(folder: Path) -> AsyncIterator[int]:
    """The port of something that answers each request with 12 bytes."""
    port = free_port()
    config = folder / "upstream.cfg"
    config.write_text(
        "global\n nbthread 1\n maxconn 4000\ndefaults\n mode http\n timeout client 60s\n timeout connect 1s\n"
        f" timeout server 60s\nfrontend up\n bind 127.0.0.1:{port}\n"
        ' http-request return status 200 content-type text/plain string "hello, world" hdr X-Name bench\n'
    )
    process = await asyncio.create_subprocess_exec("haproxy", "-db", "-f", config)
    try:
        await _answers(port)
        yield port
    finally:
        process.kill()
        await process.wait()


async def _answers(port: int) -> None:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)


# One proxy, and a house that is not there ------------------------------------------------------


async def routes(kind: str, folder: Path, upstream: int, sizes: list[int], seconds: float) -> dict[str, Figures]:
    """By size."""
    found: dict[str, Figures] = {}
    async with rig(folder, FRONTS[kind](), 0) as it:
        sync = it.proxy_sync()
        it.want("bench", 1, f"http://127.0.0.1:{upstream}")
        await sync.start()
        try:
            await it.settles(60)
            for size in sizes:
                print(f"{kind}: {size} routes", file=sys.stderr)
                found[str(size)] = await _with_routes(it, size, upstream, seconds)
            found[str(sizes[-1])] |= await _killed(it, f"z{sizes[-1]}")
        finally:
            await sync.kill()
    return found


async def _with_routes(it: Rig, size: int, upstream: int, seconds: float) -> Figures:
    it.want(f"z{size}", 1, f"http://127.0.0.1:{upstream}")  # the last, by which it is seen that all are there
    for number in range(2, size):
        it.want(f"x{number:05}", 1, f"http://10.1.{number // 250}.{number % 250}:8888")
    await it.house.bus.signal("hub.heartbeat.log", Head(epoch="", position=0))  # that is: compare everything
    began = time.perf_counter()
    await it.settles(600)
    await _served(it, f"{it.front.url}/user/z{size}/")
    filled = time.perf_counter() - began
    processes = it.proxy_processes()
    figures = await _load(f"{it.front.url}/user/bench/x", seconds, processes)
    return {
        **figures,
        "fill_s": filled,
        **await _one_more(it, upstream, f"new{size}-"),
        "look_ms": await _median_ms(it.front.table),
        "memory_mb": sum(process.memory_full_info().pss for process in processes) / 1e6,
    }


async def _one_more(it: Rig, upstream: int, prefix: str) -> Figures:
    """Milliseconds from the event that a server is ready to the answer that it has a route; and to its first answer."""
    told, answered = [], []
    for number in range(TIMES):
        name = f"{prefix}{number}"
        began = time.perf_counter()
        it.want(name, 1, f"http://127.0.0.1:{upstream}")
        await it.house.happens("ServerResponded", name)
        knowing = asyncio.create_task(_told(it, name))
        await _served(it, f"{it.front.url}/user/{name}/")
        answered.append(time.perf_counter() - began)
        told.append(await knowing - began)
        del it.house.wanted[name]
        await it.house.happens("StopRequested", name)
    await it.settles(60)
    return {"told_ms": statistics.median(told) * 1e3, "answered_ms": statistics.median(answered) * 1e3}


async def _told(it: Rig, name: str) -> float:
    await it.house.until(lambda: any(it.house.told_of(name)))
    return time.perf_counter()


async def _served(it: Rig, url: str) -> None:
    while True:
        async with it.session.get(url) as answer:
            if answer.headers.get("X-Name") == "bench":
                return
        await asyncio.sleep(0.001)


async def _killed(it: Rig, last: str) -> Figures:
    """Seconds until the proxy answers again, and from then on until it has everything."""
    began = time.perf_counter()
    it.kill_proxy()
    await it.returns()
    back = time.perf_counter() - began
    await it.settles(120)
    await _served(it, f"{it.front.url}/user/{last}/")
    return {"back_s": back, "refill_s": time.perf_counter() - began - back}


async def _median_ms(what: Any) -> float:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await what()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e3


async def _load(url: str, seconds: float, processes: list[psutil.Process]) -> Figures:
    """Requests a second, and microseconds of the *processes* for each, user and system."""
    await _wrk(url, 0.5)
    before = _cpu(processes)
    made, took = await _wrk(url, seconds)
    return {"req_s": made / took, "cpu_us": (_cpu(processes) - before) / made * 1e6}


async def _wrk(url: str, seconds: float) -> tuple[int, float]:
    duration = f"{max(1, round(seconds))}s"
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration}", url, stdout=asyncio.subprocess.PIPE
    )
    output = (await process.communicate())[0].decode()
    assert not re.search("Non-2xx|Socket errors", output), output
    found = re.search(r"(\d+) requests in ([\d.]+)s", output)
    assert found, output
    return int(found[1]), float(found[2])


def _cpu(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(each.user + each.system for each in times)


# A whole hub ----------------------------------------------------------------------------------


async def reachable(kind: str, folder: Path, starts: int) -> Figures:
    """Milliseconds from ServerResponded to the first answer at the public address, of one start after the other."""
    print(f"{kind}: {starts} starts", file=sys.stderr)
    config = folder.with_suffix(".py")
    config.write_text(f"load_subconfig({str(STANDIN)!r})\nc = get_config()\n{FRONTS[kind]().config()}\n")
    async with hub(folder, config=config, environ={"HUBBUB_LEASE_SECONDS": "10"}) as it:
        names = [f"p{number:03}" for number in range(starts)]
        await it.api("POST", "/users", {"usernames": names})
        first = {name: await _started(it, name) for name in names}
        told = await rows(
            it,
            "select type, extract(epoch from recorded_at) as at, coalesce(u.name, '') as name from events e "
            "join servers s on e.stream = 'server-' || s.id join users u on u.id = s.user_id "
            "where type = 'ServerResponded'",
        )
    responded = {row["name"]: float(row["at"]) for row in told}
    took = sorted((first[name] - responded[name]) * 1e3 for name in names)
    return {"reachable_p50_ms": took[len(took) // 2], "reachable_p95_ms": took[int(len(took) * 0.95)]}


async def _started(it: Hub, name: str) -> float:
    """When somebody who asks all the time is first answered by the server."""
    asking = asyncio.create_task(_first(it, name))
    status, body = await it.api("POST", f"/users/{name}/server")
    assert status == 201, (status, body)
    return await asyncio.wait_for(asking, 10)


async def _first(it: Hub, name: str) -> float:
    while True:
        async with it.session.get(f"{it.url}user/{name}/", allow_redirects=False) as answer:
            if "X-Standin" in answer.headers:
                return time.time()
        await asyncio.sleep(0.002)


# What is printed ------------------------------------------------------------------------------

_ROWS: Mapping[str, str] = {
    "requests/s": "{req_s:,.0f}",
    "CPU per request": "{cpu_us:.0f} us",
    "filled, from the routes of the line above on": "{fill_s:.2f} s",
    "one more server, until it answers": "{answered_ms:.1f} ms",
    "the same, until the house knows": "{told_ms:.1f} ms",
    "a look at the table": "{look_ms:.1f} ms",
    "memory (PSS)": "{memory_mb:.0f} MB",
    "killed: back after, all routes after that": "{back_s:.2f} s, {refill_s:.2f} s",
}


def _table(found: Mapping[str, Any], kinds: list[str], sizes: list[int]) -> str:
    lines = [f"upstream itself: {found['none']['direct']['req_s']:,.0f} requests/s", ""]
    lines += ["| | " + " | ".join(f"{kind}, {size:,}" for kind in kinds for size in sizes) + " |"]
    lines += ["|---" * (len(kinds) * len(sizes) + 1) + "|"]
    for title, form in _ROWS.items():
        cells = []
        for figures in (found[kind][str(size)] for kind in kinds for size in sizes):
            try:
                cells.append(form.format(**figures))
            except KeyError:
                cells.append("")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    for kind in kinds:
        times = found[kind]["hub"]
        lines.append(
            f"\n{kind}: from running to reachable {times['reachable_p50_ms']:.0f} ms (p50), "
            f"{times['reachable_p95_ms']:.0f} ms (p95)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
