"""GET /figures: who may ask, and that what it says is what the log says, however it is cut into steps."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from hubbub.domain.server_messages import (
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    Failure,
    LoseAttempt,
    ReportExit,
    ReportFailed,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.eventlog import Context
from hubbub.views import SERVERS
from hubbub_api import figures, steps
from hubbub_api.steps import Steps, share_of, together

LATER = datetime.now(UTC) + timedelta(hours=1)
BY_TEST = Context.of("test")
ILL = Failure(reason="timeout", message="too slow")


class Life:
    """A server that lives through one thing after the other."""

    def __init__(self, house: Any, owner: str, name: str) -> None:
        self._house = house
        self._owner = owner
        self._name = name
        self._id = ""
        self._attempt = 0

    async def begin(self) -> None:
        self._id = await self._house.server(self._owner, self._name)

    async def _do(self, *commands: Any) -> None:
        for command in commands:
            await self._house.committer.execute(SERVERS, self._id, command, BY_TEST.follow())

    async def start(self, retries: int = 0) -> None:
        now = datetime.now(UTC)
        await self._do(StartServer(at=now, pool="default", prefix="/user/x/", deadline=LATER, retries=retries))
        self._attempt += 1
        await self._claim()

    async def _claim(self) -> None:
        await self._do(ClaimAttempt(attempt=self._attempt, worker="w", host="h", token="t", deadline=LATER))

    async def respond(self) -> None:
        about: dict[str, Any] = {"attempt": self._attempt, "worker": "w", "deadline": LATER}
        await self._do(ReportStarted(url="http://127.0.0.1:1", **about), ReportResponded(**about))

    async def fail(self) -> None:
        await self._do(ReportFailed(attempt=self._attempt, worker="w", failure=ILL, deadline=LATER))
        await self.end()

    async def cancel(self) -> None:
        await self._do(CancelSpawn(deadline=LATER))
        await self.end()

    async def lose(self, *, again: bool) -> None:
        lost = LoseAttempt(attempt=self._attempt, worker="w", reason="it is lost", deadline=LATER, ended=True)
        await self._do(lost)
        if again:
            self._attempt += 1
            await self._claim()

    async def stop(self) -> None:
        await self._do(StopServer(deadline=LATER))
        await self.end()

    async def end(self) -> None:
        await self._do(ReportExit(attempt=self._attempt, worker="w", status="0", deadline=LATER))


async def live(life: Life, chance: random.Random) -> None:
    """Through one start and what becomes of it."""
    lost = chance.random() < 0.2
    await life.start(retries=1 if lost else 0)
    if lost:
        await life.lose(again=True)
    match chance.choice(["well", "well", "failed", "cancelled", "lost"]):
        case "well":
            await life.respond()
            if chance.random() < 0.7:
                await life.stop()
        case "failed":
            await life.fail()
        case "cancelled":
            await life.cancel()
        case _:
            await life.lose(again=False)


# Commits of the log, in their order, as if there had been so many seconds between them; the history goes along.
_SPREAD = """
    create temporary table moments as
        select at, now() - interval '1 second' * ($1 * (max(n) over () - n) + 1) as then
        from (select recorded_at as at, dense_rank() over (order by recorded_at) as n from events) e group by at, n;
    update events e set recorded_at = m.then, data = case when type <> 'SpawnRequested' then data else
        (select jsonb_set(data::jsonb, '{at}', to_jsonb(w.then))::text from moments w
         where w.at = (data::json ->> 'at')::timestamptz or w.at > (data::json ->> 'at')::timestamptz
         order by w.at limit 1) end
        from moments m where m.at = e.recorded_at;
    update history.servers h set began = m.then from moments m where m.at = h.began;
    update history.servers h set ended = m.then from moments m where m.at = h.ended;
    update log_head set at = (select max(recorded_at) from events)
"""


async def spread(database: Any, seconds: float) -> None:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        await connection.execute(_SPREAD.replace("$1", str(seconds)))
    finally:
        await connection.close()


async def told(house: Any) -> list[Any]:
    """What is to be counted, by the log read from its beginning."""
    of_people = "stream like 'server-%' and stream not like 'server-managed:%'"
    rows = await house.pool.fetch(f"select * from events where {of_people} order by position")
    found, wishes = [], {}
    for row in rows:
        stream, at, same = row["stream"], row["recorded_at"], None
        same = {other["type"] for other in rows if (other["stream"], other["recorded_at"]) == (stream, at)}
        again = {"AttemptLost", "SpawnRequested"} <= same
        match row["type"]:
            case "SpawnRequested" if not again:
                wishes[stream] = at
                found.append(("asked", at, 0.0))
            case "ServerResponded":
                found.append(("ready", at, (at - wishes[stream]).total_seconds()))
            case "SpawnFailed":
                found.append(("cancelled" if '"cancelled"' in row["data"] else "timeout", at, 0.0))
            case "AttemptLost" if not again:
                found.append(("lost", at, 0.0))
            case _:
                pass
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_steps_are_what_the_log_says_however_it_is_cut(house, database, monkeypatch, seed):
    monkeypatch.setattr(steps, "BITE", 7)  # so that starts reach from one bite into another
    chance = random.Random(seed)
    await house.person("ada")
    lives = [Life(house, "ada", f"s{number}") for number in range(12)]
    for life in lives:
        await life.begin()
        await live(life, chance)
    await house.committer.execute(SERVERS, "managed:x", CreateServer(user="", name="x"), BY_TEST.follow())
    managed = StartServer(at=datetime.now(UTC), pool="default", prefix="/", deadline=LATER, retries=0)
    await house.committer.execute(SERVERS, "managed:x", managed, BY_TEST.follow())
    await spread(database, 17)

    now = datetime.now(UTC)
    since = now - timedelta(hours=1)
    expected = [each for each in await told(house) if each[1] >= since]
    assert len(expected) > 20
    counted = Steps(fresh=0)
    for seconds in (10, 60, 3600):
        for _ in range(2):  # what is over is known by then
            found = await counted.between(house.pool, since, now, seconds)
            whole, names = together(found), Counter(what for what, _, _ in expected)
            assert whole.asked == names["asked"]
            assert whole.cancelled == names["cancelled"]
            assert whole.failed == {what: names[what] for what in ("timeout", "lost") if names[what]}
            taken = sorted(seconds for what, _, seconds in expected if what == "ready")
            assert list(whole.seconds) == pytest.approx(taken, abs=0.001)
        begin = since.timestamp() // seconds
        for what, at, _ in expected:
            step = found[int(at.timestamp() // seconds - begin)]
            assert {"asked": step.asked, "ready": len(step.seconds), "cancelled": step.cancelled, **step.failed}[what]
    running = await house.pool.fetchval("select count(*) from servers where kind = 'Running' and user_id <> ''")
    assert whole.servers == {"starting": 0, "running": running, "stopping": 0}


async def test_a_step_that_is_over_is_not_counted_again(house, database):
    await house.person("ada")
    life = Life(house, "ada", "")
    await life.begin()
    await life.start()
    await life.respond()
    await spread(database, 60)
    counted, now = Steps(fresh=0), datetime.now(UTC)
    before = together(await counted.between(house.pool, now - timedelta(hours=1), now, 60))
    asked = []

    class Watched:
        async def fetch(self, query: str, *args: Any) -> Any:
            asked.append((args[0], args[1]))
            return await house.pool.fetch(query, *args)

        fetchrow, fetchval = house.pool.fetchrow, house.pool.fetchval

    after = together(await counted.between(Watched(), now - timedelta(hours=1), now, 60))  # type: ignore[arg-type]
    assert (before.asked, list(before.seconds)) == (after.asked, list(after.seconds)) == (1, pytest.approx([180.0]))
    assert all(since > now - timedelta(minutes=3) for since, _ in asked)


async def test_servers_before_the_history_began_are_not_known(house, database):
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("update history.beginning set at = now() - interval '30 minutes'")
    await connection.close()
    now = datetime.now(UTC)
    found = await Steps().between(house.pool, now - timedelta(hours=1), now, 600)
    assert [step.servers is None for step in found][:2] == [True, True]
    assert found[-1].servers == {"starting": 0, "running": 0, "stopping": 0}


# By REST ------------------------------------------------------------------------------------------


async def test_it_takes_one_of_two_scopes(house):
    await house.person("root", admin=True)
    await house.person("ada")
    for scope, status in (("read:metrics", 200), ("admin-ui", 200), ("read:users", 403)):
        token = await house.token("root", scope)
        assert (await house.ask("/hub/api/figures", token=token)).status == status
    assert (await house.ask("/hub/api/figures", token=await house.token("ada"))).status == 403
    assert (await house.ask("/hub/api/figures")).status == 403


async def test_what_there_was_is_told_in_steps(house):
    await house.person("root", admin=True)
    life = Life(house, "root", "")
    await life.begin()
    await life.start()
    await life.respond()
    for number, why in enumerate(("wrong", "wrong", "")):
        await house.pool.execute("insert into bookmarks values ($1, 0, '')", f"{number}{why}")
    found = await (await house.ask("/hub/api/figures?step=600", token=await house.token("root"))).json()
    assert found["step"] == 600
    count = len(found["starts"]["asked"])
    assert count in (6, 7)
    assert sum(found["starts"]["asked"]) == sum(found["starts"]["ready"]) == 1
    assert found["servers"]["running"][-1] == 1
    assert [len(each) for each in found["servers"].values()] == [count] * 3
    assert sum(found["logins"]["ok"]) == 1
    assert found["failures"] == {}
    assert found["start_seconds"]["p50"][-1] == found["start_seconds"]["p95"][-1] < 10


async def test_failed_logins_are_told_as_far_back_as_they_are_remembered(house, database):
    await house.person("root", admin=True)
    connection = await asyncpg.connect(database.owner_dsn)
    for minutes in (1, 30, 31):
        await connection.execute(
            "insert into login_attempts (name, address, at, why) values ('x', '::1', now() - $1::interval, 'wrong')",
            timedelta(minutes=minutes),
        )
    await connection.close()
    token = await house.token("root")
    found = await (await house.ask("/hub/api/figures", token=token)).json()
    assert sum(found["logins"]["failed"]) == 3
    since = (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = await (await house.ask(f"/hub/api/figures?from={since}&step=86400", token=token)).json()
    assert found["logins"]["failed"][:9] == [None] * 9
    assert sum(filter(None, found["logins"]["failed"])) == 3


@pytest.mark.parametrize(
    "query",
    [
        "step=0",
        "step=1",
        "from=2026-01-01T00:00:00Z&step=60",
        "from=2099-01-01T00:00:00Z",
        "from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
        "from=2026-01-01T00:00:00",
        "from=yesterday",
        "from=1960-01-01T00:00:00Z&until=1960-01-02T00:00:00Z",
        "until=0001-01-01T00:00:00Z",
    ],
)
async def test_what_makes_no_sense_is_refused(house, query):
    await house.person("root", admin=True)
    answer = await house.ask(f"/hub/api/figures?{query}", token=await house.token("root"))
    assert (answer.status, (await answer.json())["message"][:13]) == (400, "Invalid query")


def test_shares_are_values_that_there_were():
    assert share_of([], 0.5) is None
    assert share_of([3.0], 0.95) == 3.0
    assert share_of([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert share_of(list(map(float, range(100))), 0.95) == 95.0


def test_rare_reasons_are_taken_together():
    made = [steps.Step(failed={f"r{number}": 20 - number for number in range(figures.REASONS + 2)})]
    told = figures._failures(made)
    assert list(told) == [f"r{number}" for number in range(figures.REASONS)] + ["other"]
    assert told["other"] == [12 + 11]
