"""What a start tells of its server's API token: that it goes on with an old one, and what it may do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.server_messages import ReportExit, ReportStarted
from hubbub.domain.server_states import Running, Started, Stopped, Stopping
from hubbub.rpc import ReportScopes
from hubbub.tokens import token_hash
from hubbub.verify import verify
from hubbub_api.expiry import expire
from hubbub_api.testing import LATER, Worker


@pytest.fixture
def options(request: pytest.FixtureRequest) -> Options:
    """Indirectly: the options of `c.Spawner`."""
    return Options(Config({"JupyterHub": {"allow_named_servers": True}, "Spawner": getattr(request, "param", {})}))


@pytest.fixture
async def worker(house, database, vault_key) -> AsyncIterator[Worker]:
    """One of a pool whose containers sleep when they are stopped; there is ada. In the end the views are what the log
    says.
    """
    await house.person("ada")
    yield Worker(house, reach="host")
    assert await verify(database.api_dsn, vault_key) == []


async def token_of(house, server: str) -> str | None:
    found: str | None = await house.pool.fetchval("select token from servers where id = $1", server)
    return found


async def own(house, server: str) -> list[str]:
    """The ids of its tokens, in the order they were issued in."""
    rows = await house.pool.fetch("select id from tokens where server = $1 order by number", server)
    return [row["id"] for row in rows]


async def positions(house) -> int:
    return int(await house.pool.fetchval("select position from log_head"))


async def may(house, secret: str) -> set[str]:
    answer = await house.ask("/hub/api/user", token=secret)
    return set((await answer.json())["scopes"]) if answer.status == 200 else set()


async def asleep(worker: Worker) -> tuple[str, str, str]:
    """A server of ada's that has run and sleeps: it, its token, and that one's id."""
    server, secret = await worker.runs("ada")
    token = await token_of(worker.house, server)
    assert token
    await worker.stops(server, resumes=True)
    return server, secret, token


async def test_a_server_that_sleeps_keeps_its_token_and_its_browsers_theirs(worker, house):
    server, secret = await worker.runs("ada")
    [token] = await own(house, server)
    browser = await worker.browser("ada", server)
    await worker.stops(server, resumes=True)
    await expire(house.pool, house.committer)
    state = await worker.state(server)
    assert isinstance(state, Stopped)
    assert state.token == token
    assert await own(house, server) == [token, browser]
    assert "users:activity!user=ada" in await may(house, secret)


async def test_a_server_that_is_gone_keeps_nothing(worker, house):
    server, secret = await worker.runs("ada")
    await worker.browser("ada", server)
    await worker.stops(server, resumes=False)
    assert await own(house, server) == []
    assert await may(house, secret) == set()


async def test_one_that_wakes_goes_on_with_the_token_it_had(worker, house):
    server, secret, token = await asleep(worker)
    await worker.asks("ada")
    [fresh] = await worker.claims()
    assert fresh.secret != secret
    assert len(await own(house, server)) == 2
    answer = await worker.started(server, resumed=token_hash(secret))
    assert isinstance(answer.state, Started)
    assert answer.state.token == token == await token_of(house, server)
    assert await own(house, server) == [token]
    assert await may(house, fresh.secret) == set()
    before = await positions(house)
    again = await worker.started(server, resumed=token_hash(secret))
    assert (again, await positions(house)) == (answer, before)
    assert await expire(house.pool, house.committer) == 0


async def test_the_fresh_one_may_be_handed_back(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    answer = await worker.started(fresh.server, resumed=token_hash(fresh.secret))
    assert await own(house, fresh.server) == [answer.state.token]


async def test_one_that_starts_anew_leaves_no_old_token(worker, house):
    server, secret, _ = await asleep(worker)
    await worker.asks("ada")
    [fresh] = await worker.claims()
    await worker.started(server)
    assert await own(house, server) == [await token_of(house, server)]
    assert await may(house, secret) == set()
    assert await may(house, fresh.secret)


async def test_an_old_token_of_a_process_goes_with_the_sweep(house):
    await house.person("ada")
    worker = Worker(house, reach="process")
    server, secret, token = await asleep(worker)
    await worker.asks("ada")
    assert await expire(house.pool, house.committer) == 0
    await worker.claims()
    assert await expire(house.pool, house.committer) == 0
    await worker.started(server)
    assert await own(house, server) == [token, await token_of(house, server)]
    assert await expire(house.pool, house.committer) == 1
    assert await may(house, secret) == set()
    assert await own(house, server) == [await token_of(house, server)]


async def test_a_token_that_nobody_knows_any_more_is_taken_in(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    answer = await worker.started(fresh.server, resumed=token_hash("from-an-old-container"))
    assert isinstance(answer.state, Started)
    assert await own(house, fresh.server) == [answer.state.token]
    taken = await worker.token(answer.state.token)
    assert (taken.client, taken.server, taken.expires_at) == ("jupyterhub-user-ada", fresh.server, None)
    assert await may(house, "from-an-old-container")
    before = await positions(house)
    await worker.started(fresh.server, resumed=token_hash("from-an-old-container"))
    assert await positions(house) == before


async def test_somebody_elses_token_is_revoked_and_the_start_fails(worker, house):
    await house.person("eve")
    theirs, eves = await worker.runs("eve")
    await worker.asks("ada")
    [fresh] = await worker.claims()
    answer = await worker.started(fresh.server, resumed=token_hash(eves))
    assert isinstance(answer.state, Stopping)
    assert answer.state.failure.reason == "token"
    assert "belongs to somebody else" in answer.state.failure.message
    assert await may(house, eves) == set()
    assert await own(house, theirs) == []
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
    assert await may(house, secret)


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
    before = await positions(house)
    other = Worker(house, "w2", reach="host")
    answer = await other.started(server, attempt=2, resumed=token_hash(secret))
    late = await worker.started(server, attempt=1, resumed=token_hash(secret))
    assert [answer.refused.kind, late.refused.kind] == ["StaleAttempt", "StaleAttempt"]
    assert await positions(house) == before
    assert token in await own(house, server)


async def test_a_worker_cannot_name_the_token_itself(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    issued = await token_of(house, fresh.server)
    report = ReportStarted(attempt=1, worker="w1", url="http://127.0.0.1:1", deadline=LATER, token="another")
    assert (await worker.reports(fresh.server, report)).state.token == issued


async def test_a_start_that_is_called_off_forgets_the_sleeper(worker, house):
    server, secret, _ = await asleep(worker)
    await worker.asks("ada")
    await house.ask("/hub/api/users/ada/server", token=await house.token("ada"), method="DELETE")
    assert isinstance(await worker.state(server), Stopped)
    assert await expire(house.pool, house.committer) == 1
    assert await may(house, secret) == set()
    await worker.asks("ada")
    await worker.claims()
    assert isinstance((await worker.started(server, resumed=token_hash(secret))).state, Started)
    assert await may(house, secret)


async def test_a_crash_can_leave_a_sleeper_too(worker, house):
    server, secret = await worker.runs("ada")
    exited = ReportExit(attempt=1, worker="w1", status="Exited", deadline=LATER, resumes=True)
    assert isinstance((await worker.reports(server, exited)).state, Stopped)
    assert await may(house, secret)


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
    assert [bool(await may(house, secret)) for secret in secrets] == [True, False]
    assert (await house.ask("/hub/api/users/ada", token=admin, method="DELETE")).status == 204
    assert await house.pool.fetchval("select count(*) from tokens where user_id <> $1", await id_of(house, root)) == 0


async def id_of(house, name: str) -> str:
    user = await house.views.user(name)
    assert user
    return str(user.id)


# Scopes ---------------------------------------------------------------------------------


WORKED_OUT: dict[str, Any] = {
    "server_token_scopes": lambda spawner: ["read:users!user"],
    "oauth_client_allowed_scopes": lambda spawner: ["read:users!user"],
}


@pytest.mark.parametrize("options", [WORKED_OUT], indirect=True)
async def test_a_token_whose_scopes_are_to_be_worked_out_begins_with_almost_none(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    assert (fresh.spec.token_scopes, fresh.spec.client_allowed_scopes) == (("users:activity!user",), ())
    token = await worker.token(await token_of(house, fresh.server))
    assert (token.scopes, token.grants) == (("users:activity!user",), None)


@pytest.mark.parametrize(
    "options",
    [{"server_token_scopes": ["read:users!user"], "oauth_client_allowed_scopes": ["read:users:name!user=eve"]}],
    indirect=True,
)
async def test_scopes_of_the_configuration_are_there_from_the_first(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    assert fresh.spec.token_scopes == ("read:users!user", "users:activity!user")
    assert fresh.spec.client_allowed_scopes == ("read:users:name!user=eve",)


async def test_scopes_that_were_worked_out_count_at_the_next_request(worker, house):
    server, secret = await worker.runs("ada")
    before = await may(house, secret)
    assert "access:servers!server=ada/" in before
    report = ReportScopes(attempt=1, worker="?", token=("read:users:name!user", "delete:servers!server"))
    answer = await worker.reports(server, report)
    assert isinstance(answer.state, Running)
    assert await may(house, secret) == {
        "read:users:name!user=ada",
        "delete:servers!server=ada/",
        "users:activity!user=ada",
        "read:users:activity!user=ada",
    } | {scope for scope in before if scope.startswith("read:users:groups")}
    position = await positions(house)
    assert (await worker.reports(server, report), await positions(house)) == (answer, position)


async def test_what_its_owner_may_not_do_no_worked_out_scope_brings(worker, house):
    server, secret = await worker.runs("ada")
    await worker.reports(server, ReportScopes(attempt=1, worker="w1", token=("admin:users", "list:users")))
    assert not {scope for scope in await may(house, secret) if scope.partition("!")[0] in ("admin:users", "list:users")}


async def test_nothing_worked_out_is_what_every_server_has(worker, house):
    server, secret = await worker.runs("ada")
    before = await may(house, secret)
    await worker.reports(server, ReportScopes(attempt=1, worker="w1", token=()))
    assert await may(house, secret) == before


async def test_each_kind_of_scopes_is_left_alone_if_it_is_not_reported(worker, house):
    server, _ = await worker.runs("ada")
    token = await token_of(house, server)
    first = await worker.token(token)
    await worker.reports(server, ReportScopes(attempt=1, worker="w1", browsers=("read:users!user",)))
    assert (await worker.token(token)).scopes == first.scopes
    await worker.reports(server, ReportScopes(attempt=1, worker="w1", token=("read:users!user",)))
    changed = await worker.token(token)
    assert (changed.scopes, changed.grants) == (("read:users!user", "users:activity!user"), ("read:users!user",))


async def test_a_token_that_is_handed_back_may_do_what_was_worked_out_for_this_start(worker, house):
    server, secret, token = await asleep(worker)
    await worker.asks("ada")
    await worker.claims()
    worked_out = ReportScopes(attempt=2, worker="w1", token=("read:users!user",), browsers=("tokens!user",))
    await worker.reports(server, worked_out)
    await worker.started(server, resumed=token_hash(secret))
    changed = await worker.token(token)
    assert (changed.scopes, changed.grants) == (("read:users!user", "users:activity!user"), ("tokens!user",))


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        (ReportScopes(attempt=1, worker="w1", token=("no:such:scope",)), "Invalid"),
        (ReportScopes(attempt=1, worker="w1", browsers=("read:users", "nonsense")), "Invalid"),
        (ReportScopes(attempt=2, worker="w1", token=("inherit",)), "StaleAttempt"),
    ],
)
async def test_scopes_that_cannot_be_are_refused(worker, house, report, kind):
    server, _ = await worker.runs("ada")
    before = await positions(house)
    assert (await worker.reports(server, report)).refused.kind == kind
    assert await positions(house) == before


async def test_only_the_holder_knows_scopes(worker, house):
    server, _ = await worker.runs("ada")
    before = await positions(house)
    other = Worker(house, "w2")
    report = ReportScopes(attempt=1, worker="w1", token=("inherit",))
    assert (await other.reports(server, report)).refused.kind == "StaleAttempt"
    assert (await worker.reports("nobody's", report)).refused.kind == "StaleAttempt"
    await worker.stops(server, resumes=True)
    assert (await worker.reports(server, report)).refused.kind == "StaleAttempt"
    assert await positions(house) > before


async def test_of_a_token_that_was_revoked_nothing_is_restricted(worker, house):
    server, _ = await worker.runs("ada")
    number = await house.pool.fetchval("select number from tokens where server = $1", server)
    admin = await house.token("ada")
    assert (await house.ask(f"/hub/api/users/ada/tokens/a{number}", token=admin, method="DELETE")).status == 204
    answer = await worker.reports(server, ReportScopes(attempt=1, worker="w1", token=("inherit",)))
    assert isinstance(answer.state, Running)
    assert await own(house, server) == []
