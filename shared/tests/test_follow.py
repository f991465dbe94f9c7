"""Following the log: everything is told, in order, whatever breaks."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub.domain.proxy import JoinProxy, LoseProxy
from hubbub.domain.route import AddRoute
from hubbub.eventlog import Context, Recorded
from hubbub.follow import Follower
from hubbub.handle import Committer
from hubbub.service import end
from hubbub.testing.eventually import eventually
from hubbub.testing.postgres import Database
from hubbub.vault import Vault
from hubbub.views import PROXIES, ROUTES

ME = Context.of("me")


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    made = Committer(database.api_dsn, Vault(Fernet.generate_key().decode()))
    running = asyncio.create_task(made.run())
    yield made
    await end(running)


@pytest.fixture
async def follower(database: Database) -> AsyncIterator[Follower]:
    """One that has begun to follow."""
    made = Follower(database.api_dsn)
    running = asyncio.create_task(made.run())
    await eventually(lambda: made.position >= 0)
    yield made
    await end(running)


async def commit(committer: Committer, *proxies: str) -> None:
    await asyncio.gather(*(committer.execute(PROXIES, p, JoinProxy(proxy=p), ME.follow()) for p in proxies))


async def cut(database: Database) -> int:
    """End the follower's connection as a restart of Postgres would; how many there were."""
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return len(
            await connection.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name like 'hubbub-follower%' and datname = current_database()"
            )
        )
    finally:
        await connection.close()


async def test_everything_is_told_in_order(committer: Committer, follower: Follower) -> None:
    told: list[Recorded] = []
    follower.tell(told.append)
    await commit(committer, *(f"p{n}" for n in range(1200)))
    await eventually(lambda: len(told) == 1200)
    assert [record.position for record in told] == list(range(1, 1201))
    assert follower.position == 1200


async def test_who_comes_later_is_told_from_then_on(committer: Committer, database: Database) -> None:
    await commit(committer, "p1", "p2")
    follower = Follower(database.api_dsn)
    told: list[Recorded] = []
    follower.tell(told.append)
    running = asyncio.create_task(follower.run())
    await eventually(lambda: follower.position == 2)
    await commit(committer, "p3")
    await eventually(lambda: told)
    await end(running)
    assert [record.id for record in told] == ["p3"]


async def test_nothing_is_missed_while_the_connection_is_cut(
    committer: Committer, follower: Follower, database: Database
) -> None:
    told: list[Recorded] = []
    follower.tell(told.append)
    for round in range(3):
        await commit(committer, *(f"p{round}-{n}" for n in range(20)))
        assert await eventually(lambda: cut(database)) == 1
        await commit(committer, *(f"q{round}-{n}" for n in range(20)))
    await eventually(lambda: len(told) >= 120)
    assert [record.position for record in told] == list(range(1, 121))


async def test_who_watches_something_is_told_of_that_alone(committer: Committer, follower: Follower) -> None:
    with follower.watch("p1") as p1, follower.watch("p1", ["ProxyLost"]) as lost, follower.watch("s1") as server:
        await commit(committer, "p2", "p1")
        await asyncio.wait_for(p1.wait(), 5)
        assert not lost.is_set()
        assert not server.is_set()
        await committer.execute(PROXIES, "p1", LoseProxy(reason="x"), ME.follow())
        await asyncio.wait_for(lost.wait(), 5)
        # A route is about its server.
        route = AddRoute(proxy="p1", server="s1", attempt=1, target="http://x")
        await committer.execute(ROUTES, "p1.s1", route, ME.follow())
        await asyncio.wait_for(server.wait(), 5)
    assert not follower._watchers


async def test_two_may_watch_the_same_and_one_may_leave(committer: Committer, follower: Follower) -> None:
    with follower.watch("p1") as stays:
        with follower.watch("p1") as leaves:
            pass
        await commit(committer, "p1")
        await asyncio.wait_for(stays.wait(), 5)
        assert not leaves.is_set()
