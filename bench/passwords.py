"""Logins by Argon2id: what they cost those who ask the API meanwhile, what happens when there are too many, and whether
a stranger can tell an unknown name from a wrong password by the time it takes. Run by `bench/run passwords`.

    passwords.py TARGETS [SECONDS [REPEATS]]
"""

import asyncio
import itertools
import statistics
import sys
from collections import Counter
from urllib.parse import urlencode

from hubload import proc, stats
from hubload.hub import Target, cookie_header, targets_from_file
from hubload.net import Client, closed_loop, now, open_loop

PEOPLE = 20
PASSWORD = "a bench of old oak"
RATE = 10.0
MANY = 64
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

#: One for each guess: guesses are slowed down for each address.
addresses = (f"10.{a}.{b}.{c}" for a, b, c in itertools.product(range(1, 255), range(1, 255), range(1, 255)))


async def main() -> int:
    places, *given = sys.argv[1:]
    seconds, repeats = float(given[0]) if given else 6.0, int(given[1]) if given[1:] else 3
    reporter = stats.Reporter(None)
    for target in targets_from_file(places):
        target.open()
        await target.wait_api()
        await accounts(target)
        for number in range(repeats):
            await proc.quiet(max_wait=30)
            await beside(target, reporter, number, seconds)
            await too_many(target, reporter, number, seconds)
            await timing(target, reporter, number)
        target.close()
    print("\n" + stats.text(stats.medians(reporter.results)), file=sys.stderr)
    return 0


# What a browser does ------------------------------------------------------------------------


async def page(target: Target, pool: Client, path: str, headers: dict[str, str]) -> dict[str, str]:
    answer = await pool.request("GET", target.hub_path + path, headers=headers)
    jar: dict[str, str] = answer.cookies()
    return jar


async def accounts(target: Target) -> None:
    pool = Client(target.hub_url)
    for number in range(PEOPLE):
        jar = await page(target, pool, "signup", {})
        fields = {"name": f"login{number}", "new": PASSWORD, "again": PASSWORD, "_xsrf": jar["_xsrf"]}
        headers = {**FORM, "Cookie": cookie_header(jar)}
        answer = await pool.request("POST", target.hub_path + "signup", urlencode(fields), headers)
        assert answer.status == 200, (answer.status, answer.body)
    await target.ensure_users([f"login{number}" for number in range(PEOPLE)])
    pool.close()


async def log_in(target: Target, pool: Client, name: str, password: str = PASSWORD) -> tuple[int, float, bool]:
    """Status, seconds of the POST, and whether there was a Retry-After."""
    headers = {"X-Forwarded-For": next(addresses)}
    jar = await page(target, pool, "login", headers)
    fields = {"username": name, "password": password, "_xsrf": jar["_xsrf"]}
    headers |= {**FORM, "Cookie": cookie_header(jar)}
    began = now()
    answer = await pool.request("POST", target.hub_path + "login", urlencode(fields), headers)
    return answer.status, now() - began, answer.header("Retry-After") is not None


# What is measured ---------------------------------------------------------------------------


async def beside(target: Target, reporter: stats.Reporter, number: int, seconds: float) -> None:
    """`GET /users/NAME`, one client after the other, alone and beside ten logins a second."""

    def ask(i: int) -> bytes:
        return target.api_raw("GET", f"users/login{i % PEOPLE}")

    alone = await closed_loop(target.hub_url, ask, 1, seconds)
    pool, ends, done, statuses = Client(target.hub_url), now() + seconds + 1, [], Counter()

    async def one(name: str) -> None:
        status, took, _ = await log_in(target, pool, name)
        statuses[status] += 1
        done.append(took)

    async def logins() -> None:
        tasks = []
        for i in itertools.count():
            if now() > ends:
                break
            tasks.append(asyncio.create_task(one(f"login{i % PEOPLE}")))
            await asyncio.sleep(1 / RATE)
        await asyncio.gather(*tasks)

    under_way = asyncio.create_task(logins())
    await asyncio.sleep(0.5)
    meanwhile = await closed_loop(target.hub_url, ask, 1, seconds)
    await under_way
    pool.close()
    slower = statistics.median(meanwhile.lat) / statistics.median(alone.lat)
    metrics = {
        "alone_ms": stats.dist(alone.lat),
        "beside_ms": stats.dist(meanwhile.lat),
        "login_ms": stats.dist(done),
        "slower_p50": round(slower, 3),
    }
    reporter.emit("passwords", "10 logins/s", target.label, number, metrics, _bad(statuses, 302))


async def too_many(target: Target, reporter: stats.Reporter, number: int, seconds: float) -> None:
    """Sixty-four who log in again and again; and `GET /users/NAME`, twenty times a second, meanwhile."""
    pool, statuses, told, took = Client(target.hub_url), Counter(), Counter(), []
    began, stop = now(), asyncio.Event()

    async def one(i: int) -> None:
        while now() - began < seconds:
            status, time, has_retry_after = await log_in(target, pool, f"login{i % PEOPLE}")
            statuses[status] += 1
            told[status, has_retry_after] += 1
            if status == 302:
                took.append(time)

    asking = asyncio.create_task(
        open_loop(target.hub_url, lambda i: target.api_raw("GET", f"users/login{i % PEOPLE}"), 20.0, stop=stop)
    )
    await asyncio.gather(*(one(i) for i in range(MANY)))
    took_all = now() - began
    stop.set()
    asked = await asking
    pool.close()
    assert not told[429, False], "a 429 without Retry-After"
    metrics = {
        "logins_per_s": round(statuses[302] / took_all, 1),
        "busy_per_s": round(statuses[429] / took_all, 1),
        "login_ms": stats.dist(took),
        "users_x_ms": stats.dist(asked.lat),
    }
    reporter.emit("passwords", f"{MANY} at once", target.label, number, metrics, _bad(statuses, 302, 429))


async def timing(target: Target, reporter: stats.Reporter, number: int, times: int = 40) -> None:
    """A wrong password and an unknown name in turn, each from an address of its own, few for each name."""
    pool = Client(target.hub_url)
    found: dict[str, list[float]] = {"wrong": [], "unknown": []}
    statuses: Counter[int] = Counter()
    for i in range(times):
        # A name is slowed down after ten guesses in five minutes: fewer in all repetitions together.
        for kind, name in (("wrong", f"login{i % PEOPLE}"), ("unknown", f"nobody{number}x{i}")):
            status, took, _ = await log_in(target, pool, name, "not " + PASSWORD)
            statuses[status] += 1
            found[kind].append(took)
    pool.close()
    apart = statistics.median(found["wrong"]) - statistics.median(found["unknown"])
    metrics = {f"{kind}_ms": stats.dist(took) for kind, took in found.items()} | {"apart_ms": round(apart * 1e3, 3)}
    reporter.emit("passwords", "wrong or unknown", target.label, number, metrics, _bad(statuses, 403))


def _bad(statuses: Counter[int], *good: int) -> dict[str, int]:
    return {str(status): count for status, count in statuses.items() if status not in good}


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
