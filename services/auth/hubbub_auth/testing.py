"""For tests: auths of one house over HTTP, browsers in front of them, and running servers to log in to."""

import asyncio
import base64
import hashlib
import json
import re
import secrets
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

import asyncpg
from aiohttp import ClientSession, CookieJar
from aiohttp.test_utils import TestServer
from cryptography.fernet import Fernet
from multidict import CIMultiDictProxy
from traitlets.config import Config
from yarl import URL

from hubbub.config import Options
from hubbub.domain.grant import GrantRole, WithdrawRole, grant_id
from hubbub.domain.message import Command
from hubbub.domain.names import client_id, prefix
from hubbub.domain.server_messages import ClaimAttempt, CreateServer, StartServer
from hubbub.domain.service import RegisterService, RemoveService, Spec
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context
from hubbub.floor import Floor
from hubbub.handle import Committer
from hubbub.testing.postgres import Database
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.vault import Vault
from hubbub.verify import verify
from hubbub.views import GRANTS, SERVERS, SERVICES, TOKENS, View
from hubbub_auth.app import application
from hubbub_auth.authenticators import configured

COOKIE_SECRET = secrets.token_bytes(32)
FORWARD_KEY = secrets.token_hex(16)
PASSWORD = "open sesame"

CONFIG: dict[str, dict[str, Any]] = {
    "JupyterHub": {"authenticator_class": "dummy"},
    "DummyAuthenticator": {"password": PASSWORD},
    "Authenticator": {"admin_users": {"root"}},
}

TOKEN = "/hub/api/oauth2/token"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}


def with_(hub: dict[str, Any] | None = None, **sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The usual configuration, and more."""
    return {**CONFIG, **sections, "JupyterHub": {**CONFIG["JupyterHub"], **(hub or {})}}


def query(location: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    @property
    def xsrf(self) -> str:
        """The token in the form of the page."""
        found = re.search(r'name="_xsrf" value="([^"]+)"', self.text)
        assert found, self.text
        return unescape(found[1])


class Browser:
    """Keeps cookies, follows no redirects, and comes by way of an api."""

    def __init__(self, session: ClientSession, server: TestServer, address: str) -> None:
        self._session = session
        self._server = server
        self._headers = {"X-Hubbub-Forward": FORWARD_KEY, "X-Hubbub-Client": address}

    def at(self, server: TestServer) -> "Browser":
        """The same browser, sent to another auth of the house from now on."""
        self._server = server
        return self

    @property
    def host(self) -> str:
        return f"{self._server.host}:{self._server.port}"

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self._session.cookie_jar}

    def forget(self, name: str) -> None:
        self._session.cookie_jar.clear(lambda cookie: cookie.key == name)

    async def send(self, method: str, path: str, **given: Any) -> Answer:
        headers = self._headers | given.pop("headers", {})
        url = URL(f"http://{self.host}{path}", encoded=True)
        async with self._session.request(method, url, headers=headers, allow_redirects=False, **given) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **given: Any) -> Answer:
        return await self.send("GET", path, **given)

    async def post(self, path: str, fields: Any, **given: Any) -> Answer:
        return await self.send("POST", path, data=fields, **given)

    async def log_in(self, name: str, password: str = PASSWORD, path: str = "/hub/login", **given: Any) -> Answer:
        """Fetch the form, fill it in, send it."""
        form = await self.get(path, **given)
        fields = {"username": name, "password": password, "_xsrf": form.xsrf}
        return await self.post(path, fields, **given)


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A server as auth sees it: a row with a token."""

    id: str
    client: str
    secret: str
    redirect_uri: str

    def authorize(self, **more: str) -> str:
        query = {"client_id": self.client, "redirect_uri": self.redirect_uri, "response_type": "code", "state": "s1"}
        wanted = {name: value for name, value in (query | more).items() if value != "-"}
        return f"/hub/api/oauth2/authorize?{urlencode(wanted)}"

    def exchange(self, code: str, **more: str) -> dict[str, str]:
        fields = {
            "client_id": self.client,
            "client_secret": self.secret,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
        }
        return {name: value for name, value in (fields | more).items() if value != "-"}


async def code_for(browser: Browser, server: RunningServer, **more: str) -> str:
    """What the hub sends somebody to their server with."""
    answer = await browser.get(server.authorize(**more))
    return query(answer.location)["code"]


class House:
    """As many auths as a test asks for, each with a committer and connections of its own."""

    def __init__(self, stack: AsyncExitStack, database: Database) -> None:
        self._stack = stack
        self._database = database
        self._vault_key = Fernet.generate_key().decode()
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self.floor = Floor()
        stack.callback(self.floor.close)

    async def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        """The database, as its owner sees it."""
        if self._pool is None:
            pool = asyncpg.create_pool(self._database.owner_dsn, min_size=0, max_size=2)
            self._pool = await self._stack.enter_async_context(pool)
        return self._pool

    async def problems(self) -> list[str]:
        """What is wrong with the log and its views."""
        return await verify(self._database.owner_dsn, self._vault_key)

    async def auth(self, config: dict[str, dict[str, Any]] | None = None) -> TestServer:
        options = Options(Config(config or CONFIG))
        pool = await self._stack.enter_async_context(
            asyncpg.create_pool(self._database.auth_dsn, min_size=0, max_size=4)
        )
        app = application(
            options=options,
            pool=pool,
            committer=self.committer(self._database.auth_dsn),
            vault=Vault(self._vault_key),
            authenticator=configured.make(options, self._database.auth_dsn),
            floor=self.floor,
            cookie_secret=COOKIE_SECRET,
            forward_key=FORWARD_KEY,
        )
        server = TestServer(app)
        await server.start_server(lingering_time=0.5)  # for bodies that were too large to be read
        self._stack.push_async_callback(server.close)
        return server

    async def browser(
        self,
        auth: TestServer | None = None,
        *,
        address: str = "203.0.113.7",
        config: dict[str, dict[str, Any]] | None = None,
    ) -> Browser:
        session = ClientSession(cookie_jar=CookieJar(unsafe=True))
        self._stack.push_async_callback(session.close)
        return Browser(session, auth or await self.auth(config), address)

    def committer(self, dsn: str) -> Committer:
        committer = Committer(dsn, Vault(self._vault_key))
        task = asyncio.ensure_future(committer.run())

        async def end() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self._stack.push_async_callback(end)
        return committer

    async def register(self, spec: Spec, token: str) -> str:
        """A service comes while the hub runs, as by the API; its id."""
        id = uuid4().hex

        async def body(tx: Transaction) -> None:
            await tx.act(SERVICES, id, RegisterService(spec=spec))
            await tx.act(TOKENS, uuid4().hex, IssueToken(user="", service=spec.name, hash=token_hash(token)))

        await self.committer(self._database.api_dsn).submit(body, Context.of("test"))
        return id

    async def remove(self, service: str) -> None:
        """The service (by id) goes, as far as auth can see."""
        committer = self.committer(self._database.api_dsn)
        await committer.execute(SERVICES, service, RemoveService(), Context.of("test"))

    async def start(self, owner: str, name: str = "") -> RunningServer:
        """Start a server of somebody who exists, as the api and a worker would."""
        pool = await self.pool()
        user = await pool.fetchval("select id from users where name = $1", owner)
        server, token, secret = uuid4().hex, uuid4().hex, secrets.token_hex(16)
        path, soon = prefix("/", owner, name), datetime.now(UTC) + timedelta(minutes=5)

        async def body(tx: Transaction) -> None:
            client = client_id(owner, name)
            await tx.act(SERVERS, server, CreateServer(user=user, name=name))
            await tx.act(SERVERS, server, StartServer(at=tx.now, pool="default", prefix=path, deadline=soon))
            claim = ClaimAttempt(attempt=1, worker="w", host="h", token=token, deadline=soon)
            await tx.act(SERVERS, server, claim)
            issue = IssueToken(
                user=user, hash=token_hash(secret), client=client, server=server, note=f"Server at {path}"
            )
            await tx.act(TOKENS, token, issue)

        await self.committer(self._database.api_dsn).submit(body, Context.of(f"user:{user}"))
        return RunningServer(
            id=server, client=client_id(owner, name), secret=secret, redirect_uri=f"{path}oauth_callback"
        )

    async def act(self, view: View, id: str, *commands: Command) -> None:
        """What an api would decide, one after the other."""
        committer = self.committer(self._database.api_dsn)
        for command in commands:
            await committer.execute(view, id, command, Context.of("worker:w"))

    async def token_of(self, server: RunningServer) -> str:
        """The id of the token that the server proves itself by."""
        return str(await (await self.pool()).fetchval("select token from servers where id = $1", server.id))

    async def grant(self, role: str, name: str, *, withdraw: bool = False) -> None:
        """Give a role to somebody who exists, or take it away, as an api does when it settles the configuration."""
        user = await (await self.pool()).fetchval("select id from users where name = $1", name)
        grant = GrantRole(role=role, kind="user", holder=user, source="configuration")
        command = WithdrawRole(reason="configuration") if withdraw else grant
        await self.committer(self._database.api_dsn).execute(
            GRANTS, grant_id(role, "user", user), command, Context.of("configuration")
        )

    async def stop(self, server: RunningServer) -> None:
        """Let the server be gone, as far as auth can see."""
        await (await self.pool()).execute("update servers set token = null, kind = 'Stopped' where id = $1", server.id)
