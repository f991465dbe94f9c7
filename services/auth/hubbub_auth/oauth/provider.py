"""oauthlib at work on rows that were read before and are written after: its callbacks know no async.

oauthlib takes absolute redirect URIs alone, and those of servers are paths: paths go in with an origin
that exists nowhere, and come out without it.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749.endpoints import AuthorizationEndpoint, TokenEndpoint
from oauthlib.oauth2.rfc6749.errors import FatalClientError, OAuth2Error
from oauthlib.oauth2.rfc6749.grant_types import AuthorizationCodeGrant
from oauthlib.oauth2.rfc6749.tokens import BearerToken

from hubbub.domain.code import Code
from hubbub.roles import Roles
from hubbub.tokens import new_token
from hubbub_auth.oauth import scopes as scope_rules
from hubbub_auth.oauth.clients import Client

ORIGIN = "https://hubbub.invalid"
Pairs = Sequence[tuple[str, str]]

ASKING = ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method")
EXCHANGING = ("client_id", "client_secret", "grant_type", "code", "redirect_uri", "code_verifier")
LONGEST_CHALLENGE = 128


class Refused(Exception):
    """To be told to the person, on a page of the hub: there is nobody to send them back to."""


class SentBack(Exception):
    """To be told to the client, at `location`."""

    def __init__(self, location: str, error: str) -> None:
        super().__init__(error)
        self.location = location
        self.error = error


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A code that may be given out, and where to."""

    location: str
    code: str
    challenge: str
    challenge_method: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the token endpoint says; `token` is to be stored before it is said."""

    status: int
    headers: dict[str, str]
    body: str
    token: str = ""


class Authorization:
    """A client asks for a code, for the user called *user*."""

    def __init__(self, client: Client | None, pairs: Pairs, *, user: str, roles: Roles, require_pkce: bool) -> None:
        self._client = client
        self._rules = _Rules(client, user=user, roles=roles, require_pkce=require_pkce)
        self._endpoint = AuthorizationEndpoint(
            "code", _bearer(self._rules, 0), {"code": AuthorizationCodeGrant(self._rules)}
        )
        self._uri = f"{ORIGIN}/?{urlencode(_absolute(pairs, ASKING))}"

    def asked(self) -> frozenset[str]:
        """The scopes asked for. Raises `Refused` or `SentBack`."""
        try:
            self._endpoint.validate_authorization_request(self._uri)
        except FatalClientError as error:
            raise Refused(error.description or error.error or "invalid_request") from None
        except OAuth2Error as error:
            location = self._relative(error.in_uri(error.redirect_uri or ""))
            raise SentBack(location, error.error or "") from None
        return self._rules.asked

    def grant(self, granted: Sequence[str]) -> Grant:
        """A new code for the scopes *granted*."""
        headers, _, _ = self._endpoint.create_authorization_response(self._uri, scopes=list(granted))
        code, challenge, method = self._rules.saved
        return Grant(
            location=self._relative(headers["Location"]), code=code, challenge=challenge, challenge_method=method
        )

    def _relative(self, location: str) -> str:
        is_path = self._client is not None and self._client.redirect_uri.startswith("/")
        return location.removeprefix(ORIGIN) if is_path else location


def exchange(
    client: Client | None, code: Code | None, pairs: Pairs, *, roles: Roles, require_pkce: bool, expires_in: int
) -> Answer:
    """A client brings a code and asks for a token. *client*: the one whose secret was given."""
    rules = _Rules(client, code=code, roles=roles, require_pkce=require_pkce)
    bearer = _bearer(rules, expires_in)
    grant = AuthorizationCodeGrant(rules, refresh_token=False)
    endpoint = TokenEndpoint("authorization_code", bearer, {"authorization_code": grant})
    body = urlencode(_absolute(pairs, EXCHANGING))
    headers, text, status = endpoint.create_token_response(f"{ORIGIN}/", "POST", body, {})
    return Answer(status=status, headers=dict(headers), body=text, token=rules.token)


def _bearer(rules: "_Rules", expires_in: int) -> Any:
    return BearerToken(rules, token_generator=lambda _: new_token(), expires_in=expires_in)


def _absolute(pairs: Pairs, wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Only what is known, so that a parameter cannot pose as something oauthlib was told otherwise."""
    return [(k, _with_origin(v) if k == "redirect_uri" else v) for k, v in pairs if k in wanted]


def _with_origin(uri: str) -> str:
    return f"{ORIGIN}{uri}" if uri.startswith("/") else uri


class _Rules(RequestValidator):
    """What oauthlib asks about one request, answered from what is at hand; what it would save is kept here."""

    def __init__(
        self, client: Client | None, *, roles: Roles, require_pkce: bool, user: str = "", code: Code | None = None
    ) -> None:
        super().__init__()
        self._client = client
        self._code = code
        self._user = user
        self._roles = roles
        self._require_pkce = require_pkce
        self.asked: frozenset[str] = frozenset()
        self.saved = ("", "", "")
        self.token = ""

    # Both -------------------------------------------------------------------------------

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return self._require_pkce

    def get_default_redirect_uri(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> str:
        assert self._client is not None
        return _with_origin(self._client.redirect_uri)

    # Asking for a code ------------------------------------------------------------------

    def validate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        request.client = self._client
        return self._client is not None

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        return redirect_uri == self.get_default_redirect_uri(client_id, request)

    def validate_response_type(
        self, client_id: str, response_type: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        return response_type == "code" and len(request.code_challenge or "") <= LONGEST_CHALLENGE

    def get_default_scopes(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        assert self._client is not None
        return scope_rules.default(self._client)

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        assert self._client is not None
        found = scope_rules.read(scopes, self._roles)
        if found is None or not scope_rules.may_ask(self._client, found, self._user, self._roles.tree):
            return False
        self.asked = found
        return True

    def save_authorization_code(self, client_id: str, code: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        method = request.code_challenge_method if request.code_challenge else ""
        self.saved = (code["code"], request.code_challenge or "", method)

    # Bringing one -----------------------------------------------------------------------

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        request.client = self._client
        return self._client is not None

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        return grant_type == "authorization_code"

    def validate_code(self, client_id: str, code: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        held, client = self._code, self._client
        if (
            held is None
            or client is None
            or (held.client, held.redirect_uri) != (client.client_id, client.redirect_uri)
        ):
            return False
        if request.code_verifier and not held.challenge:
            return False  # the challenge was taken out on its way (RFC 9700, 2.1.1)
        request.user = held.user
        request.scopes = list(held.scopes)
        return True

    def get_code_challenge(self, code: str, request: Any) -> Any:
        """None, which the types do not foresee, is how oauthlib learns that there is none."""
        return (self._code and self._code.challenge) or None

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        assert self._code is not None
        return self._code.challenge_method

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        return hmac.compare_digest(redirect_uri.encode(), self.get_default_redirect_uri(client_id, request).encode())

    def save_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        self.token = token["access_token"]

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any) -> None:
        """Done by the commit that stores the token."""
