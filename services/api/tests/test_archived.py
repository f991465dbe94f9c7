"""An api of a log that begins later: nothing starts in the middle without a word; what is so now is told as before."""

import json
import re
from datetime import timedelta

import pytest

from hubbub.eventlog import read_since
from hubbub.keeping.archive import archive
from hubbub_api.keys import EVENTS
from hubbub_api.testing import Worker

LAB = "/hub/api/users/ada/servers/lab/starts"


@pytest.fixture
async def lived(house, vault_key):
    """A hub that was used: ada has started her server twice, and is logged in."""
    await house.person("ada")
    await house.person("root", admin=True)
    house.root, house.key = await house.token("root"), vault_key
    worker = Worker(house)
    for _ in range(2):
        await start_and_stop(house, worker)
    return house


async def start_and_stop(house, worker):
    server, _ = await worker.runs("ada", "lab")
    await worker.stops(server, resumes=False)


async def put_away(house, database, folder, before=None):
    before = before or await house.client.app[EVENTS].head() + 1
    return (await archive(database.owner_dsn, house.key, folder, before, say=lambda _: None)).horizon


async def ask(house, path, **more):
    answer = await house.ask(path, token=house.root, **more)
    return answer.status, await answer.json()


ALIKE = ["/users", "/users/ada", "/users/ada/tokens", "/users/root/tokens", "/groups", "/user", "/orphans"]


async def test_what_is_so_now_is_told_as_before(lived, database, tmp_path):
    asked = [f"/hub/api{path}?include_stopped_servers=1" if path == "/users" else f"/hub/api{path}" for path in ALIKE]
    before = [await ask(lived, path) for path in asked]
    assert {status for status, _ in before} == {200}, before
    await put_away(lived, database, tmp_path / "a")
    after = [await ask(lived, path) for path in asked]
    assert re.sub(r'"last_activity": "[^"]*"', "", json.dumps(after)) == re.sub(
        r'"last_activity": "[^"]*"', "", json.dumps(before)
    )


async def test_pages_of_events_end_at_the_horizon_and_say_so(lived, database, tmp_path):
    oldest = await put_away(lived, database, tmp_path / "a", 10) + 1
    assert 1 < oldest <= 10
    status, page = await ask(lived, "/hub/api/events?limit=1000")
    assert (status, page["oldest"], page["more"]) == (200, oldest, None)
    assert [each["position"] for each in page["items"]] == list(range(page["head"], oldest - 1, -1))
    for query in ("user=ada", "server=ada/lab", "type=UserCreated,SpawnRequested", "actor=system:test"):
        _, found = await ask(lived, f"/hub/api/events?limit=1000&{query}")
        assert all(each["position"] >= oldest for each in found["items"]), query
    at = page["items"][-1]["at"]
    for query, expected in (
        (f"after={oldest - 1}&order=oldest", 200),
        (f"after={oldest - 2}&order=oldest", 410),
        ("after=0", 410),
        (f"before={oldest}", 200),
        (f"before={oldest - 1}", 410),
        ("since=2020-01-01T00:00:00Z", 410),
        (f"since={at}", 200),
    ):
        status, said = await ask(lived, f"/hub/api/events?{query}")
        assert status == expected, (query, said)
        if expected == 410:
            assert said["message"] == f"Events up to {oldest - 1} were archived: the oldest here is {oldest}"
    assert page["items"][0]["position"] == page["head"]


async def test_looking_back_beyond_it_is_refused_with_a_sentence(lived, database, tmp_path):
    [*_, record] = await read_since(lived.pool, 0)
    head = record.position
    horizon = await put_away(lived, database, tmp_path / "a", head - 4)
    for asked in (1, horizon - 1, "2020-01-01T00:00:00Z"):
        status, said = await ask(lived, f"/hub/api/users?as_of={asked}")
        assert (status, said["message"]) == (
            400,
            f"as_of: events up to {horizon} were archived, and what was so then with them",
        )
    for asked in (horizon, horizon + 1, head):
        answer = await lived.ask(f"/hub/api/users/ada?as_of={asked}", token=lived.root)
        assert answer.status == 200
        assert int(answer.headers["Hubbub-As-Of"].partition(";")[0]) >= asked
    later = (record.recorded_at + timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")
    status, there = await ask(lived, f"/hub/api/users/ada?as_of={later}")
    assert (status, there["name"]) == (200, "ada")


async def test_a_start_has_the_number_that_it_had(lived, database, tmp_path):
    await put_away(lived, database, tmp_path / "a")
    status, page = await ask(lived, LAB)
    assert (status, page["items"]) == (200, [])
    await start_and_stop(lived, Worker(lived))
    await start_and_stop(lived, Worker(lived))
    _, page = await ask(lived, LAB)
    assert [each["attempt"] for each in page["items"]] == [4, 3]
    for attempt, expected in (("1", 404), ("2", 404), ("3", 200), ("4", 200), ("5", 404), ("newest", 200)):
        status, found = await ask(lived, f"{LAB}/{attempt}")
        assert status == expected, attempt
        if status == 200:
            assert found["attempt"] == (4 if attempt == "newest" else int(attempt))


async def test_pages_of_events_say_what_is_in_an_archive(lived, database, tmp_path):
    paths = ("/hub/admin/events", "/hub/activity?kind=all")
    for path in paths:
        assert "in an archive" not in await (await lived.ask(path, "root")).text()
    await put_away(lived, database, tmp_path / "a")
    await start_and_stop(lived, Worker(lived))
    for path in paths:
        answer = await lived.ask(path, "root")
        assert answer.status == 200
        assert "(UTC) is in an archive." in await answer.text(), path
