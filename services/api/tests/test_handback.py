"""A server that only slept goes on with the API token that it had; what has ended keeps none."""

from collections.abc import AsyncIterator

import pytest

from hubbub.domain.server_messages import ReportExit, ReportStarted
from hubbub.domain.server_states import Started, Stopped, Stopping
from hubbub.tokens import token_hash
from hubbub.verify import verify
from hubbub_api.expiry import expire
from hubbub_api.testing import LATER, Worker


@pytest.fixture
async def worker(house, database, vault_key) -> AsyncIterator[Worker]:
    """One of a pool whose containers sleep when they are stopped; there is ada. In the end the views are what the log
    says.
    """
    await house.person("ada")
    yield Worker(house, reach="host")
    assert await verify(database.api_dsn, vault_key) == []


async def asleep(worker: Worker) -> tuple[str, str, str]:
    """A server of ada's that has run and sleeps: it, its token, and that one's id."""
    server, secret = await worker.runs("ada")
    token = await worker.token_of(server)
    assert token
    await worker.stops(server, resumes=True)
    return server, secret, token


async def test_a_server_that_sleeps_keeps_its_token_and_its_browsers_theirs(worker, house):
    server, secret = await worker.runs("ada")
    [token] = await worker.own(server)
    browser = await worker.browser("ada", server)
    await worker.stops(server, resumes=True)
    await expire(house.pool, house.committer)
    state = await worker.state(server)
    assert isinstance(state, Stopped)
    assert state.token == token
    assert await worker.own(server) == [token, browser]
    assert "users:activity!user=ada" in await worker.may(secret)


async def test_a_server_that_is_gone_keeps_nothing(worker, house):
    server, secret = await worker.runs("ada")
    await worker.browser("ada", server)
    await worker.stops(server, resumes=False)
    assert await worker.own(server) == []
    assert await worker.may(secret) == set()


async def test_one_that_wakes_goes_on_with_the_token_it_had(worker, house):
    server, secret, token = await asleep(worker)
    await worker.asks("ada")
    [fresh] = await worker.claims()
    assert fresh.secret != secret
    assert len(await worker.own(server)) == 2
    answer = await worker.started(server, resumed=token_hash(secret))
    assert isinstance(answer.state, Started)
    assert answer.state.token == token == await worker.token_of(server)
    assert await worker.own(server) == [token]
    assert await worker.may(fresh.secret) == set()
    before = await worker.position()
    again = await worker.started(server, resumed=token_hash(secret))
    assert (again, await worker.position()) == (answer, before)
    assert await expire(house.pool, house.committer) == 0


async def test_the_fresh_one_may_be_handed_back(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    answer = await worker.started(fresh.server, resumed=token_hash(fresh.secret))
    assert await worker.own(fresh.server) == [answer.state.token]


async def test_one_that_starts_anew_leaves_no_old_token(worker, house):
    server, secret, _ = await asleep(worker)
    await worker.asks("ada")
    [fresh] = await worker.claims()
    await worker.started(server)
    assert await worker.own(server) == [await worker.token_of(server)]
    assert await worker.may(secret) == set()
    assert await worker.may(fresh.secret)


async def test_an_old_token_of_a_process_goes_with_the_sweep(house):
    await house.person("ada")
    worker = Worker(house, reach="process")
    server, secret, token = await asleep(worker)
    await worker.asks("ada")
    assert await expire(house.pool, house.committer) == 0
    await worker.claims()
    assert await expire(house.pool, house.committer) == 0
    await worker.started(server)
    assert await worker.own(server) == [token, await worker.token_of(server)]
    assert await expire(house.pool, house.committer) == 1
    assert await worker.may(secret) == set()
    assert await worker.own(server) == [await worker.token_of(server)]


async def test_a_token_that_nobody_knows_any_more_is_taken_in(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    answer = await worker.started(fresh.server, resumed=token_hash("from-an-old-container"))
    assert isinstance(answer.state, Started)
    assert await worker.own(fresh.server) == [answer.state.token]
    taken = await worker.token(answer.state.token)
    assert (taken.client, taken.server, taken.expires_at) == ("jupyterhub-user-ada", fresh.server, None)
    assert await worker.may("from-an-old-container")
    before = await worker.position()
    await worker.started(fresh.server, resumed=token_hash("from-an-old-container"))
    assert await worker.position() == before


async def test_somebody_elses_token_is_revoked_and_the_start_fails(worker, house):
    await house.person("eve")
    theirs, eves = await worker.runs("eve")
    await worker.asks("ada")
    [fresh] = await worker.claims()
    answer = await worker.started(fresh.server, resumed=token_hash(eves))
    assert isinstance(answer.state, Stopping)
    assert answer.state.failure.reason == "token"
    assert "belongs to somebody else" in answer.state.failure.message
    assert await worker.may(eves) == set()
    assert await worker.own(theirs) == []
    await worker.stops(fresh.server, resumes=True)
    assert (await worker.state(fresh.server)).failure == answer.state.failure


@pytest.mark.parametrize("issued_for", ["", "another server"])
async def test_a_token_that_is_no_servers_own_lets_the_start_fail(worker, house, issued_for):
    if issued_for:
        _, secret = await worker.runs("ada", "other")
    else:
        secret = await house.token("ada")
    await worker.asks("ada")
    [fresh] = await worker.claims()
    answer = await worker.started(fresh.server, resumed=token_hash(secret))
    assert isinstance(answer.state, Stopping)
    assert "issued for something else" in answer.state.failure.message
    assert await worker.may(secret)


async def test_a_browsers_token_is_no_servers_own(worker, house):
    server, _ = await worker.runs("ada")
    browser = await worker.browser("ada", server)
    hashed = (await worker.token(browser)).hash
    await worker.stops(server, resumes=True)
    await worker.asks("ada")
    await worker.claims()
    assert isinstance((await worker.started(server, resumed=hashed)).state, Stopping)


async def test_only_the_holder_can_hand_a_token_back(worker, house):
    server, secret, token = await asleep(worker)
    await worker.asks("ada")
    await worker.claims()
    before = await worker.position()
    other = Worker(house, "w2", reach="host")
    answer = await other.started(server, attempt=2, resumed=token_hash(secret))
    late = await worker.started(server, attempt=1, resumed=token_hash(secret))
    assert [answer.refused.kind, late.refused.kind] == ["StaleAttempt", "StaleAttempt"]
    assert await worker.position() == before
    assert token in await worker.own(server)


async def test_a_worker_cannot_name_the_token_itself(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    issued = await worker.token_of(fresh.server)
    report = ReportStarted(attempt=1, worker="w1", url="http://127.0.0.1:1", deadline=LATER, token="another")
    assert (await worker.reports(fresh.server, report)).state.token == issued


async def test_a_start_that_is_called_off_forgets_the_sleeper(worker, house):
    server, secret, _ = await asleep(worker)
    await worker.asks("ada")
    await house.ask("/hub/api/users/ada/server", token=await house.token("ada"), method="DELETE")
    assert isinstance(await worker.state(server), Stopped)
    assert await expire(house.pool, house.committer) == 1
    assert await worker.may(secret) == set()
    await worker.asks("ada")
    await worker.claims()
    assert isinstance((await worker.started(server, resumed=token_hash(secret))).state, Started)
    assert await worker.may(secret)


async def test_a_crash_can_leave_a_sleeper_too(worker, house):
    server, secret = await worker.runs("ada")
    exited = ReportExit(attempt=1, worker="w1", status="Exited", deadline=LATER, resumes=True)
    assert isinstance((await worker.reports(server, exited)).state, Stopped)
    assert await worker.may(secret)


async def test_with_a_server_or_its_owner_the_sleepers_token_goes(worker, house):
    root = "root"
    await house.person(root, admin=True)
    admin = await house.token(root)
    secrets = []
    for name in ("", "lab"):
        server, secret = await worker.runs("ada", name)
        await worker.stops(server, resumes=True)
        secrets.append(secret)
    answer = await house.ask("/hub/api/users/ada/servers/lab", token=admin, method="DELETE", json={"remove": True})
    assert answer.status == 204
    assert [bool(await worker.may(secret)) for secret in secrets] == [True, False]
    assert (await house.ask("/hub/api/users/ada", token=admin, method="DELETE")).status == 204
    assert await house.pool.fetchval("select count(*) from tokens where user_id <> $1", await id_of(house, root)) == 0


async def id_of(house, name: str) -> str:
    user = await house.views.user(name)
    assert user
    return str(user.id)
