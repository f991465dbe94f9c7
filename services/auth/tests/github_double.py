"""GitHub, as far as a login goes: what its documentation says that it answers."""

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer

CLIENT, SECRET = "hub", "the secret of the hub"


class GitHubDouble:
    """`users`: by login. `who` logs in. `app`: `oauth` (tokens that do not expire), or `github` (that do)."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {"Ada": user("Ada", 1, ["Numbers"], {"numbers": ["poets"]})}
        self.who = "Ada"
        self.app = "oauth"
        self.api_status: int | None = None
        self.asked: list[str] = []
        self.scopes = ""
        self._codes: dict[str, tuple[str, str, str]] = {}
        self._tokens: dict[str, str] = {}
        self._refresh: dict[str, str] = {}
        app = web.Application()
        app.add_routes(
            [
                web.get("/login/oauth/authorize", self._authorize),
                web.post("/login/oauth/access_token", self._token),
                web.get("/api/v3/user", self._user),
                web.get("/api/v3/user/orgs", self._orgs),
                web.get("/api/v3/user/teams", self._teams),
            ]
        )
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def revoke(self) -> None:
        self._tokens.clear()
        self._refresh.clear()

    def expire(self) -> None:
        self._tokens.clear()

    async def _authorize(self, request: web.Request) -> web.Response:
        given = request.query
        assert given["client_id"] == CLIENT
        assert given["code_challenge_method"] == "S256"
        self.scopes = given.get("scope", "")
        code = secrets.token_hex(10)
        self._codes[code] = (self.who, given["code_challenge"], given["redirect_uri"])
        raise web.HTTPFound(f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}")

    async def _token(self, request: web.Request) -> web.Response:
        """Errors have the status 200."""
        fields = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append("token")
        assert "json" in request.headers["Accept"]
        if (fields.get("client_id"), fields.get("client_secret")) != (CLIENT, SECRET):
            return _wrong("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
        if fields["grant_type"] == "refresh_token":
            login = self._refresh.pop(fields["refresh_token"], "")
            if not login:
                return _wrong("bad_refresh_token", "The refresh token passed is incorrect or expired.")
        else:
            login, challenge, redirect_uri = self._codes.pop(fields["code"], ("", "", ""))
            made = base64.urlsafe_b64encode(hashlib.sha256(fields["code_verifier"].encode()).digest()).decode()
            if not login or made.rstrip("=") != challenge or redirect_uri != fields["redirect_uri"]:
                return _wrong("bad_verification_code", "The code passed is incorrect or expired.")
        token = f"gho_{secrets.token_hex(18)}"
        self._tokens[token] = login
        answer: dict[str, Any] = {"access_token": token, "scope": self.scopes.replace(" ", ","), "token_type": "bearer"}
        if self.app == "github":
            refresh = f"ghr_{secrets.token_hex(30)}"
            self._refresh[refresh] = login
            answer |= {"expires_in": 28800, "refresh_token": refresh, "refresh_token_expires_in": 15897600}
        return web.json_response(answer)

    async def _user(self, request: web.Request) -> web.Response:
        user = self._whose(request)
        return web.json_response({name: user[name] for name in ("login", "id", "email", "name")})

    async def _orgs(self, request: web.Request) -> web.Response:
        return self._page(request, [{"login": name, "id": 1} for name in self._whose(request)["orgs"]])

    async def _teams(self, request: web.Request) -> web.Response:
        teams = self._whose(request)["teams"]
        rows = [{"slug": slug, "organization": {"login": org}} for org, slugs in teams.items() for slug in slugs]
        return self._page(request, rows)

    def _whose(self, request: web.Request) -> dict[str, Any]:
        self.asked.append(request.path.removeprefix("/api/v3"))
        assert request.headers["User-Agent"], "GitHub refuses requests without it"
        if self.api_status is not None:
            raise _Status(self.api_status)
        login = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if login is None:
            raise web.HTTPUnauthorized(text='{"message": "Bad credentials"}', content_type="application/json")
        return self.users[login]

    def _page(self, request: web.Request, rows: list[dict[str, Any]]) -> web.Response:
        size, page = int(request.query["per_page"]), int(request.query["page"])
        there = f'<{self.url}{request.path}?per_page={size}&page={page + 1}>; rel="next"'
        headers = {"Link": there} if len(rows) > size * page else {}
        return web.json_response(rows[size * (page - 1) : size * page], headers=headers)


class _Status(web.HTTPException):
    def __init__(self, status: int) -> None:
        self.status_code = status
        super().__init__()


def _wrong(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description, "error_uri": "https://docs.example"})


def user(login: str, id: int, orgs: list[str], teams: dict[str, list[str]]) -> dict[str, Any]:
    return {"login": login, "id": id, "email": None, "name": login, "orgs": orgs, "teams": teams}
