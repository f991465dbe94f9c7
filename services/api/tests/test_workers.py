"""Workers and pools over HTTP: who is there, what they hold, and draining one."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.server_messages import ClaimAttempt, ReportResponded, ReportStarted, StartServer
from hubbub.watch_messages import Sweep
from hubbub_api import house as notices
from hubbub_api import keys
from hubbub_api.sweeps import Sweeps
from hubbub_api.testing import LATER, Worker

URL = "http://127.0.0.1:1"


@pytest.fixture
def options() -> Options:
    ours = {"slow_spawn_timeout": 0, "pools": {"gpu": {"capacity": 4}}}
    return Options(Config({"JupyterHub": {"allow_named_servers": True}, "Hubbub": ours}))


@pytest.fixture(autouse=True)
async def people(house: Any) -> None:
    await house.person("ada")
    await house.person("root", admin=True)


async def ask(house: Any, path: str, method: str = "GET", who: str = "root", **more: Any) -> tuple[int, Any]:
    answer = await house.ask(f"/hub/api{path}", token=await house.token(who), method=method, **more)
    return answer.status, await answer.json() if answer.content_type == "application/json" else None


async def beats(house: Any, worker: str, pool: str = "default", **more: Any) -> None:
    beat = {"service": "spawner-worker", "name": worker, "pool": pool, "host": "h1", "machine": "node7", **more}
    message: Any = SimpleNamespace(subject=f"hub.heartbeat.spawner-worker.{worker}", data=json.dumps(beat).encode())
    await house.client.app[keys.COLLEAGUES].hear(message)


async def held(house: Any, name: str, worker: str, until: str = "Running", pool: str = "default") -> str:
    common: dict[str, Any] = {"attempt": 1, "worker": worker, "deadline": LATER}
    story = [
        StartServer(at=datetime.now(UTC), pool=pool, prefix=f"/user/ada/{name}/", deadline=LATER),
        ClaimAttempt(**common, host="h1", token=""),
        ReportStarted(**common, url=URL),
        ReportResponded(**common, version="6.1.1"),
    ]
    length = {"Waiting": 1, "Spawning": 2, "Started": 3, "Running": 4}[until]
    id: str = await house.server("ada", name, *story[:length])
    return id


async def drain(house: Any, worker: str, **said: Any) -> tuple[int, Any]:
    return await ask(house, f"/workers/{worker}/drain", "POST", json=said)


@pytest.fixture
def sweeps(house: Any, options: Options) -> Sweeps:
    class NoServices:
        async def keep(self) -> int:
            return 0

    app, services = house.client.app, NoServices()
    return Sweeps(house.pool, house.committer, app[keys.BUS], options, app[keys.ACTIVITIES], services)  # type: ignore[arg-type]


async def sweep(sweeps: Sweeps) -> None:
    await sweeps.sweep("hub.rpc.sweep.poller.p", msgspec.json.encode(Sweep()))


async def kinds(house: Any) -> dict[str, str]:
    return {row["name"]: row["kind"] for row in await house.pool.fetch("select name, kind from servers order by name")}


async def last(house: Any, server: str) -> dict[str, Any]:
    row = await house.pool.fetchrow(
        "select type, data from events where stream = $1 order by version desc limit 1", f"server-{server}"
    )
    return {"type": row["type"], **json.loads(row["data"])}


# Who is there -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/workers"), ("GET", "/workers/w1"), ("GET", "/pools"), ("POST", "/workers/w1/drain"),
     ("DELETE", "/workers/w1/drain")],
)  # fmt: skip
async def test_it_is_for_operators(house: Any, method: str, path: str) -> None:
    assert (await ask(house, path, method, who="ada"))[0] == 403


async def test_a_worker_is_what_it_says_of_itself_and_what_the_log_says_that_it_holds(house: Any) -> None:
    began = "2026-11-21T10:00:00Z"
    await beats(house, "w1", version="1.2", capacity=9, starts=3, began=began, holds=77)
    for name, until in (("a", "Running"), ("b", "Running"), ("c", "Spawning"), ("d", "Waiting")):
        await held(house, name, "w1", until)
    [found] = (await ask(house, "/workers"))[1]
    assert 0 <= found.pop("heard") < 5
    assert found == {
        "name": "w1",
        "pool": "default",
        "host": "h1",
        "machine": "node7",
        "version": "1.2",
        "status": "up",
        "alive": True,
        "began": began,
        "holds": {"spawning": 1, "started": 0, "running": 2, "stopping": 0},
        "capacity": 9,
        "starts": 3,
        "draining": None,
    }
    servers = (await ask(house, "/workers/w1"))[1]["servers"]
    assert [(each["user"], each["name"], each["state"]) for each in servers] == [
        ("ada", "a", "running"),
        ("ada", "b", "running"),
        ("ada", "c", "spawning"),
    ]
    assert all(each["since"] for each in servers)


async def test_one_that_was_never_heard_of_but_holds_something_is_there(house: Any) -> None:
    await held(house, "a", "w9")
    found = (await ask(house, "/workers/w9"))[1]
    assert (found["status"], found["alive"], found["heard"], found["pool"]) == ("silent", False, None, "default")
    assert (await ask(house, "/workers/w8"))[0] == 404


async def test_the_silent_are_told_from_the_others(house: Any) -> None:
    colleagues = house.client.app[keys.COLLEAGUES]
    now = [100.0]
    colleagues._clock = lambda: now[0]
    await beats(house, "w1")
    now[0] += 60
    await beats(house, "w2")
    found = (await ask(house, "/workers"))[1]
    assert [(each["name"], each["status"], each["heard"]) for each in found] == [
        ("w1", "silent", 60.0),
        ("w2", "up", 0.0),
    ]
    now[0] += 3600
    assert [each["name"] for each in (await ask(house, "/workers"))[1]] == []


async def test_no_query_per_worker(house: Any) -> None:
    for number in range(30):
        await beats(house, f"w{number}")
    await held(house, "a", "w3")
    asked = []
    app = house.client.app

    class Counted:
        async def fetch(self, query: str, *args: Any) -> Any:
            asked.append(query)
            return await house.pool.fetch(query, *args)

    from hubbub_api.workers import workers

    assert len(await workers(app, Counted())) == 30
    assert len(asked) == 2


# Pools --------------------------------------------------------------------------------------


async def test_pools_say_what_they_could_hold_hold_and_keep_waiting(house: Any) -> None:
    await beats(house, "g1", "gpu", capacity=4)
    await beats(house, "g2", "gpu", capacity=4)
    await beats(house, "w1")
    await held(house, "a", "g1", pool="gpu")
    await held(house, "b", "", "Waiting", pool="gpu")
    await held(house, "c", "", "Waiting", pool="gpu")
    await held(house, "d", "x1", pool="gone")
    await drain(house, "g2")
    gpu, default, gone = (await ask(house, "/pools"))[1]
    assert gpu.pop("oldest")
    assert gpu == {
        "name": "gpu",
        "workers": 1,
        "draining": 1,
        "silent": 0,
        "capacity": 4,
        "holds": {"spawning": 0, "started": 0, "running": 1, "stopping": 0},
        "waiting": 2,
    }
    assert (default["name"], default["workers"], default["capacity"], default["oldest"]) == ("default", 1, None, None)
    assert (gone["name"], gone["workers"], gone["silent"], gone["holds"]["running"]) == ("gone", 0, 1, 1)


# Draining -----------------------------------------------------------------------------------


async def test_a_drained_worker_gets_no_start_and_its_colleague_gets_all(house: Any) -> None:
    for name in ("w1", "w2"):
        await beats(house, name)
    assert (await drain(house, "w1", message="disks"))[0] == 200
    w1, w2 = Worker(house, "w1"), Worker(house, "w2")
    for server in ("a", "b"):
        await w2.asks("ada", server)
    assert await w1.claims(9) == []
    assert len(await w2.claims(9)) == 2
    assert (await ask(house, "/workers/w1/drain", "DELETE"))[0] == 204
    await w2.asks("ada", "c")
    assert len(await w1.claims(9)) == 1


async def test_its_state_goes_from_draining_to_drained_and_one_that_comes_back_stays_so(house: Any) -> None:
    await beats(house, "w1")
    worker = Worker(house, "w1")
    server, _ = await worker.runs("ada")
    status, found = await drain(house, "w1")
    assert (status, found["status"], found["draining"]["deadline"]) == (200, "draining", None)
    await worker.stops(server, resumes=False)
    assert (await ask(house, "/workers/w1"))[1]["status"] == "drained"
    await beats(house, "w1", began="2030-01-01T00:00:00Z")
    assert (await ask(house, "/workers/w1"))[1]["status"] == "drained"
    assert (await ask(house, "/house"))[1]["draining"][0]["worker"] == "w1"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"deadline": "2001-01-01T00:00:00Z"}, "it has passed"),
        ({"deadline": "2101-01-01T00:00:00Z", "seconds": 3}, "not both"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": 1e12}, "seconds"),
        ({"deadline": "noon"}, "deadline"),
        ({"message": "x" * 1001}, "1000 are allowed"),
        ({"when": 1}, "Invalid JSON keys: when"),
    ],
)
async def test_nonsense_is_refused(house: Any, said: dict[str, Any], why: str) -> None:
    await beats(house, "w1")
    status, body = await drain(house, "w1", **said)
    assert status == 400
    assert why in body["message"]
    assert (await ask(house, "/workers/w1"))[1]["draining"] is None


async def test_what_is_not_there_cannot_be_drained_nor_undrained(house: Any) -> None:
    assert (await drain(house, "w1"))[0] == 404
    await beats(house, "w1")
    assert (await ask(house, "/workers/w1/drain", "DELETE"))[0] == 404


# At the deadline ----------------------------------------------------------------------------


async def test_what_it_still_has_is_stopped_at_the_deadline(house: Any, sweeps: Sweeps) -> None:
    await beats(house, "w1")
    running = await held(house, "a", "w1")
    spawning = await held(house, "b", "w1", "Spawning")
    await held(house, "c", "w2")
    await drain(house, "w1", deadline="2101-01-01T00:00:00Z")
    await sweep(sweeps)
    assert await kinds(house) == {"a": "Running", "b": "Spawning", "c": "Running"}
    await drain(house, "w1", seconds=0)
    await sweep(sweeps)
    assert await kinds(house) == {"a": "Stopping", "b": "Stopping", "c": "Running"}
    assert (await last(house, running))["reason"] == "drain"
    failure = (await last(house, spawning))["failure"]
    assert (failure["reason"], "start it again" in failure["message"]) == ("drain", True)
    assert house.client.app[keys.BUS].said == ["hub.holder.w1"] * 2
    position = await house.pool.fetchval("select position from log_head")
    await sweep(sweeps)
    assert await house.pool.fetchval("select position from log_head") == position


async def test_without_a_deadline_nothing_is_ever_stopped(house: Any, sweeps: Sweeps) -> None:
    await held(house, "a", "w1")
    await drain(house, "w1")
    await sweep(sweeps)
    assert await kinds(house) == {"a": "Running"}


async def test_one_called_off_in_time_stops_nothing(house: Any, sweeps: Sweeps) -> None:
    await held(house, "a", "w1")
    await drain(house, "w1", seconds=0)
    assert (await ask(house, "/workers/w1/drain", "DELETE"))[0] == 204
    await sweep(sweeps)
    assert await kinds(house) == {"a": "Running"}


# People -------------------------------------------------------------------------------------


async def test_those_whose_servers_it_has_are_told(house: Any) -> None:
    app = house.client.app
    for name, worker in (("a", "w1"), ("b", "w2")):
        await held(house, name, worker)
    ada = await house.views.user("ada")

    async def told() -> list[Any]:
        servers = (await house.views.servers_of([ada.id]))[ada.id]
        return [(note.server, note.deadline, note.message) for note in notices.notices_for(app, servers)]

    assert await told() == []
    await drain(house, "w1")
    assert await told() == []
    await drain(house, "w1", message="Restart it when you can")
    assert await told() == [("a", None, "Restart it when you can")]
    noon = datetime.now(UTC) + timedelta(hours=2)
    await drain(house, "w1", deadline=noon.isoformat())
    assert await told() == [("a", noon, "")]
    await drain(house, "w2", message="This one, too")
    assert len(await told()) == 2
