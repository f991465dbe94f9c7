"""The starts of a server over HTTP: who may ask, what they are told, page after page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hubbub.domain.server_messages import (
    ClaimAttempt,
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

LATER = datetime.now(UTC) + timedelta(hours=1)
STARTS = "/hub/api/users/ada/server/starts"
LAB = "/hub/api/users/ada/servers/lab/starts"


def start(prefix: str = "/user/ada/", at: datetime | None = None) -> StartServer:
    return StartServer(at=at or datetime.now(UTC), pool="default", prefix=prefix, deadline=LATER, took=0.25)


def claim(attempt: int = 1) -> ClaimAttempt:
    return ClaimAttempt(attempt=attempt, worker="w", host="h", token=f"t{attempt}", deadline=LATER)


def started(attempt: int = 1) -> ReportStarted:
    spent = {"pre_spawn_hook": 0.5, "start": 0.1}
    return ReportStarted(attempt=attempt, worker="w", url="http://127.0.0.1:1", deadline=LATER, spent=spent)


def responded(attempt: int = 1) -> ReportResponded:
    return ReportResponded(attempt=attempt, worker="w", deadline=LATER)


def failing(attempt: int) -> tuple[Any, ...]:
    failure = Failure(reason="error", message=f"No room for {attempt}")
    failed = ReportFailed(attempt=attempt, worker="w", failure=failure, deadline=LATER, spent={"start": 0.0})
    return start(), claim(attempt), failed, ReportExit(attempt=attempt, worker="w", status="1", deadline=LATER)


async def told(house: Any, path: str, who: str = "ada") -> Any:
    answer = await house.ask(path, who, headers={"X-XSRFToken": house.xsrf(who)})
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def status(house: Any, path: str, who: str = "", token: str = "") -> int:
    headers = {"X-XSRFToken": house.xsrf(who)} if who else {}
    answer = await house.ask(path, who, token=token, headers=headers)
    return int(answer.status)


async def test_a_start_is_told_to_its_owner(house: Any) -> None:
    await house.person("ada")
    server = await house.server("ada", "", start(), claim(), started(), responded())
    under_way = await told(house, f"{STARTS}/newest")
    assert (under_way["outcome"], under_way["phases"][-1]["ended"]) == ("starting", "done")
    await house.route(server)
    found = await told(house, f"{STARTS}/1")
    assert found["outcome"] == "ready"
    assert {"user": "ada", "server": "", "attempt": 1, "worker": "w", "pool": "default", "message": ""}.items() <= (
        found.items()
    )
    assert found["phases"][0]["name"] == "request"
    assert found["phases"][-1] == {**found["phases"][-1], "name": "route", "proxy": "p", "title": "Route in p"}
    assert found["summary"].startswith("It could be reached after ")
    assert await told(house, f"{STARTS}/newest") == found
    listed = await told(house, STARTS)
    assert listed == {"items": [{name: found[name] for name in listed["items"][0]}], "before": None}


async def test_a_lost_start_names_the_one_that_repeats_it(house: Any) -> None:
    await house.person("ada")
    lost = LoseAttempt(attempt=1, worker="w", reason="w is silent", deadline=LATER, ended=True)
    await house.server("ada", "lab", start("/user/ada/lab/"), claim(), lost, claim(2))
    first, second = await told(house, f"{LAB}/1"), await told(house, f"{LAB}/2")
    assert (first["outcome"], first["message"], first["later"]) == ("lost", "w is silent", 2)
    assert (second["outcome"], second["earlier"], second["later"]) == ("starting", 1, None)
    assert second["phases"][0]["name"] == "earlier"
    assert [each["outcome"] for each in (await told(house, LAB))["items"]] == ["starting", "lost"]


async def test_pages_are_the_newest_first_without_a_gap(house: Any) -> None:
    await house.person("ada")
    await house.server("ada", "", *(command for attempt in range(1, 8) for command in failing(attempt)))
    seen: list[int] = []
    query = "?limit=3"
    while query:
        page = await told(house, f"{STARTS}{query}")
        assert all(each["message"] == f"No room for {each['attempt']}" for each in page["items"])
        assert all(each["outcome"] == "failed" for each in page["items"])
        seen += [each["attempt"] for each in page["items"]]
        query = f"?limit=3&before={page['before']}" if page["before"] else ""
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert (await told(house, f"{STARTS}/5"))["message"] == "No room for 5"


async def test_a_stop_long_after_is_no_part_of_the_start(house: Any) -> None:
    await house.person("ada")
    server = await house.server("ada", "", start(), claim(), started(), responded())
    await house.route(server)
    before = await told(house, f"{STARTS}/1")
    await house.committer.execute(SERVERS, server, StopServer(deadline=LATER), _context())
    assert await told(house, f"{STARTS}/1") == before


@pytest.mark.parametrize("path", [f"{STARTS}/2", f"{STARTS}/0", f"{STARTS}/x", f"{STARTS}/99999999999999999999", LAB])
async def test_what_is_not_there(house: Any, path: str) -> None:
    await house.person("ada")
    await house.server("ada", "", start())
    assert await status(house, path, "ada") == 404


async def test_nobody_else_is_told_unless_they_may_read_events(house: Any) -> None:
    for name in ("ada", "eve"):
        await house.person(name)
    await house.person("root", admin=True)
    await house.server("ada", "", start())
    for path in (STARTS, f"{STARTS}/1"):
        assert await status(house, path) == 403
        assert await status(house, path, "eve") == 404
        assert await status(house, path, "root") == 200
        assert await status(house, path, token=await house.token("root", "read:events")) == 200
        assert await status(house, path, token=await house.token("root", "read:events!user=ada")) == 200
        assert await status(house, path, token=await house.token("root", "read:events!user=eve")) == 404
        assert await status(house, path, token=await house.token("root", "read:users")) == 403
        # A token of one's own says what it may: that somebody is in a browser is what lets them see their own.
        assert await status(house, path, token=await house.token("ada", "read:servers!user=ada")) == 403


async def test_an_ask_that_makes_no_sense(house: Any) -> None:
    await house.person("ada")
    await house.server("ada", "", start())
    for query in ("limit=0", "limit=1000", "before=x", "before=-1"):
        assert await status(house, f"{STARTS}?{query}", "ada") == 400


def _context() -> Context:
    return Context.of("test")
