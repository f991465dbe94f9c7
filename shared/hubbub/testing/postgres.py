"""A private database for each test: a copy of a migrated template, which takes Postgres some milliseconds."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from hubbub.schema import ROLES, migrate

T = TypeVar("T")

TEMPLATE = "hubbub_template"
PASSWORDS = {role: f"password-of-{role}" for role in ROLES}


@dataclass(frozen=True, kw_only=True)
class Database:
    """One hub's database, and the ways into it: as its owner, as the api, as auth."""

    owner_dsn: str

    @property
    def name(self) -> str:
        return urlsplit(self.owner_dsn).path.lstrip("/")

    @property
    def api_dsn(self) -> str:
        return self._as("hubbub_api")

    @property
    def auth_dsn(self) -> str:
        return self._as("hubbub_auth")

    def _as(self, role: str) -> str:
        return _with(self.owner_dsn, user=role, password=PASSWORDS[role])


class PostgresServer:
    """A running server, reached as a superuser: `make` copies the template for one test, `drop` removes it.

    Plain functions, usable from tests with and without an event loop.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._numbers = count(1)
        self._run(self._make_template())

    def make(self) -> Database:
        name = f"test_{next(self._numbers)}"
        self._run(self._execute(f"create database {name} template {TEMPLATE} strategy wal_log"))
        return Database(owner_dsn=_with(self.dsn, database=name))

    def make_empty(self) -> Database:
        """One that nobody has migrated yet."""
        name = f"test_{next(self._numbers)}"
        self._run(self._execute(f"create database {name}"))
        return Database(owner_dsn=_with(self.dsn, database=name))

    def drop(self, database: Database) -> None:
        """Remove it, whoever is still connected."""
        self._run(self._execute(f"drop database if exists {database.name} with (force)"))

    async def _make_template(self) -> None:
        await self._execute(f"create database {TEMPLATE}")
        await migrate(_with(self.dsn, database=TEMPLATE), PASSWORDS)

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @staticmethod
    def _run(work: Coroutine[Any, Any, T]) -> T:
        """In a thread, so that it makes no difference whether the caller has an event loop."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, work).result()


def _with(dsn: str, *, user: str = "", password: str = "", database: str = "") -> str:
    parts = urlsplit(dsn)
    credentials, _, address = parts.netloc.rpartition("@")
    credentials = f"{user}:{password}" if user else credentials
    path = f"/{database}" if database else parts.path
    return urlunsplit((parts.scheme, f"{credentials}@{address}", path, parts.query, ""))
