"""Keeping managed services running: once each, by the configuration that counts, with pauses between deaths."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, cast

import asyncpg
import pytest
from cryptography.fernet import Fernet, MultiFernet
from msgspec import json as wire
from traitlets.config import Config

from hubbub import admin
from hubbub.bus import Bus
from hubbub.config import Options
from hubbub.domain.message import Command
from hubbub.domain.server_messages import ReportExit, ReportResponded, ReportStarted
from hubbub.domain.server_states import Running, Server, Spawning, Stopped, Stopping
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.managed import managed
from hubbub.roles import Roles
from hubbub.rpc import Claim, Claimed, Report, Reports, Word
from hubbub.service import end
from hubbub.testing.postgres import Database
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.views import SERVERS
from hubbub.watch_messages import Sweep
from hubbub_api import limits
from hubbub_api.activity import Activities
from hubbub_api.claims import Claims
from hubbub_api.colleagues import Colleagues
from hubbub_api.managed import ManagedServices, next_start
from hubbub_api.reports import ReportBook
from hubbub_api.specs import Specs
from hubbub_api.sweeps import Sweeps
from hubbub_api.views import Views

ID = "managed:board"
BOARD: dict[str, Any] = {
    "name": "board",
    "command": ["board"],
    "url": "http://127.0.0.1:1",
    "environment": {"PASSWORD": "a-secret-of-the-board"},
}
KEY = Fernet.generate_key().decode()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Words:
    """The bus, as far as words to holders go."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Word]] = []

    async def signal(self, subject: str, message: Word) -> None:
        self.said.append((subject, message))


class Api:
    """One replica, with the services that its configuration has."""

    def __init__(self, house: "House", services: tuple[dict[str, Any], ...]) -> None:
        traits = Config()
        traits.JupyterHub.services = list(services)
        traits.Spawner.server_token_scopes = ["read:users!user"]
        self.options = Options(traits)
        self.bus = cast("Bus", house.words)
        known = managed(services, KEY)
        pool, committer = house.pool, house.committer
        self.services = ManagedServices(pool, committer, self.bus, self.options, known)
        roles = Roles(self.options)
        self.specs = Specs(pool, house.vault, MultiFernet([Fernet(KEY)]), self.options, roles, known)
        self.claims = Claims(pool, committer, self.specs, self.options, Colleagues(1))
        self.sweeps = Sweeps(pool, committer, self.bus, self.options, Activities(pool), self.services)
        self.reports = ReportBook(pool, committer, MultiFernet([Fernet(KEY)]), roles, ())


class House:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", committer: Committer, vault: Vault) -> None:
        self.pool = pool
        self.committer = committer
        self.vault = vault
        self.words = Words()
        self._numbers = count()

    def api(self, *services: dict[str, Any]) -> Api:
        return Api(self, services)

    async def state(self) -> Server:
        return cast(
            "Server", SERVERS.decode_state(await self.pool.fetchval("select state from servers where id = $1", ID))
        )

    async def starts(self) -> int:
        found = await self.pool.fetchval("select count(*) from events where type = 'SpawnRequested'")
        return int(found)

    async def act(self, command: Command) -> None:
        await self.committer.execute(SERVERS, ID, command, Context.of("worker:w1"))

    async def runs(self, api: Api, deadline: datetime | None = None) -> Claimed:
        """Claimed by w1, up to its first answer."""
        hashes = (f"hash-{next(self._numbers)}",)
        claimed = await api.claims.claim("hub.rpc.claim.default.w1", wire.encode(Claim(host="h", hashes=hashes)))
        attempt, soon = claimed.specs[0].attempt, deadline or datetime.now(UTC) + timedelta(minutes=1)
        await self.act(ReportStarted(attempt=attempt, worker="w1", url=BOARD["url"], deadline=soon))
        await self.act(ReportResponded(attempt=attempt, worker="w1", deadline=soon))
        return claimed

    async def dies(self) -> None:
        state = await self.state()
        assert isinstance(state, Running)
        await self.act(ReportExit(attempt=state.attempt, worker="w1", status="-9", deadline=datetime.now(UTC)))


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(database.api_dsn, min_size=1, max_size=4))
        vault = Vault(KEY)
        committer = Committer(database.api_dsn, vault)
        running = asyncio.create_task(committer.run())
        stack.push_async_callback(end, running)
        yield House(pool, committer, vault)


# When to start again ----------------------------------------------------------------------


def life(*lived: float, responded: bool = True, wished: bool = False, after: float = 0) -> list[tuple[str, datetime]]:
    """Events of lives, *lived* seconds each, newest first. The last ended at NOW."""
    found: list[tuple[str, datetime]] = []
    at = NOW
    for seconds in reversed(lived):
        found.append(("ServerStopped" if wished else "ServerCrashed", at))
        if wished:
            found.append(("StopRequested", at))
        at -= timedelta(seconds=seconds)
        found += [("ServerResponded", at)] if responded else []
        found += [("ServerStarted", at), ("AttemptClaimed", at), ("SpawnRequested", at)]
        at -= timedelta(seconds=after)
    return [*found, ("ServerCreated", at)]


@pytest.mark.parametrize(
    ("history", "pause"),
    [
        ([], 0),
        ([("ServerCreated", NOW)], 0),
        (life(1), 0),
        (life(1, 1), 1),
        (life(1, 1, 1), 2),
        (life(1, 1, 1, 1), 4),
        (life(*[1] * 20), 60),
        (life(3600, 1), 1),
        (life(1, 1, 3600), 0),
        (life(1, 1, 59), 2),
        (life(100, 100, responded=False), 1),
        (life(1, 1, wished=True), 0),
    ],
)
def test_the_pause_grows_with_every_death_that_follows_soon(history: list[tuple[str, datetime]], pause: float) -> None:
    assert next_start(history, NOW) == NOW + timedelta(seconds=pause)


def test_a_start_that_fails_is_one_death_and_not_two() -> None:
    failed = [("ServerStopped", NOW), ("SpawnFailed", NOW), ("AttemptClaimed", NOW), ("SpawnRequested", NOW)]
    assert next_start(failed, NOW) == NOW
    assert next_start([*failed, *failed], NOW) == NOW + timedelta(seconds=1)


def test_what_was_wished_for_ends_the_count() -> None:
    assert next_start([*life(1), *life(1, wished=True), *life(1, 1, 1)], NOW) == NOW


# Once -------------------------------------------------------------------------------------


async def test_all_replicas_together_start_it_once(house: House) -> None:
    apis = [house.api(BOARD) for _ in range(3)]
    await asyncio.gather(*(api.services.settle() for api in apis))
    await asyncio.gather(*(api.services.keep() for api in apis))
    assert await house.starts() == 1


async def test_one_that_died_is_started_again_and_then_after_a_pause(house: House) -> None:
    api = house.api(BOARD)
    await api.services.settle()
    for died, wanted in ((0, 1), (1, 1), (2, 0)):
        if died:
            await house.runs(api)
            await house.dies()
            assert await api.services.keep() == wanted
    assert await house.starts() == 2


async def test_a_worker_gets_its_name_and_none_of_its_secrets(house: House) -> None:
    api = house.api(BOARD)
    await api.services.settle()
    claimed = await house.runs(api)
    [spec] = claimed.specs
    assert (spec.service, spec.prefix, spec.client_id) == ("board", "/services/board/", "service-board")
    assert spec.digest == managed([BOARD], KEY)[ID].digest
    assert spec.access_scopes == ("access:services", "access:services!service=board")
    assert "a-secret" not in wire.encode(claimed).decode()
    [token] = await house.pool.fetch("select service, user_id, client, server, state from tokens")
    assert tuple(token)[:4] == ("board", "", "service-board", ID)
    assert json.loads(token["state"])["scopes"] == ["inherit"]
    assert not [row for row in await house.pool.fetch("select data from events") if "a-secret" in row["data"]]


async def test_the_token_goes_with_the_process(house: House) -> None:
    api = house.api(BOARD)
    await api.services.settle()
    await house.runs(api)
    state = await house.state()
    assert isinstance(state, Running)
    ended = ReportExit(attempt=state.attempt, worker="w1", status="0", deadline=NOW)
    await api.reports.report(
        "hub.rpc.report.default.w1", wire.encode(Reports(reports=(Report(server=ID, report=ended),)))
    )
    assert await house.pool.fetchval("select count(*) from tokens") == 0


async def test_its_process_is_known_while_it_runs(house: House) -> None:
    api = house.api(BOARD)
    await api.services.settle()
    claimed = await api.claims.claim("hub.rpc.claim.default.w1", wire.encode(Claim(host="h", hashes=("hash-1",))))
    sealed = Fernet(KEY).encrypt(b'{"pid": 1234}').decode()
    started = ReportStarted(attempt=claimed.specs[0].attempt, worker="w1", url="", deadline=NOW, sealed=sealed)
    reports = Reports(reports=(Report(server=ID, report=started),))
    await api.reports.report("hub.rpc.report.default.w1", wire.encode(reports))
    views = Views(house.pool, Vault(KEY))
    assert await views.service_pids() == {"board": 1234}
    again = await api.specs.of([ID])
    assert json.loads(Fernet(KEY).decrypt(again[0].sealed)) == {"options": {}, "state": {"pid": 1234}}


async def test_no_limit_counts_it(house: House) -> None:
    api = house.api(BOARD)
    await api.services.settle()

    async def counted(tx: Transaction) -> limits.Census:
        return await limits.census(tx)

    assert await house.committer.submit(counted, Context.of("me")) == limits.Census(pending=0, active=0)


async def test_nobody_gives_it_up_for_want_of_a_route(house: House) -> None:
    """A server's own route would be overdue by now."""
    api = house.api(BOARD)
    await api.services.settle()
    await house.runs(api, deadline=NOW)
    await api.sweeps.sweep("hub.rpc.sweep.poller.p1", wire.encode(Sweep()))
    assert isinstance(await house.state(), Running)


# Which configuration counts ----------------------------------------------------------------


CHANGED = {**BOARD, "command": ["another"]}


async def test_what_changed_is_stopped_and_started_anew(house: House) -> None:
    before, after = house.api(BOARD), house.api(CHANGED)
    await before.services.settle()
    await house.runs(before)
    await after.services.settle()
    state = await house.state()
    assert isinstance(state, Stopping)
    assert house.words.said == [("hub.holder.w1", Word(server=ID, attempt=1))]
    await house.act(ReportExit(attempt=1, worker="w1", status="0", deadline=NOW))
    assert await after.services.keep() == 1
    assert (await house.runs(after)).specs[0].digest == managed([CHANGED], KEY)[ID].digest


async def test_what_kept_dying_is_started_at_once_when_it_was_changed(house: House) -> None:
    api = house.api(BOARD)
    await api.services.settle()
    for _ in range(2):
        await house.runs(api)
        await house.dies()
        await api.services.keep()
    assert isinstance(await house.state(), Stopped)
    await house.api(CHANGED).services.settle()
    assert isinstance(await house.state(), Spawning)


async def test_the_replica_that_has_not_the_newest_leaves_it_alone(house: House) -> None:
    before, after = house.api(BOARD), house.api(CHANGED)
    await before.services.settle()
    await after.services.settle()
    assert isinstance(await house.state(), Spawning)  # the one that waited was given up for another
    assert await house.starts() == 2
    await house.runs(after)
    await house.dies()
    assert await before.services.keep() == 0
    assert await house.api().services.keep() == 0
    assert await after.services.keep() == 1


async def test_one_that_is_configured_no_more_is_stopped_for_good(house: House) -> None:
    before, after = house.api(BOARD), house.api()
    await before.services.settle()
    await house.runs(before)
    await after.services.settle()
    assert isinstance(await house.state(), Stopping)
    await house.act(ReportExit(attempt=1, worker="w1", status="0", deadline=NOW))
    assert await before.services.keep() == await after.services.keep() == 0
    assert isinstance(await house.state(), Stopped)


async def test_a_shutdown_keeps_it_down_until_the_next_start(house: House) -> None:
    api = house.api(BOARD)
    await api.services.settle()
    assert await admin.stop_all(house.pool, house.committer, "me", 5) == 0
    assert await api.services.keep() == 0
    await house.api(BOARD).services.settle()
    assert await house.starts() == 2
