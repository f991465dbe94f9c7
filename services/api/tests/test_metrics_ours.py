"""Figures that JupyterHub has none of: what they say of the log, of queues, workers, routes and processes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg
import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from traitlets.config import Config

from hubbub.config import Options
from hubbub.counting import POLLS, Part, Sum
from hubbub.domain.proxy import JoinProxy
from hubbub.domain.server_messages import (
    ClaimAttempt,
    CreateServer,
    LoseAttempt,
    ReportResponded,
    ReportStarted,
    StartServer,
)
from hubbub.rpc import Answer, Answers, Claimed, Holdings, Refusal
from hubbub.telling import EVERY
from hubbub.views import PROXIES, SERVERS
from hubbub.vitals import Vitals
from hubbub.watch_messages import Head
from hubbub_api import keys, metrics_events, metrics_ours
from hubbub_api.colleagues import Colleagues
from hubbub_api.hellos import Hellos
from hubbub_api.metrics import METRICS
from hubbub_api.metrics_text import Exemplar, Text
from hubbub_api.testing import BY_TEST, LATER
from hubbub_api.webhook_cursors import begin


@pytest.fixture
def options() -> Options:
    ours = {
        "pools": {"gpu": {"capacity": 4}},
        "route_timeout": 30,
        "webhooks": [{"name": "chat", "url": "https://chat.test/hook", "secret": "s" * 32}],
    }
    hub = {"allow_named_servers": True, "authenticate_prometheus": False}
    return Options(Config({"JupyterHub": hub, "Hubbub": ours}))


Found = dict[tuple[str, ...], float]


async def figures(house: Any, *names: str) -> Found:
    """Without their prefix, by the values of labels in the order of the labels' names; those called *names*."""
    answer = await house.ask("/hub/metrics")
    assert answer.status == 200
    found = {
        (sample.name.removeprefix("hubbub_"), *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
    }
    return {key: value for key, value in found.items() if not names or key[0] in names}


def asked(pool: str = "default", ago: float = 0, **more: Any) -> StartServer:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return StartServer(at=at, pool=pool, prefix="/x/", deadline=LATER, retries=0, **more)


def up(worker: str, until: datetime = LATER) -> tuple[Any, ...]:
    common: dict[str, Any] = {"attempt": 1, "worker": worker, "deadline": until}
    return (
        ClaimAttempt(**common, host="h1", token=""),
        ReportStarted(**common, url="http://127.0.0.1:1"),
        ReportResponded(**common, version="6"),
    )


async def hears(who: Colleagues, name: str, service: str = "spawner-worker", **more: Any) -> None:
    beat = {"service": service, "name": name, **more}
    await who.hear(SimpleNamespace(subject=f"hub.heartbeat.{service}.{name}", data=json.dumps(beat).encode()))  # type: ignore[arg-type]


@pytest.fixture
async def settled(house: Any) -> None:
    """An api that has listened for long enough."""
    for key in (keys.COLLEAGUES, keys.PROXY_SYNCS, keys.POLLERS):
        house.client.app[key]._began -= 10


# Servers and workers --------------------------------------------------------------------


async def test_servers_and_queues_of_each_pool(house):
    await house.person("ada")
    assert await figures(house, "queue_length", "queue_oldest_seconds") == {
        (name, pool): 0 for name in ("queue_length", "queue_oldest_seconds") for pool in ("default", "gpu")
    }
    await house.server("ada", "waits", asked("gpu", ago=90))
    await house.server("ada", "waits-too", asked("gpu", ago=5))
    await house.server("ada", "claimed", asked(), up("w")[0])
    await house.server("ada", "runs", asked(), *up("w"))
    await house.server("ada", "stopped")
    found = await figures(house)
    assert (found["queue_length", "gpu"], found["queue_length", "default"]) == (2, 0)
    assert 90 <= found["queue_oldest_seconds", "gpu"] < 120
    assert {key[1:]: value for key, value in found.items() if key[0] == "servers" and value} == {
        ("default", "spawning"): 1,
        ("default", "running"): 1,
        ("gpu", "spawning"): 2,
    }
    assert found["servers", "gpu", "stopping"] == 0


async def test_workers_with_what_they_hold_and_could(house, settled):
    await house.person("ada")
    await house.server("ada", "one", asked(), *up("w1"))
    await house.server("ada", "two", asked(), up("w1")[0])
    await house.server("ada", "three", asked("gpu"), *up("gone"))
    heard = house.client.app[keys.COLLEAGUES]
    await hears(heard, "w1", pool="default", capacity=10, starts=2)
    await hears(heard, "w2", pool="default")
    found = await figures(house)
    assert {key[1:]: value for key, value in found.items() if key[0] == "workers" and value} == {
        ("default", "up"): 2,
        ("gpu", "silent"): 1,
    }
    assert found["workers", "gpu", "up"] == 0
    assert (
        found["worker_servers", "default", "running", "w1"] == found["worker_servers", "default", "spawning", "w1"] == 1
    )
    assert found["worker_servers", "default", "running", "w2"] == 0
    assert found["worker_servers", "gpu", "running", "gone"] == 1
    assert (found["worker_capacity", "default", "w1"], found["worker_starts", "default", "w1"]) == (10, 2)
    assert ("worker_capacity", "default", "w2") not in found


async def test_who_has_just_begun_to_listen_says_nothing_of_who_is_there(house):
    await hears(house.client.app[keys.COLLEAGUES], "w1", pool="default")
    assert await figures(house, "workers", "worker_servers") == {}
    house.client.app[keys.COLLEAGUES]._began -= 10
    assert (await figures(house, "workers"))["workers", "default", "up"] == 1


async def test_leftovers(house):
    await house.person("ada")
    assert await figures(house, "orphans") == {("orphans",): 0}
    claim = ClaimAttempt(attempt=1, worker="w", host="h", token="", deadline=LATER, reach="pool")
    lost = LoseAttempt(attempt=1, worker="w", reason="it is lost", deadline=LATER)
    await house.server("ada", "", asked(), claim, lost)
    assert await figures(house, "orphans") == {("orphans",): 1}


# Routes ---------------------------------------------------------------------------------


async def test_routes_that_are_wanted_there_and_overdue(house):
    await house.person("ada")
    assert await figures(house, "routes", "proxies") == {("proxies",): 0}
    routed = await house.server("ada", "routed", asked(), *up("w"))
    await house.route(routed)
    await house.committer.execute(PROXIES, "q", JoinProxy(proxy="q"), BY_TEST.follow())
    # A route has 30 seconds in all: whoever has only 20 left should have had it after five.
    await house.server("ada", "late", asked(), *up("w", datetime.now(UTC) + timedelta(seconds=20)))
    await house.server("ada", "new", asked(), *up("w", datetime.now(UTC) + timedelta(seconds=29)))
    await house.committer.execute(SERVERS, "managed:x", CreateServer(user="", name="x"), BY_TEST.follow())
    for command in (asked(), *up("w")):
        await house.committer.execute(SERVERS, "managed:x", command, BY_TEST.follow())
    assert await figures(house, "routes", "proxies") == {
        ("proxies",): 2,
        ("routes", "p", "wanted"): 3,
        ("routes", "p", "there"): 1,
        ("routes", "p", "overdue"): 1,
        ("routes", "q", "wanted"): 3,
        ("routes", "q", "there"): 0,
        ("routes", "q", "overdue"): 1,
    }


# The log --------------------------------------------------------------------------------


async def test_events_are_counted_by_type_on_every_api(house, colleague, monkeypatch):
    monkeypatch.setattr(metrics_events, "WINDOW", 3)
    monkeypatch.setattr(metrics_events, "WORTH_KEEPING", 4)
    for name in ("ada", "bob"):
        await house.person(name)
    expected = dict(
        map(tuple, await house.pool.fetch("select type, count(*)::float from events group by type order by type"))
    )
    for each in (house, colleague, house):
        found = await figures(each, "events_total", "log_position")
        assert {key[1]: value for key, value in found.items() if key[0] == "events_total" and value} == expected
        assert found["events_total", "ServerCrashed"] == 0
        assert found["log_position",] == sum(expected.values())
    kept = await house.pool.fetchrow("select position, about from bookmarks where reader = 'events'")
    assert (kept["position"], json.loads(kept["about"])) == (sum(expected.values()), expected)
    # Whoever begins goes on from there.
    await house.pool.execute("update bookmarks set about = '{\"Other\": 7}' where reader = 'events'")
    await house.person("eve")
    counts = metrics_events.EventCounts()
    counted = {name: number for name, number in (await counts.news(house.pool))[1].items() if number}
    assert counted == {"Other": 7, "UserCreated": 1, "SessionOpened": 1}


async def test_how_far_the_bus_is_behind(house):
    await house.person("ada")
    head, epoch = await house.pool.fetchrow("select position, epoch from log_head")
    heads = house.client.app[METRICS].ours.heads
    names = "relay_lag_events", "relay_lag_seconds"
    assert (await figures(house, *names))["relay_lag_events",] == head  # nothing was ever sent

    async def hear(epoch: str, position: int) -> None:
        await heads.hear(SimpleNamespace(data=msgspec.json.encode(Head(epoch=epoch, position=position))))  # type: ignore[arg-type]

    await hear("another", head)
    assert (await figures(house, *names))["relay_lag_events",] == head
    await hear(epoch, head - 1)
    await house.pool.execute("select pg_sleep(0.1)")
    found = await figures(house, *names)
    assert found["relay_lag_events",] == 1 and 0.1 <= found["relay_lag_seconds",] < 60
    await hear(epoch, head)
    assert await figures(house, *names) == {("relay_lag_events",): 0, ("relay_lag_seconds",): 0}


async def test_who_has_not_heard_how_far_it_was_sent_takes_what_was_written_down(house):
    await house.person("ada")
    await house.pool.execute("insert into bookmarks (reader, position, about) values ('relay', 1, 'e')")
    head = await house.pool.fetchval("select position from log_head")
    assert (await figures(house, "relay_lag_events"))["relay_lag_events",] == head - 1


async def test_webhooks_that_are_behind(house):
    await begin(house.pool, "chat")
    cursor = '{"epoch":"e","attempts":3}'
    await house.pool.execute("update bookmarks set position = 4, about = $1 where reader = 'webhook:chat'", cursor)
    house.client.app[keys.FOLLOWER].position = 10
    assert await figures(house, "webhook_behind_events", "webhook_failures") == {
        ("webhook_behind_events", "chat"): 6,
        ("webhook_failures", "chat"): 3,
    }


# Processes ------------------------------------------------------------------------------


async def test_all_processes_that_are_alive(house, colleague, settled):
    app = house.client.app
    await colleague.client.app[METRICS].teller(colleague.pool, "api-2").tell()
    vitals = msgspec.to_builtins(Vitals(memory=7, cpu=1.5))
    await hears(app[keys.COLLEAGUES], "w1", pool="default", version="0.2.0", vitals=vitals)
    await hears(app[keys.PROXY_SYNCS], "p", "proxy-sync")
    await hears(app[keys.POLLERS], "poller-1", "poller", version="0.2.0", vitals=vitals)
    found = await figures(house)
    ours = {key[1]: value for key, value in found.items() if key[0] == "processes"}
    assert ours == {"api": 2, "spawner-worker": 1, "proxy-sync": 1, "poller": 1}
    assert ("processes", "proxy-sync", "unknown") in found
    memory = {key[1:]: value for key, value in found.items() if key[0] == "process_resident_memory_bytes"}
    assert memory.keys() == {("api", "api"), ("api-2", "api"), ("w1", "spawner-worker"), ("poller-1", "poller")}
    assert (memory["w1", "spawner-worker"], found["process_cpu_seconds_total", "poller-1", "poller"]) == (7, 1.5)
    # Who has ended is not there any more.
    await house.pool.execute("update tellers set at = now() - make_interval(secs => $1)", 4 * EVERY)
    assert {key[1:] for key in await figures(house, "process_resident_memory_bytes") if key[2] == "api"} == {
        ("api", "api")
    }


async def test_of_a_name_the_newest_process_counts(house):
    for began in (1.0, 2.0):
        about = msgspec.json.encode({"version": "0.2.0", "vitals": {"began": began}}).decode()
        await house.pool.execute(
            "insert into tellers values ($1, 'api', 'api-7', 1, $2, clock_timestamp())", str(began), about
        )
    found = await figures(house, "process_start_time_seconds")
    assert found["process_start_time_seconds", "api-7", "api"] == 2.0


async def test_connections_of_each_process(house):
    await house.client.app[METRICS].teller(house.pool, "api-1", SimpleNamespace(connected=False)).tell()  # type: ignore[arg-type]
    house.client.app[METRICS]._bus = None
    found = await figures(house)
    assert found["bus_connected", "api-1", "api"] == 0
    assert found["postgres_connections", "api-1", "api", "idle"] >= 1
    assert found["database_bytes",] > 1e6 and found["database_most_connections",] >= found["database_connections",] > 0
    assert found["postgres_up",] == 1


async def test_the_size_of_the_database_is_not_asked_for_each_time(house, monkeypatch):
    before = (await figures(house, "database_bytes"))["database_bytes",]
    monkeypatch.setattr(metrics_ours, "SIZE_KEPT", 0.0)
    await house.pool.execute(
        "insert into vault (key, value) select i::text, repeat('x', 900)::bytea from generate_series(1, 9000) i"
    )
    monkeypatch.setattr(metrics_ours, "SIZE_KEPT", 60.0)
    assert (await figures(house, "database_bytes"))["database_bytes",] == before
    monkeypatch.setattr(metrics_ours, "SIZE_KEPT", 0.0)
    assert (await figures(house, "database_bytes"))["database_bytes",] > before + 5e6


async def test_without_a_database_there_is_what_the_process_knows(house, monkeypatch):
    async def away(*_: Any) -> None:
        raise asyncpg.CannotConnectNowError("starting up")

    monkeypatch.setattr(house.client.app[METRICS]._house, "write", away)
    found = await figures(house)
    assert found["postgres_up",] == 0 and found["process_resident_memory_bytes", "api", "api"] > 0
    assert ("events_total", "UserCreated") not in found


# Requests on the bus --------------------------------------------------------------------


async def test_claims_and_reports_are_counted_by_what_came_of_them(house):
    metrics = house.client.app[METRICS]
    refused = Answer(refused=Refusal(kind="StaleAttempt", message="no"))
    says: dict[str, Any] = {
        "report": Answers(answers=(Answer(), refused, refused)),
        "claim": Claimed(specs=(None, None), leftovers=(None,)),  # type: ignore[arg-type]
        "lease": None,
    }

    def answering(verb: str) -> Any:
        async def answer(*_: Any) -> Any:
            return says[verb]

        return metrics.counted(verb, answer)

    for verb, answer in says.items():
        assert await answering(verb)("hub.rpc.x.y.z", b"") is answer
    with pytest.raises(KeyError):
        await answering("dance")("hub.rpc.x.y.z", b"")
    found = await figures(house)
    assert (found["reports_total", "accepted"], found["reports_total", "StaleAttempt"]) == (1, 2)
    assert [found["claimed_total", what] for what in ("start", "takeover", "leftover")] == [2, 0, 1]
    for verb in (*says, "dance"):
        assert found["bus_request_duration_seconds_count", verb] == 1


async def test_what_workers_count_is_added_once(house, options):
    hellos = Hellos(house.pool, house.committer, options)
    polls = Sum(name=POLLS.name, labels=("running",), counts=(3, *[0] * (POLLS.length - 1)), seconds=0.5)
    lies = Sum(name="csp_reports_total", labels=(), counts=(1000,))
    asks = Holdings(counted=Part(run="r", number=1, sums=(polls, lies)))
    for _ in range(2):
        await hellos.holdings("hub.rpc.holdings.default.w1", msgspec.json.encode(asks))
    found = await figures(house)
    assert found["jupyterhub_server_poll_duration_seconds_count", "running"] == 3
    assert found["jupyterhub_server_poll_duration_seconds_sum", "running"] == 0.5
    assert found["jupyterhub_server_poll_duration_seconds_count", "stopped"] == 0
    assert found["jupyterhub_csp_reports_total",] == 0


# Several apis ---------------------------------------------------------------------------


async def test_whichever_api_is_asked_requests_are_those_of_all(house, colleague):
    async def requests(one: Any) -> float:
        found = await figures(one)
        handler = "jupyterhub.apihandlers.users.UserAPIHandler"
        return found.get(("jupyterhub_request_duration_seconds_count", "403", handler, "GET"), 0)

    for one in (house, colleague, colleague):
        await one.ask("/hub/api/users/ada")
    for one in (house, colleague):  # what its process was told of, and nobody has heard yet
        await one.client.app[METRICS].teller(one.pool, "api").tell()
    assert [await requests(house), await requests(colleague)] == [3, 3]
    await house.ask("/hub/api/users/ada")
    assert [await requests(house), await requests(colleague)] == [4, 4]
    # A process begins anew, and has counted nothing.
    again = type(house.client.app[METRICS])(house.client.app[METRICS]._shape, house.client.app[METRICS]._options)
    text = (await again.text(house.client.app)).decode()
    assert 'code="403"} 4.0' in text


async def test_all_who_ask_at_once_get_sums_that_never_fall(house, colleague):
    last: dict[tuple[str, ...], float] = {}
    for turn in range(6):
        one = (house, colleague)[turn % 2]
        await asyncio.gather(*(each.ask("/hub/api/users/ada") for each in (house, colleague)))
        found = await figures(one)
        counters = {key: value for key, value in found.items() if key[0].endswith(("_count", "_bucket", "_total"))}
        ours = {key: value for key, value in counters.items() if "gc" not in key[0] and "cpu" not in key[0]}
        assert all(ours[key] >= value for key, value in last.items())
        last = ours


# As text --------------------------------------------------------------------------------


def test_it_is_read_as_it_was_meant():
    text = Text("lab")
    odd = 'a "b" \\ c\nd'
    text.gauge("total_users", "Users", 3)
    text.counters("hubbub_x_total", "X", ("one", "two"), [((odd, "é"), 2), (("", "z"), 0.5)])
    text.histogram("t_seconds", "T", ("how",), (0.5, 10), [(("well",), (1, 2, 3), 7.25)])
    text.histogram("u_seconds", "U", (), (0.5,), [])
    families = {each.name: each for each in text_string_to_metric_families(text.bytes().decode())}
    assert [(s.labels, s.value) for s in families["lab_total_users"].samples] == [({}, 3)]
    assert [(s.name, s.labels, s.value) for s in families["hubbub_x"].samples] == [
        ("hubbub_x_total", {"one": odd, "two": "é"}, 2),
        ("hubbub_x_total", {"one": "", "two": "z"}, 0.5),
    ]
    assert [(s.name, s.labels.get("le"), s.value) for s in families["lab_t_seconds"].samples] == [
        ("lab_t_seconds_bucket", "0.5", 1),
        ("lab_t_seconds_bucket", "10.0", 3),
        ("lab_t_seconds_bucket", "+Inf", 6),
        ("lab_t_seconds_count", None, 6),
        ("lab_t_seconds_sum", None, 7.25),
    ]
    assert families["lab_t_seconds"].type == "histogram" and families["lab_u_seconds"].samples == []


def test_openmetrics_has_exemplars_in_it():
    text = Text(openmetrics=True)
    exemplars = {(("well",), 1): Exemplar("0123abcd" * 4, 0.7, 1.5), (("ill",), 0): Exemplar("f" * 32, 0.1, 2.5)}
    text.histogram("t_seconds", "T", ("how",), (0.5, 10), [(("well",), (1, 2, 3), 7.25)], exemplars)
    text.counters("hubbub_x_total", "X", (), [((), 3)])
    families = {each.name: each for each in openmetrics(text.bytes().decode())}
    buckets = [each for each in families["jupyterhub_t_seconds"].samples if each.exemplar]
    assert [(each.labels["le"], each.exemplar.labels, each.exemplar.value) for each in buckets] == [
        ("10.0", {"trace_id": "0123abcd" * 4}, 0.7)
    ]
    assert [each.value for each in families["hubbub_x"].samples] == [3]


async def test_who_asks_for_openmetrics_gets_traces_that_are_kept(house, monkeypatch):
    await house.ask("/hub/api/users/ada")
    assert await exemplars(house) == {}  # nobody keeps any
    trace, parent = "a" * 32, f"00-{'b' * 32}-{'c' * 16}-01"
    monkeypatch.setattr("hubbub_api.metrics.sampled_id", lambda: trace)
    monkeypatch.setattr("hubbub_api.durations.sampled_id", lambda of: of[3:35])
    await house.person("ada")
    context = msgspec.structs.replace(BY_TEST, traceparent=parent)
    user = (await house.views.user("ada")).id
    for command in (CreateServer(user=user, name=""), asked(), *up("w")):
        await house.committer.execute(SERVERS, "s", command, context)
    await house.ask("/hub/api/users/ada")
    found = await exemplars(house)
    assert found["jupyterhub_server_spawn_duration_seconds_bucket"] == {"b" * 32}
    assert found["jupyterhub_request_duration_seconds_bucket"] == {trace}


async def exemplars(house: Any) -> dict[str, set[str]]:
    answer = await house.ask("/hub/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"})
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    found: dict[str, set[str]] = {}
    for family in openmetrics(await answer.text()):
        for sample in family.samples:
            if sample.exemplar:
                found.setdefault(sample.name, set()).add(sample.exemplar.labels["trace_id"])
    return found
