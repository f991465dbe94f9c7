"""GET, POST /oauth2/authorize; POST /oauth2/token: handed to auth, and described here for the OpenAPI document."""

from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from hubbub_api.endpoint import Endpoints
from hubbub_api.forward import AUTHS
from hubbub_api.schemas import Error

routes = Endpoints("oauth2")

FORM = "application/x-www-form-urlencoded"


class AuthorizeQuery(msgspec.Struct, kw_only=True):
    """As RFC 6749 (4.1.1) and RFC 7636 (4.3) have them."""

    client_id: Annotated[
        str, Meta(description="`service-<name>`, `jupyterhub-user-<user>[-<server>]`, or as configured.")
    ]
    response_type: Annotated[Literal["code"], Meta(description="There is no other flow.")]
    redirect_uri: Annotated[str, Meta(description="The client's own; it may be left out.")] | None = None
    scope: (
        Annotated[str, Meta(description="Scopes, with spaces between; without it, what the client needs.")] | None
    ) = None
    state: Annotated[str, Meta(description="Comes back as it was sent.")] | None = None
    code_challenge: Annotated[str, Meta(description="The client's, of its `code_verifier`.", max_length=128)] | None = (
        None
    )
    code_challenge_method: Annotated[Literal["S256", "plain"], Meta(description="How it was made.")] | None = None


class Consent(msgspec.Struct, kw_only=True):
    """What the page that asks for consent sends."""

    scopes: list[str] = []
    xsrf: str = msgspec.field(name="_xsrf")


class Exchange(msgspec.Struct, kw_only=True):
    """As RFC 6749 (4.1.3) and RFC 7636 (4.5) have them."""

    grant_type: Literal["authorization_code"]
    client_id: str
    client_secret: str
    code: str
    redirect_uri: str | None = None
    code_verifier: str | None = None


class OAuthToken(msgspec.Struct, kw_only=True):
    """RFC 6749, 5.1. `scope`: what the token may do, with spaces between; `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class OAuthError(msgspec.Struct, kw_only=True):
    """RFC 6749, 5.2."""

    error: str
    error_description: str | msgspec.UnsetType = msgspec.UNSET


#: Pages, and ways elsewhere; a refusal by the api itself, before auth is asked, is JSON.
PAGES = {200: str, 302: None, 400: str, 403: str, 413: str, 502: None, 503: str}


@routes.get("/oauth2/authorize", open=True, query=AuthorizeQuery, content="text/html", answers=PAGES)
async def authorize(request: web.Request) -> web.StreamResponse:
    """Sends a browser back to the client with a code for it. Whoever is not logged in is sent to the login page first,
    and asked for consent if the client is not their own server, nor vouched for by the operator.
    """
    return await request.app[AUTHS].forward(request)


@routes.post(
    "/oauth2/authorize", open=True, query=AuthorizeQuery, body=Consent, takes=FORM, content="text/html", answers=PAGES
)
async def agree(request: web.Request) -> web.StreamResponse:
    """Consents to what a client asks for. Sent by the page that asks for it."""
    return await request.app[AUTHS].forward(request)


@routes.post(
    "/oauth2/token",
    open=True,
    body=Exchange,
    takes=FORM,
    answers={200: OAuthToken, 400: OAuthError | Error, 401: OAuthError, 413: None, 502: None, 503: OAuthError | Error},
)
async def exchange(request: web.Request) -> web.StreamResponse:
    """Gives a client a token for the code that a browser brought it. Each code is good once, for five minutes."""
    return await request.app[AUTHS].forward(request)
