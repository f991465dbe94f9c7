"""Pausing starts and the banner over HTTP: who may, who is told, and what goes on meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub_api import keys
from hubbub_api.testing import Worker

PLAIN = {"paused": False, "reason": None, "since": None, "banner": None}


@pytest.fixture(autouse=True)
async def people(house: Any) -> None:
    await house.person("ada")
    await house.person("root", admin=True)


@pytest.fixture
def ours() -> dict[str, Any]:
    return {"slow_spawn_timeout": 0}


async def patch(house: Any, who: str = "root", **body: Any) -> Any:
    return await house.ask("/hub/api/house", token=await house.token(who), method="PATCH", json=body)


async def shown(house: Any, who: str = "ada") -> dict[str, Any]:
    answer = await house.ask("/hub/api/house", token=await house.token(who))
    assert answer.status == 200
    found: dict[str, Any] = await answer.json()
    return found


async def start(house: Any, who: str = "root") -> Any:
    return await house.ask("/hub/api/users/ada/server", token=await house.token(who), method="POST")


# Who ----------------------------------------------------------------------------------------


async def test_everybody_who_is_known_is_told_and_operators_are_told_more(house: Any) -> None:
    assert await shown(house) == PLAIN
    assert await shown(house, "root") == {**PLAIN, "draining": []}
    assert (await house.ask("/hub/api/house")).status == 403


async def test_operators_alone_change_it(house: Any) -> None:
    assert (await patch(house, "ada", paused=True)).status == 403
    assert await shown(house) == PLAIN


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "Nothing to change"),
        ({"reason": "disks"}, "starts are not paused"),
        ({"paused": False, "reason": "disks"}, "starts are not paused"),
        ({"pause": True}, "Invalid JSON keys: pause"),
        ({"paused": "yes"}, "paused"),
        ({"paused": True, "reason": "x" * 1001}, "1000 are allowed"),
        ({"banner": {}}, "text"),
        ({"banner": {"text": ""}}, "there is nothing in it"),
        ({"banner": {"text": "x", "kind": "loud"}}, "kind"),
        ({"banner": {"text": "x", "until": "2001-01-01T00:00:00Z"}}, "that is over already"),
        ({"banner": {"text": "x", "until": "2101-01-01T00:00:00"}}, "until"),
    ],
)
async def test_nonsense_is_refused_and_changes_nothing(house: Any, body: dict[str, Any], why: str) -> None:
    answer = await patch(house, **body)
    assert answer.status == 400
    assert why in (await answer.json())["message"]
    assert await shown(house) == PLAIN


# Pause --------------------------------------------------------------------------------------


async def test_while_starts_are_paused_nobody_starts_anything(house: Any) -> None:
    answer = await patch(house, paused=True, reason="New disks until noon")
    assert (answer.status, (await answer.json())["paused"]) == (200, True)
    for who in ("ada", "root"):
        refused = await start(house, who)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "60")
        assert await refused.json() == {"status": 503, "message": "New starts are paused: New disks until noon"}
    assert await house.views.server("ada", "") is None
    found = await shown(house)
    assert (found["paused"], found["reason"]) == (True, "New disks until noon")
    assert (await patch(house, paused=False)).status == 200
    assert await shown(house) == PLAIN
    assert (await start(house)).status == 202


async def test_one_refused_with_a_key_may_be_asked_for_again_with_it(house: Any) -> None:
    token, headers = await house.token("root"), {"Idempotency-Key": "k1"}
    await patch(house, paused=True)
    refused = await house.ask("/hub/api/users/ada/server", token=token, method="POST", headers=headers)
    assert (refused.status, (await refused.json())["message"]) == (503, "New starts are paused for a while.")
    await patch(house, paused=False)
    again = await house.ask("/hub/api/users/ada/server", token=token, method="POST", headers=headers)
    assert again.status == 202


async def test_what_was_asked_for_before_goes_on(house: Any) -> None:
    """It is taken by a worker; asking for it once more does no harm; and it is stopped as ever."""
    assert (await start(house)).status == 202
    await patch(house, paused=True)
    assert (await start(house)).status == 202
    worker = Worker(house)
    [claimed] = await worker.claims()
    await worker.started(claimed.server)
    answer = await house.ask("/hub/api/users/ada/server", token=await house.token("root"), method="DELETE")
    assert answer.status in (202, 204)


async def test_another_reason_is_told_as_long_as_it_lasts(house: Any) -> None:
    await patch(house, paused=True, reason="disks")
    began = (await shown(house))["since"]
    answer = await patch(house, reason="more disks")
    assert (answer.status, (await shown(house))["reason"], (await shown(house))["since"]) == (200, "more disks", began)
    await patch(house, paused=True)
    assert (await shown(house))["reason"] == "more disks"


# Banner -------------------------------------------------------------------------------------


async def test_a_banner_is_put_up_changed_and_taken_away(house: Any) -> None:
    until = "2101-01-01T00:00:00Z"
    await patch(house, banner={"text": "Noon", "kind": "warning", "until": until})
    found = (await shown(house))["banner"]
    assert found.pop("since")
    assert found == {"text": "Noon", "kind": "warning", "until": until}
    await patch(house, banner={"text": "One\no'clock"})
    assert (await shown(house))["banner"]["text"] == "One\no'clock"
    assert (await shown(house))["banner"]["kind"] == "info"
    assert (await patch(house, banner=None)).status == 200
    assert await shown(house) == PLAIN


async def test_it_goes_by_itself(house: Any) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    await patch(house, banner={"text": "Noon", "until": soon.isoformat()})
    now = house.client.app[keys.HOUSE]
    assert now.banner().text == "Noon"
    now._clock = lambda: soon
    assert now.banner() is None
    assert await shown(house) == PLAIN


async def test_other_apis_hear_of_it(house: Any, colleague: Any) -> None:
    now = colleague.client.app[keys.HOUSE]
    running = asyncio.create_task(now.run())
    await eventually(lambda: _listens(house))
    await patch(house, paused=True, reason="disks", banner={"text": "Noon"})
    await eventually(lambda: now.paused is not None)
    assert (now.paused.reason, now.banner().text) == ("disks", "Noon")
    await patch(house, paused=False, banner=None)
    await eventually(lambda: now.paused is None and now.banner() is None)
    await end(running)


async def test_one_whose_connection_breaks_hears_of_what_it_missed(house: Any, colleague: Any) -> None:
    now = colleague.client.app[keys.HOUSE]
    running = asyncio.create_task(now.run())
    await eventually(lambda: _listens(house))
    await house.pool.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name like 'hubbub-house%' and datname = current_database()"
    )
    await patch(house, banner={"text": "Noon"})
    await eventually(lambda: now.banner() is not None)
    await end(running)


async def _listens(house: Any) -> bool:
    return bool(
        await house.pool.fetchval(
            "select count(*) from pg_stat_activity where application_name like 'hubbub-house%' "
            "and datname = current_database() and state = 'idle' and query not ilike 'listen%'"
        )
    )
