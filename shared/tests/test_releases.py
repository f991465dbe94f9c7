"""What an older release could not read is not written while one of its processes lives."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet

from hubbub import __version__
from hubbub.domain.server_events import ServerCreated, ServerRenamed
from hubbub.domain.server_messages import CreateServer
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.house import HouseNow
from hubbub.releases import FIRST, NotYet, Releases, living, named, needed, number, without_news
from hubbub.service import end
from hubbub.testing.postgres import Database
from hubbub.vault import Vault
from hubbub.verify import verify
from hubbub.views import SERVERS

KEY = Fernet.generate_key().decode()
CREATED = ServerCreated(user="u1", name="lab", display_name="")
SHOWN = ServerCreated(user="u1", name="lab", display_name="Laboratory")


@pytest.fixture
async def committer(database: Database) -> AsyncIterator[Committer]:
    made = Committer(database.api_dsn, Vault(KEY))
    running = asyncio.create_task(made.run())
    yield made
    await end(running)


async def connected(database: Database, name: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(database.auth_dsn, server_settings={"application_name": name})


async def create(committer: Committer, **more: Any) -> tuple[Any, Any]:
    return await committer.execute(SERVERS, "s1", CreateServer(user="u1", name="lab", **more), Context.of("me"))


@pytest.mark.parametrize(
    ("older", "newer"), [("0.1.0", "0.2.0"), ("0.9.0", "0.10.0"), ("0.9", "1"), ("0.2.0", "0.2.1")]
)
def test_releases_are_compared_as_numbers(older: str, newer: str):
    assert number(older) < number(newer)


def test_a_release_candidate_counts_as_what_it_is_a_candidate_of():
    assert number("0.3.0rc1") == number("0.3.0")


def test_a_new_type_needs_its_release():
    since = {"ServerRenamed": "0.3.0", "ServerCreated.display_name": "0.2.0"}
    assert needed(CREATED, since) == FIRST
    assert needed(SHOWN, since) == FIRST
    assert needed(ServerRenamed(name="study", display_name=""), since) == "0.3.0"


def test_a_new_field_says_nothing_until_all_know_it():
    since = {"ServerCreated.display_name": "0.2.0"}
    assert without_news(SHOWN, "0.1.0", since) == CREATED
    assert without_news(SHOWN, "0.2.0", since) == SHOWN


async def test_all_who_may_write_are_seen_with_their_release(database: Database, committer: Committer):
    """By the role of an auth, too."""
    await create(committer)
    house = asyncio.create_task(HouseNow(database.auth_dsn).run())
    looking = await connected(database, "somebody")
    old = await connected(database, "hubbub-house")
    assert await living(looking) == {FIRST, __version__}
    await old.close()
    async with asyncio.timeout(5):
        while await living(looking) != {__version__}:
            await asyncio.sleep(0.01)  # Postgres tells nobody that a session has ended
    await end(house)
    await looking.close()


async def test_a_new_type_waits_for_the_last_old_one_to_end(database: Database, committer: Committer):
    old = await connected(database, "hubbub-committer")
    committer._releases = Releases({"ServerCreated": __version__})
    with pytest.raises(NotYet, match=r"every api and auth is of release .* one of 0\.1\.0"):
        await create(committer)
    await old.close()
    committer._releases._good_until = 0
    await create(committer)


async def test_a_new_field_is_left_out_so_long(database: Database, committer: Committer):
    old = await connected(database, named("hubbub-house").replace(__version__, "0.1.9"))
    committer._releases = Releases({"ServerCreated.display_name": __version__})
    state, events = await create(committer, display_name="Laboratory")
    assert events == [CREATED]
    assert state.display_name == ""
    assert await verify(database.owner_dsn, KEY) == []
    await old.close()


async def test_what_is_old_is_written_without_asking(database: Database):
    releases = Releases({"ServerRenamed": __version__})
    connection = await connected(database, "somebody")
    await connection.close()
    assert await releases.readable(connection, [SHOWN]) == [SHOWN]


async def test_it_is_not_asked_again_at_once(database: Database):
    releases = Releases({"ServerCreated.display_name": __version__})
    connection = await connected(database, "somebody")
    await releases.readable(connection, [SHOWN])
    await connection.close()
    assert await releases.readable(connection, [SHOWN]) == [SHOWN]
