"""The API token of a server: what it may do, and which one it goes on with when it was only asleep.

A worker knows more of it than the claim did that issued it: scopes that callables of the configuration have worked
out for this very start, and the token of an earlier one if that workload was taken up again (contract, 6.2 and 7.2).
"""

from collections.abc import Iterable, Sequence
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from hubbub.domain.message import Invalid, StaleAttempt
from hubbub.domain.server_messages import Failure, ReportFailed, ReportStarted
from hubbub.domain.server_states import Held, Known, Running, Server, Spawning, Started, Stopping
from hubbub.domain.token import IssueToken, RestrictToken, RevokeToken, Token
from hubbub.roles import Roles
from hubbub.rpc import ReportScopes
from hubbub.transaction import Transaction
from hubbub.views import SERVERS, TOKENS

log = structlog.get_logger()

#: Without it a server cannot say that it is in use.
ACTIVITY = "users:activity!user"

# Browsers' tokens of a server carry a session; its own ones do not.
_OWN = "select id from tokens where server = $1 and server <> '' and session = ''"
_BY_HASH = "select id, user_id, server, session from tokens where hash = $1"


def scopes(roles: Roles, given: Iterable[str] | None) -> tuple[str, ...]:
    """What a server's token is to have. *given*: as the configuration says; null if that is not worked out yet."""
    named = [] if given is None else list(given) or list(roles["server"])
    return tuple(dict.fromkeys([*named, ACTIVITY]))


async def restrict(tx: Transaction, roles: Roles, id: str, report: ReportScopes) -> Server:
    """Give the token of the server (by id) the scopes that its holder reports; the server's state."""
    state: Server = await tx.state(SERVERS, id)
    if not isinstance(state, Spawning | Started | Running | Stopping) or (state.attempt, state.holder) != (
        report.attempt,
        report.worker,
    ):
        raise StaleAttempt("its scopes are somebody else's affair")
    token = await tx.state(TOKENS, state.token) if state.user and state.token else None
    if not isinstance(token, Token):  # a service's, or revoked meanwhile
        return state
    _check(roles, "server_token_scopes", report.token or ())
    _check(roles, "oauth_client_allowed_scopes", report.browsers or ())
    command = RestrictToken(
        scopes=token.scopes if report.token is None else scopes(roles, report.token),
        grants=token.grants if report.browsers is None else tuple(dict.fromkeys(report.browsers)),
    )
    assert state.token
    await tx.act(TOKENS, state.token, command)
    return state


def _check(roles: Roles, option: str, named: Sequence[str]) -> None:
    if unknown := sorted(scope for scope in named if not roles.tree.known(scope)):
        raise Invalid(f"{option} has worked out {unknown[0][:50]!r}, but there is no such scope")


async def settled(tx: Transaction, id: str, report: ReportStarted) -> ReportStarted | ReportFailed:
    """*report*, of the holder of the server (by id), with the token that the workload goes on with.

    One of an earlier start of this server is as good as the fresh one, and one that nobody knows is taken in, for
    it is what the workload has. Somebody else's is revoked, since two have it now, and the start fails.
    """
    report = msgspec.structs.replace(report, token="")
    state = await tx.state(SERVERS, id)
    if not isinstance(state, Spawning) or (state.attempt, state.holder) != (report.attempt, report.worker):
        return report  # heard before, or not theirs to say
    fresh = await tx.state(TOKENS, state.token) if state.user and state.token else None
    if not report.resumed or not isinstance(fresh, Token) or report.resumed == fresh.hash:
        return report
    rows = await tx.fetch(_BY_HASH, report.resumed)
    if rows and (wrong := _flaw(rows[0], id, state)):
        log.error("server.wrong_token", server=id, attempt=state.attempt, token=rows[0]["id"], why=wrong)
        if rows[0]["user_id"] != state.user:
            await tx.act(TOKENS, rows[0]["id"], RevokeToken(reason="found in somebody else's server"))
        failure = Failure(reason="token", message=f"Spawner failed to start: {wrong}")
        return ReportFailed(attempt=report.attempt, worker=report.worker, failure=failure, deadline=report.deadline)
    token = rows[0]["id"] if rows else await _take_in(tx, report.resumed, fresh)
    await tx.act(TOKENS, token, RestrictToken(scopes=fresh.scopes, grants=fresh.grants))
    return msgspec.structs.replace(report, token=token)


def _flaw(row: asyncpg.Record, id: str, state: Known) -> str:
    if row["user_id"] != state.user:
        return "the API token that its spawner has handed back belongs to somebody else"
    if row["server"] != id or row["session"]:
        return "the API token that its spawner has handed back was issued for something else"
    return ""


async def _take_in(tx: Transaction, hash: str, fresh: Token) -> str:
    """A token that the log does not know any more, or never did; its id."""
    log.warning("server.unknown_token", server=fresh.server)
    id = uuid4().hex
    issue = IssueToken(
        user=fresh.user,
        hash=hash,
        scopes=fresh.scopes,
        note="retrieved from the spawner",
        client=fresh.client,
        server=fresh.server,
    )
    await tx.act(TOKENS, id, issue)
    return id


async def revoke_others(tx: Transaction, id: str, state: Held) -> None:
    """A server (by id) has started: of its own tokens only the one that it goes on with is left.

    What is left of earlier attempts keeps theirs for as long as it is there.
    """
    kept = {state.token, *(left.token for left in state.leftovers)}
    for row in await tx.fetch(_OWN, id):
        if row["id"] not in kept:
            await tx.act(TOKENS, row["id"], RevokeToken(reason="the server goes on with another"))
