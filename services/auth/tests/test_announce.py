"""Of two processes of one name, as in a restart, the later one is the one that apis are told of."""

import asyncio
from typing import Any

import asyncpg
import pytest

from hubbub.auth_messages import About
from hubbub.testing.postgres import Database
from hubbub_auth.__main__ import Addresses, listen
from hubbub_auth.announce import announced

OLD, NEW = About(url="http://127.0.0.1:1"), About(url="http://127.0.0.1:2")


async def test_whoever_is_replaced_says_no_more_of_itself_and_takes_nothing_away(database: Database):
    async with asyncpg.create_pool(database.auth_dsn, min_size=1, max_size=2) as pool:

        async def known() -> list[str]:
            return [row["about"] for row in await pool.fetch("select about::json ->> 'url' as about from instances")]

        async with announced(pool, "auth-1", OLD, every=0.02):
            assert await known() == [OLD.url]
            async with announced(pool, "auth-1", NEW, every=0.02):
                for _ in range(10):
                    assert await known() == [NEW.url]
                    await asyncio.sleep(0.02)
            # What is left is taken back. Alone, the first is there again, as the other may have died: perhaps already.
            assert NEW.url not in await known()
            async with asyncio.timeout(10):
                while await known() != [OLD.url]:
                    await asyncio.sleep(0.02)
        assert await known() == []


async def test_the_one_that_goes_does_not_take_back_the_one_that_came(database: Database):
    async with asyncpg.create_pool(database.auth_dsn, min_size=1, max_size=2) as pool:
        old, new = announced(pool, "auth-1", OLD), announced(pool, "auth-1", NEW)
        await old.__aenter__()
        await new.__aenter__()
        await old.__aexit__(None, None, None)
        assert await pool.fetchval("select about::json ->> 'url' from instances") == NEW.url
        await new.__aexit__(None, None, None)


class CutOff:
    """A pool that cannot be told of a move so many times."""

    def __init__(self, pool: asyncpg.Pool, failures: int) -> None:
        self._pool = pool
        self._left = failures

    async def execute(self, query: str, *arguments: Any) -> str:
        if query.startswith("update instances") and self._left:
            self._left -= 1
            raise OSError("cut off")
        return await self._pool.execute(query, *arguments)


@pytest.mark.parametrize("failures", [0, 2])
async def test_one_whose_address_becomes_another_is_there_under_that_alone(database: Database, failures: int):
    """At once, or as soon as the database can be told."""
    async with asyncpg.create_pool(database.auth_dsn, min_size=1, max_size=2) as pool:
        url = OLD.url

        async def known() -> list[str]:
            return [row["about"] for row in await pool.fetch("select about::json ->> 'url' as about from instances")]

        async with announced(CutOff(pool, failures), "auth-1", OLD, every=0.02, url=lambda: url):
            assert await known() == [OLD.url]
            url = NEW.url
            async with asyncio.timeout(2):  # sooner than it would be given up
                while await known() != [NEW.url]:
                    await asyncio.sleep(0.02)
        assert await known() == []


async def test_a_name_is_told_as_an_address_with_the_port_that_was_found():
    with listen("0.0.0.0", 0) as listening:
        assert Addresses("localhost", listening, "http")() == f"http://127.0.0.1:{listening.getsockname()[1]}"
