"""Figures of routes: told by proxy-syncs, the same at every api, and never told twice."""

import asyncio
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from hubbub.route_messages import BOUNDS, Figures, Routed, Took
from hubbub.web.request import GATE
from hubbub_api.reports import ReportBook
from hubbub_api.testing import Worker


def took(what: str, status: str, **counts: int) -> Took:
    """*counts*: by the number of the bound, as `b3`."""
    numbers = [0] * (len(BOUNDS) + 1)
    for name, count in counts.items():
        numbers[int(name[1:])] = count
    return Took(what=what, status=status, counts=tuple(numbers), seconds=0.5)


async def tells(reports: ReportBook, proxy: str, run: str, number: int, *parts: Took) -> None:
    message = Routed(joined=True, figures=Figures(run=run, number=number, took=parts))
    await reports.routed(f"hub.rpc.routed.proxy.{proxy}", msgspec.json.encode(message))


async def figures(house) -> dict[tuple[Any, ...], float]:
    """As anybody may ask for them."""
    house.client.app[GATE].options.hub.authenticate_prometheus = False
    answer = await house.ask("/hub/metrics")
    return {
        (
            sample.name.removeprefix("jupyterhub_"),
            *(sample.labels[name] for name in sorted(sample.labels)),
        ): sample.value
        for family in text_string_to_metric_families(await answer.text())
        for sample in family.samples
    }


async def test_they_are_added_up_over_proxies_and_their_lives(house, colleague):
    reports = Worker(house)._reports
    added = took("add", "success", b0=2, b14=1), took("check", "", b3=1)
    await asyncio.gather(*(tells(reports, "p1", "run1", 1, *added) for _ in range(3)))
    await tells(reports, "p1", "run1", 2, took("add", "success", b0=1), took("add", "failure", b9=1))
    await tells(reports, "p1", "run2", 1, took("delete", "success", b0=1), took("poll", "", b1=4))
    await tells(reports, "p2", "run3", 1, *added)
    # Of a later release, or nonsense.
    await tells(reports, "p2", "run3", 2, took("dance", "", b0=1), took("add", "", b0=1), took("poll", "failure", b0=1))
    await tells(reports, "p2", "run3", 3, Took(what="add", status="success", counts=(1, 2), seconds=9.0))
    found = await figures(colleague)
    assert found["proxy_add_duration_seconds_bucket", "0.005", "success"] == 5
    assert found["proxy_add_duration_seconds_bucket", "10.0", "success"] == 5
    assert found["proxy_add_duration_seconds_count", "success"] == 7
    assert found["proxy_add_duration_seconds_sum", "success"] == 1.5
    assert found["proxy_add_duration_seconds_count", "failure"] == 1
    assert found["proxy_delete_duration_seconds_count", "success"] == 1
    assert found["proxy_delete_duration_seconds_count", "failure"] == 0
    assert found["proxy_poll_duration_seconds_count",] == 4
    assert found["check_routes_duration_seconds_bucket", "0.05"] == 2
    assert found["check_routes_duration_seconds_count",] == 2
    assert not any("dance" in str(key) for key in found)


async def test_before_anything_has_happened_they_are_there(house):
    found = await figures(house)
    assert found["proxy_add_duration_seconds_count", "success"] == 0
    assert found["check_routes_duration_seconds_count",] == 0


async def test_what_another_release_has_kept_is_begun_anew(house):
    for about in ("nonsense", '{"took": {"add success": {"counts": [1], "seconds": 1.0}}}'):
        await house.pool.execute(
            "insert into bookmarks (reader, position, about) values ('routes:p1', 0, $1) "
            "on conflict (reader) do update set about = excluded.about",
            about,
        )
        assert (await figures(house))["proxy_add_duration_seconds_count", "success"] == 0
