"""The database as classic authenticators know it: SQLAlchemy's session, on tables of their own in the hub's Postgres.

JupyterHub has one session for all that goes on at once. Here each request has its own, made when it is touched, and
rolled back at its end: what one has not committed yet no other sees, or commits, and nothing that was read grows old.
"""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, scoped_session, sessionmaker

SCHEMA = "plugins"

#: Connections that stay open; there are as many as there are requests at work that touch the database.
KEPT_OPEN = 2

_CREATES = re.compile(r"\s*create\s+(?:unique\s+)?(?:table|index|sequence)\s+(?!if\s)", re.IGNORECASE)
#: The same in all auths: the number is that of the string "plugins".
_LOCK = "select pg_advisory_xact_lock(hashtext('plugins'))"

_SCOPE: "ContextVar[object | None]" = ContextVar("tables", default=None)


class Tables:
    """Stands where JupyterHub has its session; `dsn`: of Postgres, as auth's role. Nothing connects before it must."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._sessions: scoped_session[Session] | None = None
        self._engine: Engine | None = None

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What goes on inside, and in the tasks begun there, has one session, which is closed at the end."""
        token = _SCOPE.set(object())
        try:
            yield
        finally:
            if self._sessions is not None:
                self._sessions.remove()
            _SCOPE.reset(token)

    @property
    def dirty(self) -> Any:
        """Asked at the end of every request: that makes no session."""
        return self._now.dirty if self._sessions is not None and self._sessions.registry.has() else ()

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # those of protocols, which sessions do not have
            raise AttributeError(name)
        return getattr(self._now, name)

    def __contains__(self, row: object) -> bool:
        return row in self._now

    def __iter__(self) -> Iterator[Any]:
        return iter(self._now)

    @property
    def _now(self) -> Session:
        if self._sessions is None:
            self._engine = _engine(self._dsn)
            self._sessions = scoped_session(sessionmaker(self._engine), scopefunc=self._whose)
        return self._sessions()

    def _whose(self) -> object:
        """Whose session is meant: of a request, or else of the task that asks, which closes it when it ends."""
        if (scope := _SCOPE.get()) is not None:
            return scope
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None:
            return threading.get_ident()
        _SCOPE.set(scope := object())
        task.add_done_callback(lambda _: self._end(scope))
        return scope

    def _end(self, scope: object) -> None:
        _SCOPE.set(scope)
        if self._sessions is not None:
            self._sessions.remove()


def _engine(dsn: str) -> Engine:
    def connect() -> Any:
        import psycopg  # most have no tables

        told: dict[str, Any] = {
            "options": f"-c search_path={SCHEMA}",
            "application_name": "hubbub-authenticator",
        }
        *firsts, last = dsn.split()  # see hubbub.database
        for url in firsts:
            with suppress(psycopg.OperationalError):
                return psycopg.connect(url, **told)
        return psycopg.connect(last, **told)

    engine = create_engine(
        "postgresql+psycopg://", creator=connect, pool_size=KEPT_OPEN, max_overflow=-1, pool_pre_ping=True
    )
    event.listen(engine, "before_cursor_execute", _one_makes_it, retval=True)
    return engine


def _one_makes_it(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> tuple[str, Any]:
    """Auths that start at the same moment all find that a table is missing: whoever comes late finds it made."""
    if creates := _CREATES.match(statement):
        cursor.execute(_LOCK)
        statement = f"{creates[0]}if not exists {statement[creates.end() :]}"
    return statement, parameters
