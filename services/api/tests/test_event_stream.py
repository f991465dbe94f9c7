"""The stream of events: every event once and in order, from any position on, to whoever may hear it."""

import asyncio
import json
import random
import re
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import ClientError

from hubbub.domain.group import CreateGroup
from hubbub.domain.session import CloseSession
from hubbub.domain.token import RevokeToken
from hubbub.domain.user import RenameUser
from hubbub.eventlog import Context, read_since
from hubbub.keeping.archive import archive
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.views import GROUPS, SESSIONS, TOKENS, USERS
from hubbub_api import event_stream, feed
from hubbub_api.keys import EVENTS, FEED, FOLLOWER

PATIENCE = 20
BY = Context.of("test")
STREAM = {"Accept": "text/event-stream"}


@asynccontextmanager
async def following(house):
    """The tasks of an api that listeners need."""
    app = house.client.server.app
    tasks = [asyncio.create_task(app[FOLLOWER].run()), asyncio.create_task(app[FEED].run())]
    async with asyncio.timeout(PATIENCE):
        await app[FOLLOWER].began.wait()
    try:
        yield house
    finally:
        await end(*tasks)


@pytest.fixture
async def told(house):
    """An api that follows the log. There are ada, bob and an administrator."""
    for name in ("ada", "bob"):
        await house.person(name)
    await house.person("root", admin=True)
    house.root = await house.token("root")
    async with following(house):
        yield house


class Heard:
    """One listener. `events`: what it has heard; `last`: the id it would come back with."""

    def __init__(self, answer):
        self.answer = answer
        self.events = []
        self.last = ""

    @property
    def positions(self):
        return [event["position"] for event in self.events]

    async def line(self):
        async with asyncio.timeout(PATIENCE):
            return (await self.answer.content.readline()).decode()

    async def frame(self):
        """The next one, of whatever kind, as its lines; empty at the end."""
        lines = []
        while (line := await self.line()) not in ("\n", ""):
            lines.append(line.rstrip("\n"))
        for line in lines:
            if line.startswith("id: "):
                self.last = line.removeprefix("id: ")
            if line.startswith("data: "):
                self.events.append(json.loads(line.removeprefix("data: ")))
        return lines

    async def until(self, true):
        while not true(self):
            assert await self.frame(), "it has ended"
        return self

    async def hears(self, *types):
        """These, and nothing else, after what was heard before."""
        before = len(self.events)
        await self.until(lambda _: len(self.events) >= before + len(types))
        assert [event["type"] for event in self.events[before:]] == list(types)

    async def ends(self):
        try:
            while await self.frame():
                pass
        except ClientError:
            return True
        return False

    def close(self):
        self.answer.close()


async def listen(house, query="", who="", token="", last=""):
    headers = {**STREAM, "Last-Event-ID": last} if last else STREAM
    answer = await house.ask(f"/hub/api/events{query}", who, token=token, headers=headers)
    assert (answer.status, answer.content_type) == (200, "text/event-stream"), await answer.text()
    heard = Heard(answer)
    assert await heard.frame() == [f"retry: {event_stream.RETRY}", ":", f"id: {heard.last}"]
    return heard


async def refused(house, query="", who="", token="", **headers):
    answer = await house.ask(f"/hub/api/events{query}", who, token=token, headers={**STREAM, **headers})
    answer.close()
    return answer.status


async def grow(house, events=1):
    for _ in range(events):
        await house.committer.execute(GROUPS, uuid4().hex, CreateGroup(name=uuid4().hex), BY)


async def rename(house, name, new):
    user = await house.views.user(name)

    async def body(tx):
        await tx.know(user.id)
        await tx.act(USERS, user.id, RenameUser(name=new))

    await house.committer.submit(body, BY)


async def head(house):
    return await house.client.server.app[EVENTS].head()


async def test_from_the_first_event_to_those_that_come(told):
    heard = await listen(told, "?after=0", token=told.root)
    log = [record.position for record in await read_since(told.pool, 0)]
    await heard.until(lambda _: len(heard.events) == len(log))
    await grow(told, 3)
    await heard.hears("GroupCreated", "GroupCreated", "GroupCreated")
    assert heard.positions == [*log, *range(len(log) + 1, len(log) + 4)]
    heard.close()


async def test_it_begins_now_unless_told(told):
    heard = await listen(told, token=told.root)
    await grow(told)
    await heard.hears("GroupCreated")
    assert heard.positions == [await head(told)]
    heard.close()


async def test_or_at_a_time(told):
    await grow(told, 2)
    [*_, last] = await read_since(told.pool, 0)
    at = last.recorded_at.isoformat().replace("+", "%2B")
    heard = await listen(told, f"?since={at}", token=told.root)
    await heard.until(lambda _: heard.events)
    assert heard.positions == [last.position]
    heard.close()


async def test_a_listener_that_is_cut_again_and_again_hears_every_event_once_and_in_order(told):
    """A hundred times, at any byte, while the log grows; the last id that it knows is that of a whole event."""
    chance, writing = random.Random(7), asyncio.create_task(_write(told))
    events, last, cuts = [], "", 0
    try:
        while cuts < 100:
            heard = await listen(told, "" if last else "?after=0", token=told.root, last=last)
            whole, rest = b"", chance.randrange(20_000)
            while rest > 0 and not writing.done():
                async with asyncio.timeout(PATIENCE):
                    piece = await heard.answer.content.readany()
                whole, rest = whole + piece[:rest], rest - len(piece)
            heard.close()
            cuts += 1
            frames = [frame for frame in whole.split(b"\n\n")[:-1] if b"data: " in frame]
            events += [json.loads(frame.partition(b"data: ")[2]) for frame in frames]
            ids = [frame.partition(b"id: ")[2].partition(b"\n")[0] for frame in whole.split(b"\n\n")[:-1]]
            last = ids[-1].decode() if ids else last or heard.last
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    heard = await listen(told, token=told.root, last=last)
    log = [record.position for record in await read_since(told.pool, 0, 100_000)]
    await heard.until(lambda _: (heard.positions or [0])[-1] == log[-1] or events[-1]["position"] == log[-1])
    assert [event["position"] for event in events] + heard.positions == log
    assert events[-1]["position"] > 200
    heard.close()


async def _write(house):
    while True:
        await asyncio.gather(*(grow(house) for _ in range(5)))


async def test_who_is_too_slow_is_cut_off_and_goes_on_where_they_were(told, monkeypatch):
    monkeypatch.setattr(feed, "WAITING", 50)
    heard = await listen(told, token=told.root)
    [listener] = await eventually(lambda: told.client.server.app[FEED].listeners)
    reading = heard.answer.connection.protocol
    reading.pause_reading()
    async with asyncio.timeout(PATIENCE):
        while not listener.lost:
            description = {"text": "x" * 100_000}
            for _ in range(60):
                await told.committer.execute(
                    GROUPS, uuid4().hex, CreateGroup(name=uuid4().hex + "x" * 20_000, properties=description), BY
                )
    reading.resume_reading()
    assert await heard.ends()
    again = await listen(told, token=told.root, last=heard.last)
    await again.until(
        lambda _: again.last.endswith(f":{listener.position}") or again.positions[-1:] == [heard_to(told)]
    )
    again.close()


def heard_to(house):
    return house.client.server.app[FOLLOWER].position


async def test_whichever_api_one_asks_it_is_one_log(told, colleague):
    async with following(colleague):
        colleague._people = told._people
        heard = await listen(told, token=told.root)
        await grow(told)
        await heard.hears("GroupCreated")
        heard.close()
        await grow(told, 2)
        there = await listen(colleague, token=told.root, last=heard.last)
        await grow(told)
        await there.hears("GroupCreated", "GroupCreated", "GroupCreated")
        assert there.positions == [heard.positions[-1] + n for n in (1, 2, 3)]
        there.close()


async def test_a_follower_whose_connection_breaks_leaves_nothing_out(told, database):
    heard = await listen(told, token=told.root)
    first = await head(told)
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        for _ in range(5):
            await grow(told, 2)
            await owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'hubbub-follower%'"
                " and datname = current_database()"
            )
            await grow(told, 2)
    finally:
        await owner.close()
    await heard.until(lambda _: len(heard.events) == 20)
    assert heard.positions == list(range(first + 1, first + 21))
    heard.close()


async def test_filters_hold_for_what_is_past_and_for_what_comes(told):
    heard = await listen(told, "?user=ada&type=UserCreated,UserRenamed&after=0", token=told.root)
    await heard.hears("UserCreated")
    await rename(told, "bob", "bert")
    await grow(told)
    await rename(told, "ada", "eve")
    # By that name they are known no more: whoever asks for a name hears what is about it now.
    await heard.hears("UserRenamed")
    assert {event["user"]["id"] for event in heard.events} == {heard.events[0]["user"]["id"]}
    heard.close()


async def test_what_is_left_out_is_not_read_again(told, monkeypatch):
    monkeypatch.setattr(event_stream, "KEEP_ALIVE", 0.05)
    heard = await listen(told, "?type=UserDeleted", token=told.root)
    await grow(told, 5)
    end = await head(told)
    await heard.until(lambda _: heard.last.endswith(f":{end}"))
    assert heard.events == []
    heard.close()


async def test_a_browser_hears_what_is_about_its_user(told):
    heard = await listen(told, who="ada")
    await told.server("bob", "his")
    id = await told.server("ada", "lab")
    await heard.hears("ServerCreated")
    assert heard.events[0]["server"] == {"id": id, "name": "lab", "user": "ada"}
    # Routes and shares name the server alone: also of one that was made while we listened.
    await told.route(id)
    await heard.hears("RouteAdded")
    share = {"user": "bob", "scopes": ["access:servers!server=ada/lab"]}
    assert (await told.ask("/hub/api/shares/ada/lab", "", "POST", told.root, json=share)).status == 200
    await heard.hears("ServerShared")
    assert heard.events[-1]["text"] == "root shared ada's server lab with bob"
    heard.close()


async def test_every_page_hears_that_the_house_has_changed_and_no_more(told):
    heard, whole = await listen(told, "?user=ada", who="ada"), await listen(told, who="root")
    body = {"paused": True, "reason": "an upgrade"}
    assert (await told.ask("/hub/api/house", "", "PATCH", told.root, json=body)).status == 200
    await heard.hears("StartsPaused")
    await whole.hears("StartsPaused")
    [hers], [roots] = heard.events, whole.events
    assert (hers["text"], hers["data"], hers["actor"]["name"]) == ("starts are paused", {}, "house")
    assert (roots["data"]["reason"], roots["actor"]["name"]) == ("an upgrade", "root")
    again = await listen(told, "?user=ada&after=0", who="ada")
    await again.until(lambda _: again.events[-1:] == heard.events)
    page = await (await told.ask("/hub/api/events", "ada")).json()
    assert "house" not in {event["aggregate"] for event in page["items"]}
    for each in (heard, whole, again):
        each.close()


@pytest.mark.parametrize("query", ["?user=bob", "?user=nobody", "?server=bob/his", "?server=bob/none", "?group=staff"])
async def test_what_is_not_theirs_is_as_good_as_not_there(told, query):
    await told.server("bob", "his")
    assert await refused(told, query, who="ada") == 404
    assert await refused(told, query, token=await told.token("ada")) == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [("?user=ada", 200), ("?server=ada/lab", 200), ("", 200), ("?about=x", 403), ("?user=ada&group=x", 400)],
)
async def test_in_a_browser_everybody_may_ask_for_what_is_theirs(told, query, status):
    await told.server("ada", "lab")
    answer = await told.ask(f"/hub/api/events{query}", "ada")
    assert answer.status == status
    if status == 200:
        assert {event["user"]["name"] for event in (await answer.json())["items"]} == {"ada"}


async def test_a_token_needs_the_scope(told):
    assert await refused(told, token=await told.token("ada")) == 403
    assert await refused(told, token=await told.token("root", "read:users")) == 403
    assert await refused(told, "?user=ada", token=await told.token("ada")) == 403
    assert await refused(told) == 403


async def test_a_token_for_some_hears_of_them(told):
    async def made(path, **body):
        assert (await told.ask(f"/hub/api{path}", "", "POST", told.root, json=body)).status < 300

    await made("/groups/staff")
    await made("/groups/staff/users", users=["ada"])
    token = await told.token("root", "read:events!group=staff")
    heard = await listen(told, token=token)
    await told.server("bob", "his")
    await told.server("ada", "lab")
    await heard.hears("ServerCreated")
    # Who comes in is heard from then on; who leaves is not any more.
    await made("/groups/staff/users", users=["bob"])
    await heard.hears("MemberAdded")
    await told.server("bob", "other")
    await heard.hears("ServerCreated")
    gone = await told.ask("/hub/api/groups/staff/users", "", "DELETE", told.root, json={"users": ["ada"]})
    assert gone.status < 300
    await heard.hears("MemberRemoved")
    await told.server("ada", "more")
    await told.server("bob", "last")
    await heard.hears("ServerCreated")
    assert heard.events[-1]["server"]["user"] == "bob"
    heard.close()


async def test_rights_that_change_while_a_listener_catches_up_count_from_then_on(told, monkeypatch):
    async def made(path, **body):
        assert (await told.ask(f"/hub/api{path}", "", "POST", told.root, json=body)).status < 300

    await made("/groups/staff")
    token = await told.token("root", "read:events!group=staff")
    reads, done = event_stream._Stream._read_until, []

    async def read_until(stream, wanted, position):
        if not done:
            done.append(True)
            await made("/groups/staff/users", users=["bob"])
            await told.server("bob", "his")
            end = await head(told)
            await eventually(lambda: heard_to(told) == end)
        await reads(stream, wanted, position)

    monkeypatch.setattr(event_stream._Stream, "_read_until", read_until)
    heard = await listen(told, token=token)
    await heard.hears("MemberAdded", "ServerCreated")
    heard.close()


async def test_an_event_is_put_into_words_once_whoever_hears_it(told, monkeypatch):
    heard = [await listen(told, token=told.root) for _ in range(10)]
    words, frames = feed.frame, []
    monkeypatch.setattr(feed, "frame", lambda model: frames.append(model.position) or words(model))
    first = await head(told)
    await asyncio.gather(*(grow(told, 20) for _ in range(5)))
    for each in heard:
        await each.until(lambda each: len(each.events) >= 100)
        assert each.positions == list(range(first + 1, first + 101))
        each.close()
    assert frames == heard[0].positions


async def test_whose_token_is_revoked_hears_no_more(told):
    heard = await listen(told, token=told.root)
    root = (await told.views.user("root")).id
    [token] = await told.pool.fetch("select id from tokens where user_id = $1", root)
    await told.committer.execute(TOKENS, token["id"], RevokeToken(), BY)
    await heard.hears("TokenRevoked")
    assert await heard.ends()
    assert await refused(told, token=told.root) == 403


async def test_whose_session_ends_hears_no_more(told):
    heard = await listen(told, who="ada")
    ada = (await told.views.user("ada")).id
    session = await told.pool.fetchval("select id from sessions where user_id = $1", ada)

    async def body(tx):
        await tx.know(ada)
        await tx.act(SESSIONS, session, CloseSession())

    await told.committer.submit(body, BY)
    await heard.hears("SessionClosed")
    assert await heard.ends()


async def test_rights_are_looked_at_again_by_and_by(told, monkeypatch):
    """A role is one of the configuration's, say: nothing in the log tells that it has lost a scope."""
    monkeypatch.setattr(event_stream, "AGAIN", 0.05)
    heard = await listen(told, token=told.root)
    await told.pool.execute("delete from tokens")
    assert await heard.ends()


@pytest.mark.parametrize("last", ["another:3", "{epoch}:1000000", "{epoch}:x", "nonsense"])
async def test_a_place_that_is_not_in_this_log_is_gone(told, last):
    epoch = await told.client.server.app[EVENTS].epoch()
    assert await refused(told, token=told.root, **{"Last-Event-ID": last.format(epoch=epoch)}) == 410


async def test_nobody_has_too_many_streams(told, monkeypatch):
    monkeypatch.setattr(event_stream, "MOST_STREAMS", 2)
    first, second = await listen(told, who="ada"), await listen(told, who="ada")
    assert await refused(told, who="ada") == 429
    other = await listen(told, who="bob")
    first.close()
    await eventually(lambda: _can(told))
    for heard in (second, other):
        heard.close()


async def _can(house):
    return await refused(house, who="ada") == 200


async def test_an_api_that_ends_lets_nobody_hang(told):
    heard = await listen(told, token=told.root)
    await event_stream.end_all(told.client.server.app)
    assert await heard.ends()
    again = await listen(told, token=told.root, last=heard.last)
    again.close()


async def test_nobody_is_left_when_all_have_gone(told, monkeypatch):
    monkeypatch.setattr(event_stream, "KEEP_ALIVE", 0.05)
    heard = [await listen(told, who=who) for who in ("ada", "bob", "root")]
    for each in heard:
        each.close()
    app = told.client.server.app
    await eventually(lambda: not app[FEED].listeners and not app[event_stream.STREAMS].by_actor)
    assert not app[FEED]._by_subject
    assert not app[FEED]._everything


async def test_pages_lead_from_the_newest_event_to_the_first(told):
    await grow(told, 5)
    log = [record.position for record in await read_since(told.pool, 0)]
    seen, more = [], ""
    while more is not None:
        answer = await told.ask(f"/hub/api/events?limit=4{more and f'&before={more}'}", token=told.root)
        page = await answer.json()
        seen += [event["position"] for event in page["items"]]
        assert page["head"] == log[-1]
        more = page["more"]
    assert seen == log[::-1]


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2026-01-01T00:00:00", "aggregate=nothing", "order=up", "limit=many", "after=x"]
)
async def test_what_makes_no_sense_is_said(told, query):
    answer = await told.ask(f"/hub/api/events?{query}", token=told.root)
    assert answer.status == 400
    assert query.partition("=")[0] in (await answer.json())["message"]


async def test_who_did_it_can_be_asked_for(told):
    assert (await told.ask("/hub/api/groups/staff", "", "POST", told.root)).status == 201
    answer = await told.ask("/hub/api/events?actor=user:root", token=told.root)
    assert [event["type"] for event in (await answer.json())["items"]] == ["GroupCreated"]
    assert (await told.ask("/hub/api/events?actor=user:root", "ada")).status == 404


# What was archived -----------------------------------------------------------------------


async def put_away(told, database, folder, key):
    before = await told.client.app[EVENTS].head() - 2
    return (await archive(database.owner_dsn, key, folder, before, say=lambda _: None)).horizon


async def test_a_stream_from_before_the_horizon_is_gone(told, database, tmp_path, vault_key):
    oldest = await put_away(told, database, tmp_path / "a", vault_key) + 1
    epoch = await told.client.app[EVENTS].epoch()
    assert await refused(told, token=told.root, **{"Last-Event-ID": f"{epoch}:{oldest - 2}"}) == 410
    assert await refused(told, "?after=0", token=told.root) == 410
    assert await refused(told, "?since=2020-01-01T00:00:00Z", token=told.root) == 410
    heard = await listen(told, token=told.root, last=f"{epoch}:{oldest - 1}")
    head = await told.client.app[EVENTS].head()
    await heard.until(lambda each: len(each.positions) == head - oldest + 1)
    assert heard.positions == list(range(oldest, head + 1))
    heard.close()


async def test_a_stream_that_is_overtaken_by_the_archive_ends(told, database, tmp_path, vault_key, monkeypatch):
    """It reads, and what comes next is archived meanwhile."""
    monkeypatch.setattr("hubbub_api.event_stream.AT_ONCE", 2)
    reads, done = told.client.app[EVENTS], []
    filtered = reads.filtered

    async def overtaken(wanted, before=None, after=None, *args, **more):
        if after == 2 and not done:
            done.append(await put_away(told, database, tmp_path / "a", vault_key))
        return await filtered(wanted, before, after, *args, **more)

    monkeypatch.setattr(reads, "filtered", overtaken)
    answer = await told.ask("/hub/api/events?after=0", token=told.root, headers=STREAM)
    lines = b""
    with suppress(ClientError):
        while chunk := await answer.content.readany():
            lines += chunk
    assert done
    assert re.findall(rb'"position":(\d+)', lines) == [b"1", b"2"]
