"""GET /metrics: who may ask, what the figures say, and that every api of the house says the same."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.counting import LOOPS
from hubbub.domain.server_events import (
    AttemptLost,
    ServerResponded,
    ServerStopped,
    SpawnFailed,
    SpawnRequested,
    StopRequested,
)
from hubbub.domain.server_messages import (
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    Failure,
    ReportExit,
    ReportFailed,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.eventlog import Context
from hubbub.testing.eventually import eventually
from hubbub.views import SERVERS
from hubbub_api import durations, metrics_house
from hubbub_api.durations import Tally
from hubbub_api.handler_names import name_of
from hubbub_api.metrics import METRICS, Metrics, Shape

PATHS = ("/hub/metrics", "/hub/api/metrics")
LATER = datetime.now(UTC) + timedelta(hours=1)
BY_TEST = Context.of("test")
OPEN = {"authenticate_prometheus": False}
unguarded = pytest.mark.parametrize("options", [OPEN], indirect=True, ids=["open"])


async def figures(house, prefix: str = "jupyterhub_") -> dict[tuple[Any, ...], float]:
    """Samples by name, without the prefix, and values of labels in the order of their names."""
    answer = await house.ask("/hub/metrics")
    assert answer.status == 200
    return {
        (sample.name.removeprefix(prefix), *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
    }


def shown(found: dict[tuple[Any, ...], float], *names: str) -> dict[tuple[Any, ...], float]:
    return {key: value for key, value in found.items() if key[0] in names}


# Who may ask --------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_it_takes_the_scope_and_a_refusal_is_a_page(house, path):
    await house.person("root", admin=True)
    await house.person("ada")
    token = await house.token("root", "read:metrics")
    for asker in ({"token": token}, {"who": "root"}):
        answer = await house.ask(path, **asker)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=1.0.0; charset=utf-8")
        assert "jupyterhub_total_users 2.0\n" in await answer.text()
    for asker in ({}, {"who": "ada"}, {"token": "nobodys"}, {"token": await house.token("root", "read:hub")}):
        refused = await house.ask(path, **asker)
        assert (refused.status, refused.content_type) == (403, "text/html")
        assert "jupyterhub_total_users" not in await refused.text()


@unguarded
@pytest.mark.parametrize("path", PATHS)
async def test_it_can_be_open(house, path):
    assert (await house.ask(path)).status == 200


async def test_whoever_asks_is_active(house):
    await house.person("root", admin=True)
    token = await house.token("root", "read:metrics")
    assert (await house.ask("/hub/metrics", token=token)).status == 200
    [listed] = (await (await house.ask("/hub/api/users/root/tokens", "root")).json())["api_tokens"]
    assert listed["last_activity"]


# What is true of the house ------------------------------------------------------------


def started(**more: Any) -> StartServer:
    now = datetime.now(UTC)
    return StartServer(
        **{"at": now, "pool": "default", "prefix": "/user/ada/", "deadline": LATER, "retries": 0, **more}
    )


CLAIM = ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER)
UP = (
    CLAIM,
    ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER),
    ReportResponded(attempt=1, worker="w", deadline=LATER),
)
EXIT = ReportExit(attempt=1, worker="w", status="0", deadline=LATER)


@unguarded
async def test_users_and_servers_are_counted_where_they_are(house, colleague):
    for name in ("ada", "bob", "eve"):
        await house.person(name)
    await house.server("ada", "", started(), *UP)
    await house.server("ada", "two", started(), *UP)
    await house.server("bob", "", started(), CLAIM)
    await house.committer.execute(SERVERS, "managed:x", CreateServer(user="", name="x"), BY_TEST.follow())
    for command in (started(), *UP):
        await house.committer.execute(SERVERS, "managed:x", command, BY_TEST.follow())
    expected = {("total_users",): 3, ("running_servers",): 2}
    for one in (house, colleague):
        assert shown(await figures(one), "total_users", "running_servers") == expected


@unguarded
async def test_people_are_active_by_themselves_and_by_their_servers(house):
    for name in ("today", "week", "month", "once", "never", "served", "running"):
        await house.person(name)
    for name, days in (("today", 0.9), ("week", 1.1), ("month", 29), ("once", 31), ("served", 40)):
        await heard(house, f"user:{(await house.views.user(name)).id}", days)
    await heard(house, f"server:{await house.server('served')}", 2)
    await heard(house, f"server:{await house.server('today', 'more')}", 2)
    await heard(house, "user:whom-nobody-knows", 0)
    await house.server("running", "", started(), *UP)
    assert shown(await figures(house), "active_users") == {
        ("active_users", "24h"): 2,
        ("active_users", "7d"): 4,
        ("active_users", "30d"): 5,
    }


@unguarded
async def test_not_everybody_is_looked_at_each_time(house, monkeypatch):
    await house.person("ada")
    assert (await figures(house))["active_users", "24h"] == 0
    await heard(house, f"user:{(await house.views.user('ada')).id}", 0)
    assert (await figures(house))["active_users", "24h"] == 0
    monkeypatch.setattr(metrics_house, "ACTIVE_KEPT", 0.0)
    assert (await figures(house))["active_users", "24h"] == 1


async def heard(house, subject: str, days: float) -> None:
    await house.pool.execute(
        "insert into activity (subject, at) values ($1, now() - $2::interval)", subject, timedelta(days=days)
    )


@unguarded
async def test_starts_and_stops_are_those_of_the_log_whoever_is_asked(house, colleague):
    await house.person("ada")
    empty = await figures(house)
    assert empty["server_spawn_duration_seconds_count", "", "success"] == 0
    assert empty["server_stop_seconds_count", "failure"] == 0
    long_ago = datetime.now(UTC) - timedelta(seconds=100)
    await house.server("ada", "up", started(at=long_ago), *UP, StopServer(deadline=LATER), EXIT)
    await house.server("ada", "never", started(), CancelSpawn(deadline=LATER))
    ill = Failure(reason="error", message="no room for ada")
    failed = ReportFailed(attempt=1, worker="w", failure=ill, deadline=LATER)
    await house.server("ada", "ill", started(), CLAIM, failed, EXIT)
    found = await figures(house)
    assert found["server_spawn_duration_seconds_count", "", "success"] == 1
    assert 100 <= found["server_spawn_duration_seconds_sum", "", "success"] < 120
    assert found["server_spawn_duration_seconds_bucket", "60.0", "", "success"] == 0
    assert found["server_spawn_duration_seconds_bucket", "120.0", "", "success"] == 1
    assert found["server_spawn_duration_seconds_bucket", "+Inf", "", "success"] == 1
    assert found["server_spawn_duration_seconds_count", "cancelled", "failure"] == 1
    assert found["server_spawn_duration_seconds_count", "", "error"] == 1
    assert found["server_stop_seconds_count", "success"] == 1
    kinds = [
        f"server_{kind}_{what}" for kind in ("spawn_duration_seconds", "stop_seconds") for what in ("sum", "bucket")
    ]
    assert shown(await figures(colleague), *kinds) == shown(found, *kinds)


@unguarded
async def test_what_was_counted_is_kept(house, colleague, monkeypatch):
    monkeypatch.setattr(durations, "WORTH_KEEPING", 1)
    monkeypatch.setattr(durations, "WINDOW", 3)
    await house.person("ada")
    await house.server("ada", "", started(), *UP)
    counted = await figures(house)
    kept = await house.pool.fetchrow("select position, about from bookmarks where reader = 'durations'")
    assert kept["position"] == await house.pool.fetchval("select position from log_head")
    assert "ada" not in kept["about"]
    # Whoever comes next goes on from there, and does not read again what was before.
    tally = msgspec.json.decode(kept["about"], type=Tally)
    tally.spawns["success "].counts[0] += 10
    about = msgspec.json.encode(tally).decode()
    await house.pool.execute("update bookmarks set about = $1 where reader = 'durations'", about)
    key = ("server_spawn_duration_seconds_count", "", "success")
    assert (counted[key], (await figures(colleague))[key], (await figures(house))[key]) == (1, 11, 1)


@unguarded
@pytest.mark.parametrize("kept", ["nonsense", "{}", '{"spawn_bounds":[1],"stop_bounds":[1],"position":1}'])
async def test_what_was_counted_otherwise_is_counted_again(house, kept):
    await house.person("ada")
    await house.server("ada", "", started(), *UP)
    await house.pool.execute("insert into bookmarks (reader, position, about) values ('durations', 1, $1)", kept)
    assert (await figures(house))["server_spawn_duration_seconds_count", "", "success"] == 1


async def test_many_who_ask_at_once_are_answered_by_few_questions(house, monkeypatch):
    ours, asked = house.client.server.app[METRICS], []
    text = ours._text

    async def counting(*arguments):
        asked.append(arguments)
        return await text(*arguments)

    monkeypatch.setattr(ours, "_text", counting)
    answers = await asyncio.gather(*(ours.text(house.client.app) for _ in range(50)))
    assert (len(asked), len(set(answers))) == (1, 1)


# How events become figures ------------------------------------------------------------

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def request(attempt: int = 1, retries: int = 0) -> SpawnRequested:
    about = {"user": "u", "pool": "default", "prefix": "/", "deadline": LATER}
    return SpawnRequested(at=NOON, attempt=attempt, retries=retries, **about)


def failed(reason: str, status: int = 500) -> SpawnFailed:
    return SpawnFailed(attempt=1, failure=Failure(reason=reason, message="", status=status), deadline=LATER)


UPPED = ServerResponded(attempt=1, version="", deadline=LATER)
LOST = AttemptLost(attempt=1, reason="its worker is lost")
STOPPED = ServerStopped(attempt=1, status=None)


def stop(seconds: float) -> StopRequested:
    return StopRequested(attempt=1, deadline=after(seconds), reason="asked")


@pytest.mark.parametrize(
    ("events", "key", "seconds"),
    [
        ([(0, request()), (3, UPPED)], "success ", 3),
        ([(0, request()), (-1, UPPED)], "success ", 0),
        ([(0, request(retries=1)), (2, LOST), (2, request(2)), (5, UPPED)], "success ", 5),
        ([(0, request(retries=1)), (2, LOST), (2, request(2)), (5, LOST)], "error lost", 5),
        ([(0, request()), (5, LOST)], "error lost", 5),
        ([(0, request()), (4, failed("error"))], "error ", 4),
        ([(0, request()), (4, failed("timeout")), (9, STOPPED)], "error timeout", 4),
        ([(0, request()), (4, failed("cancelled"))], "failure cancelled", 4),
        ([(0, request()), (4, failed("no-licence", 403))], "failure no-licence", 4),
        ([(0, request()), (4, failed("maintenance", 503))], "failure maintenance", 4),
        ([(0, request()), (4, failed("error", 400))], "failure ", 4),
        ([(0, request()), (4, failed("For Ada Lovelace", 403))], "failure other", 4),
    ],
)
def test_a_start_is_counted_once_by_how_it_ended(events, key, seconds):
    tally = Tally((1.0, 10.0), (1.0,))
    for at, event in events:
        tally.add("s", event, after(at))
    counted = {
        name: (sum(series.counts), series.seconds) for name, series in tally.spawns.items() if any(series.counts)
    }
    assert counted == {key: (1, seconds)}
    assert not tally.starting and not any(any(series.counts) for series in tally.stops.values())


@pytest.mark.parametrize(("end", "status"), [(3, "success"), (10, "success"), (10.1, "failure")])
def test_a_stop_that_took_longer_than_it_had_has_failed(end, status):
    tally = Tally((1.0,), (1.0, 10.0))
    tally.add("s", stop(10), NOON)
    tally.add("s", STOPPED, after(end))
    tally.add("s", STOPPED, after(end + 1))
    assert {name: series.seconds for name, series in tally.stops.items() if any(series.counts)} == {status: end}
    assert not tally.stopping


def test_of_what_began_before_nothing_is_counted():
    tally = Tally((1.0,), (1.0,))
    for event in (UPPED, LOST, failed("error"), STOPPED):
        tally.add("s", event, NOON)
    assert not any(any(series.counts) for series in (*tally.spawns.values(), *tally.stops.values()))


def test_no_plugin_can_make_any_number_of_figures():
    tally = Tally((1.0,), (1.0,))
    for number in range(500):
        tally.add("s", request(), NOON)
        tally.add("s", failed(f"reason-{number}"), after(1))
    assert len(tally.spawns) <= durations.MOST_REASONS + 2
    assert sum(sum(series.counts) for series in tally.spawns.values()) == 500


# What a process sees of itself --------------------------------------------------------


@unguarded
async def test_requests_are_counted_by_jupyterhubs_names_of_their_handlers(house):
    await house.person("ada")
    await house.ask("/hub/api/users/ada", "ada")
    await house.ask("/hub/api/users/somebody-else")
    await house.ask("/hub/api/users/ada", method="PURGE")
    await house.ask("/hub/api/users/ada", method="PROPFIND")
    await house.ask("/hub/nowhere/at/all", method="PUT")
    await house.ask("/hub/logo")
    found = shown(await figures(house), "request_duration_seconds_count")
    user = "jupyterhub.apihandlers.users.UserAPIHandler"
    assert found == {
        ("request_duration_seconds_count", code, handler, method): number
        for code, handler, method, number in (
            ("200", user, "GET", 1),
            ("403", user, "GET", 1),
            ("405", "jupyterhub.apihandlers.base.API404", "OTHER", 2),
            ("404", "jupyterhub.handlers.base.Template404", "PUT", 1),
            ("200", "jupyterhub.handlers.static.LogoHandler", "GET", 1),
        )
    }


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("/b/hub/", "jupyterhub.handlers.pages.RootHandler"),
        ("/b/hub/api/users/{user}/server/progress", "jupyterhub.apihandlers.users.SpawnProgressAPIHandler"),
        ("/b/hub/api/users/{user}/servers/{name}/log", "hubbub/api/users/{user}/servers/{name}/log"),
        ("/b/hub/api/{rest}", "jupyterhub.apihandlers.base.API404"),
        ("/b/{kind}/{name}", "jupyterhub.handlers.base.AddSlashHandler"),
        ("/{path}", "jupyterhub.handlers.base.PrefixRedirectHandler"),
        ("unknown", "jupyterhub.handlers.base.Template404"),
    ],
)
def test_addresses_have_the_names_of_jupyterhubs_handlers(shape, name):
    assert name_of(shape, "/b/hub/") == name


@unguarded
async def test_nobody_is_named(house):
    await house.person("lovelace")
    await house.server("lovelace", "engine", started(prefix="/user/lovelace/engine/"), *UP)
    for path in ("/user/lovelace/engine/", "/hub/user/lovelace/", "/hub/api/users/lovelace", "/hub/spawn/lovelace"):
        await house.ask(path, "lovelace")
    text = await (await house.ask("/hub/metrics")).text()
    assert "lovelace" not in text and "engine" not in text
    assert "UserUrlHandler" in text


@unguarded
async def test_a_page_that_breaks_the_rules_is_counted(house):
    await house.person("ada")
    for who in ("ada", ""):
        assert (await house.ask("/hub/security/csp-report", who, "POST", json={})).status == 204
    assert (await figures(house))["csp_reports_total",] == 1


@unguarded
async def test_the_process_is_in_it(house):
    found = await figures(house)
    assert found["process_resident_memory_bytes", "api", "api"] > 0
    assert found["process_cpu_seconds_total", "api", "api"] > 0
    assert found["process_start_time_seconds", "api", "api"] == pytest.approx(psutil.Process().create_time(), abs=2)
    assert ("hub_startup_duration_seconds_count",) in found
    assert any(key[0] == "python_info" for key in found)


async def test_a_loop_without_turns_is_seen(monkeypatch):
    traits = Config({"PeriodicMetricsCollector": {"event_loop_interval_resolution": 0.001}})
    ours = Metrics(Shape(), Options(traits))
    watching = asyncio.create_task(ours.watch_loop())

    def seen() -> Sequence[int]:
        return ours.counts._of(LOOPS, ())[0]

    def longer() -> int:
        return sum(seen()[6:])  # above 75 ms

    try:
        await eventually(lambda: seen()[0])
        before = longer()
        time.sleep(0.2)  # noqa: ASYNC251 - holds the loop up, on purpose
        await eventually(lambda: longer() > before)
    finally:
        watching.cancel()


def test_a_pause_of_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"c\.PeriodicMetricsCollector\.event_loop_interval_resolution"):
        Options(Config({"PeriodicMetricsCollector": {"event_loop_interval_resolution": 0}}))


# What the operator chooses ------------------------------------------------------------


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_METRICS_PREFIX", "lab")
    monkeypatch.setenv("JUPYTERHUB_SERVER_SPAWN_DURATION_SECONDS_BUCKETS", "1, 7,inf")
    monkeypatch.setenv("JUPYTERHUB_SERVER_STOP_DURATION_SECONDS_BUCKETS", "2")


@unguarded
async def test_prefix_and_bounds_are_the_operators(environment, house):
    found = await figures(house, "lab_")
    assert found["total_users",] == 0
    assert {key[1] for key in shown(found, "server_spawn_duration_seconds_bucket")} == {"1.0", "7.0", "+Inf"}
    assert {key[1] for key in shown(found, "server_stop_seconds_bucket")} == {"2.0", "+Inf"}


async def test_people_need_not_be_counted_by_their_activity(house):
    traits = Config({"PeriodicMetricsCollector": {"active_users_enabled": False}})
    text = (await Metrics(Shape(), Options(traits)).text(house.client.app)).decode()
    assert "jupyterhub_total_users" in text and "active_users" not in text


@pytest.mark.parametrize("bounds", ["a", "1,,2", "2,1", "1,1", "nan,1"])
def test_bounds_that_cannot_be_meant_end_the_start(bounds, capsys):
    name = "JUPYTERHUB_SERVER_STOP_DURATION_SECONDS_BUCKETS"
    with pytest.raises(SystemExit) as ended:
        Shape.from_environ({name: bounds})
    assert ended.value.code == 78 and name in capsys.readouterr().err
