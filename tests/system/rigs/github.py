"""GitHub's OAuth and as much of its API as logins use, in answers as its documentation has them."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from rigs.serving import serving

FORM = '<form method="post" action=""><input name="login"><button name="deny" value="1">Cancel</button></form>'


class GithubRig:
    """`url`: where it is; its API is below /api/v3. Any client is known to it. `team`: the one of each organization."""

    def __init__(self, team: str) -> None:
        self.url = ""
        self.team = team
        self.organizations: dict[str, set[str]] = {}
        self._codes: dict[str, str] = {}
        self._tokens: dict[str, str] = {}

    def regroup(self, name: str, organizations: list[str]) -> None:
        """Let somebody be a member of these, and of no others."""
        self.organizations = {each: people - {name} for each, people in self.organizations.items()}
        for each in organizations:
            self.organizations.setdefault(each, set()).add(name)

    def revoke(self, name: str) -> None:
        self._tokens = {token: login for token, login in self._tokens.items() if login != name}

    # What it answers: status, headers, body -----------------------------------------------

    def page(self, query: dict[str, str], fields: dict[str, str] | None) -> tuple[int, dict[str, str], bytes]:
        if fields is None:
            return 200, {"Content-Type": "text/html"}, FORM.encode()
        answer = {"state": query.get("state", "")}
        if fields.get("deny"):
            answer |= {"error": "access_denied", "error_description": "The user has denied your application access."}
        else:
            answer["code"] = secrets.token_hex(10)
            self._codes[answer["code"]] = fields["login"]
        return 302, {"Location": f"{query['redirect_uri']}?{urlencode(answer)}"}, b""

    def token(self, fields: dict[str, str]) -> Any:
        """A code counts once. Errors have the status 200."""
        login = self._codes.pop(fields.get("code", ""), None)
        if login is None:
            return {"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}
        token = f"gho_{secrets.token_hex(18)}"
        self._tokens[token] = login
        return {"access_token": token, "token_type": "bearer", "scope": "read:org,user:email"}

    def api(self, path: str, authorization: str) -> tuple[int, Any]:
        login = self._tokens.get(authorization.rpartition(" ")[2])
        if login is None:
            return 401, {"message": "Bad credentials"}
        number = sum(login.encode()) + 1000
        inside = [{"login": name, "id": 1} for name, people in self.organizations.items() if login in people]
        match path.strip("/").split("/"):
            case ["user"]:
                return 200, {"login": login, "id": number, "name": login.title(), "email": None, "type": "User"}
            case ["user", "orgs"]:
                return 200, inside
            case ["user", "teams"]:
                return 200, [{"slug": self.team, "id": 2, "organization": each} for each in inside if self.team]
            case ["user", "emails"]:
                return 200, [{"email": f"{login}@example.org", "primary": True, "verified": True}]
            case ["orgs", name, "members", who]:
                return (204 if who in self.organizations.get(name, ()) else 404), None
            case _:
                return 404, {"message": "Not Found"}


class _Request(BaseHTTPRequestHandler):
    rig: GithubRig

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path == "/login/oauth/authorize":
            self._send(*self.rig.page(dict(parse_qsl(place.query)), None))
        else:
            status, body = self.rig.api(place.path.removeprefix("/api/v3"), self.headers.get("Authorization", ""))
            self._send(status, {"Content-Type": "application/json"}, b"" if body is None else json.dumps(body).encode())

    def do_POST(self) -> None:
        place = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        fields = {name: values[0] for name, values in parse_qs(sent).items()}
        if place.path == "/login/oauth/authorize":
            self._send(*self.rig.page(dict(parse_qsl(place.query)), fields))
        else:
            answer = self.rig.token(dict(parse_qsl(place.query)) | fields)
            self._send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def github_rig(team: str = "") -> Iterator[GithubRig]:
    rig = GithubRig(team)
    with serving(_Request, rig=rig) as rig.url:
        yield rig
