"""The database, made and brought up to date by numbered, additive migrations."""

import asyncpg

from hubbub.schema.migrations import MIGRATIONS, ROLES, Migration

__all__ = ["MIGRATIONS", "ROLES", "SchemaTooNew", "check", "migrate"]

NEWEST = MIGRATIONS[-1].number


class SchemaTooNew(Exception):
    """The database was made by a newer release."""


async def migrate(dsn: str, passwords: dict[str, str] | None) -> None:
    """Bring the database behind *dsn* (its owner's) up to date, and set the services' passwords.

    *passwords* maps the role of a service (`hubbub_api`, `hubbub_auth`) to its password; None leaves those as they
    are, of a house that runs. Safe to run from several processes at once.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock(7421)")
        await connection.execute("create table if not exists migrations (number int primary key, name text not null)")
        await connection.execute(
            "alter table migrations add column if not exists breaks boolean not null default false"
        )
        done = await connection.fetchval("select coalesce(max(number), 0) from migrations")
        if done > NEWEST:
            raise SchemaTooNew(
                f"the database is at migration {done}, this release knows {NEWEST}: a newer Hubbub has used it"
            )
        if passwords is not None:
            for role in ROLES:
                await _ensure_role(connection, role, passwords.get(role))
        for migration in MIGRATIONS:
            if migration.number > done:
                await _apply(connection, migration)
    finally:
        await connection.close()


async def check(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    """Refuse to work on a database that is too old, or that a newer release has made unusable for this one.

    A newer one that only added to it is no hindrance: old and new run side by side while a house is upgraded.
    """
    rows = await pool.fetch("select number, to_jsonb(migrations) -> 'breaks' as breaks from migrations")
    done = max(row["number"] for row in rows)
    broken = [row["number"] for row in rows if row["number"] > NEWEST and row["breaks"] == "true"]
    if done < NEWEST or broken:
        raise SchemaTooNew(f"the database is at migration {done}, this release needs {NEWEST}")


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        row = (migration.number, migration.name, migration.breaks)
        await connection.execute("insert into migrations (number, name, breaks) values ($1, $2, $3)", *row)


async def _ensure_role(connection: "asyncpg.Connection[asyncpg.Record]", role: str, password: str | None) -> None:
    if not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
        await connection.execute(f"create role {role} login")
    if password is None:
        return
    quoted = await connection.fetchval("select quote_literal($1::text)", password)
    await connection.execute(f"alter role {role} password {quoted}")
