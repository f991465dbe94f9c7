"""Browser sessions: opened at a login, closed at a log-out together with all that was given out in them."""

from datetime import timedelta
from uuid import uuid4

import asyncpg

from hubbub.domain.message import Rejected
from hubbub.domain.session import CloseSession, OpenSession
from hubbub.domain.token import RevokeToken
from hubbub.domain.user import CreateUser, SetAdmin
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.views import SESSIONS, TOKENS, USERS
from hubbub.web import cookies

#: A name can change hands while somebody logs in by it, but not that often.
TRIES = 5


class _ChangedHands(Rejected):
    """The name belongs to somebody else than a moment ago."""


class Login:
    """What `open_session` has made. `secret` is for the browser alone."""

    __slots__ = ("secret", "session", "user")

    def __init__(self, user: str) -> None:
        self.user = user
        self.session = uuid4().hex
        self.secret = cookies.new_secret()

    @property
    def hash(self) -> str:
        return token_hash(self.secret)


async def open_session(
    pool: "asyncpg.Pool[asyncpg.Record]",
    committer: Committer,
    *,
    name: str,
    admin: bool | None,
    address: str,
    seconds: float,
    instead_of: str = "",
) -> Login:
    """Log in the person called *name*, who is created if need be; *admin*: None leaves that as it is.

    *instead_of* is the session that the same browser had before, which ends.
    """
    for _ in range(TRIES):
        known = await pool.fetchval("select id from users where name = $1", name)
        login = Login(known or uuid4().hex)

        async def body(tx: Transaction, known: str | None = known, login: Login = login) -> None:
            rows = await tx.fetch("select id from users where name = $1", name)
            if (rows[0]["id"] if rows else None) != known:
                raise _ChangedHands
            if instead_of:
                await close_in(tx, instead_of)
            if known is None:
                tx.welcome(login.user)
                await tx.act(USERS, login.user, CreateUser(user=login.user, name=name, admin=bool(admin)))
            elif admin is not None:
                await tx.act(USERS, login.user, SetAdmin(admin=admin))
            until = tx.now + timedelta(seconds=seconds)
            opened = OpenSession(user=login.user, hash=login.hash, address=address, expires_at=until)
            await tx.act(SESSIONS, login.session, opened)

        try:
            reads = [(USERS, login.user), (SESSIONS, login.session)]
            await committer.submit(body, Context.of(f"user:{login.user}"), reads)
        except _ChangedHands:
            continue
        return login
    raise _ChangedHands


async def close_session(committer: Committer, user: str, session: str) -> int:
    """Log *session* out; how many tokens ended with it."""

    async def body(tx: Transaction) -> int:
        return await close_in(tx, session)

    return await committer.submit(body, Context.of(f"user:{user}"), [(SESSIONS, session)])


async def close_in(tx: Transaction, session: str) -> int:
    """End *session* and every token that was given out in it."""
    tokens = await tx.fetch("select id from tokens where session = $1", session)
    await tx.load([(TOKENS, row["id"]) for row in tokens])
    await tx.act(SESSIONS, session, CloseSession())
    for row in tokens:
        await tx.act(TOKENS, row["id"], RevokeToken(reason="logout"))
    return len(tokens)
