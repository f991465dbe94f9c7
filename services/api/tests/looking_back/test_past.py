"""What `?as_of=` answers: what the API said at that moment, but for facts and the names of those who are forgotten."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from yarl import URL

from hubbub.eventlog import Context
from hubbub.testing.postgres import Database
from hubbub.verify import rebuild, verify
from hubbub_api.answers import stamp
from hubbub_api.past import HEADER, PAST, SCOPE, taking
from hubbub_api.tables import TABLES
from hubbub_api.testing import Worker

BY_TEST = Context.of("test")

#: Facts, and what only the vault has: without a past.
LEFT_OUT = ("last_activity", "user_options", "state", "user_info", "auth_state")

LISTS = (
    "/users?include_stopped_servers=1",
    "/users?state=active",
    "/users?state=ready",
    "/users?state=inactive&offset=1&limit=3",
    "/users?sort=-id&limit=2",
    "/groups",
    "/groups?offset=1&limit=2",
    "/proxy",
)


async def said(house: Any, token: str, path: str) -> Any:
    """Status, body and total of *path*; *and* the moment that the answer is of."""
    headers = {"Accept": "application/jupyterhub-pagination+json"}
    answer = await house.ask(f"/hub/api{path}", token=token, headers=headers)
    body = await answer.json()
    if isinstance(body, dict) and "_pagination" in body:
        body["_pagination"].pop("next")  # an address with the question in it
    return {"status": answer.status, "body": body}, answer.headers.get(HEADER)


def without_facts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: None if key in LEFT_OUT else without_facts(each) for key, each in value.items()}
    return [without_facts(each) for each in value] if isinstance(value, list) else value


class Memory:
    """What the API said of everything after each change, with where the log was then."""

    def __init__(self, house: Any, token: str, happenings: Any) -> None:
        self._house = house
        self._token = token
        self._happenings = happenings
        self.moments: list[tuple[str, int, datetime, dict[str, Any]]] = []

    async def note(self, what: str) -> None:
        known = [f"/users/{row['name']}" for row in await self._house.pool.fetch("select name from users")]
        groups = [f"/groups/{row['name']}" for row in await self._house.pool.fetch("select name from groups")]
        chosen = [*self._some(known), *(f"{path}?include_stopped_servers" for path in self._some(known))]
        answers = {}
        for path in (*LISTS, *chosen, *self._some(groups)):
            answers[path], moment = await said(self._house, self._token, path)
            assert moment is None
        [row] = await self._house.pool.fetch("select position, clock_timestamp() as now from log_head")
        self.moments.append((what, row["position"], row["now"], answers))

    def _some(self, paths: list[str]) -> list[str]:
        return self._happenings.dice.sample(sorted(paths), min(len(paths), 2))

    async def check(self) -> int:
        """Ask for each moment, by its position and by its time in turn; how many answers were compared."""
        compared = 0
        for what, position, time, answers in self.moments:
            for asked, answer in answers.items():
                compared += 1
                as_of = position if compared % 2 else time.isoformat().replace("+00:00", "Z")
                path = self._pseudonymous(asked)
                path += f"{'&' if '?' in path else '?'}as_of={as_of}"
                then, moment = await said(self._house, self._token, path)
                expected = json.loads(self._pseudonymous(json.dumps(answer)))
                assert without_facts(then) == without_facts(expected), (what, path)
                assert moment is not None and moment.startswith(f"{position}; ")
        return compared

    def _pseudonymous(self, text: str) -> str:
        for name, instead in self._happenings.forgotten.items():
            text = text.replace(name, instead)
        return text


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_past_is_what_the_api_said_then(
    house: Any, admin: str, happenings: Any, database: Database, vault_key: str, seed: int
):
    chance = happenings(seed)
    memory = Memory(house, admin, chance)
    await chance.begin()
    await memory.note("begin")
    happened = set()
    for _ in range(45):
        what = await chance.happen()
        happened.add(what)
        await memory.note(what)
    assert len(happened) >= 10 and chance.forgotten
    assert await memory.check() > 450
    assert await verify(database.api_dsn, vault_key) == []
    assert await rebuild(database.owner_dsn, vault_key) == []
    assert await verify(database.api_dsn, vault_key) == []
    memory.moments = memory.moments[::10]
    assert await memory.check() > 50


# What can be asked -----------------------------------------------------------------------


async def asked(house: Any, token: str, path: str, status: int = 200) -> Any:
    answer = await house.ask(f"/hub/api{path}", token=token)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def moments(house: Any) -> list[Any]:
    """Of each commit, its last event: position, and time as it is written in addresses."""
    rows = await house.pool.fetch("select max(position) as position, recorded_at from events group by 2 order by 2")
    return [(row["position"], stamp(row["recorded_at"])) for row in rows]


async def test_a_time_means_the_newest_event_by_then(house: Any, admin: str):
    await house.person("ada")
    await house.person("bob")
    commits = await moments(house)
    (position, time), (_, after) = commits[-2], commits[-1]
    first, last = datetime.fromisoformat(time), datetime.fromisoformat(after)
    assert first < last
    offset = timezone(timedelta(hours=5, minutes=30))
    spellings = [
        str(position),
        time,
        time.lower(),
        time.replace("T", "%20"),
        first.astimezone(offset).isoformat().replace("+", "%2B"),
        first.astimezone(offset).isoformat(),  # its + is a space
        f"{time.removesuffix('Z')}999Z",
        stamp(last - timedelta(microseconds=1)),
    ]
    for spelled in spellings:
        answer = await house.ask(f"/hub/api/users?as_of={spelled}", token=admin)
        assert answer.status == 200, (spelled, await answer.text())
        assert [user["name"] for user in await answer.json()] == ["root", "ada"], spelled
        assert answer.headers[HEADER] == f"{position}; {time}"
    assert len(await asked(house, admin, f"/users?as_of={after}")) == 3
    # A position is as good as any other of its commit.
    assert len(await asked(house, admin, f"/users?as_of={position - 1}")) == 2


async def test_what_is_no_moment_is_refused_with_a_reason(house: Any, admin: str):
    newest = (await moments(house))[-1][0]
    soon = stamp(datetime.now(UTC) + timedelta(minutes=1))
    refused = {
        "yesterday": "neither a time",
        "": "neither a time",
        "-1": "neither a time",
        "2026-01-01T00:00:00": "neither a time",
        "2026-01-01": "neither a time",
        "2026-13-01T00:00:00Z": "no such time",
        "0000-01-01T00:00:00Z": "no such time",
        "0001-01-01T00:00:00%2B23:00": "no such time",
        "2026-01-01T00:00:00%2B25:00": "no such time",
        "١٢": "neither a time",
        "9" * 400: "neither a time",
        "9" * 18: f"the newest is {newest}",
        str(newest + 1): f"the newest is {newest}",
        str(soon): "yet to come",
    }
    for spelled, why in refused.items():
        answer = await asked(house, admin, f"/users?as_of={quote(spelled, safe='%')}", 400)
        assert why in answer["message"], (spelled, answer)


async def test_before_the_first_event_there_was_nothing(house: Any, admin: str):
    for moment in ("0", "2001-01-01T00:00:00Z"):
        for path, nothing in (("/users", []), ("/groups", []), ("/proxy", {})):
            answer = await house.ask(f"/hub/api{path}?as_of={moment}", token=admin)
            assert (answer.status, await answer.json(), answer.headers[HEADER]) == (200, nothing, "0")
        await asked(house, admin, f"/users/root?as_of={moment}", 404)
        await asked(house, admin, f"/groups/staff?as_of={moment}", 404)


async def test_before_there_was_a_history_nothing_is_known(house: Any, admin: str, database: Database):
    """An older database, whose history begins when it was brought up to date."""
    await house.person("ada")
    [(position, time), (newest, _)] = (await moments(house))[-2:]
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("update history.beginning set at = clock_timestamp()")
    await connection.execute("update history.users set began = b.at from history.beginning b")
    await connection.close()
    for moment in (position, time, "2001-01-01T00:00:00Z", "0"):
        answer = await asked(house, admin, f"/users?as_of={moment}", 400)
        assert "hubbub rebuild" in answer["message"]
    # What was so when it began has been so since the event before.
    assert len(await asked(house, admin, f"/users?as_of={newest}")) == 2
    assert len(await asked(house, admin, f"/users?as_of={stamp(datetime.now(UTC))}")) == 2


async def test_looking_back_takes_a_scope_of_its_own(house: Any, admin: str):
    await house.person("ada")
    may = "admin:users", "list:users", "list:groups", "proxy", "read:groups"
    without, filtered = await house.token("root", *may), await house.token("root", *may, f"{SCOPE}!user=ada")
    whole = await house.token("root", *may, SCOPE)
    for path in ("/users", "/users/ada", "/groups", "/groups/staff", "/proxy"):
        for token in (without, filtered):
            assert SCOPE in (await asked(house, token, f"{path}?as_of=0", 403))["message"]
        assert (await house.ask(f"/hub/api{path}?as_of=0", token=whole)).status in (200, 404)
    # What they may not read now they may not read as it was.
    only_events = await house.token("root", SCOPE)
    for path in ("/users", "/groups", "/proxy"):
        await asked(house, only_events, f"{path}?as_of=0", 403)


async def test_no_other_endpoint_shows_the_present_as_the_past(house: Any, admin: str):
    for endpoint in (each for table in TABLES for each in table if each.handler not in taking(TABLES)):
        if endpoint.path == "/metrics":
            continue  # figures of the process, which scrapers ask for by whatever address
        path = re.sub(r"{(\w+)(?::[^{}]*)?}", "root", endpoint.path)
        answer = await house.ask(f"/hub/api{path}?as_of=1", method=endpoint.method, token=admin)
        assert answer.status == 400, (endpoint.method, path)
        if endpoint.method != "HEAD":
            assert "as_of" in (await answer.json())["message"]
    assert len(await asked(house, admin, "/users")) == 1
    assert "as_of" in (await asked(house, admin, "/users?as_of=1&sort=last_activity", 400))["message"]


async def test_pages_of_the_past_lead_to_pages_of_the_past(house: Any, admin: str):
    for name in ("ada", "bob"):
        await house.person(name)
    [_, (position, _)] = (await moments(house))[-2:]
    await house.person("eve")
    found, url = [], f"/hub/api/users?as_of={position}&limit=2"
    while url:
        answer = await house.ask(url, token=admin, headers={"Accept": "application/jupyterhub-pagination+json"})
        page = await answer.json()
        assert page["_pagination"]["total"] == 3
        found += [user["name"] for user in page["items"]]
        url = page["_pagination"]["next"] and URL(page["_pagination"]["next"]["url"]).raw_path_qs
    assert found == ["root", "ada", "bob"]


async def test_several_look_at_several_moments_at_once(house: Any, admin: str):
    await house.person("ada")
    commits = await moments(house)

    async def look(number: int) -> None:
        position, _ = commits[number % len(commits)]
        expected = 2 if position == commits[-1][0] else 1
        assert len(await asked(house, admin, f"/users?as_of={position}")) == expected

    await asyncio.gather(*(look(number) for number in range(40)))


# What pages show -------------------------------------------------------------------------


async def test_all_that_were_active_are_found(house: Any, admin: str):
    for name in ("ada", "bob"):
        await house.person(name)
    worker = Worker(house)
    seen = {}
    past = house.client.app[PAST]

    async def note() -> None:
        position = await house.pool.fetchval("select position from log_head")
        rows = await house.pool.fetch("select id, kind from servers where kind <> 'Stopped' order by number")
        seen[position] = [(row["id"], row["kind"]) for row in rows]

    for owner in ("ada", "bob", "ada"):
        server, _ = await worker.runs(owner)
        await note()
        if owner == "ada":
            await worker.stops(server, resumes=False)
            await note()
    assert sorted(len(each) for each in seen.values()) == [0, 1, 1, 1, 2]
    for position, servers in seen.items():
        moment = await past.moment(str(position))
        found, total = await past.active(moment)
        assert [(server.id, server.kind) for server in found] == servers
        assert total == len(servers)
        second, all_of_them = await past.active(moment, offset=1, limit=1)
        assert ([server.id for server in second], all_of_them) == ([id for id, _ in servers[1:2]], total)
