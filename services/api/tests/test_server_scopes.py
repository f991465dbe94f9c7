"""What a server's API token may do: as the configuration says, or as its worker has worked out for this start."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.server_states import Running
from hubbub.rpc import ReportScopes
from hubbub.tokens import token_hash
from hubbub.verify import verify
from hubbub_api.testing import Worker


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


WORKED_OUT: dict[str, Any] = {
    "server_token_scopes": lambda spawner: ["read:users!user"],
    "oauth_client_allowed_scopes": lambda spawner: ["read:users!user"],
}


@pytest.mark.parametrize("options", [WORKED_OUT], indirect=True)
async def test_a_token_whose_scopes_are_to_be_worked_out_begins_with_almost_none(worker, house):
    await worker.asks("ada")
    [fresh] = await worker.claims()
    assert (fresh.spec.token_scopes, fresh.spec.client_allowed_scopes) == (("users:activity!user",), ())
    token = await worker.token(await worker.token_of(fresh.server))
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
    before = await worker.may(secret)
    assert "access:servers!server=ada/" in before
    report = ReportScopes(attempt=1, worker="?", token=("read:users:name!user", "delete:servers!server"))
    answer = await worker.reports(server, report)
    assert isinstance(answer.state, Running)
    assert await worker.may(secret) == {
        "read:users:name!user=ada",
        "delete:servers!server=ada/",
        "users:activity!user=ada",
        "read:users:activity!user=ada",
    } | {scope for scope in before if scope.startswith("read:users:groups")}
    position = await worker.position()
    assert (await worker.reports(server, report), await worker.position()) == (answer, position)


async def test_what_its_owner_may_not_do_no_worked_out_scope_brings(worker, house):
    server, secret = await worker.runs("ada")
    await worker.reports(server, ReportScopes(attempt=1, worker="w1", token=("admin:users", "list:users")))
    assert not {scope for scope in await worker.may(secret) if scope.partition("!")[0] in ("admin:users", "list:users")}


async def test_nothing_worked_out_is_what_every_server_has(worker, house):
    server, secret = await worker.runs("ada")
    before = await worker.may(secret)
    await worker.reports(server, ReportScopes(attempt=1, worker="w1", token=()))
    assert await worker.may(secret) == before


async def test_each_kind_of_scopes_is_left_alone_if_it_is_not_reported(worker, house):
    server, _ = await worker.runs("ada")
    token = await worker.token_of(server)
    first = await worker.token(token)
    await worker.reports(server, ReportScopes(attempt=1, worker="w1", browsers=("read:users!user",)))
    assert (await worker.token(token)).scopes == first.scopes
    await worker.reports(server, ReportScopes(attempt=1, worker="w1", token=("read:users!user",)))
    changed = await worker.token(token)
    assert (changed.scopes, changed.grants) == (("read:users!user", "users:activity!user"), ("read:users!user",))


async def test_a_token_that_is_handed_back_may_do_what_was_worked_out_for_this_start(worker, house):
    server, secret = await worker.runs("ada")
    token = await worker.token_of(server)
    await worker.stops(server, resumes=True)
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
    before = await worker.position()
    assert (await worker.reports(server, report)).refused.kind == kind
    assert await worker.position() == before


async def test_only_the_holder_knows_scopes(worker, house):
    server, _ = await worker.runs("ada")
    before = await worker.position()
    other = Worker(house, "w2")
    report = ReportScopes(attempt=1, worker="w1", token=("inherit",))
    assert (await other.reports(server, report)).refused.kind == "StaleAttempt"
    assert (await worker.reports("nobody's", report)).refused.kind == "StaleAttempt"
    await worker.stops(server, resumes=True)
    assert (await worker.reports(server, report)).refused.kind == "StaleAttempt"
    assert await worker.position() > before


async def test_of_a_token_that_was_revoked_nothing_is_restricted(worker, house):
    server, _ = await worker.runs("ada")
    number = await house.pool.fetchval("select number from tokens where server = $1", server)
    admin = await house.token("ada")
    assert (await house.ask(f"/hub/api/users/ada/tokens/a{number}", token=admin, method="DELETE")).status == 204
    answer = await worker.reports(server, ReportScopes(attempt=1, worker="w1", token=("inherit",)))
    assert isinstance(answer.state, Running)
    assert await worker.own(server) == []
