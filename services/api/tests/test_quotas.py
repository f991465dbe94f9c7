"""Quotas of a real api: starts that are refused, also at the same time; what runs and is ended; what is told of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from hubbub.config import Options
from hubbub.domain.group import CreateGroup
from hubbub.domain.member import AddMember, member_id
from hubbub.domain.server_messages import ClaimAttempt, ReportResponded, ReportStarted, StartServer
from hubbub.eventlog import Context
from hubbub.testing.postgres import Database
from hubbub.views import GROUPS, MEMBERS
from hubbub.web.request import GATE
from hubbub_api import keys
from hubbub_api.quota_ends import QuotaEnds

LATER = datetime.now(UTC) + timedelta(hours=1)
BY_TEST = Context.of("test")
QUICK = {"slow_spawn_timeout": 0.01}


def having(**quotas: Any) -> Any:
    return pytest.mark.parametrize("ours", [{**QUICK, "quotas": quotas}], indirect=True)


async def ask_to_start(house: Any, owner: str, name: str = "") -> Any:
    token = await house.token(owner)
    place = f"/hub/api/users/{owner}/servers/{name}" if name else f"/hub/api/users/{owner}/server"
    return await house.ask(place, method="POST", token=token)


async def run(house: Any, owner: str, name: str = "") -> str:
    about: dict[str, Any] = {"attempt": 1, "worker": "w", "deadline": LATER}
    start = StartServer(at=LATER, pool="default", prefix=f"/user/{owner}/", deadline=LATER)
    claim = ClaimAttempt(**about, host="h", token="t")
    reports = [start, claim, ReportStarted(**about, url="http://127.0.0.1:1"), ReportResponded(**about)]
    server: str = await house.server(owner, name, *reports)
    return server


async def group(house: Any, name: str, *people: str) -> None:
    await house.committer.execute(GROUPS, name, CreateGroup(name=name), BY_TEST.follow())
    for person in people:
        id = (await house.views.user(person)).id
        add = AddMember(group=name, user=id)
        await house.committer.execute(MEMBERS, member_id(name, id), add, BY_TEST.follow())


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


async def as_if_since(owner: Any, hours: float) -> None:
    """All that runs has done so for so long, and who is in a group for longer."""
    await owner.execute(
        "update history.servers set began = now() - interval '1 hour' * $1 "
        "where url is not null and ended = 'infinity'",
        hours,
    )
    await owner.execute("update history.members set began = '-infinity'")


def ends(house: Any) -> QuotaEnds:
    app = house.client.app
    options: Options = app[GATE].options
    return QuotaEnds(house.pool, house.committer, app[keys.BUS], options)


async def kinds(house: Any) -> list[str]:
    return [row["kind"] for row in await house.pool.fetch("select kind from servers order by number")]


async def left(house: Any, who: str) -> Any:
    answer = await house.ask(f"/hub/api/users/{who}/quota", who, headers={"X-XSRFToken": house.xsrf(who)})
    assert answer.status == 200, await answer.text()
    return await answer.json()


# Starts -----------------------------------------------------------------------------------


@having(servers=2)
async def test_no_more_servers_at_once_than_allowed(house: Any) -> None:
    await house.person("ada", admin=True)
    await house.person("ben")
    for name in ("", "one"):
        assert (await ask_to_start(house, "ada", name)).status == 202
    refused = await ask_to_start(house, "ada", "two")
    assert (refused.status, (await refused.json())["message"]) == (
        429,
        "ada may have 2 servers at once, and has 2: one has to be stopped first.",
    )
    assert "Retry-After" not in refused.headers
    assert (await ask_to_start(house, "ada", "one")).status == 202  # on its way already
    assert (await ask_to_start(house, "ben")).status == 202
    assert await left(house, "ada") == [{"group": None, "servers": {"limit": 2, "used": 2, "left": 0}, "hours": None}]
    assert await house.pool.fetchval("select count(*) from servers") == 3


@having(servers=3)
async def test_many_starts_at_the_same_time_do_not_pass_it(house: Any, colleague: Any) -> None:
    """By two apis, as fast as they can."""
    await house.person("ada", admin=True)
    token = await house.token("ada")
    asking = [
        api.ask(f"/hub/api/users/ada/servers/s{n}", method="POST", token=token)
        for n in range(8)
        for api in (house, colleague)
    ]
    answers = [answer.status for answer in await asyncio.gather(*asking)]
    assert set(answers) == {202, 429}
    assert await house.pool.fetchval("select count(*) from servers where kind <> 'Stopped'") == 3


@having(together={"lab": {"servers": 2}})
async def test_what_a_group_may_have_together(house: Any) -> None:
    for name in ("ada", "ben", "cyn", "dan"):
        await house.person(name)
    await group(house, "lab", "ada", "ben", "cyn")
    assert (await ask_to_start(house, "dan")).status == 202
    assert {(await ask_to_start(house, name)).status for name in ("ada", "ben")} == {202}
    refused = await ask_to_start(house, "cyn")
    assert (refused.status, (await refused.json())["message"]) == (
        429,
        "All in lab together may have 2 servers at once, and have 2.",
    )
    assert [each["group"] for each in await left(house, "cyn")] == ["lab"] and await left(house, "dan") == []


@having(hours=0.01, rules=[{"groups": ["staff"], "hours": 0}])
async def test_no_start_without_hours(house: Any, owner: Any) -> None:
    for name in ("ada", "ben"):
        await house.person(name)
    await group(house, "staff", "ben")
    for name in ("ada", "ben"):
        await run(house, name, "one")
    await owner.execute("update history.servers set began = date_trunc('month', now(), 'UTC') where url is not null")
    refused = await ask_to_start(house, "ada")
    said = (await refused.json())["message"]
    assert refused.status == 429
    assert said.startswith("ada may use 0.01 h a month, and ") and " UTC." in said, said
    await owner.execute("set timezone = 'UTC'")
    seconds = await owner.fetchval(
        "select extract(epoch from date_trunc('month', now()) + interval '1 month' - now())::float8"
    )
    assert abs(int(refused.headers["Retry-After"]) - seconds) < 10
    assert (await ask_to_start(house, "ben")).status == 202
    [hours] = [each["hours"] for each in await left(house, "ada")]
    assert hours["left"] == 0 and hours["used"] > 0.01 and hours["per"] == "month"


@having(hours=10, per=7200)
async def test_hours_of_a_time_that_moves_come_back(house: Any, owner: Any) -> None:
    """Ten servers may run all the time within two hours; eleven have run for one hour, up to half an hour ago."""
    await house.person("ada", admin=True)
    for n in range(11):
        await run(house, "ada", f"s{n}")
    await owner.execute(
        "update history.servers set began = now() - '90 min'::interval, ended = now() - '30 min'::interval "
        "where url is not null and ended = 'infinity'"
    )
    refused = await ask_to_start(house, "ada", "more")
    assert refused.status == 429
    # The eleventh hour, and the minute that a start needs, are eleven servers' first 61/11 minutes: gone in 30 + 61/11.
    assert abs(int(refused.headers["Retry-After"]) - 60 * (30 + 61 / 11)) < 5


# What runs --------------------------------------------------------------------------------


@having(hours=10, per=86400)
async def test_what_has_used_its_hours_is_stopped(house: Any, owner: Any) -> None:
    await house.person("ada", admin=True)
    await house.person("ben")
    server = await run(house, "ada")
    await run(house, "ben")
    keeper = ends(house)
    assert await keeper.turn() == 0
    await as_if_since(owner, 9.9)
    assert await keeper.turn() == 0  # and it is not looked at again at once
    await owner.execute("update history.servers set began = began - '7 min'::interval where user_id = $1",
                        (await house.views.user("ada")).id)  # fmt: skip
    assert await ends(house).turn() == 1
    assert await kinds(house) == ["Stopping", "Running"]
    [reason] = await owner.fetch("select data::json ->> 'reason' as reason from events where type = 'StopRequested'")
    assert reason["reason"] == "quota: 10 h within a day"
    assert house.client.app[keys.BUS].said == ["hub.holder.w"]
    assert server


@having(hours=10, per=86400)
async def test_somebody_of_whom_more_runs_is_looked_at_at_once(house: Any, owner: Any) -> None:
    await house.person("ada", admin=True)
    keeper = ends(house)
    await run(house, "ada")
    assert await keeper.turn() == 0
    await as_if_since(owner, 11)
    assert await keeper.turn() == 0
    await run(house, "ada", "two")
    assert await keeper.turn() == 2


@having(together={"lab": {"hours": 10, "per": 86400}})
async def test_a_group_that_has_used_its_hours_is_stopped(house: Any, owner: Any) -> None:
    for name in ("ada", "ben", "cyn"):
        await house.person(name)
        await run(house, name)
    await group(house, "lab", "ada", "ben")
    await as_if_since(owner, 4.9)
    assert await ends(house).turn() == 0
    await as_if_since(owner, 5.1)
    assert await ends(house).turn() == 2
    assert await kinds(house) == ["Stopping", "Stopping", "Running"]


@having(hours=10, per=86400)
async def test_owners_are_told_before(house: Any, owner: Any) -> None:
    await house.person("ada", admin=True)
    [nothing] = [each["hours"] for each in await left(house, "ada")]
    assert (nothing["used"], nothing["left"], nothing["ends_at"]) == (0, 10, None)
    await run(house, "ada")
    await as_if_since(owner, 9.5)
    [hours] = [each["hours"] for each in await left(house, "ada")]
    assert abs(hours["left"] - 0.5) < 0.01
    ending = datetime.fromisoformat(hours["ends_at"])
    assert abs((ending - datetime.now(UTC)).total_seconds() - 1800) < 20
    page = await (await house.ask("/hub/home", "ada")).text()
    assert "By then 10 h within a day are used up, which is what ada may use." in page
    assert f'<time datetime="{ending.isoformat()[:16]}' in page
    assert "9.5 of 10 h within a day" in page


async def test_who_may_see_a_quota(house: Any) -> None:
    await house.person("ada", admin=True)
    await house.person("ben")
    assert await left(house, "ben") == []
    for who, status in (("ada", 200), ("ben", 200)):
        answer = await house.ask("/hub/api/users/ben/quota", who, headers={"X-XSRFToken": house.xsrf(who)})
        assert answer.status == status
    answer = await house.ask("/hub/api/users/ada/quota", "ben", headers={"X-XSRFToken": house.xsrf("ben")})
    assert answer.status == 404
