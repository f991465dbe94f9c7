"""Which databases a release works on: its own, and newer ones that have only been added to."""

import asyncpg
import pytest

from hubbub import schema
from hubbub.schema import SchemaTooNew
from hubbub.testing.postgres import Database


async def test_a_newer_one_that_was_added_to_is_no_hindrance(database: Database) -> None:
    async with asyncpg.create_pool(database.owner_dsn, min_size=1, max_size=1) as pool:
        await pool.execute("insert into migrations (number, name) values (99998, 'adds')")
        await schema.check(pool)


async def test_one_that_this_release_cannot_use_is_refused(database: Database) -> None:
    async with asyncpg.create_pool(database.owner_dsn, min_size=1, max_size=1) as pool:
        await pool.execute("insert into migrations (number, name, breaks) values (99998, 'breaks', true)")
        await pool.execute("insert into migrations (number, name) values (99999, 'adds')")
        with pytest.raises(SchemaTooNew, match="99999"):
            await schema.check(pool)


async def test_one_that_is_behind_is_refused(database: Database) -> None:
    async with asyncpg.create_pool(database.owner_dsn, min_size=1, max_size=1) as pool:
        await pool.execute("delete from migrations where number = (select max(number) from migrations)")
        with pytest.raises(SchemaTooNew):
            await schema.check(pool)
