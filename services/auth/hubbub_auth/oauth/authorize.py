"""A client asks who is there: a code for it, perhaps after asking the person (contract, 4.2 and 4.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import msgspec
import structlog
from aiohttp import web
from tornado.httputil import url_concat

from hubbub.access import Identity
from hubbub.domain import scope
from hubbub.domain.code import IssueCode
from hubbub.eventlog import Context
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.views import CODES, TOKENS
from hubbub.web import xsrf
from hubbub.web.next_url import LONGEST
from hubbub.web.pages import render
from hubbub.web.request import GATE, check_xsrf, identify
from hubbub_auth import browser
from hubbub_auth.front import Refused
from hubbub_auth.keys import COMMITTER, HOSTED, POOL
from hubbub_auth.oauth import clients, provider, scopes
from hubbub_auth.oauth.clients import Client
from hubbub_auth.oauth.provider import Authorization

log = structlog.get_logger()

CODE_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that makes sense, of somebody who may have what it asks for."""

    client: Client
    authorization: Authorization
    granted: list[str]


async def ask(request: web.Request) -> web.Response:
    """GET: on to the client at once if there is nothing to decide, else the page that asks."""
    identity = await identify(request, pages=True)
    if identity is None:
        return _to_login(request)
    try:
        wanted = await _read(request, identity)
    except provider.SentBack as back:
        return browser.go(back.location)
    if await _needs_consent(request, identity, wanted):
        return _consent_page(request, identity, wanted)
    return await _give(request, identity, wanted, wanted.granted)


async def consent(request: web.Request) -> web.Response:
    """POST: the person has agreed to the `scopes` of the form."""
    identity = await identify(request, pages=True)
    if identity is None:
        return _to_login(request)
    try:
        await check_xsrf(request, identity, is_api=False)
    except xsrf.Forgery as forgery:
        raise Refused(403, str(forgery)) from None
    try:
        wanted = await _read(request, identity)
    except provider.SentBack as back:
        return browser.go(back.location)
    ticked = set((await browser.form(request)).getall("scopes", [])) | scopes.required(wanted.client)
    return await _give(request, identity, wanted, [name for name in wanted.granted if name in ticked])


def _to_login(request: web.Request) -> web.Response:
    """And back here, unless the way is longer than what the login page would remember."""
    prefix, back = request.app[GATE].options.hub_prefix, request.rel_url.raw_path_qs
    hosted = request.app[HOSTED]
    at_once = hosted.wants("auto_login_oauth2_authorize")
    login = hosted.authenticator.login_url(prefix) if at_once else f"{prefix}login"
    return browser.go(url_concat(login, {"next": back}) if len(back) <= LONGEST else login)


async def _read(request: web.Request, identity: Identity) -> Request:
    """Raises `Refused` with the page's status, or `provider.SentBack`."""
    gate = request.app[GATE]
    query = request.query
    found = await clients.find(request.app[POOL], gate, query.get("client_id", ""))
    client = clients.sent_to(found, query.get("redirect_uri"))
    authorization = Authorization(
        client,
        list(query.items()),
        user=identity.name,
        roles=gate.access.roles,
        require_pkce=gate.options.hub.oauth_require_pkce,
    )
    try:
        asked = authorization.asked()
    except provider.Refused as refused:
        raise Refused(400, str(refused)) from None
    except provider.SentBack as back:
        log.info("oauth.refused", error=back.error, client=query.get("client_id", ""), user=identity.id)
        raise
    assert client is not None
    if not client.lets_in(identity):
        log.info("oauth.refused", error="no_access", client=client.client_id, user=identity.id)
        raise Refused(403, f"You do not have permission to access {client.description}")
    granted = scopes.granted(identity, client, asked, gate.access.roles.tree)
    return Request(client=client, authorization=authorization, granted=granted)


async def _needs_consent(request: web.Request, identity: Identity, wanted: Request) -> bool:
    """Not for one's own server, a service the operator vouches for, or what was agreed to before."""
    client = wanted.client
    if client.owner_id == identity.id or client.no_confirm:
        return False
    rows = await request.app[POOL].fetch(_AGREED, identity.id, client.client_id, client.server_id)
    agreed = {name for row in rows for name in msgspec.json.decode(row["state"], type=_Agreed).scopes}
    who = {"user": identity.name, "server": client.full_name}
    return not set(scope.nameless(agreed, **who)).issuperset(scope.nameless(wanted.granted, **who))


class _Agreed(msgspec.Struct):
    scopes: tuple[str, ...]


def _consent_page(request: web.Request, identity: Identity, wanted: Request) -> web.Response:
    extra = [name for name in wanted.granted if name not in scopes.required(wanted.client)]
    response = render(
        request,
        "consent.html",
        identity,
        action=request.rel_url.raw_path_qs,
        client=wanted.client.description,
        redirect_uri=wanted.client.redirect_uri,
        scopes=[(name, request.app[GATE].access.roles.tree.describe(name)) for name in extra],
    )
    browser.remind(request, response, identity)
    return response


async def _give(request: web.Request, identity: Identity, wanted: Request, granted: Sequence[str]) -> web.Response:
    """A code, kept as a hash, sent to the client by way of the browser."""
    grant, client = wanted.authorization.grant(granted), wanted.client
    id = uuid4().hex

    async def body(tx: Transaction) -> None:
        issue = IssueCode(
            user=identity.id,
            hash=token_hash(grant.code),
            client=client.client_id,
            redirect_uri=client.redirect_uri,
            scopes=scope.nameless(granted, user=identity.name, server=client.full_name),
            session=identity.session,
            expires_at=tx.now + timedelta(seconds=CODE_SECONDS),
            challenge=grant.challenge,
            challenge_method=grant.challenge_method,
        )
        await tx.act(CODES, id, issue)

    await request.app[COMMITTER].submit(body, Context.of(identity.actor), [(CODES, id)])
    log.info("oauth.authorized", user=identity.id, client=client.client_id, scopes=granted)
    response = browser.go(grant.location)
    browser.remind(request, response, identity)
    return response


_AGREED = f"""
    select state from {TOKENS.table}
    where user_id = $1 and client = $2 and server = $3 and (expires_at is null or expires_at > now())
"""
