"""An OpenID provider that keeps to the letter of its standards, until a test tells it to misbehave."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "hub", "the secret of the hub"

Claims = dict[str, Any]


class OpenIDDouble:
    """`people`: claims by subject. `who`: the subject that logs in. The rest says how it misbehaves."""

    def __init__(self) -> None:
        self.people: dict[str, Claims] = {"s-ada": {"preferred_username": "Ada", "groups": ["physics"]}}
        self.who = "s-ada"
        self.keys = [RSAKey.generate_key(2048, {"kid": "k1"})]
        self.metadata_twist: Claims = {}
        self.metadata_status = 200
        self.claims_twist: Claims = {}
        self.header: dict[str, str] = {}
        self.sign: Callable[[Claims], str] = self._signed
        self.not_in_id_token: set[str] = set()
        self.userinfo_twist: Claims = {}
        self.answer_twist: dict[str, str] = {}
        self.token_status: int | None = None
        self.userinfo_status: int | None = None
        self.rotates = True
        self.expires_in = 3600
        self.tells_issuer = True
        self.gives_refresh_tokens = True
        self.renews_id_tokens = True
        self.asked: list[str] = []
        self.grants: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._access: dict[str, str] = {}
        self._refresh: dict[str, str] = {}
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._metadata),
                web.get("/jwks", self._jwks),
                web.get("/authorize", self._authorize),
                web.post("/token", self._token),
                web.get("/userinfo", self._userinfo),
            ]
        )
        self.server = TestServer(app)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def revoke(self) -> None:
        self._access.clear()
        self._refresh.clear()

    def expire(self) -> None:
        """The access tokens, not the others."""
        self._access.clear()

    # Its pages --------------------------------------------------------------------------

    async def _metadata(self, _: web.Request) -> web.Response:
        self.asked.append("metadata")
        at = self.issuer
        said = {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "userinfo_endpoint": f"{at}/userinfo",
            "end_session_endpoint": f"{at}/logout",
            "jwks_uri": f"{at}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": self.tells_issuer,
        }
        return web.json_response(said | self.metadata_twist, status=self.metadata_status)

    async def _jwks(self, _: web.Request) -> web.Response:
        self.asked.append("jwks")
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})

    async def _authorize(self, request: web.Request) -> web.Response:
        """Everybody is logged in here, and agrees to everything."""
        given = dict(request.query)
        assert given["client_id"] == CLIENT
        assert given["response_type"] == "code"
        assert given["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = given | {"sub": self.who}
        answer = {"code": code, "state": given["state"]}
        if self.tells_issuer:
            answer["iss"] = self.issuer
        answer = {name: value for name, value in (answer | self.answer_twist).items() if value != "-"}
        raise web.HTTPFound(f"{given['redirect_uri']}?{urlencode(answer)}")

    async def _token(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(fields["grant_type"])
        self.grants.append(fields)
        if self.token_status is not None:
            return web.Response(status=self.token_status, text="<h1>not today</h1>")
        if not _is_client(request, fields):
            return web.json_response({"error": "invalid_client"}, status=401)
        if fields["grant_type"] == "refresh_token":
            sub = self._refresh.get(fields["refresh_token"])
            if self.rotates:
                self._refresh.pop(fields["refresh_token"], None)
            nonce = ""
        else:
            found = self._codes.pop(fields["code"], {})
            sub = found.get("sub") if self._is_redeemable(found, fields) else None
            nonce = found.get("nonce", "")
        if sub is None:
            return web.json_response({"error": "invalid_grant", "error_description": "<b>used</b>"}, status=400)
        return web.json_response(self._tokens(sub, nonce, fields))

    def _is_redeemable(self, found: dict[str, str], fields: dict[str, str]) -> bool:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(fields.get("code_verifier", "").encode()).digest())
        return bool(
            found
            and found["redirect_uri"] == fields.get("redirect_uri")
            and found["code_challenge"] == challenge.decode().rstrip("=")
        )

    def _tokens(self, sub: str, nonce: str, fields: dict[str, str]) -> Claims:
        access, refresh, now = secrets.token_urlsafe(16), secrets.token_urlsafe(16), int(time.time())
        self._access[access] = self._refresh[refresh] = sub
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": sub, "iat": now, "exp": now + 300}
        claims |= {k: v for k, v in self.people[sub].items() if k not in self.not_in_id_token}
        if nonce:
            claims["nonce"] = nonce
        claims |= self.claims_twist
        claims = {name: value for name, value in claims.items() if value != "-"}
        tokens: Claims = {"access_token": access, "token_type": "Bearer", "expires_in": self.expires_in}
        if self.gives_refresh_tokens:
            tokens["refresh_token"] = refresh
        if fields["grant_type"] == "authorization_code" or self.renews_id_tokens:
            tokens["id_token"] = self.sign(claims)
        return tokens

    def _signed(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.keys[-1].kid} | self.header, claims, self.keys[-1])

    async def _userinfo(self, request: web.Request) -> web.Response:
        self.asked.append("userinfo")
        if self.userinfo_status is not None:
            return web.Response(status=self.userinfo_status)
        sub = self._access.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if sub is None:
            return web.Response(status=401)
        return web.json_response({"sub": sub} | self.people[sub] | self.userinfo_twist)


def _is_client(request: web.Request, fields: dict[str, str]) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind == "Basic":
        id, _, secret = base64.b64decode(given).decode().partition(":")
        return (unquote(id), unquote(secret)) == (CLIENT, SECRET)
    return (fields.get("client_id"), fields.get("client_secret")) == (CLIENT, SECRET)
