"""Events as the world sees them: their models, and pages of them by whatever they are asked for."""

import json
import re
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

import hubbub
from hubbub.domain.message import Unknown
from hubbub.domain.server_messages import RenameServer
from hubbub.eventlog import Context, decode, read_since, recorded
from hubbub.schema.migrations import MIGRATIONS
from hubbub.vault import FORGOTTEN, Vault
from hubbub.views import SERVERS, VIEWS
from hubbub_api.event_models import HIDDEN, SHOWN, Actor, data_of
from hubbub_api.event_words import SENTENCES, sentence
from hubbub_api.events import Filter
from hubbub_api.keys import EVENTS
from hubbub_api.testing import LATER, Worker

CORPUS = json.loads((Path(hubbub.__file__).parents[1] / "tests" / "golden" / "events.json").read_text())
TYPES = [event for view in VIEWS.values() for event in view.decider.events.__args__]


@pytest.fixture
async def story(house):
    """ada's server has been started, by her; root has made a group. What is known of both."""
    await house.person("ada")
    await house.person("root", admin=True)
    house.server_id, _ = await Worker(house).runs("ada", "lab")
    token = await house.token("root")
    for path, body in (("", {}), ("/users", {"users": ["ada"]})):
        assert (await house.ask(f"/hub/api/groups/staff{path}", "", "POST", token, json=body)).status < 300
    house.ada = (await house.views.user("ada")).id
    house.events = house.client.app[EVENTS]
    return house


def headers(house, who):
    return {"X-XSRFToken": house.xsrf(who)}


def types(records):
    return [record.type for record in records]


@pytest.mark.parametrize("type", [each.__name__ for each in TYPES])
def test_there_are_words_for_every_type_of_event(type):
    assert type in SENTENCES


@pytest.mark.parametrize("event", TYPES, ids=lambda each: each.__name__)
def test_of_every_field_it_is_decided_whether_it_is_shown(event):
    assert set(event.__struct_fields__) <= SHOWN | HIDDEN
    assert not SHOWN & HIDDEN


@pytest.mark.parametrize("each", CORPUS["events"], ids=lambda each: each["type"])
async def test_nothing_secret_is_shown(each):
    vault = Vault(CORPUS["house_key"])

    class Keys:
        async def fetch(self, query, people):
            return [{"person": person, "key": CORPUS["people"][person].encode()} for person in people]

    await vault.load(Keys(), CORPUS["people"])
    row = {
        "position": 1,
        "stream": f"{each['kind']}-x",
        "version": 1,
        "meta": "{}",
        "command_id": "",
        "about": [],
        **{name: each[name] for name in ("type", "data", "schema_version")},
        "recorded_at": LATER,
    }
    event = decode(recorded(row), vault)
    assert not isinstance(event, Unknown)
    shown = json.dumps(data_of(event, "test"))
    assert "gAAAA" not in shown
    secrets = [value for name, value in each["reads_as"].items() if name in HIDDEN and isinstance(value, str)]
    assert not [secret for secret in secrets if secret and secret in shown]
    assert sentence(recorded(row), event, Actor("system", "", "sweep"), None, None, None)


async def test_a_model_tells_who_did_what_to_whom(story):
    [asked] = await story.events.page(about=[story.server_id], types=["SpawnRequested"])
    [model] = await story.events.models([asked])
    told = json.loads(msgspec.json.encode(model))
    assert told["id"] == f"{await story.events.epoch()}:{asked.position}"
    assert told["server"] == {"id": story.server_id, "name": "lab", "user": "ada"}
    assert told["user"] == {"id": story.ada, "name": "ada"}
    assert (told["aggregate"], told["subject"]) == ("server", story.server_id)
    assert told["data"]["prefix"] == "/user/ada/lab/"
    [claimed] = await story.events.models(await story.events.page(types=["AttemptClaimed"]))
    assert (claimed.actor, claimed.text) == (
        Actor("worker", "w1", "w1"),
        "worker w1 took the start of ada's server lab",
    )
    [added] = await story.events.models(await story.events.page(types=["MemberAdded"]))
    assert (added.text, added.group.name, added.user.name) == ("root put ada into the group staff", "staff", "ada")


async def test_who_and_what_is_no_more_is_named_as_far_as_it_may_be(story):
    await end(story)
    await story.committer.execute(
        SERVERS, story.server_id, RenameServer(name="den", display_name="den"), Context.of("x")
    )
    assert (await story.ask("/hub/api/users/ada", "root", "DELETE", headers=headers(story, "root"))).status == 204
    models = await story.events.models(await story.events.page(about=[story.server_id], aggregates=["server"]))
    assert {(model.server.name, model.server.user) for model in models} == {("den", FORGOTTEN)}
    created = (await story.events.models(await story.events.page(about=[story.ada], types=["UserCreated"])))[0]
    assert (created.user.name, created.data["name"]) == (FORGOTTEN, FORGOTTEN)


async def end(house):
    await Worker(house).stops(house.server_id, resumes=False)


async def test_every_way_to_ask_gives_what_the_log_has(story):
    """Whatever the query does must be what the filter says, which the live stream goes by."""
    log = await read_since(story.pool, 0)
    about = [None, [], [story.ada], [story.server_id, story.ada], ["by:worker:w1"], ["nobody"]]
    which = [
        ((), ()),
        (["SpawnRequested", "AttemptClaimed"], ()),
        ((), ["server", "token"]),
        (["UserCreated"], ["server"]),
    ]
    for subjects in about:
        for these, aggregates in which:
            for actor in ("", "worker:w1", "nobody"):
                wanted = Filter.of(subjects, these, aggregates, actor)
                expected = [record.position for record in log if wanted.passes(record)]
                assert [each.position for each in await story.events.filtered(wanted)] == expected[::-1]
                cut = log[len(log) // 2].position
                later = await story.events.filtered(wanted, after=cut, limit=2, newest_first=False)
                assert [each.position for each in later] == [each for each in expected if each > cut][:2]
                earlier = await story.events.filtered(wanted, before=cut, limit=2)
                assert [each.position for each in earlier] == [each for each in expected if each < cut][::-1][:2]


async def test_times_count_too(story):
    log = await read_since(story.pool, 0)
    at = log[-3].recorded_at
    later = await story.events.page(since=at, newest_first=False)
    assert [each.position for each in later] == [each.position for each in log if each.recorded_at >= at]
    assert await story.events.page(since=log[-1].recorded_at + timedelta(microseconds=1)) == []
    earlier = await story.events.page(until=at, about=[story.ada], newest_first=False)
    expected = [each.position for each in log if each.recorded_at < at and story.ada in each.about]
    assert [each.position for each in earlier] == expected


async def test_what_the_migration_makes_of_an_older_log_is_what_is_written_today(story, database):
    """Its statement, over the log as it was before it."""
    await end(story)
    [sql] = [each.sql for each in MIGRATIONS if each.name == "about"]
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        before = await owner.fetch("select position, about from events order by position")
        subjects = await owner.fetch("select * from subjects order by subject, position")
        await owner.execute("alter table events drop column about; drop table subjects; drop index events_type")
        await owner.execute("drop index events_recorded")
        await owner.execute(sql)
        after = await owner.fetch("select position, about from events order by position")
        assert [(row["position"], set(row["about"])) for row in after] == [
            (row["position"], set(row["about"])) for row in before
        ]
        assert await owner.fetch("select * from subjects order by subject, position") == subjects
    finally:
        await owner.close()


async def test_a_user_has_servers_that_are_gone_too(story):
    await end(story)
    path = "/hub/api/users/ada/servers/lab"
    assert (
        await story.ask(path, "root", "DELETE", json={"remove": True}, headers=headers(story, "root"))
    ).status == 204
    assert await story.events.of_user(story.ada) == {story.ada, story.server_id}


@pytest.mark.parametrize("kind", VIEWS)
def test_the_documentation_says_of_every_event_what_its_docstring_says(kind):
    table = (Path(hubbub.__file__).parents[2] / "docs" / "events.md").read_text().splitlines()
    for event in VIEWS[kind].decider.events.__args__:
        [first, *_] = re.split(r"(?<=[.]) (?=[A-Z`])", " ".join((event.__doc__ or "").split()))
        assert f"| {kind} | `{event.__name__}` | {first} |" in table
