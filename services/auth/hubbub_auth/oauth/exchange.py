"""A client brings its code and gets a token: once, whoever else brings it at the same moment."""

from datetime import timedelta
from uuid import uuid4

import msgspec
import structlog
from aiohttp import web

from hubbub.away import AWAY
from hubbub.domain import scope
from hubbub.domain.code import Code, RedeemCode
from hubbub.domain.message import Forbidden, Rejected
from hubbub.domain.session import Session
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context
from hubbub.handle import LogUnavailable
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.views import CODES, SESSIONS, TOKENS
from hubbub.web.request import GATE
from hubbub_auth import browser
from hubbub_auth.front import Refused
from hubbub_auth.keys import COMMITTER, POOL
from hubbub_auth.oauth import clients, provider
from hubbub_auth.oauth.clients import Client

log = structlog.get_logger()

LONGEST_FIELD = 4096
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


async def exchange(request: web.Request) -> web.Response:
    """POST {hub}/api/oauth2/token (RFC 6749, 4.1.3). Errors are those of RFC 6749, 5.2."""
    if request.query_string:
        return error("invalid_request", "URL query parameters are not allowed")
    if request.content_type != "application/x-www-form-urlencoded":
        return error("invalid_request", "The body must be application/x-www-form-urlencoded")
    try:
        fields = await browser.form(request)
    except (Refused, web.HTTPRequestEntityTooLarge):
        return error("invalid_request", "The body cannot be read")
    pairs = [(name, value) for name, value in fields.items() if isinstance(value, str)]
    if any(len(value) > LONGEST_FIELD for _, value in pairs):
        return error("invalid_request", "A parameter is too long")
    try:
        return await _exchange(request, pairs)
    except (LogUnavailable, *AWAY):
        log.warning("auth.unavailable", path=request.path)
        return error("temporarily_unavailable", "The hub cannot reach its database", 503)


async def _exchange(request: web.Request, pairs: list[tuple[str, str]]) -> web.Response:
    gate, given = request.app[GATE], dict(reversed(pairs))  # of several of a name, the first
    found = await clients.find(request.app[POOL], gate, given.get("client_id", ""))
    client = clients.knowing(found, given.get("client_secret", ""))
    id, code = await _code(request, given.get("code", "")) if client else ("", None)
    if client and code:
        code = msgspec.structs.replace(code, scopes=scope.named(code.scopes, server=client.full_name))
    answer = provider.exchange(
        client,
        code,
        pairs,
        roles=gate.access.roles,
        require_pkce=gate.options.hub.oauth_require_pkce,
        expires_in=gate.options.oauth_token_expires_in,
    )
    if answer.status != 200 or client is None or code is None:
        log.info("oauth.token_refused", client=given.get("client_id", "")[:200], status=answer.status)
    else:
        try:
            await _store(request, client, id, code, answer.token)
        except Rejected as refusal:
            log.info("oauth.token_refused", client=client.client_id, status=400, reason=str(refusal))
            return error("invalid_grant", str(refusal))
        log.info("oauth.token", user=code.user, client=client.client_id, scopes=code.scopes)
    return web.Response(text=answer.body, status=answer.status, headers=answer.headers)


async def _code(request: web.Request, code: str) -> tuple[str, Code | None]:
    """The code of that value, if it is good yet, and the id of its stream."""
    if not code:
        return "", None
    row = await request.app[POOL].fetchrow(_CODE, token_hash(code))
    return (row["id"], msgspec.json.decode(row["state"], type=Code)) if row else ("", None)


async def _store(request: web.Request, client: Client, id: str, code: Code, token: str) -> None:
    """The code is used up and the token is there, or neither. Raises `Rejected` if it is too late for that."""
    seconds = request.app[GATE].options.oauth_token_expires_in
    made = uuid4().hex

    async def body(tx: Transaction) -> None:
        session = await tx.state(SESSIONS, code.session)
        if not isinstance(session, Session) or session.user != code.user or session.expires_at <= tx.now:
            raise Forbidden("The browser that the code was given to has logged out")
        if client.server_id and not await tx.read(_RUNNING, client.server_id, client.token):
            raise Forbidden("The server that the code was given for has been stopped")
        if client.registered and not await tx.read(_REGISTERED, client.registered):
            raise Forbidden("The service that the code was given for has been removed")
        await tx.act(CODES, id, RedeemCode())
        issue = IssueToken(
            user=code.user,
            hash=token_hash(token),
            scopes=scope.nameless(code.scopes, user="", server=client.full_name),
            client=client.client_id,
            session=code.session,
            server=client.server_id,
            expires_at=tx.now + timedelta(seconds=seconds),
        )
        await tx.act(TOKENS, made, issue)

    reads = [(CODES, id), (TOKENS, made), (SESSIONS, code.session)]
    await request.app[COMMITTER].submit(body, Context.of(f"user:{code.user}"), reads)


def error(kind: str, description: str, status: int = 400) -> web.Response:
    body = {"error": kind, "error_description": description}
    return web.json_response(body, status=status, headers=NO_STORE)


_CODE = "select id, state from codes where hash = $1 and expires_at > now()"
_RUNNING = "select 1 from servers where id = $1 and token = $2"
_REGISTERED = "select 1 from services where id = $1"
