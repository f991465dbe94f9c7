"""What dashboards show after a known history, by a real Prometheus that asks a hub of two apis at its one address.

All queries of our dashboard, and all of JupyterHub's dashboards that are about a hub, are asked of it; and no sum falls
while an api is killed.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from prometheus_rig import SHIPPED, Prometheus, prometheus

from browser import Browser
from stack import Hub, eventually, hub

HERE = Path(__file__).parent
CONFIG = HERE / "config_prometheus.py"
DASHBOARD = HERE.parents[1] / "deploy" / "grafana" / "hubbub.json"
RUNBOOK = HERE.parents[1] / "docs" / "runbook.md"
TOKEN = "token-of-prometheus-0123"
PATIENCE = 40
PEOPLE = tuple(f"user{number}" for number in range(6))
INFO = "jupyterhub.apihandlers.hub.InfoAPIHandler"
PASSWORD = "password-of-everyone"

#: What JupyterHub's dashboards ask of a hub (github.com/jupyterhub/grafana-dashboards), as PromQL of our own; `$range`:
#: Grafana's `$__rate_interval`.
_SPAWNS, _REQUESTS = "jupyterhub_server_spawn_duration_seconds", "jupyterhub_request_duration_seconds"
_NOT_PROGRESS = 'app="jupyterhub", namespace=~".*", handler!="jupyterhub.apihandlers.users.SpawnProgressAPIHandler"'
JUPYTERHUBS = {
    "running servers": 'max by (namespace) (jupyterhub_running_servers{namespace=~".*"})',
    "daily": 'max by (namespace) (jupyterhub_active_users{period="24h", namespace=~".*"})',
    "weekly": 'max by (namespace) (jupyterhub_active_users{period="7d", namespace=~".*"})',
    "monthly": 'max by (namespace) (jupyterhub_active_users{period="30d", namespace=~".*"})',
    "latency": f"sum by (le) ({_REQUESTS}_bucket{{{_NOT_PROGRESS}}})"
    f" - sum by (le) ({_REQUESTS}_bucket{{{_NOT_PROGRESS}}} offset $range)",
    "codes": f'sum by (code) (rate({_REQUESTS}_count{{app="jupyterhub", namespace=~".*"}}[2m]))',
    "start times": f'sum by (le) ({_SPAWNS}_bucket{{namespace=~".*"}}'
    f' - {_SPAWNS}_bucket{{namespace=~".*"}} offset $range)',
    "failures": f'sum by (status) (increase({_SPAWNS}_count{{status!="success", namespace=~".*"}}[2m]))',
}

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


def panels() -> dict[str, list[str]]:
    """Queries of our dashboard by the titles of its panels, as Grafana would ask them."""
    found = json.loads(DASHBOARD.read_text())["panels"]
    return {
        panel["title"]: [
            target["expr"].replace("$job", ".*").replace("$__rate_interval", "30s") for target in panel["targets"]
        ]
        for panel in found
        if panel["type"] != "row"
    }


# What happens -----------------------------------------------------------------------------


@dataclass
class Watched:
    """A hub, and who watches it. `since`: when all that came before the history had been seen; `until`: when all of it
    had.
    """

    house: Hub
    prometheus: Prometheus
    since: float = 0.0
    until: float = 0.0

    @property
    def range(self) -> str:
        return f"{round(self.until - self.since)}s"

    async def value(self, expr: str) -> float:
        return await self.prometheus.number(expr, self.until)

    async def sees(self, expected: float, expr: str) -> None:
        async def seen() -> bool:
            return await self.prometheus.number(expr) == expected

        await eventually(seen, PATIENCE, f"{expr} is {expected}")

    async def now(self) -> float:
        return float((await self.prometheus.ask("query", query="time()"))["result"][0])

    async def asks_for_info(self, times: int) -> None:
        for _ in range(times):
            status, _body = await self.house.api("GET", "/info")
            assert status == 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    folder = tmp_path_factory.mktemp("prometheus")
    async with hub(folder / "data", config=CONFIG, scale="api=2,auth=2,spawner-worker=2") as house:
        await _settle(house)
        (folder / "its").mkdir()
        async with prometheus(folder / "its", house.url, TOKEN) as watching:
            made = Watched(house, watching)
            await _begin(made)
            await _happen(made)
            yield made


async def _settle(house: Hub) -> None:
    """Six people, all of whom have been active, and one request of each kind that will be counted."""
    now = datetime.now(UTC).isoformat()
    for name in PEOPLE:
        await house.user(name)
        status, body = await house.api("POST", f"/users/{name}/activity", {"last_activity": now})
        assert status == 200, body

    async def all_active() -> bool:
        models = [await house.model(name) for name in PEOPLE]
        return all(model["last_activity"] for model in models)

    await eventually(all_active, PATIENCE, "everybody's activity is there")
    assert (await house.api("GET", "/info"))[0] == 200


async def _begin(watched: Watched) -> None:
    count = f'sum({_REQUESTS}_count{{handler="{INFO}"}})'
    await watched.sees(1, count)
    await watched.sees(len(PEOPLE), 'jupyterhub_active_users{period="24h"}')
    await watched.sees(1, "hubbub_proxies")
    watched.since = await watched.now()


async def _happen(watched: Watched) -> None:
    """Twenty requests, four starts, two that fail, a stop; three logins, and two that fail."""
    house = watched.house
    await watched.asks_for_info(20)
    started = await asyncio.gather(*(house.api("POST", f"/users/{name}/server") for name in PEOPLE[:4]))
    assert {status for status, _ in started} <= {201, 202}, started
    await asyncio.gather(*(house.ready(name) for name in PEOPLE[:4]))
    failed = await asyncio.gather(*(house.api("POST", f"/users/{name}/server", {"fail": 3}) for name in PEOPLE[4:]))
    assert {status for status, _ in failed} <= {500, 202}, failed
    assert (await house.api("DELETE", f"/users/{PEOPLE[3]}/server"))[0] in (202, 204)
    for name, password in ((PEOPLE[0], PASSWORD), (PEOPLE[4], PASSWORD), (PEOPLE[5], PASSWORD), (PEOPLE[0], "no")):
        await _log_in(house, name, password)
    await _log_in(house, PEOPLE[1], "neither")
    await watched.sees(21, f'sum({_REQUESTS}_count{{handler="{INFO}", code="200"}})')
    await watched.sees(6, f"sum({_SPAWNS}_count)")
    await watched.sees(6, 'sum(hubbub_claimed_total{what="start"})')  # each api tells its part when it comes to it
    await watched.sees(1, "sum(jupyterhub_server_stop_seconds_count)")
    await watched.sees(5, "sum(jupyterhub_login_duration_seconds_count)")
    await watched.sees(3, "jupyterhub_running_servers")
    watched.until = await watched.now()


async def _log_in(house: Hub, name: str, password: str) -> None:
    """Without wanting anything more: to go on to a server would start it."""
    async with Browser(house.url) as browser:
        _, page = await browser.get(f"{house.url}hub/login?next=%2Fhub%2Fhome")
        await browser.send(page, {"username": name, "password": password})


# Files that are shipped -------------------------------------------------------------------


def promtool(*words: str) -> str:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, cwd=SHIPPED, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_promtool_takes_the_rules_and_they_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "--syntax-only", "prometheus.yml")
    promtool("test", "rules", "alerts_test.yml")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((SHIPPED / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


async def test_each_alert_is_tested_and_leads_to_the_runbook() -> None:
    tested = (SHIPPED / "alerts_test.yml").read_text()
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(), re.MULTILINE) if RUNBOOK.exists() else None
    anchors = {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings or ()}
    for rule in rules():
        assert f'alertname="{rule["alert"]}"' in tested
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbook.md" and (headings is None or anchor in anchors), anchor


async def test_a_real_prometheus_can_evaluate_each_alert(watched: Watched) -> None:
    async def evaluated() -> list[dict[str, Any]]:
        groups = (await watched.prometheus.ask("rules"))["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if found and all(rule["health"] != "unknown" for rule in found) else []

    found = await eventually(evaluated, PATIENCE, "all rules are evaluated")
    assert len(found) == len(rules())
    assert [rule["lastError"] for rule in found if rule["health"] != "ok"] == []
    assert [rule for rule in found if rule["state"] == "firing"] == []


# Dashboards -------------------------------------------------------------------------------


async def test_each_query_of_our_dashboard_finds_something(watched: Watched) -> None:
    for title, queries in panels().items():
        for expr in queries:
            assert await watched.prometheus.query(expr, watched.until), (title, expr)


async def test_our_dashboard_says_what_was_so(watched: Watched) -> None:
    shown = panels()
    expected = {
        "Users": len(PEOPLE) + 1,  # and the admin of the configuration
        "Active within a day": len(PEOPLE),
        "Running servers": 3,
        "Waiting starts": 0,
        "Workers": 2,
        "Routes overdue": 0,
        "Leftovers": 0,
    }
    assert {title: await watched.value(shown[title][0]) for title in expected} == expected
    states = await watched.prometheus.by("state", shown["Servers"][0], watched.until)
    assert states == {"spawning": 0, "started": 0, "running": 3, "stopping": 0}
    routes = await watched.prometheus.by("state", shown["Routes of servers"][0], watched.until)
    assert routes == {"wanted": 3, "there": 3, "overdue": 0}
    held = await watched.prometheus.by("worker", shown["Servers of each worker"][0], watched.until)
    assert len(held) == 2 and sum(held.values()) == 3
    assert await watched.value(shown["Room"][0]) == pytest.approx(3 / 20)
    processes = await watched.prometheus.by("service", shown["Processes"][0], watched.until)
    assert processes == {"api": 2, "auth": 2, "spawner-worker": 2, "proxy-sync": 1, "poller": 1}
    [failures] = [
        value
        for labels, value in (
            await watched.prometheus.query(shown["Starts that came to nothing, an hour"][0], watched.until)
        ).items()
        if dict(labels) == {"status": "error", "reason": "exited"}
    ]
    assert failures == pytest.approx(2, rel=0.2)  # Prometheus guesses what was at the ends of the hour


async def test_jupyterhubs_dashboards_say_what_was_so(watched: Watched) -> None:
    asked = {title: expr.replace("$range", watched.range) for title, expr in JUPYTERHUBS.items()}
    at, hub_ = watched.until, watched.prometheus
    for title in ("daily", "weekly", "monthly"):
        assert await hub_.by("namespace", asked[title], at) == {"hub": len(PEOPLE)}
    assert await hub_.by("namespace", asked["running servers"], at) == {"hub": 3}
    starts = await hub_.by("le", asked["start times"], at)
    assert (
        starts["+Inf"] == 6
        and starts["600.0"] == 6
        and sorted(starts.values()) == [starts[key] for key in sorted(starts, key=float)]
    )
    failures = await hub_.by("status", asked["failures"], at)
    assert failures == {"error": pytest.approx(2, rel=0.2), "failure": 0}
    codes = await hub_.by("code", asked["codes"], at)
    assert codes["200"] * 120 >= 18
    latency = await hub_.by("le", asked["latency"], at)
    assert latency["+Inf"] >= 20 + 6 + 1 + 5  # and requests that Prometheus itself has made
    assert latency["+Inf"] >= latency["0.1"] >= 0


async def test_counts_are_exact(watched: Watched) -> None:
    at, hub_ = watched.until, watched.prometheus
    spawns = {
        (dict(labels)["status"], dict(labels).get("reason", "")): value
        for labels, value in (await hub_.query(f"{_SPAWNS}_count > 0", at)).items()
    }
    assert spawns == {("success", ""): 4, ("error", "exited"): 2}
    logins = await hub_.by("status", "jupyterhub_login_duration_seconds_count", at)
    assert logins == {"success": 3, "failure": 2}
    requests = await hub_.by("code", f'{_REQUESTS}_count{{handler="{INFO}"}}', at)
    assert requests == {"200": 21}
    buckets = await hub_.by("le", f'{_REQUESTS}_bucket{{handler="{INFO}"}}', at)
    assert buckets["+Inf"] == 21
    stops = await hub_.by("status", "jupyterhub_server_stop_seconds_count", at)
    assert stops == {"success": 1, "failure": 0}
    given = await hub_.by("what", "hubbub_claimed_total", at)
    assert given == {"start": 6, "takeover": 0, "leftover": 0}
    assert await hub_.number('hubbub_events_total{type="SpawnRequested"}', at) == 6


async def test_what_workers_measure_is_told(watched: Watched) -> None:
    """Whether a server runs: before it is stopped, and after; and after those that have ended by themselves."""
    await watched.sees(1, 'jupyterhub_server_poll_duration_seconds_count{status="running"}')
    await watched.sees(3, 'jupyterhub_server_poll_duration_seconds_count{status="stopped"}')


# An api dies ------------------------------------------------------------------------------


async def answering(watched: Watched) -> str:
    """Which api has answered Prometheus last."""
    stamps = await watched.prometheus.by("process", "max by (process) (timestamp(python_gc_collections_total))")
    return max(stamps, key=lambda process: stamps[process])


async def test_no_sum_falls_while_an_api_is_killed(watched: Watched) -> None:
    house, killed, began = watched.house, await answering(watched), await watched.now()
    before = house.pid(killed)
    house.kill(killed)
    answered = 0

    async def again() -> bool:
        """Requests go on all the time, also those that fail."""
        nonlocal answered
        try:
            status, _ = await house.api("GET", "/info")
            answered += status == 200
            return house.pid(killed) != before and answered >= 15
        except (aiohttp.ClientError, TimeoutError, FileNotFoundError):
            return False

    await eventually(again, PATIENCE, f"another {killed} has come")
    await watched.sees(21 + answered, f'sum({_REQUESTS}_count{{handler="{INFO}", code="200"}})')
    await watched.sees(2, 'sum(hubbub_processes{service="api"})')
    names = await watched.prometheus.ask("label/__name__/values")
    sums = [name for name in names if re.fullmatch("(jupyterhub|hubbub)_.+_(count|sum|bucket|total)", name)]
    assert len(sums) > 40
    assert [name for name in sums if await watched.prometheus.query(f"resets({name}[1h]) > 0")] == []
    # Nor have they ever been away, as with an api that has counted nothing yet.
    since = round(await watched.now() - began)
    assert await watched.prometheus.number(f"min_over_time(sum({_SPAWNS}_count)[{since}s:1s])") == 6
    asked = await watched.prometheus.by(
        "process", "count by (process) (present_over_time(python_gc_collections_total[1h]))"
    )
    assert asked.keys() == {"api-1", "api-2"}
