"""Webhooks: every event is delivered in order, again and again until it is taken, and anew when somebody wishes."""

import asyncio
import json
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from traitlets.config import Config

from hubbub import faults
from hubbub.config import Options
from hubbub.domain.group import CreateGroup
from hubbub.eventlog import Context, read_since
from hubbub.keeping.archive import archive
from hubbub.sections import ConfigError
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.views import GROUPS
from hubbub.web.request import GATE
from hubbub.webhooks import Webhook
from hubbub_api import webhooks
from hubbub_api.keys import EVENTS, FOLLOWER, POOL
from hubbub_api.webhooks import Webhooks, signature

SECRET = "a-secret-of-the-receiver"
BY = Context.of("test")


class Receiver:
    """What is sent to it, and what it answers: `says` first, 204 when that is used up."""

    def __init__(self):
        self.bodies = []
        self.headers = []
        self.says = []
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self.server = TestServer(app)

    async def _take(self, request):
        body = await request.read()
        self.headers.append(request.headers)
        self.bodies.append(body)
        said = self.says.pop(0) if self.says else 204
        if isinstance(said, asyncio.Event):
            await said.wait()
            said = 204
        if said == "elsewhere":
            raise web.HTTPFound(f"http://127.0.0.1:{self.server.port}/again")
        return web.Response(status=said)

    @property
    def deliveries(self):
        return [json.loads(body) for body in self.bodies]

    @property
    def positions(self):
        return [event["position"] for each in self.deliveries for event in each["events"]]

    async def has(self, count):
        await eventually(lambda: len(self.bodies) >= count, 20)


@pytest.fixture
async def receiver():
    made = Receiver()
    await made.server.start_server()
    yield made
    await made.server.close()


@pytest.fixture
async def told(house, receiver, monkeypatch):
    """An api with one webhook, `audit`, which nobody delivers yet."""
    monkeypatch.setattr(webhooks, "FIRST_PAUSE", 0.01)
    await house.person("root", admin=True)
    house.root = await house.token("root")
    house.hook = Webhook(name="audit", url=f"http://u:p@127.0.0.1:{receiver.server.port}/in?key=x", secret=SECRET)
    house.client.server.app[GATE].options.ours.webhooks = [house.hook]
    return house


@asynccontextmanager
async def delivering(house, database, **more):
    """The tasks of an api that deliver."""
    app = house.client.server.app
    hook = Webhook(**{**{name: getattr(house.hook, name) for name in house.hook.__struct_fields__}, **more})
    made = Webhooks(database.api_dsn, app[POOL], app[EVENTS], app[FOLLOWER], [hook])
    tasks = [asyncio.create_task(app[FOLLOWER].run()), asyncio.create_task(made.run())]
    await asyncio.wait_for(app[FOLLOWER].began.wait(), 10)
    try:
        yield made
    finally:
        await end(*tasks)


async def begun(house):
    """The webhook has its cursor."""
    await eventually(lambda: house.pool.fetchval("select 1 from bookmarks where reader = 'webhook:audit'"))


async def grow(house, events=1):
    for _ in range(events):
        await house.committer.execute(GROUPS, uuid4().hex, CreateGroup(name=uuid4().hex), BY)


async def log(house):
    return [record.position for record in await read_since(house.pool, 0)]


async def shown(house):
    answer = await house.ask("/hub/api/webhooks", token=house.root)
    assert answer.status == 200
    return (await answer.json())[0]


async def change(house, token="", **body):
    answer = await house.ask("/hub/api/webhooks/audit", "", "PATCH", token or house.root, json=body)
    return answer.status, await answer.json()


async def test_what_happens_from_now_on_is_delivered_in_order_and_signed(told, database, receiver):
    before = await log(told)
    async with delivering(told, database):
        await begun(told)
        await grow(told, 30)
        await eventually(lambda: len(receiver.positions) == 30, 20)
    assert receiver.positions == (await log(told))[len(before) :]
    for headers, body in zip(receiver.headers, receiver.bodies, strict=True):
        assert headers["Hubbub-Signature"] == f"sha256={signature(SECRET, headers['Hubbub-Timestamp'], body)}"
        assert headers["Hubbub-Delivery"] == json.loads(body)["delivery"]
    assert receiver.deliveries[0]["webhook"] == "audit"
    assert receiver.deliveries[0]["events"][0]["type"] == "GroupCreated"
    now = await shown(told)
    assert (now["behind"], now["error"], now["attempts"]) == (0, None, 0)


async def test_what_is_not_taken_is_sent_again_and_nothing_before_it(told, database, receiver):
    receiver.says = [500, 404, "elsewhere", 200]
    async with delivering(told, database, batch=2):
        await begun(told)
        await grow(told, 3)
        await receiver.has(5)
        end = (await log(told))[-1]
        await eventually(lambda: receiver.positions[-1] == end, 20)
    ids = [each["delivery"] for each in receiver.deliveries]
    assert len(set(ids[:4])) == 1
    assert ids.count(ids[-1]) == 1
    heard = list(dict.fromkeys(receiver.positions))
    assert heard == sorted(heard) == (await log(told))[-3:]


async def test_why_it_is_not_taken_is_told(told, database, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "FIRST_PAUSE", 300)
    receiver.says = [503]
    async with delivering(told, database):
        await begun(told)
        await grow(told)
        await eventually(lambda: _has_failed(told), 20)
        now = await shown(told)
        assert (now["error"], now["attempts"], now["behind"]) == ("it answered 503", 1, 1)
        assert now["url"] == f"http://127.0.0.1:{receiver.server.port}"
        assert "secret" not in json.dumps(now)
        # Who moves the cursor does not wait for the next attempt.
        assert (await change(told, position=now["position"]))[0] == 200
        await receiver.has(2)
        await eventually(lambda: _is_level(told), 20)


async def _has_failed(house):
    return (await shown(house))["error"]


async def _is_level(house):
    now = await shown(house)
    return now["behind"] == 0 and now["error"] is None


async def test_who_does_not_answer_in_time_is_asked_again(told, database, receiver):
    never = asyncio.Event()
    receiver.says = [never]
    async with delivering(told, database, timeout=0.1):
        await begun(told)
        await grow(told)
        await receiver.has(2)
        await eventually(lambda: _is_level(told), 20)
    never.set()
    assert len({each["delivery"] for each in receiver.deliveries}) == 1


async def test_one_that_dies_after_a_delivery_has_it_delivered_twice_and_as_the_same(
    told, database, receiver, monkeypatch
):
    def die(name):
        if name == "webhook.delivered":
            raise asyncpg.PostgresConnectionError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(faults, "point", die)
        async with delivering(told, database):
            await begun(told)
            await grow(told, 2)
            await receiver.has(1)
    sent = len(receiver.bodies)
    await grow(told, 2)
    async with delivering(told, database):
        await eventually(lambda: receiver.positions[-1] == heard_to(told) and len(receiver.bodies) > sent, 20)
    ids = [each["delivery"] for each in receiver.deliveries]
    assert ids[sent] == ids[sent - 1]
    heard = list(dict.fromkeys(receiver.positions))
    assert heard == (await log(told))[-4:]


def heard_to(house):
    return house.client.server.app[FOLLOWER].position


async def test_one_delivers_and_another_takes_its_place(told, colleague, database, receiver):
    async with delivering(told, database):
        await begun(told)
        colleague.hook = told.hook
        async with delivering(colleague, database):
            await grow(told, 5)
            await eventually(lambda: _is_level(told), 20)
            assert receiver.positions == (await log(told))[-5:]
            owner = await asyncpg.connect(database.owner_dsn)
            await owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'hubbub-webhooks' and datname = current_database()"
            )
            await owner.close()
            await grow(told, 5)
            await eventually(lambda: _is_level(told), 20)
    assert receiver.positions == (await log(told))[-10:]


async def test_events_are_delivered_again_when_the_cursor_is_moved(told, database, receiver):
    async with delivering(told, database):
        await begun(told)
        await grow(told, 3)
        await eventually(lambda: len(receiver.positions) == 3, 20)
        await eventually(lambda: _is_level(told), 20)
        first = receiver.positions[0]
        status, now = await change(told, position=first)
        assert (status, now["position"]) == (200, first)
        await eventually(lambda: len(receiver.positions) == 5, 20)
        assert receiver.positions[3:] == receiver.positions[1:3]
        status, now = await change(told, position=0)
        await eventually(lambda: receiver.positions[5:] == list(range(1, first + 3)), 20)


async def test_paused_it_delivers_nothing_until_it_is_not(told, database, receiver):
    async with delivering(told, database):
        await begun(told)
        assert (await change(told, paused=True))[1]["paused"]
        await grow(told, 3)
        assert (await shown(told))["behind"] == 3
        assert (await change(told, position="now"))[1]["behind"] == 0
        await grow(told)
        assert not (await change(told, paused=False))[1]["paused"]
        await eventually(lambda: _is_level(told), 20)
    assert receiver.positions == (await log(told))[-1:]


async def test_only_what_is_asked_for_is_delivered(told, database, receiver):
    await told.person("ada")
    async with delivering(told, database, users=("ada",), types=("ServerCreated", "RouteAdded")):
        await begun(told)
        await told.server("root", "other")
        await grow(told, 3)
        id = await told.server("ada", "lab")
        await told.route(id)
        await eventually(lambda: len(receiver.positions) == 2, 20)
    types = [event["type"] for each in receiver.deliveries for event in each["events"]]
    assert types == ["ServerCreated", "RouteAdded"]


async def test_what_is_passed_over_is_written_down(told, database, receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "NOTED", 0.01)
    async with delivering(told, database, types=("UserDeleted",)):
        await begun(told)
        await grow(told, 3)
        await eventually(lambda: _is_level(told), 20)
    assert receiver.bodies == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400), ({"position": 10**6}, 400), ({"position": -1}, 400), ({"position": "then"}, 400),
        ({"paused": "yes"}, 400), ({"url": "http://x"}, 400),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_changes_nothing(told, body, status):
    assert (await change(told, **body))[0] == status


async def test_who_may_see_and_change_them(told):
    await told.person("ada")
    assert (await told.ask("/hub/api/webhooks", "ada")).status == 403
    reads = await told.token("root", "read:events")
    assert (await told.ask("/hub/api/webhooks", token=reads)).status == 200
    assert (await change(told, token=reads, paused=True))[0] == 403
    assert (await told.ask("/hub/api/webhooks/other", "", "PATCH", told.root, json={"paused": True})).status == 404


@pytest.mark.parametrize(
    ("hook", "named"),
    [
        ({"url": "http://x", "secret": SECRET}, "name"),
        ({"name": "A b", "url": "http://x", "secret": SECRET}, "name"),
        ({"name": "a", "url": "ftp://u:geheim@x", "secret": SECRET}, "url"),
        ({"name": "a", "url": "http://x:y", "secret": SECRET}, "url"),
        ({"name": "a", "url": "http://x", "secret": "short"}, "secret"),
        ({"name": "a", "url": "http://x", "secret": SECRET, "user": ["ada"]}, "user"),
        ({"name": "a", "url": "http://x", "secret": SECRET, "aggregates": ["servers"]}, "'servers'"),
    ],
)
def test_one_that_cannot_be_meant_is_refused(hook, named):
    with pytest.raises(ConfigError, match=r"c\.Hubbub\.webhooks") as refused:
        Options(Config({"Hubbub": {"webhooks": [hook]}}))
    assert named in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_no_two_have_one_name():
    hook = {"name": "a", "url": "http://x", "secret": SECRET}
    with pytest.raises(ConfigError, match="2 webhooks of the name 'a'"):
        Options(Config({"Hubbub": {"webhooks": [hook, hook]}}))


async def test_a_webhook_that_was_left_behind_waits_until_somebody_says_where_to_go_on(
    told, receiver, database, tmp_path, vault_key
):
    async with delivering(told, database):
        await begun(told)
        receiver.says = [503] * 1000
        await grow(told, 5)
        await receiver.has(1)
    horizon = (
        await archive(database.owner_dsn, vault_key, tmp_path / "a", 10**9, unread=True, say=lambda _: None)
    ).horizon
    receiver.says, before = [], len(receiver.bodies)
    async with delivering(told, database):
        found = None

        async def says():
            nonlocal found
            found = await shown(told)
            return (found["error"] or "").startswith("410")

        await eventually(says, 10)
        assert found["error"] == (
            f"410: events up to {horizon} were archived: the oldest here is {horizon + 1}; say where to go on"
        )
        assert len(receiver.bodies) == before
        assert (await change(told, position=horizon))[0] == 200
        await grow(told, 1)
        await receiver.has(before + 1)
        assert receiver.positions[-1] == horizon + 1
