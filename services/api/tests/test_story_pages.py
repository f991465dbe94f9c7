"""The pages that tell what happened: each shows what is meant to be seen by whoever asks, and nothing besides."""

import asyncio
import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from hubbub.domain.server_messages import (
    ClaimAttempt,
    Failure,
    ReportExit,
    ReportFailed,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.domain.user import DeleteUser, RenameUser
from hubbub.eventlog import Context
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.postgres import Database
from hubbub.views import SERVERS, USERS
from hubbub_api import keys
from hubbub_api.pages.admin.events import _TRACE
from hubbub_api.pages.start import axis_of

LATER = datetime.now(UTC) + timedelta(hours=1)

#: Somebody whose name is in no id, by chance.
OTHER = "zoroaster"


def start(prefix: str) -> StartServer:
    return StartServer(at=datetime.now(UTC), pool="default", prefix=prefix, deadline=LATER)


CLAIM = ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER)
STARTED = ReportStarted(
    attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER, spent={"pre_spawn_hook": 0.2, "start": 0.1}
)
RESPONDED = ReportResponded(attempt=1, worker="w", deadline=LATER)
FAILED = ReportFailed(
    attempt=1,
    worker="w",
    failure=Failure(reason="error", message="no <room> left"),
    deadline=LATER,
    spent={"start": 1.0},
)
GONE = ReportExit(attempt=1, worker="w", status="1", deadline=LATER)


async def page(house: Any, path: str, who: str, status: int = 200) -> str:
    """As it is read, without its data and with its entities opened."""
    answer = await house.ask(path, who)
    text = await answer.text()
    assert answer.status == status, text
    return html.unescape(text)


async def running(house: Any, owner: str, name: str = "") -> str:
    server = await house.server(owner, name, start(f"/user/{owner}/"), CLAIM, STARTED, RESPONDED)
    await house.route(server)
    return str(server)


def positions(text: str) -> list[int]:
    return [int(found) for found in re.findall(r'<li id="e(\d+)"', text)]


# One's own story ---------------------------------------------------------------------------


async def test_a_person_is_told_what_happened_to_them(house: Any) -> None:
    await house.person("ada")
    await running(house, "ada", "lab")
    await house.server("ada", "old", start("/user/ada/old/"), CLAIM, FAILED, GONE)
    text = await page(house, "/hub/activity", "ada")
    assert "the start of ada's server old failed: no <room> left" in text
    assert "<room>" not in await (await house.ask("/hub/activity", "ada")).text()
    assert 'href="/hub/activity/ada/lab/1"' in text
    assert "worker w took the start" not in text
    assert "worker w took the start of ada's server lab" in await page(house, "/hub/activity?kind=all", "ada")
    assert "logged in" in await page(house, "/hub/activity?kind=logins", "ada")
    assert "ada's server" not in await page(house, "/hub/activity?kind=logins", "ada")
    lab = await page(house, "/hub/activity?server=lab", "ada")
    assert "ada's server lab" in lab
    assert "ada's server old" not in lab


async def test_who_else_had_a_hand_in_it_is_pointed_out(house: Any) -> None:
    await house.person("ada")
    await house.person("root", admin=True)
    server, root = await running(house, "ada"), await house.views.user("root")
    assert "not by you" not in await page(house, "/hub/activity", "ada")
    await house.committer.execute(SERVERS, server, StopServer(deadline=LATER), Context.of(f"user:{root.id}"))
    text = await page(house, "/hub/activity", "ada")
    assert re.search(r"root asked ada's server to stop\s*<span class=\"another\">not by you", text)


async def test_what_it_began_with_is_told_if_it_may_be_seen(house: Any) -> None:
    """Two things in one trace: ada sees what led to hers only if that is about herself."""
    for name in ("ada", "bob"):
        await house.person(name)
    ada = await house.views.user("ada")
    server, other = await house.server("ada", "lab"), await house.server("bob", "den")
    context = Context.of(f"user:{ada.id}")
    await house.committer.execute(SERVERS, server, start("/user/ada/lab/"), context)
    await house.committer.execute(SERVERS, server, CLAIM, context.follow(actor="worker:w"))
    assert "ada asked for a start of ada's server lab (event" in await page(house, "/hub/activity?kind=all", "ada")
    context = Context.of(f"user:{ada.id}")
    await house.committer.execute(SERVERS, other, start("/user/bob/den/"), context)
    await house.committer.execute(SERVERS, server, StopServer(deadline=LATER), context.follow())
    text = await page(house, "/hub/activity?kind=all", "ada")
    assert "asked ada's server lab to stop" in text or "cancelled the start of ada's server lab" in text
    assert "den" not in re.sub(r"hidden|identity", "", text.partition('id="story"')[2])


async def test_it_goes_back_page_by_page_without_a_gap(house: Any) -> None:
    await house.person("ada")
    for place in range(70):
        await house.server("ada", f"s{place}")
    path, seen = "/hub/activity?kind=servers", []
    while path:
        text = await page(house, path, "ada")
        assert len(positions(text)) <= 50
        seen += positions(text)
        older = re.search(r'href="([^"]+)">Older', text)
        path = f"/hub/activity{older[1]}" if older else ""
    assert len(seen) == 70
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("query", ["from=2999-01-01", "to=1999-01-01", "from=2999-01-01&to=2999-01-02"])
async def test_only_of_some_days(house: Any, query: str) -> None:
    await house.person("ada")
    assert positions(await page(house, "/hub/activity", "ada"))
    text = await page(house, f"/hub/activity?{query}", "ada")
    assert not positions(text)
    assert "Nothing like that has happened" in text


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=9" + "9" * 40, "kind=no", "server=no", "from=no"])
async def test_what_makes_no_sense_is_as_if_it_was_not_there(house: Any, query: str) -> None:
    await house.person("ada")
    assert positions(await page(house, f"/hub/activity?{query}", "ada"))


async def test_nobody_sees_anything_of_others(house: Any) -> None:
    """A wiretap: whatever eve asks for, nothing that is another's comes over the line."""
    for name in (OTHER, "eve"):
        await house.person(name)
    server, other = await running(house, OTHER, "secretlab"), await house.views.user(OTHER)
    words = (OTHER, "secretlab", server, other.id, "127.0.0.1:1")
    asked = [
        "/hub/activity",
        "/hub/activity?kind=all",
        "/hub/activity?kind=all&server=secretlab",
        f"/hub/activity?kind=all&server={server}&user={OTHER}&about={other.id}",
        "/hub/activity/xxx/secretlab/1",
    ]
    for path in asked:
        text = await (await house.ask(path, "eve")).text()
        assert not [word for word in words if re.search(rf"\b{re.escape(word)}\b", text) and word not in path], path
    # Of what is there and of what is not the same is said.
    for path in (f"/hub/activity/{OTHER}/secretlab/1", f"/hub/activity/{OTHER}/1"):
        answers = [
            await house.ask(each, "eve") for each in (path, path.replace("secretlab", "none").replace(OTHER, "bob"))
        ]
        assert [each.status for each in answers] == [404, 404]


async def test_the_stream_of_the_page_tells_nothing_of_others(house: Any) -> None:
    """Live, too: eve listens as her page does while another's server starts, and then to something of her own."""
    for name in (OTHER, "eve"):
        await house.person(name)
    app = house.client.app
    tasks = [asyncio.create_task(app[keys.FOLLOWER].run()), asyncio.create_task(app[keys.FEED].run())]
    heard: list[bytes] = []
    try:
        headers = {"Accept": "text/event-stream"}
        stream = await house.ask(f"/hub/api/events?_xsrf={house.xsrf('eve')}&user=eve", "eve", headers=headers)
        assert stream.status == 200

        async def listen() -> None:
            async for chunk in stream.content.iter_any():
                heard.append(chunk)

        tasks.append(asyncio.create_task(listen()))
        await running(house, OTHER, "secretlab")
        await house.server("eve", "hers")
        await eventually(lambda: b"ServerCreated" in b"".join(heard))
        stream.close()
    finally:
        await end(*tasks)
    told = b"".join(heard)
    assert b"hers" in told
    assert OTHER.encode() not in told
    assert b"secretlab" not in told
    answer = await house.ask(f"/hub/api/events?_xsrf={house.xsrf('eve')}&user={OTHER}", "eve", headers=headers)
    assert answer.status == 404


# A start -------------------------------------------------------------------------------------


async def test_a_start_is_drawn_and_can_be_read_as_a_table(house: Any) -> None:
    await house.person("ada")
    await running(house, "ada", "lab")
    text = await page(house, "/hub/activity/ada/lab/1", "ada")
    assert "It could be reached after" in text
    assert "The operator's pre_spawn_hook" in text
    assert text.count("<rect") > 6
    assert "Route in p" in text
    assert " style=" not in text
    assert await page(house, "/hub/activity/ada/lab/newest", "ada")
    assert await page(house, "/hub/activity/ada/lab/2", "ada", 404)


async def test_a_failure_says_why_and_others_are_there_to_compare(house: Any) -> None:
    await house.person("ada")
    again = ClaimAttempt(attempt=2, worker="w", host="h", token="t", deadline=LATER)
    await house.server("ada", "", start("/user/ada/"), CLAIM, FAILED, GONE, start("/user/ada/"), again)
    text = await page(house, "/hub/activity/ada/1", "ada")
    assert "no <room> left" in text
    assert "Did not start" in text
    assert 'href="/hub/activity/ada/2"' in text
    assert "Starting" in await page(house, "/hub/activity/ada/2", "ada")


@pytest.mark.parametrize("seconds", [0.0, 0.003, 0.5, 1.0, 3.2, 23.4, 59.9, 100.0, 4000.0])
def test_an_axis_has_round_numbers_and_room_for_all(seconds: float) -> None:
    axis = axis_of(seconds)
    assert seconds <= axis.ends <= max(0.02, seconds * 2)
    assert 2 <= len(axis.ticks) <= 7
    assert all(re.fullmatch(r"0|[0-9.e+]+ s", tick) for tick in axis.ticks)


# The whole hub -------------------------------------------------------------------------------


async def told_to_root(house: Any, query: str = "") -> str:
    return await page(house, f"/hub/admin/events{query}", "root")


@pytest.fixture
async def people(house: Any) -> Any:
    await house.person("ada")
    await house.person("bob")
    await house.person("root", admin=True)
    return house


async def test_the_whole_hub_is_for_those_who_may_read_all_events(people: Any) -> None:
    for path in ("/hub/admin/events", "/hub/admin/past"):
        assert (await people.ask(path, "ada")).status in (403, 404)
        assert (await people.ask(path)).status == 302
        assert await page(people, path, "root")


async def test_one_user_server_actor_type_or_range(people: Any) -> None:
    server = await running(people, "ada", "lab")
    await people.server("bob", "den")
    await people.committer.execute(
        SERVERS, server, StopServer(deadline=LATER), Context.of(f"user:{(await people.views.user('root')).id}")
    )
    everything = await told_to_root(people)
    assert "ada's server lab" in everything
    assert "bob's server den" in everything
    for query in ("?user=ada", "?server=ada/lab", f"?about={server}", "?type=StopRequested", "?actor=root"):
        text = await told_to_root(people, query)
        assert "ada's server lab" in text, query
        assert "bob's server den" not in text, query
    assert len(positions(await told_to_root(people, "?actor=root"))) == 1
    assert len(positions(await told_to_root(people, "?actor=user:root"))) == 1
    assert not positions(await told_to_root(people, "?until=2001-01-01T00:00"))
    assert not positions(await told_to_root(people, "?since=2999-01-01T00:00"))
    assert positions(await told_to_root(people, "?aggregate=route")) == positions(
        await told_to_root(people, "?type=RouteAdded")
    )
    for query in ("?user=nobody", "?server=ada/none", "?group=none", "?actor=user:nobody"):
        assert "There is no" in await told_to_root(people, query)


async def test_what_belongs_together_is_found_by_trace_and_command(people: Any) -> None:
    trace, ada = uuid4().hex, await people.views.user("ada")
    context = Context.of(f"user:{ada.id}", traceparent=f"00-{trace}-{'1' * 16}-01")
    server = await people.server("ada", "lab")
    first = await people.committer.execute(SERVERS, server, start("/user/ada/lab/"), context)
    assert first
    await people.committer.execute(SERVERS, server, CLAIM, context.follow(actor="worker:w"))
    await people.server("bob", "den")
    text = await told_to_root(people, f"?trace={trace}")
    assert len(positions(text)) == 2
    assert positions(text) == sorted(positions(text))
    assert "bob" not in text.partition('id="events"')[2].partition("</section>")[0]
    assert f"?command={context.command}" in text, "the claim says what caused it"
    assert len(positions(await told_to_root(people, f"?command={context.command}"))) == 1
    for query in ("?trace=none", "?command=none"):
        assert "No such event" in await told_to_root(people, query)


async def test_what_happened_since_is_told_from_there_on(people: Any) -> None:
    for place in range(60):
        await people.server("ada", f"s{place}")
    first = min(positions(await told_to_root(people, "?type=ServerCreated")) or [0])
    text = await told_to_root(people, f"?after={first - 1}")
    assert min(positions(text)) == first


async def test_a_trace_is_found_by_its_index(people: Any) -> None:
    async with people.pool.acquire() as connection, connection.transaction():
        await connection.execute("set local enable_seqscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"explain {_TRACE}", "0" * 32))
    assert "events_trace" in plan


# Starts of everybody -------------------------------------------------------------------------


def servers_in(text: str) -> list[str]:
    rows = text.partition("<tbody>")[2].partition("</tbody>")[0]
    return re.findall(r'<th scope="row">(?:<a [^>]*>)?([^<]+)', rows)


async def test_slow_starts_of_everybody_are_found(people: Any, database: Database) -> None:
    await running(people, "ada", "lab")
    await people.server("bob", "den", start("/user/bob/den/"), CLAIM, FAILED, GONE)
    await people.server("bob", "waits", start("/user/bob/waits/"))
    text = await page(people, "/hub/admin/starts", "root")
    assert sorted(servers_in(text)) == ["ada/lab", "bob/den"]
    assert 'href="/hub/activity/ada/lab/1"' in text
    assert "no <room> left" in text
    assert "The spawner's start, 1.0 s" not in text, "it cannot have taken longer than all of it"
    assert servers_in(await page(people, "/hub/admin/starts?end=ill", "root")) == ["bob/den"]
    assert servers_in(await page(people, "/hub/admin/starts?end=well&range=30d", "root")) == ["ada/lab"]
    assert servers_in(await page(people, "/hub/admin/starts?order=new&range=1h", "root")) == ["bob/den", "ada/lab"]
    assert (await people.ask("/hub/admin/starts", "ada")).status in (403, 404)
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("update events set recorded_at = recorded_at - interval '2 hours'")
    await owner.close()
    assert "No such start" in await page(people, "/hub/admin/starts?range=1h", "root")
    assert servers_in(await page(people, "/hub/admin/starts?range=24h", "root"))


# The past ------------------------------------------------------------------------------------


async def past(house: Any, **query: object) -> str:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return await page(house, f"/hub/admin/past?{asked}", "root")


async def head(house: Any) -> int:
    return int(await house.pool.fetchval("select position from log_head"))


async def test_tables_as_of_any_moment(people: Any) -> None:
    before = await head(people)
    server = await running(people, "ada", "lab")
    then = await head(people)
    await people.committer.execute(SERVERS, server, StopServer(deadline=LATER), Context.of("test"))
    await people.committer.execute(SERVERS, server, GONE, Context.of("test"))
    assert "There were none then" in await past(people, at=before, show="servers")
    text = await past(people, at=then, show="servers")
    assert "ada/lab" in text
    assert re.search(r'class="state running">Running</span>.*?<td data-title="Today">Stopped', text, re.DOTALL)
    assert "There were none then" in await past(people, show="servers"), "now it is stopped"
    routes = await past(people, at=then, show="routes")
    assert "http://127.0.0.1:1" in routes
    assert "There were none then" in await past(people, at=before, show="routes")
    for table in ("servers", "routes"):
        assert "ada/lab" not in await past(people, at=then, show=table, q="bob")
        assert "ada/lab" in await past(people, at=then, show=table, q="A/La")
        assert "ada/lab" not in await past(people, at=then, show=table, q="%25")
        assert "Nothing of that name was there then" in await past(people, at=then, show=table, q="d_/")
    assert f"after={then}" in text


async def test_people_as_they_were_and_who_is_forgotten(people: Any) -> None:
    bob, ada = await people.views.user("bob"), await people.views.user("ada")
    then = await head(people)
    assert "bob" in await past(people, at=then)
    await people.committer.execute(USERS, ada.id, RenameUser(name="lovelace"), Context.of("test"))

    async def forget(tx: Any) -> None:
        await tx.act(USERS, bob.id, DeleteUser())
        tx.forget(bob.id)

    await people.committer.submit(forget, Context.of("test"), [(USERS, bob.id)])
    text = await past(people, at=then)
    table = text.partition("<tbody>")[2].partition("</tbody>")[0]
    assert "Called lovelace" in table
    assert "Forgotten since then" in table
    assert "bob" not in table
    assert "forgotten" in table.lower()
    assert "lovelace" in await past(people)
    assert "Forgotten since then" not in await past(people)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"time": "2999-01-01T00:00:00"}, "is yet to come"),
        ({"time": "nonsense"}, "neither a time"),
        ({"at": "nonsense"}, "neither a time"),
    ],
)
async def test_a_moment_that_makes_no_sense_is_said_to_be_so(people: Any, query: dict[str, str], said: str) -> None:
    text = await past(people, **query)
    assert said in text
    assert f"As of event {await head(people)}" in text


async def test_far_beyond_either_end_is_that_end(people: Any) -> None:
    assert f"As of event {await head(people)}" in await past(people, at="99999999999999999999999")
    assert await past(people, at="0")
