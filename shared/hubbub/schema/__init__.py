"""The database, made and brought up to date by numbered, additive migrations."""

import asyncpg

from hubbub.schema.migrations import MIGRATIONS, ROLES, Migration

__all__ = ["MIGRATIONS", "ROLES", "SchemaTooNew", "check", "migrate"]

NEWEST = MIGRATIONS[-1].number


class SchemaTooNew(Exception):
    """The database was made by a newer release."""


async def migrate(dsn: str, passwords: dict[str, str]) -> None:
    """Bring the database behind *dsn* (its owner's) up to date, and set the services' passwords.

    *passwords* maps the role of a service (`hubbub_api`, `hubbub_auth`) to its password. Safe to run from
    several processes at once.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock(7421)")
        await connection.execute("create table if not exists migrations (number int primary key, name text not null)")
        done = await connection.fetchval("select coalesce(max(number), 0) from migrations")
        if done > NEWEST:
            raise SchemaTooNew(
                f"the database is at migration {done}, this release knows {NEWEST}: a newer Hubbub has used it"
            )
        for role in ROLES:
            await _ensure_role(connection, role, passwords[role])
        for migration in MIGRATIONS:
            if migration.number > done:
                await _apply(connection, migration)
    finally:
        await connection.close()


async def check(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Refuse to work on a database that a newer release has migrated, or that nobody has."""
    done = await pool.fetchval("select max(number) from migrations")
    if done != NEWEST:
        raise SchemaTooNew(f"the database is at migration {done}, this release needs {NEWEST}")


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute("insert into migrations values ($1, $2)", migration.number, migration.name)


async def _ensure_role(connection: "asyncpg.Connection[asyncpg.Record]", role: str, password: str) -> None:
    if not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
        await connection.execute(f"create role {role} login")
    quoted = await connection.fetchval("select quote_literal($1::text)", password)
    await connection.execute(f"alter role {role} password {quoted}")
