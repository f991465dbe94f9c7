"""Quotas of a whole hub: what has used its hours is ended by the hub itself, and usage says what the log says."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from checks import five_checks, rows
from stack import Hub, eventually, hub

CONFIG = Path(__file__).parent / "config_quotas.py"
PATIENCE = 40
SECONDS = 8.0

pytestmark = pytest.mark.asyncio(loop_scope="module")

_RAN = """
    select sum(extract(epoch from e.recorded_at - s.recorded_at))::float8 as seconds from events s
    join events e on e.stream = s.stream and e.type in ('ServerStopped', 'ServerCrashed')
        and e.data::json ->> 'attempt' = s.data::json ->> 'attempt'
    where s.type = 'ServerStarted'
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = tmp_path_factory.mktemp("quotas") / "data"
    async with hub(data, config=CONFIG, scale="api=2") as made:
        for name in ("ada", "ben"):
            await made.user(name)
        status, _ = await made.api("POST", "/groups/guests", {"users": ["ada"]})
        assert status == 201
        yield made


async def test_one_server_at_once_however_many_ask(house: Hub) -> None:
    asking = [house.api("POST", f"/users/ben/servers/s{n}") for n in range(6)]
    answers = await asyncio.gather(*asking)
    assert sorted(status for status, _ in answers) == [201] + [429] * 5
    assert {answer["message"] for status, answer in answers if status == 429} == {
        "ben may have 1 server at once, and has 1: one has to be stopped first."
    }


async def test_a_server_ends_with_its_hours(house: Hub) -> None:
    for name in ("one", "two"):
        status, answer = await house.api("POST", f"/users/ada/servers/{name}")
        assert status == 201, answer
    _, [quota] = await house.api("GET", "/users/ada/quota")
    assert quota["hours"]["ends_at"] is not None and quota["servers"] == {"limit": 2, "used": 2, "left": 0}

    async def stopped() -> bool:
        found = (await house.model("ada"))["servers"]
        return not any(found[name]["ready"] or found[name]["pending"] for name in ("one", "two"))

    await eventually(stopped, PATIENCE, "both were stopped")
    reasons = await rows(house, "select data::json ->> 'reason' as reason from events where type = 'StopRequested'")
    assert {row["reason"] for row in reasons} == {f"quota: {8 / 3600:g} h a month"}
    _, used = await house.api("GET", "/usage?by=user&user=ada")
    assert used["seconds"] == pytest.approx((await rows(house, _RAN))[0]["seconds"], abs=1e-5)
    assert SECONDS <= used["seconds"] < 4 * SECONDS and used["items"][0]["runs"] == 2
    status, refused = await house.api("POST", "/users/ada/servers/one")
    assert status == 429
    assert refused["message"].startswith("ada may use 0.00222222 h a month, and 0.0 h are used. There will be")


async def test_all_is_as_it_should_be(house: Hub) -> None:
    await five_checks(house)
