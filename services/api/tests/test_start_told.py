"""What a worker is told of whom it starts a server for, what it tells of that, and what people are shown of it."""

import asyncio
import json
from typing import Any, cast

import msgspec
import pytest
from cryptography.fernet import Fernet, MultiFernet
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.group import CreateGroup
from hubbub.domain.member import AddMember, member_id
from hubbub.domain.server_messages import Failure, ReportFailed, ReportMoved, ReportState
from hubbub.domain.server_states import Running, Stopping
from hubbub.route_messages import WantRoutes
from hubbub.testing.eventually import eventually
from hubbub.views import GROUPS, MEMBERS
from hubbub.web.request import GATE
from hubbub_api.keys import VAULT
from hubbub_api.specs import LARGEST_AUTH_STATE, Specs
from hubbub_api.testing import BUS_KEY, BY_TEST, LATER, Claimed, Worker
from hubbub_api.wanted import WantedRoutes


@pytest.fixture
async def worker(house) -> Worker:
    """There is ada, too."""
    await house.person("ada")
    return Worker(house)


async def remembers(house, key: str, owner: str, value: Any) -> None:
    user = await house.views.user(owner)

    async def body(tx: Any) -> None:
        await tx.know(user.id)
        tx.remember(key.format(user.id), user.id, msgspec.json.encode(value))

    await house.committer.submit(body, BY_TEST.follow())


async def joins(house, owner: str, group: str, **properties: Any) -> None:
    user = await house.views.user(owner)
    await house.committer.execute(GROUPS, group, CreateGroup(name=group, properties=properties), BY_TEST.follow())
    await house.committer.execute(
        MEMBERS, member_id(group, user.id), AddMember(group=group, user=user.id, source="asked"), BY_TEST.follow()
    )


# To the worker --------------------------------------------------------------------------


async def test_of_somebody_plain_no_more_is_told_than_there_is(worker):
    await worker.asks("ada")
    [claimed] = await worker.claims()
    assert claimed.sealed == {"options": {}, "state": {}}
    assert claimed.spec.person.groups == ()


async def test_groups_with_their_properties_and_the_auth_state_are_told_sealed(worker, house):
    await joins(house, "ada", "gpu", quota=3)
    await joins(house, "ada", "staff")
    await house.person("eve")
    await joins(house, "eve", "others", quota=9)
    await remembers(house, "auth_state:{}", "ada", {"access_token": "a-secret-of-ada"})
    server = await worker.asks("ada")
    await remembers(house, f"options:{server}", "ada", {"image": "x"})
    await remembers(house, f"request:{server}", "ada", {"path": "/hub/spawn"})
    await remembers(house, f"state:{server}", "ada", {"container": "c1"})
    [claimed] = await worker.claims()
    assert claimed.sealed == {
        "options": {"image": "x"},
        "state": {"container": "c1"},
        "request": {"path": "/hub/spawn"},
        "auth_state": {"access_token": "a-secret-of-ada"},
        "groups": [{"name": "gpu", "properties": {"quota": 3}}, {"name": "staff", "properties": {}}],
    }
    assert claimed.spec.person.groups == ("gpu", "staff")
    assert b"a-secret-of-ada" not in msgspec.json.encode(claimed.spec)


class Counted:
    """A pool that counts what it is asked."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.asked = 0

    async def fetch(self, query: str, *args: Any) -> Any:
        self.asked += 1
        return await self.pool.fetch(query, *args)


async def test_of_many_all_is_found_by_one_query_and_their_keys_by_another(house):
    names = ("ada", "bob", "cleo")
    for name in names:
        await house.person(name)
        await remembers(house, "auth_state:{}", name, {"name": name})
        await joins(house, name, f"friends of {name}")
    worker, pool, gate = Worker(house), Counted(house.pool), house.client.app[GATE]
    servers = [await worker.asks(name) for name in names]
    await worker.claims(3)
    vault = house.client.app[VAULT]
    for name in names:
        vault.forget((await house.views.user(name)).id)
    specs = Specs(cast("Any", pool), vault, BUS_KEY, gate.options, gate.access.roles, {})
    found = await specs.of(servers)
    opened = [json.loads(BUS_KEY.decrypt(spec.sealed.encode()))["auth_state"]["name"] for spec in found]
    assert sorted(opened) == list(names)
    assert pool.asked == 2


async def test_what_is_too_large_for_a_message_is_left_out(worker, house):
    await remembers(house, "auth_state:{}", "ada", {"much": "x" * LARGEST_AUTH_STATE})
    await worker.asks("ada")
    [claimed] = await worker.claims()
    assert claimed.sealed == {"options": {}, "state": {}}


# From its hooks -------------------------------------------------------------------------


async def auth_state(house) -> Any:
    return await house.views.auth_state(await house.views.user("ada"))


async def test_a_hook_can_keep_something_of_its_servers_owner(worker, house):
    server, _ = await worker.runs("ada")
    assert (await worker.saves(server, 1, {"refreshed": 1})).refused is None
    assert await auth_state(house) == {"refreshed": 1}
    assert (await worker.saves(server, 1, {"refreshed": 2})).refused is None
    assert await auth_state(house) == {"refreshed": 2}
    assert b"refreshed" not in await house.pool.fetchval("select value from vault where key like 'auth_state:%'")
    assert (await worker.saves(server, 1, None)).refused is None
    assert await auth_state(house) is None


async def test_nobody_but_the_holder_of_a_server_keeps_anything(worker, house):
    server, _ = await worker.runs("ada")
    refused = [
        await Worker(house, "w2").saves(server, 1, {}),
        await worker.saves(server, 2, {}),
        await worker.saves("another", 1, {}),
        await worker.saves(server, 1, {}, key=MultiFernet([Fernet(Fernet.generate_key())])),
        await worker.saves(server, 1, ["no", "object"]),
        await worker.saves(server, 1, {"much": "x" * 200_000}),
    ]
    kinds = [done.refused and done.refused.kind for done in refused]
    assert kinds == ["StaleAttempt"] * 3 + ["Invalid"] * 3
    assert await auth_state(house) is None


# Where it is ----------------------------------------------------------------------------


def moved(url: str, state: dict[str, Any] | None = None, attempt: int = 1) -> ReportMoved:
    sealed = BUS_KEY.encrypt(json.dumps(state).encode()).decode() if state else ""
    return ReportMoved(attempt=attempt, worker="?", url=url, sealed=sealed)


async def test_a_server_that_moves_is_wanted_where_it_is_and_stays_ready(worker, house):
    server, _ = await worker.runs("ada")
    await house.route(server)
    assert (await house.views.server_by_id(server)).ready
    answer = await worker.reports(server, moved("http://10.0.0.2:8888", {"pod": "p2"}))
    assert isinstance(answer.state, Running)
    assert answer.state.url == "http://10.0.0.2:8888"
    now = await house.views.server_by_id(server)
    assert (now.ready, now.pending, now.url) == (True, None, "http://10.0.0.2:8888")
    assert await house.views.state(now) == {"pod": "p2"}


async def test_a_server_that_stays_has_not_moved(worker, house):
    server, _ = await worker.runs("ada")
    before = await house.pool.fetchval("select position from log_head")
    await worker.reports(server, moved("http://127.0.0.1:1"))
    assert await house.pool.fetchval("select position from log_head") == before


async def test_only_the_holder_knows_where_a_server_is(worker, house):
    server, _ = await worker.runs("ada")
    other = await Worker(house, "w2").reports(server, moved("http://10.0.0.2:1", {"pod": "theirs"}))
    early = await worker.reports(server, moved("http://10.0.0.2:1", attempt=2))
    assert [other.refused.kind, early.refused.kind] == ["StaleAttempt"] * 2
    now = await house.views.server_by_id(server)
    assert (now.url, await house.views.state(now)) == ("http://127.0.0.1:1", None)


# How it failed --------------------------------------------------------------------------


REFUSED = Failure(
    reason="no-licence", message="No licence <left> for R", status=403, html='No licence: <a href="/buy">buy one</a>'
)


async def fails(worker: Worker, failure: Failure, *, leave: bool = True) -> str:
    server = await worker.asks("ada")
    await worker.claims()
    attempt = (await worker.state(server)).attempt
    failed = ReportFailed(attempt=attempt, worker="?", failure=failure, deadline=LATER)
    assert isinstance((await worker.reports(server, failed)).state, Stopping)
    if leave:
        await worker.stops(server, resumes=False)
    return server


async def told(house) -> dict[str, Any]:
    """The last frame of a start that has come to nothing."""
    answer = await house.ask("/hub/api/users/ada/server/progress", token=await house.token("ada"))
    *_, last = (await answer.text()).strip().split("\n\n")
    frame: dict[str, Any] = json.loads(last.removeprefix("data: "))
    return frame


async def test_whoever_asked_for_the_start_is_answered_in_the_spawners_words(worker, house):
    asking = asyncio.ensure_future(
        house.ask("/hub/api/users/ada/server", token=await house.token("ada"), method="POST")
    )
    claimed: list[Claimed] = []

    async def is_taken() -> bool:
        claimed.extend(await worker.claims())
        return bool(claimed)

    await eventually(is_taken)
    failed = ReportFailed(attempt=1, worker="?", failure=REFUSED, deadline=LATER)
    await worker.reports(claimed[0].server, failed)
    answer = await asking
    assert (answer.status, await answer.json()) == (403, {"status": 403, "message": REFUSED.message})


@pytest.mark.parametrize("leave", [True, False])
async def test_the_words_of_a_spawner_end_the_progress(worker, house, leave):
    await fails(worker, REFUSED, leave=leave)
    assert await told(house) == {
        "progress": 100,
        "failed": True,
        "message": "Spawn failed: No licence <left> for R",
        "html_message": REFUSED.html,
    }


async def test_a_failure_without_html_has_none_in_its_frame(worker, house):
    await fails(worker, Failure(reason="error", message="no"))
    assert await told(house) == {"progress": 100, "failed": True, "message": "Spawn failed: no"}


@pytest.mark.parametrize("leave", [True, False])
async def test_a_person_sees_the_spawners_html(worker, house, leave):
    await fails(worker, REFUSED, leave=leave)
    page = await house.ask("/hub/spawn-pending/ada", "ada")
    text = await page.text()
    assert page.status == 403
    assert REFUSED.html in text
    assert REFUSED.html in await (await house.ask("/hub/home", "ada")).text() or not leave


async def test_a_message_is_no_html(worker, house):
    await fails(worker, Failure(reason="error", message="<b>no</b>"))
    page = await house.ask("/hub/spawn-pending/ada", "ada")
    text = await page.text()
    assert page.status == 500
    assert "&lt;b&gt;no&lt;/b&gt;" in text
    assert "<b>no</b>" not in text


async def test_a_failure_is_never_answered_with_success(worker, house):
    await fails(worker, Failure(reason="odd", message="no", status=204))
    assert (await house.ask("/hub/spawn-pending/ada", "ada")).status == 500


async def test_state_that_is_reported_during_a_start_is_kept(worker, house):
    server = await worker.asks("ada")
    await worker.claims()
    sealed = BUS_KEY.encrypt(b'{"container": "c1"}').decode()
    await worker.reports(server, ReportState(attempt=1, worker="?", sealed=sealed))
    assert await house.views.state(await house.views.server_by_id(server)) == {"container": "c1"}


def test_the_configuration_may_have_callables_for_scopes():
    def scopes(spawner: object) -> list[str]:
        return []

    options = Options(Config({"Spawner": {"server_token_scopes": scopes, "oauth_client_allowed_scopes": scopes}}))
    assert (options.spawner.server_token_scopes, options.spawner.oauth_client_allowed_scopes) == (None, None)
    assert not options.warnings


async def test_wanted_routes_follow_a_move(worker, house, options):
    server, _ = await worker.runs("ada")
    await worker.reports(server, moved("http://10.0.0.2:8888"))
    asked = msgspec.json.encode(WantRoutes(servers=(server,)))
    found = await WantedRoutes(house.pool, options).routes("hub.rpc.routes.proxy.p", asked)
    assert [(route.spec, route.target) for route in found.wanted] == [("/user/ada/", "http://10.0.0.2:8888")]
