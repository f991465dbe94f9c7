"""GET /usage: that it is what the log says, event by event, whatever happened and however it is asked; who may ask."""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub import usage
from hubbub.domain.group import CreateGroup
from hubbub.domain.member import AddMember, RemoveMember, member_id
from hubbub.domain.message import Rejected
from hubbub.domain.server_messages import (
    AdoptOrphan,
    CancelSpawn,
    ClaimAttempt,
    DeleteServer,
    Failure,
    ForceStop,
    GiveUp,
    LoseAttempt,
    ReportExit,
    ReportFailed,
    ReportFound,
    ReportMoved,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.domain.user import DeleteUser
from hubbub.eventlog import COLUMNS, Context, decode, recorded
from hubbub.testing.postgres import Database
from hubbub.vault import Vault
from hubbub.verify import rebuild, verify
from hubbub.views import GROUPS, MEMBERS, SERVERS, USERS, view_of

LATER = datetime.now(UTC) + timedelta(hours=1)
BY_TEST = Context.of("test")
ILL = Failure(reason="timeout", message="too slow")
PEOPLE = ("ada", "ben", "cyn")
POOLS, PROFILES = ("default", "gpu"), ("", "small", "large")
PLACE = "/hub/api/usage"


# What happens -----------------------------------------------------------------------------


def anything(chance: random.Random, state: Any) -> Any:
    """A command that a server in *state* may get from somebody, sense or none."""
    attempt = getattr(state, "attempt", 0)
    worker = chance.choice([getattr(state, "holder", None) or "w1", "w1", "w2"])
    about: dict[str, Any] = {"attempt": attempt, "worker": worker, "deadline": LATER}
    url, host, reach = f"http://127.0.0.1:{chance.randrange(9)}", "h", chance.choice(["process", "pool"])
    pool, profile = chance.choice(POOLS), chance.choice(PROFILES)
    start = StartServer(
        at=LATER, pool=pool, prefix="/user/x/", deadline=LATER, retries=chance.randrange(2), profile=profile
    )
    usual = {
        "Stopped": start,
        "Spawning": ReportStarted(**about, url=url)
        if getattr(state, "holder", None)
        else ClaimAttempt(**about, host=host, token="t", reach=reach),  # type: ignore[arg-type]
        "Started": ReportResponded(**about),
        "Running": StopServer(deadline=LATER),
        "Stopping": ReportExit(**about, status="0"),
    }.get(type(state).__name__, start)
    odd = [
        start,
        StopServer(deadline=LATER),
        CancelSpawn(deadline=LATER),
        ReportFailed(**about, failure=ILL),
        ReportExit(**about, status="1"),
        ReportMoved(attempt=attempt, worker=worker, url=url),
        ReportFound(**about, host=host, url=url),
        LoseAttempt(**about, reason="lost", ended=chance.random() < 0.5),
        ClaimAttempt(**about, host=host, token="t"),
        AdoptOrphan(at=LATER, attempt=attempt, prefix="/user/x/", deadline=LATER),
        GiveUp(attempt=attempt, failure=ILL, deadline=LATER),
        ForceStop(),
        DeleteServer(),
    ]
    return usual if chance.random() < 0.6 else chance.choice(odd)


async def live(house: Any, chance: random.Random, steps: int) -> dict[str, str]:
    """People with servers, in and out of groups; ids of the groups by name."""
    groups = {"red": "g1", "blue": "g2"}
    for name, id in groups.items():
        await house.committer.execute(GROUPS, id, CreateGroup(name=name), BY_TEST.follow())
    servers = [await house.server(owner, name) for owner in PEOPLE for name in ("", "lab")]
    users = [(await house.views.user(name)).id for name in PEOPLE]
    for _ in range(steps):
        if chance.random() < 0.15:
            group, user = chance.choice(list(groups.values())), chance.choice(users)
            add = AddMember(group=group, user=user)
            view, id, command = MEMBERS, member_id(group, user), chance.choice([add, add, RemoveMember()])
        else:
            view, id = SERVERS, chance.choice(servers)
            row = await house.pool.fetchval("select state from servers where id = $1", id)
            command = anything(chance, row and view.decode_state(row))
        with suppress(Rejected):
            await house.committer.execute(view, id, command, BY_TEST.follow())
    return groups


async def spread(database: Database, chance: random.Random) -> None:
    """As if it had taken days: commits are apart by anything from a microsecond to hours. The last one was just now."""
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        times = [
            row["at"] for row in await connection.fetch("select distinct recorded_at as at from events order by 1")
        ]
        now, then = datetime.now(UTC) - timedelta(seconds=1), {}
        for at in reversed(times):
            then[at] = now
            now -= timedelta(microseconds=int(10 ** chance.uniform(0, 10)))
        await connection.execute("create temporary table moments (at timestamptz, later timestamptz)")
        await connection.copy_records_to_table("moments", records=list(then.items()))
        await connection.execute("update events e set recorded_at = m.later from moments m where m.at = e.recorded_at")
        for table in ("users", "servers", "groups", "members"):
            for column in ("began", "ended"):
                await connection.execute(
                    f"update history.{table} h set {column} = m.later from moments m where m.at = h.{column}"
                )
        await connection.execute("update log_head set at = (select max(recorded_at) from events)")
    finally:
        await connection.close()


# What that comes to, by the log read from its beginning -----------------------------------


@dataclass
class Story:
    """Times from when until when: of runs with what is known of each, of memberships by group and user."""

    runs: list[tuple[dict[str, Any], datetime, datetime]] = field(default_factory=list)
    members: dict[tuple[str, str], list[tuple[datetime, datetime]]] = field(default_factory=lambda: defaultdict(list))


FAR = datetime.max.replace(tzinfo=UTC)


async def told(house: Any) -> Story:
    story, states = Story(), dict[str, Any]()
    open_runs, open_members = dict[str, Any](), dict[str, datetime]()
    blind = Vault(Fernet.generate_key().decode())
    for record in map(recorded, await house.pool.fetch(f"select {COLUMNS} from events order by position")):
        view = view_of(record.stream)
        if view not in (SERVERS, MEMBERS):
            continue
        before = states.get(record.stream, view.decider.initial)
        state = states[record.stream] = view.decider.evolve(before, decode(record, blind))
        if view is MEMBERS:
            known = before if hasattr(before, "user") else state
            there = hasattr(state, "user")
            if there and record.stream not in open_members:
                open_members[record.stream] = record.recorded_at
            elif not there and record.stream in open_members:
                began = open_members.pop(record.stream)
                story.members[known.group, known.user].append((began, record.recorded_at))
            continue
        runs = bool(getattr(state, "url", ""))
        if runs and record.stream not in open_runs:
            about = {"user": state.user, "pool": state.pool, "profile": state.profile, "attempt": state.attempt}
            open_runs[record.stream] = ({**about, "server": record.id}, record.recorded_at)
        elif not runs and record.stream in open_runs:
            story.runs.append((*open_runs.pop(record.stream), record.recorded_at))
    story.runs += [(*run, FAR) for run in open_runs.values()]
    for stream, began in open_members.items():
        state = states[stream]
        story.members[state.group, state.user].append((began, FAR))
    return story


def pieces(story: Story, group: str | None) -> Iterator[tuple[dict[str, Any], datetime, datetime]]:
    """Runs; of a group only while their owners were in it."""
    for about, began, ended in story.runs:
        if group is None:
            yield about, began, ended
            continue
        for since, until in story.members[group, about["user"]]:
            if max(began, since) < min(ended, until):
                yield about, max(began, since), min(ended, until)


def steps_of(began: datetime, ended: datetime, step: timedelta) -> Iterator[tuple[datetime, datetime, datetime]]:
    at = datetime.fromtimestamp(began.timestamp() // step.total_seconds() * step.total_seconds(), UTC)
    while at < ended:
        yield at, max(began, at), min(ended, at + step)
        at += step


def counted(
    story: Story,
    since: datetime,
    until: datetime,
    by: str,
    groups: dict[str, str],
    names: Callable[[Any], str],
    **only: Any,
) -> dict[str, tuple[timedelta, int, int]]:
    """Time, runs and those that ran on, by name."""
    time, runs, on = (
        defaultdict[str, timedelta](timedelta),
        defaultdict[str, set[Any]](set),
        defaultdict[str, set[Any]](set),
    )
    for group in groups if by == "group" else [None]:
        if by == "group" and only.get("group") not in (None, groups[group]):
            continue
        for about, began, ended in pieces(story, groups[group] if group else only.get("group")):
            if only.get("user") not in (None, about["user"]) or ended <= since or began >= until:
                continue
            cut: list[Any] = [(None, max(began, since), min(ended, until))]
            if by in ("hour", "day"):
                cut = list(steps_of(cut[0][1], cut[0][2], timedelta(**{f"{by}s": 1})))
            for at, first, last in cut:
                key = at.isoformat() if at else group or names(about)
                time[key] += last - first
                runs[key].add((about["server"], about["attempt"]))
                if ended > min(until, at + timedelta(**{f"{by}s": 1}) if at else until):
                    on[key].add((about["server"], about["attempt"]))
    return {key: (time[key], len(runs[key]), len(on[key])) for key in time}


@pytest.mark.parametrize("seed", range(3))
async def test_it_is_what_the_log_says_however_it_is_asked(house: Any, database: Database, seed: int) -> None:
    chance = random.Random(seed)
    for name in PEOPLE:
        await house.person(name)
    groups = await live(house, chance, 500)
    await spread(database, chance)
    story = await told(house)
    assert len(story.runs) > 10 and sum(map(len, story.members.values())) > 5
    names = {row["id"]: row["name"] for row in await house.pool.fetch("select id, name from users")}
    server_names = {
        row["id"]: row["name"] for row in await house.pool.fetch("select distinct id, name from history.servers")
    }
    called = {
        "user": lambda about: names[about["user"]],
        "pool": lambda about: about["pool"],
        "profile": lambda about: about["profile"],
        "server": lambda about: f"{names[about['user']]}/{server_names[about['server']]}",
    }
    now = datetime.now(UTC)
    moments = [began for _, began, _ in story.runs] + [ended for _, _, ended in story.runs if ended < FAR]
    asked = 0
    for _ in range(60):
        since, until = sorted(
            chance.choice([*moments, now - timedelta(seconds=chance.uniform(0, 10**6)), now]) for _ in "ab"
        )
        by = chance.choice(usage.BYS)
        only = {
            "user": chance.choice([None, None, *names]),
            "group": chance.choice([None, None, *groups.values()]),
        }
        if since == until or (by == "hour" and until - since > timedelta(days=40)):
            continue
        expected = counted(story, since, until, by, groups, called.get(by, lambda about: ""), **only)
        found = await usage.used(
            house.pool,
            since,
            until,
            by,
            users=[only["user"]] if only["user"] else None,
            groups=[only["group"]] if only["group"] else None,
        )
        assert {each.name: (each.time, each.runs, each.running) for each in found.items} == expected, (by, only)
        assert found.time == sum((each[0] for each in expected.values()), timedelta())
        asked += len(found.items) > 0
    assert asked > 20


async def test_it_can_be_made_anew_from_the_log(house: Any, database: Database, vault_key: str) -> None:
    """It is a sum over histories: dropped and made again, they say the same."""
    chance = random.Random(7)
    for name in PEOPLE:
        await house.person(name)
    await live(house, chance, 150)
    now = datetime.now(UTC)
    before = [await usage.used(house.pool, now - timedelta(days=1), now, by) for by in usage.BYS]
    assert len(before[usage.BYS.index("profile")].items) > 1
    assert await verify(database.owner_dsn, vault_key) == []
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("update history.servers set ended = ended + interval '1 hour' where ended < 'infinity'")
    await connection.execute("update history.servers set profile = 'none'")
    await connection.close()
    assert before != [await usage.used(house.pool, now - timedelta(days=1), now, by) for by in usage.BYS]
    assert await rebuild(database.owner_dsn, vault_key) == []
    assert before == [await usage.used(house.pool, now - timedelta(days=1), now, by) for by in usage.BYS]


# Over HTTP --------------------------------------------------------------------------------


async def run(house: Any, owner: str, name: str = "", *, profile: str = "", stop: bool = False) -> str:
    about: dict[str, Any] = {"attempt": 1, "worker": "w", "deadline": LATER}
    start = StartServer(at=LATER, pool="default", prefix="/user/x/", deadline=LATER, profile=profile)
    claim = ClaimAttempt(**about, host="h", token="t")
    ends = [StopServer(deadline=LATER), ReportExit(**about, status="0")] if stop else []
    reports = [start, claim, ReportStarted(**about, url="http://127.0.0.1:1"), ReportResponded(**about), *ends]
    return str(await house.server(owner, name, *reports))


async def ask(house: Any, query: str = "", who: str = "", token: str = "", place: str = PLACE) -> tuple[int, Any]:
    headers = {"X-XSRFToken": house.xsrf(who)} if who else {}
    answer = await house.ask(f"{place}{query}", who, token=token, headers=headers)
    return answer.status, await answer.json() if answer.content_type == "application/json" else await answer.text()


async def at(database: Database, *times: tuple[str, str]) -> None:
    """The rows of history that have an address, in order: began and ended."""
    connection = await asyncpg.connect(database.owner_dsn)
    rows = await connection.fetch("select id, ended from history.servers where url is not null order by began")
    for row, (began, ended) in zip(rows, times, strict=True):
        await connection.execute(
            "update history.servers set began = $3::text::timestamptz, ended = $4::text::timestamptz "
            "where id = $1 and ended = $2",
            row["id"],
            row["ended"],
            began,
            ended,
        )
    await connection.close()


async def test_who_used_how_much(house: Any, database: Database) -> None:
    await house.person("ada", admin=True)
    await house.person("ben")
    await run(house, "ada", stop=True)
    await run(house, "ben", "lab", profile="large")
    await at(
        database,
        # ada's: started, running, stopping
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:02.5Z"),
        ("2026-01-01T10:00:02.5Z", "2026-01-02T01:00:00Z"),
        ("2026-01-02T01:00:00Z", "2026-01-02T01:00:01Z"),
        # ben's: started, running
        ("2026-01-01T23:30:00Z", "2026-01-01T23:30:30Z"),
        ("2026-01-01T23:30:30Z", "infinity"),
    )
    when = "from=2026-01-01&until=2026-01-03"
    status, found = await ask(house, f"?{when}", "ada")
    assert status == 200
    assert found == {
        "from": "2026-01-01T00:00:00Z",
        "until": "2026-01-03T00:00:00Z",
        "by": "user",
        "seconds": 142_201.0,
        "lines": 2,
        "items": [
            {"name": "ben", "seconds": 24.5 * 3600, "runs": 1, "running": 1},
            {"name": "ada", "seconds": 15 * 3600 + 1.0, "runs": 1, "running": 0},
        ],
        "known_since": None,
    }
    _, days = await ask(house, f"?{when}&by=day&user=ada", "ada")
    assert [(each["name"][:10], each["seconds"]) for each in days["items"]] == [
        ("2026-01-01", 14 * 3600.0),
        ("2026-01-02", 3601.0),
    ]
    _, second = await ask(house, f"?{when}&page=2&limit=1", "ada")
    assert [each["name"] for each in second["items"]] == ["ada"] and second["lines"] == 2
    _, profiles = await ask(house, f"?{when}&by=profile", "ada")
    assert [each["name"] for each in profiles["items"]] == ["large", ""]
    status, table = await ask(house, f"?{when}&by=server", "ada", place=f"{PLACE}.csv")
    assert (status, table) == (
        200,
        "server,seconds,hours,runs,running\r\nben/lab,88200.000000,24.5000,1,1\r\nada/,54001.000000,15.0003,1,0\r\n",
    )
    status, past = await ask(house, "?from=2025-01-01&until=2025-02-01", "ada")
    assert (status, past["items"], past["seconds"]) == (200, [], 0.0)


async def test_people_see_their_own_and_operators_all(house: Any) -> None:
    await house.person("ada", admin=True)
    await house.person("ben")
    await house.committer.execute(GROUPS, "g1", CreateGroup(name="red"), BY_TEST.follow())
    for query, status in (("", 403), ("?user=ada", 404), ("?group=red", 404), ("?user=ben", 200)):
        assert (await ask(house, query, "ben"))[0] == status, query
        assert (await ask(house, query, "ben", place=f"{PLACE}.csv"))[0] == status, query
        assert (await ask(house, query, "ada"))[0] == 200
    assert (await ask(house))[0] == 403
    assert (await ask(house, "?user=nobody", "ada"))[0] == 404
    own = await house.token("ada", "read:events!user=ben")
    assert (await ask(house, "?user=ben", token=own))[0] == 200
    assert (await ask(house, token=own))[0] == 403


async def test_what_cannot_be_meant_is_refused(house: Any) -> None:
    await house.person("ada", admin=True)
    for query in (
        "?from=yesterday",
        "?from=2026-01-01T00:00:00",
        "?from=2026-01-02&until=2026-01-01",
        "?from=9999-01-01",
        "?until=0001-01-01",
        "?by=colour",
        "?by=hour&from=2020-01-01",
        "?limit=0",
        "?page=0",
    ):
        assert (await ask(house, query, "ada"))[0] == 400, query


async def test_who_is_forgotten_has_a_number(house: Any) -> None:
    await house.person("ada", admin=True)
    await house.person("ben")
    await run(house, "ben", stop=True)
    user = await house.views.user("ben")

    async def go(tx: Any) -> None:
        await tx.act(USERS, user.id, DeleteUser())
        tx.forget(user.id)

    await house.committer.submit(go, BY_TEST.follow())
    _, found = await ask(house, "", "ada")
    assert [each["name"] for each in found["items"]] == [f"forgotten-{user.number}"]
    _, theirs = await ask(house, f"?user=forgotten-{user.number}", "ada")
    assert theirs["items"] == found["items"]


@pytest.mark.parametrize("ours", [{"slow_spawn_timeout": 0.01}], indirect=True)
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"profile": "large"}, "large"),
        ({"profile": ""}, ""),
        ({"profile": ["large"]}, ""),
        ({"profile": "x" * 101}, ""),
        ({"profile": "a\nb"}, ""),
        ({}, ""),
    ],
)
async def test_the_log_keeps_the_profile_of_a_start(house: Any, said: Any, kept: str) -> None:
    await house.person("ada", admin=True)
    place, token = "/hub/api/users/ada/server", await house.token("ada")
    answer = await house.ask(place, method="POST", token=token, json=said)
    assert answer.status == 202, await answer.text()
    row = await house.pool.fetchrow("select id, attempt, state, profile from servers")
    assert (row["profile"] or "", SERVERS.decode_state(row["state"]).profile) == (kept, kept)
    await house.committer.execute(SERVERS, row["id"], CancelSpawn(deadline=LATER), BY_TEST.follow())
    # Without options it is the same again.
    assert (await house.ask(place, method="POST", token=token)).status == 202
    assert await house.pool.fetchval("select coalesce(profile, '') from servers where attempt = 2") == kept


# Pages ------------------------------------------------------------------------------------


async def test_operators_see_it_as_a_table_and_as_a_picture(house: Any) -> None:
    await house.person("root", admin=True)
    await house.person("ben")
    await run(house, "ben", "lab", profile="large", stop=True)
    await house.pool.execute(
        "update history.servers set began = now() - '90 min'::interval "
        "where id = (select id from servers) and url is not null and kind = 'Stopping'"
    )
    text = await (await house.ask("/hub/admin/usage?range=24h", "root")).text()
    assert '<a href="/hub/admin/users/ben">ben</a>' in text and 'data-title="Hours">1.' in text
    picture = json.loads(unescape(text.partition('data-picture="')[2].partition('"')[0]))
    assert len(picture[0]) in (24, 25) and 1.4 < sum(picture[1]) <= 1.51
    for by, shown in (("profile", "large"), ("server", "ben/lab"), ("pool", "default"), ("group", "Nothing ran")):
        assert shown in await (await house.ask(f"/hub/admin/usage?by={by}", "root")).text()
    assert "There is nobody" in await (await house.ask("/hub/admin/usage?user=nobody", "root")).text()
    link = unescape(text.partition('<a href="/hub/admin/usage.csv')[2].partition('"')[0])
    table = await house.ask(f"/hub/admin/usage.csv{link}", "root")
    name, seconds, *_ = (await table.text()).splitlines()[1].split(",")
    # Besides the moments before and after what was moved back.
    assert (table.content_type, name) == ("text/csv", "ben") and 5300 < float(seconds) < 5500
    for place in ("usage", "usage.csv"):
        assert (await house.ask(f"/hub/admin/{place}", "ben")).status == 403
