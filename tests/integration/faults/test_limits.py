"""A limit holds whoever races against it, on whatever api."""

import asyncio
from collections import Counter
from pathlib import Path

from burst import all_stopped, ask, settle_in
from checks import five_checks
from stack import hub


async def test_two_hundred_starts_on_two_apis_pass_a_limit_of_a_hundred_exactly_a_hundred_times(tmp_path: Path):
    names = [f"user-{number:03}" for number in range(200)]
    environ = {"TEST_ACTIVE_LIMIT": "100", "TEST_SLOW_SPAWN": "0.1"}
    async with hub(tmp_path / "data", scale="api=2", environ=environ) as it:
        await settle_in(it, names)
        answers = await asyncio.gather(*(it.api("POST", f"/users/{name}/server") for name in names))
        statuses = Counter(status for status, _ in answers)
        assert statuses[201] + statuses[202] == 100, statuses
        assert statuses[429] == 100, [body for status, body in answers if status not in (201, 202)][:3]
        await five_checks(it, 60)
        assert len(it.workloads()) == 100
        for copy in ("api-1", "api-2"):
            assert '"event": "http"' in (it.data / "log" / f"{copy}.log").read_text(), f"{copy} was not asked"


async def test_who_is_refused_leaves_nothing_and_room_is_given_back(tmp_path: Path):
    """One at a time: each is decided in a transaction of its own."""
    async with hub(tmp_path / "data", environ={"TEST_ACTIVE_LIMIT": "2"}) as it:
        await settle_in(it, ["ada", "bea", "cyd"])
        assert [(await it.api("POST", f"/users/{name}/server"))[0] for name in ("ada", "bea", "cyd")] == [201, 201, 429]
        await five_checks(it)
        status, _ = await ask(it, "DELETE", "/users/ada/server")
        assert status == 204
        assert (await it.api("POST", "/users/cyd/server"))[0] == 201
        await five_checks(it)
        assert len(it.workloads()) == 2
        await asyncio.gather(*(ask(it, "DELETE", f"/users/{name}/server") for name in ("bea", "cyd")))
        await all_stopped(it, 10)
