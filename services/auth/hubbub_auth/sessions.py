"""Browser sessions: opened at a login, closed at a log-out (see `hubbub.sessions`)."""

from datetime import timedelta
from uuid import uuid4

from hubbub import sessions
from hubbub.domain.session import OpenSession
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.views import SESSIONS
from hubbub.web import cookies

LONGEST_AGENT = 255


class Login:
    """A session of *user* that is to be opened. `secret` is for the browser alone."""

    __slots__ = ("secret", "session", "user")

    def __init__(self, user: str) -> None:
        self.user = user
        self.session = uuid4().hex
        self.secret = cookies.new_secret()

    @property
    def hash(self) -> str:
        return token_hash(self.secret)


async def open_in(tx: Transaction, login: Login, *, address: str, agent: str, seconds: float) -> None:
    """Open the session of *login*. *agent*: what the browser calls itself."""
    command = OpenSession(
        user=login.user,
        hash=login.hash,
        address=address,
        agent=agent[:LONGEST_AGENT].encode(errors="replace").decode(),  # a header need not be text
        expires_at=tx.now + timedelta(seconds=seconds),
    )
    await tx.act(SESSIONS, login.session, command)
    sessions.opened(tx, login.session)


async def close_session(committer: Committer, user: str, session: str, *, address: str = "") -> int:
    """Log *session* out, for its *user* (an id), who is at *address*; how many tokens ended with it."""

    async def body(tx: Transaction) -> int:
        return await sessions.close(tx, session, address=address)

    return await committer.submit(body, Context.of(f"user:{user}"), [(SESSIONS, session)])
