"""The queue of a pool: whose start is next, how many may go, and which place one has."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from cryptography.fernet import Fernet, MultiFernet
from msgspec import json as wire
from traitlets.config import Config

from hubbub import eventlog
from hubbub.config import Options
from hubbub.domain.server_messages import (
    CreateServer,
    Failure,
    Reach,
    ReportFailed,
    ReportOrphanRemoved,
    ReportResponded,
    ReportStarted,
    StartServer,
)
from hubbub.domain.user import CreateUser
from hubbub.eventlog import Context, Recorded
from hubbub.follow import Follower
from hubbub.handle import Committer
from hubbub.roles import Roles
from hubbub.rpc import Claim, Claimed, Heartbeat, Sweep
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.postgres import Database
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.views import SERVERS, USERS
from hubbub_api.activity import Activities
from hubbub_api.claims import Claims
from hubbub_api.colleagues import Colleagues
from hubbub_api.expiry import expire
from hubbub_api.hellos import lose
from hubbub_api.managed import ManagedServices
from hubbub_api.places import Place, Places
from hubbub_api.queue import _FIRST, Openings
from hubbub_api.specs import Specs
from hubbub_api.sweeps import Sweeps

KEY = Fernet.generate_key().decode()
BY_TEST = Context.of("test")
SOON = datetime.now(UTC) + timedelta(minutes=5)


class House:
    """One api. Servers are called as their owners are."""

    def __init__(self, pool: Any, committer: Committer, vault: Vault, options: Options, database: Database) -> None:
        self.pool = pool
        self.committer = committer
        self.options = options
        self.database = database
        specs = Specs(pool, vault, MultiFernet([Fernet(KEY)]), options, Roles(options), {})
        self.colleagues = Colleagues(60)
        self.claims = Claims(pool, committer, specs, options, self.colleagues)

    async def wish(self, *names: str, asker: str = "", pool: str = "default", deadline: datetime = SOON) -> None:
        """A server of each, asked for by *asker*, or by themselves, in this order."""
        for name in names:
            wish = partial(self._wish, name=name, asker=asker or name, pool=pool, deadline=deadline)
            await self.committer.submit(wish, BY_TEST)

    async def _wish(self, tx: Transaction, name: str, asker: str, pool: str, deadline: datetime) -> None:
        if not await tx.fetch("select 1 from users where id = $1", name):
            tx.welcome(name)
            await tx.act(USERS, name, CreateUser(user=name, name=name))
            await tx.act(SERVERS, name, CreateServer(user=name, name=""))
        await tx.know(name)
        start = StartServer(at=tx.now, pool=pool, prefix=f"/user/{name}/", deadline=deadline, asker=asker)
        await tx.act(SERVERS, name, start)

    async def claim(self, most: int = 1, worker: str = "w1", pool: str = "default", host: str = "h") -> list[str]:
        return [spec.server for spec in (await self.claimed(most, worker, pool, host)).specs]

    async def claimed(self, most: int = 1, worker: str = "w1", pool: str = "default", host: str = "h") -> Claimed:
        claim = Claim(host=host, hashes=tuple(uuid4().hex for _ in range(most)))
        return await self.claims.claim(f"hub.rpc.claim.{pool}.{worker}", wire.encode(claim))

    async def runs(self, name: str, worker: str = "w1") -> None:
        url = "http://127.0.0.1:1"
        for report in (
            ReportStarted(attempt=1, worker=worker, url=url, deadline=SOON),
            ReportResponded(attempt=1, worker=worker, deadline=SOON),
        ):
            await self.committer.execute(SERVERS, name, report, BY_TEST)


async def made(stack: AsyncExitStack, database: Database, options: Options) -> House:
    pool = await stack.enter_async_context(eventlog.pool(database.api_dsn))
    vault = Vault(KEY)
    committer = Committer(database.api_dsn, vault)
    stack.push_async_callback(end, asyncio.create_task(committer.run()))
    return House(pool, committer, vault, options, database)


@pytest.fixture
def options(request: pytest.FixtureRequest) -> Options:
    return Options(Config(getattr(request, "param", {})))


@pytest.fixture
async def house(database: Database, options: Options) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield await made(stack, database, options)


CLASS = [f"pupil-{number:03}" for number in range(40)]


# Whose start is next ------------------------------------------------------------------------


async def test_a_worker_gets_no_start_of_another_pool(house: House) -> None:
    await house.wish("ada", pool="gpu")
    assert await house.claim(9) == []
    assert await house.claim(9, pool="gpu") == ["ada"]


async def test_those_who_ask_for_one_each_go_in_the_order_of_asking(house: House) -> None:
    await house.wish("cleo", "ada", "bob")
    assert [await house.claim(1) for _ in range(4)] == [["cleo"], ["ada"], ["bob"], []]


async def test_a_class_does_not_keep_one_person_waiting(house: House) -> None:
    """By one free place at a time, which is when the first of the class would always be the oldest."""
    await house.wish(*CLASS, asker="instructor")
    assert await house.claim(1) == [CLASS[0]]
    await house.wish("ada")
    await house.wish("bob")
    assert [(await house.claim(1))[0] for _ in range(4)] == [CLASS[1], "ada", "bob", CLASS[2]]


async def test_many_persons_do_not_keep_a_class_waiting_either(house: House) -> None:
    await house.wish(*CLASS[:3], asker="instructor")
    taken = []
    for person in ("ada", "bob", "cleo", "dan"):
        await house.wish(person)
        taken += await house.claim(1)
    assert taken == [CLASS[0], "ada", CLASS[1], "bob"]


async def test_a_claim_for_many_gives_everybody_one_before_anybody_gets_two(house: House) -> None:
    await house.wish(*CLASS, asker="instructor")
    await house.wish("x1", "x2", "x3", asker="service:x")
    await house.wish("ada")
    assert set(await house.claim(6)) == {CLASS[0], "x1", "ada", CLASS[1], "x2", CLASS[2]}


async def test_one_whose_worker_is_lost_has_the_place_that_it_had(house: House) -> None:
    await house.wish("ada", "bob", "cleo")
    assert await house.claim(1) == ["ada"]
    await lose(house.committer, house.options, "w1", "ada", "it is lost")
    assert [await house.claim(1, "w2") for _ in range(3)] == [["ada"], ["bob"], ["cleo"]]


async def test_so_has_one_of_a_class(house: House) -> None:
    await house.wish(*CLASS[:3], asker="instructor")
    assert await house.claim(1) == [CLASS[0]]
    await house.wish("ada")
    await lose(house.committer, house.options, "w1", CLASS[0], "it is lost")
    assert [await house.claim(1, "w2") for _ in range(3)] == [[CLASS[0]], ["ada"], [CLASS[1]]]


async def test_a_claim_sent_again_takes_nobodys_turn(house: House) -> None:
    await house.wish("ada", "bob")
    payload = wire.encode(Claim(host="h", hashes=("hash-1",)))
    first, again = [await house.claims.claim("hub.rpc.claim.default.w1", payload) for _ in range(2)]
    assert [spec.server for spec in first.specs] == [spec.server for spec in again.specs] == ["ada"]
    assert await house.claim(9) == ["bob"]


async def test_workers_that_claim_at_once_get_all_of_it_once(house: House) -> None:
    await house.wish(*CLASS, asker="instructor")
    got = await asyncio.gather(*(house.claim(10, f"w{number}") for number in range(5)))
    assert sorted(chain(*got)) == sorted(CLASS)


async def test_each_worker_gets_its_share_and_is_told_what_is_left(house: House) -> None:
    for worker in ("w1", "w2"):
        beat = Heartbeat(service="spawner-worker", name=worker, pool="default")
        message: Any = type("M", (), {"data": wire.encode(beat), "subject": f"hub.heartbeat.spawner-worker.{worker}"})
        await house.colleagues.hear(message)
    await house.wish(*CLASS[:6], asker="instructor")
    claimed = await house.claimed(9)
    assert (len(claimed.specs), claimed.waiting) == (3, 3)


async def test_turns_are_kept_for_a_day(house: House) -> None:
    await house.wish("ada", "bob")
    await house.claim(2)
    await house.pool.execute("update turns set at = at - interval '25 hours' where asker = 'ada'")
    await expire(house.pool, house.committer)
    assert [row["asker"] for row in await house.pool.fetch("select asker from turns")] == ["bob"]


async def test_one_that_nobody_takes_in_time_is_told_where_it_waited(house: House) -> None:
    words: Any = Tickets()
    keeper = ManagedServices(house.pool, house.committer, words, house.options, {})
    sweeps = Sweeps(house.pool, house.committer, words, house.options, Activities(house.pool), keeper)
    await house.wish("ada", pool="gpu", deadline=datetime.now(UTC) - timedelta(seconds=1))
    await sweeps.sweep("hub.rpc.sweep.poller.p1", wire.encode(Sweep()))
    state = json.loads(await house.pool.fetchval("select state from servers where id = 'ada'"))
    assert (state["type"], state["failure"]["message"]) == (
        "Stopped",
        "No worker of the pool 'gpu' took it in time",
    )


async def loses(house: House, reach: Reach) -> None:
    """The worker w1 of the host h goes while it starts ada's server."""
    await house.wish("ada")
    claim = Claim(host="h", hashes=("hash-1",), reach=reach)
    assert len((await house.claims.claim("hub.rpc.claim.default.w1", wire.encode(claim))).specs) == 1
    await lose(house.committer, house.options, "w1", "ada", "it is lost")


async def test_a_start_waits_where_it_could_be_taken_for_what_is_left_of_another(house: House) -> None:
    await loses(house, "pool")
    assert await house.claim(9, "w2") == []
    removed = ReportOrphanRemoved(attempt=1, host="h")
    await house.committer.execute(SERVERS, "ada", removed, BY_TEST)
    assert await house.claim(9, "w2") == ["ada"]


async def test_on_another_host_it_cannot_be_taken_for_it(house: House) -> None:
    await loses(house, "host")
    assert await house.claim(9, "w2") == []
    assert await house.claim(9, "w3", host="another") == ["ada"]


async def test_nothing_waits_for_a_process_that_says_which_attempt_it_is(house: House) -> None:
    await loses(house, "process")
    assert await house.claim(9, "w2") == ["ada"]


# How many may go ----------------------------------------------------------------------------

LIMITED = {"JupyterHub": {"concurrent_spawn_limit": 2}, "Hubbub": {"queue_spawns": True}}


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_no_more_are_handed_out_than_may_be_on_their_way(house: House) -> None:
    await house.wish(*CLASS[:5])
    assert set(await house.claim(9)) == {CLASS[0], CLASS[1]}
    assert await house.claim(9) == []
    await house.runs(CLASS[0])
    assert await house.claim(9) == [CLASS[2]]
    failed = ReportFailed(attempt=1, worker="w1", failure=Failure(reason="x", message="x"), deadline=SOON)
    await house.committer.execute(SERVERS, CLASS[1], failed, BY_TEST)
    assert await house.claim(9) == [CLASS[3]]


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_of_many_workers_at_once_none_passes_the_limit(house: House) -> None:
    await house.wish(*CLASS[:6])
    got = await asyncio.gather(*(house.claim(2, f"w{number}") for number in range(4)))
    assert len([*chain(*got)]) == 2


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_a_managed_service_waits_for_no_person(house: House) -> None:
    await house.wish("ada", "bob", "cleo")
    await house.claim(9)

    async def service(tx: Transaction) -> None:
        tx.welcome("managed:board")
        await tx.act(SERVERS, "managed:board", CreateServer(user="", name="board"))
        start = StartServer(at=tx.now, pool="default", prefix="/services/board/", deadline=SOON)
        await tx.act(SERVERS, "managed:board", start)

    await house.committer.submit(service, BY_TEST)
    assert await house.claim(9) == ["managed:board"]


@pytest.mark.parametrize("options", [{"JupyterHub": {"concurrent_spawn_limit": 2}}], indirect=True)
async def test_without_a_queue_the_limit_is_for_those_who_ask(house: House) -> None:
    await house.wish(*CLASS[:5])
    assert len(await house.claim(9)) == 5


class Tickets:
    """The bus, as far as it carries hints."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[str] = asyncio.Queue()

    async def signal(self, subject: str, _: object) -> None:
        await self.sent.put(subject)


@asynccontextmanager
async def following(house: House, reader: Callable[[Recorded], None]) -> AsyncIterator[Follower]:
    """The log is told to *reader* meanwhile."""
    follower = Follower(house.database.api_dsn)
    follower.tell(reader)
    task = asyncio.create_task(follower.run())
    await eventually(lambda: follower.position >= 0)
    yield follower
    await end(task)


async def until_told(house: House, follower: Follower) -> None:
    head = await house.pool.fetchval("select position from log_head")
    await eventually(lambda: follower.position >= head)


@pytest.mark.parametrize("options", [LIMITED], indirect=True)
async def test_workers_hear_that_one_more_may_start(house: House) -> None:
    await house.wish(*CLASS[:3])
    await house.wish("zoe", pool="gpu")
    assert len(await house.claim(9)) == 2
    tickets: Any = Tickets()
    openings = Openings(house.pool, tickets, house.options, lambda: True)
    async with following(house, openings.hear):
        telling = asyncio.create_task(openings.run())
        await house.runs(CLASS[0])
        async with asyncio.timeout(20):
            told = {await tickets.sent.get(), await tickets.sent.get()}
        await end(telling)
    assert told == {"hub.ticket.pool.default", "hub.ticket.pool.gpu"}


# Which place one has ------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two looks."""
    monkeypatch.setattr("hubbub_api.places.PAUSE", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_everybody_has_the_place_in_which_they_will_be_taken(house: House) -> None:
    places = Places(house.pool)
    async with following(house, places.hear) as follower:
        await house.wish(*CLASS[:3], asker="instructor")
        await house.wish("ada")
        await until_told(house, follower)
        line = [CLASS[0], "ada", CLASS[1], CLASS[2]]
        found = [await places.of(server, "default") for server in line]
        assert found == [Place(place=place, of=4) for place in (1, 2, 3, 4)]
        moved = places.moved("default")
        assert await house.claim(1) == [line[0]]
        await until_told(house, follower)
        assert moved.is_set()
        assert await places.of(line[0], "default") is None
        # The instructor has had a turn, and ada has waited since before it.
        assert [await places.of(server, "default") for server in line[1:]] == [
            Place(place=place, of=3) for place in (1, 2, 3)
        ]


@pytest.mark.usefixtures("at_once")
async def test_how_long_it_takes_is_guessed_by_what_was_taken_lately(house: House) -> None:
    clock = Clock()
    places = Places(house.pool, clock=clock)
    async with following(house, places.hear) as follower:
        await house.wish(*CLASS, asker="instructor")
        await until_told(house, follower)
        assert await places.of(CLASS[39], "default") == Place(place=40, of=40)
        for _ in range(4):
            await house.claim(1)
            await until_told(house, follower)
            clock.now += 2
        assert await places.of(CLASS[39], "default") == Place(place=36, of=36, seconds=75)
        assert await places.of(CLASS[4], "default") == Place(place=1, of=36, seconds=2)
        clock.now += 100
        assert await places.of(CLASS[4], "default") == Place(place=1, of=36)


async def test_those_who_watch_one_queue_share_the_look_at_it(house: House) -> None:
    class Counted:
        looks = 0

        async def fetch(self, *args: Any) -> Any:
            self.looks += 1
            return await house.pool.fetch(*args)

    source: Any = Counted()
    places = Places(source)
    async with following(house, places.hear) as follower:
        await house.wish(*CLASS)
        await until_told(house, follower)
        for _ in range(2):
            found = await asyncio.gather(*(places.of(name, "default") for name in CLASS))
            assert [place.place for place in found if place] == list(range(1, 41))
        assert source.looks == 1
        await house.claim(1)
        await until_told(house, follower)
        await asyncio.gather(*(places.of(name, "default") for name in CLASS))
    assert source.looks == 2


# Five thousand ------------------------------------------------------------------------------


@pytest.mark.parametrize("askers", [1, 50, 5000])
async def test_five_thousand_that_wait_are_no_trouble(house: House, askers: int) -> None:
    """It is read by its index, and what a claim needs besides (owner, options, cause) for those alone that it gets."""
    owner = await asyncpg.connect(house.database.owner_dsn)
    await owner.execute(
        "insert into users (id, number, version, position, state, name, admin) "
        "select 'p' || n, n, 1, n, '{}', 'p' || n, false from generate_series(1, 5000) n"
    )
    await owner.execute(
        "insert into servers (id, number, version, position, state, user_id, name, display_name, kind, attempt, since, "
        "pool, deadline, asker) select 's' || n, n, 1, n, '{}', 'p' || n, '', '', 'Spawning', 1, "
        f"now() + n * interval '1 ms', 'default', now(), 'a' || (n % {askers}) from generate_series(1, 5000) n"
    )
    await owner.execute("insert into turns select 'default', 'a' || n, now() from generate_series(1, 300) n")
    await owner.execute("analyze")
    await owner.close()
    async with house.pool.acquire() as connection:
        statement = await connection.prepare(_FIRST)
        plan = json.dumps(await statement.explain("default", "h", 32, True))
        assert "servers_queue" in plan
        assert "Hash Join" not in plan
        began = time.perf_counter()
        rows = await statement.fetch("default", "h", 32, True)
        seconds = time.perf_counter() - began
    assert (len(rows), rows[0]["waiting"]) == (32, 5000)
    assert seconds < 0.25
