"""The real application over a real database, in this process: what workers would report is committed by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from aiohttp import ClientResponse, DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.fernet import Fernet
from tornado.web import create_signed_value
from traitlets.config import Config
from yarl import URL

from hubbub.access import Access
from hubbub.auth_messages import About, Page, Policy
from hubbub.config import Options
from hubbub.domain.message import Command
from hubbub.domain.proxy import JoinProxy
from hubbub.domain.route import AddRoute
from hubbub.domain.server_messages import CreateServer
from hubbub.domain.session import OpenSession
from hubbub.domain.token import IssueToken
from hubbub.domain.user import CreateUser
from hubbub.eventlog import Context
from hubbub.follow import Follower
from hubbub.form_messages import FormAnswered, FormAsked
from hubbub.handle import Committer
from hubbub.house import HouseNow
from hubbub.service import end
from hubbub.testing.postgres import Database
from hubbub.tokens import token_hash
from hubbub.vault import Vault
from hubbub.views import PROXIES, ROUTES, SERVERS, SESSIONS, TOKENS, USERS
from hubbub.web import cookies, xsrf
from hubbub.web.freshness import Freshness
from hubbub.web.request import Gate
from hubbub_api import app as application
from hubbub_api import keys
from hubbub_api.activity import Activities
from hubbub_api.colleagues import Colleagues
from hubbub_api.comparing import Comparisons
from hubbub_api.events import Events
from hubbub_api.farewells import Farewells
from hubbub_api.feed import Feed
from hubbub_api.forms import Forms
from hubbub_api.forward import Auths
from hubbub_api.misses import Misses
from hubbub_api.models import Models
from hubbub_api.moved import MovedProxies
from hubbub_api.past import PAST, Past, Unheard
from hubbub_api.places import Places
from hubbub_api.startup import settle_configuration
from hubbub_api.views import Views

KEY = Fernet.generate_key().decode()
SECRET = b"s" * 32
FORWARD_KEY = "forward-key"
LATER = datetime.now(UTC) + timedelta(hours=1)
BY_TEST = Context.of("test")


class Answers(Forms):
    """Forms without workers. `asked`: what they would have been; `says`: their answer to each kind, or an error."""

    def __init__(self, options: Options) -> None:
        super().__init__(None, None, options)  # type: ignore[arg-type]
        self.asked: list[FormAsked] = []
        self.says: dict[str, FormAnswered | Exception] = {}

    async def _ask(self, pool: str, asked: FormAsked) -> FormAnswered:
        self.asked.append(asked)
        answer = self.says.get(asked.kind, FormAnswered())
        if isinstance(answer, Exception):
            raise answer
        return answer


class Words:
    """The bus, as far as words to holders go. `said`: by subject."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def signal(self, subject: str, _: Any) -> None:
        self.said.append(subject)


class StandIn:
    """An auth as apis see one, which answers what a test says.

    `asked`: method, path and JSON of all that reached it. `says`: its answers by path, status and JSON.
    `cookies`: what each of them sets. `before`: awaited before each.
    """

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self.asked: list[tuple[str, str, Any]] = []
        self.says: dict[str, tuple[int, Any]] = {}
        self.cookies: list[str] = []
        self.before: Callable[[], Awaitable[None]] | None = None
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.headers["X-Hubbub-Forward"] == FORWARD_KEY
        body = await request.read()
        said = json.loads(body) if request.content_type == "application/json" or "/internal/" in request.path else None
        self.asked.append((request.method, request.raw_path, said))
        if self.before:
            await self.before()
        status, answer = self.says.get(request.path, (200, {"page": request.path}))
        answered = web.json_response(answer, status=status)
        for cookie in self.cookies:
            answered.headers.add("Set-Cookie", cookie)
        return answered

    def asked_at(self, path: str) -> list[Any]:
        return [said for _, asked, said in self.asked if asked == path]

    async def announce(
        self,
        *paths: str,
        patterns: tuple[str, ...] = (),
        pages: tuple[Page, ...] = (),
        remembers: bool = False,
        **policy: Any,
    ) -> None:
        """That it is there, as an auth does."""
        if self.server.port is None:
            await self.server.start_server()
        url = f"http://127.0.0.1:{self.server.port}"
        about = About(
            url=url, paths=paths, patterns=patterns, pages=pages, remembers=remembers, policy=Policy(**policy)
        )
        await self._pool.execute(_ANNOUNCE, f"auth-{self.server.port}", msgspec.json.encode(about).decode())
        await self._pool.execute("notify instances")


_ANNOUNCE = """
    insert into instances (name, service, about, seen_at) values ($1, 'auth', $2, clock_timestamp())
    on conflict (name) do update set about = excluded.about, seen_at = excluded.seen_at
"""


class House:
    """One api of one hub."""

    def __init__(
        self,
        client: "TestClient[Any, Any]",
        pool: "asyncpg.Pool[Any]",
        committer: Committer,
        views: Views,
        forms: Answers,
    ) -> None:
        self.client = client
        self.forms = forms
        self.pool = pool
        self.committer = committer
        self.views = views
        self._people: dict[str, str] = {}

    async def person(self, name: str, *, admin: bool = False) -> None:
        person, secret = uuid4().hex, f"secret-of-{name}"

        async def body(tx: Any) -> None:
            tx.welcome(person)
            await tx.act(USERS, person, CreateUser(user=person, name=name, admin=admin))
            opened = OpenSession(user=person, hash=token_hash(secret), address="::1", expires_at=LATER)
            await tx.act(SESSIONS, uuid4().hex, opened)

        await self.committer.submit(body, BY_TEST)
        self._people[name] = secret

    async def token(self, owner: str, *scopes: str) -> str:
        """A token of the user *owner*; without *scopes* one for all that they may do."""
        user, secret = await self.views.user(owner), uuid4().hex
        assert user
        issue = IssueToken(user=user.id, hash=token_hash(secret), scopes=scopes or ("inherit",))

        async def body(tx: Any) -> None:
            await tx.know(user.id)
            await tx.act(TOKENS, uuid4().hex, issue)

        await self.committer.submit(body, BY_TEST)
        return secret

    async def server(self, owner: str, name: str = "", *reports: Command, **more: Any) -> str:
        """A server that has been through *reports*. `prefix`s and `user`s are its owner's."""
        user = await self.views.user(owner)
        assert user
        server = uuid4().hex
        for command in (CreateServer(user=user.id, name=name, **more), *reports):
            await self.committer.execute(SERVERS, server, command, BY_TEST.follow())
        return server

    async def route(self, server: str) -> None:
        await self.committer.execute(PROXIES, "p", JoinProxy(proxy="p"), BY_TEST.follow())
        route = AddRoute(proxy="p", server=server, attempt=1, target="http://127.0.0.1:1")
        await self.committer.execute(ROUTES, f"p.{server}", route, BY_TEST.follow())

    async def settle(self, **hub: Any) -> None:
        """What an api does when it starts with these options of `c.JupyterHub`."""
        await settle_configuration(self.pool, self.committer, Options(Config({"JupyterHub": hub})))

    def xsrf(self, name: str) -> str:
        return xsrf.make(SECRET, xsrf.bound_to("", token_hash(self._people[name]), "", ""))

    async def ask(self, path: str, who: str = "", method: str = "GET", token: str = "", **more: Any) -> ClientResponse:
        """As *who* in a browser, or by *token*."""
        headers = {"User-Agent": "a browser", **more.pop("headers", {})}
        if who:
            login = create_signed_value(SECRET, cookies.LOGIN, self._people[who]).decode()
            headers["Cookie"] = f'{cookies.LOGIN}="{login}"; {xsrf.COOKIE}={self.xsrf(who)}'
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = URL(f"http://127.0.0.1:{self.client.port}{path}", encoded=True)
        answer: ClientResponse = await self.client.session.request(
            method, url, headers=headers, allow_redirects=False, **more
        )
        return answer


@asynccontextmanager
async def api(dsn: str, options: Options) -> AsyncIterator[House]:
    """One api on the database *dsn*; any number may share it."""
    vault = Vault(KEY)
    async with AsyncExitStack() as stack, asyncpg.create_pool(dsn, min_size=1, max_size=3) as pool:
        committer = Committer(dsn, vault)
        activities = Activities(pool, idle_timeout=options.ours.session_idle_timeout)
        auths = Auths(dsn, forward_key=FORWARD_KEY)
        gate = Gate(Access(pool, options), options, SECRET, FORWARD_KEY, Freshness(lambda: auths.policy, auths.refresh))
        app = application.build(gate, auths)
        app[keys.POOL] = pool
        app[keys.COMMITTER] = committer
        app[keys.VAULT] = vault
        app[keys.VIEWS] = Views(pool, vault)
        app[keys.EVENTS] = Events(pool, vault)
        app[keys.ACTIVITIES] = activities
        app[keys.MODELS] = Models(options, gate.access.roles, activities)
        app[PAST] = await stack.enter_async_context(Past(dsn, vault, Models(options, gate.access.roles, Unheard())))
        app[keys.FOLLOWER] = Follower(dsn)
        app[keys.FEED] = Feed(app[keys.FOLLOWER], app[keys.EVENTS])
        app[keys.PLACES] = Places(pool)
        app[keys.HOUSE], app[keys.COLLEAGUES] = HouseNow(dsn), Colleagues(1)
        app[keys.PROXY_SYNCS] = app[keys.POLLERS] = Colleagues(1)
        await app[keys.HOUSE].load(pool)
        app[keys.FORMS] = forms = Answers(options)
        app[keys.BUS] = words = Words()  # type: ignore[assignment]
        app[keys.COMPARISONS] = Comparisons(words)  # type: ignore[arg-type]
        app[keys.MISSES] = Misses(words)  # type: ignore[arg-type]
        app[keys.MOVED] = MovedProxies(pool, vault)
        app[keys.FAREWELLS] = Farewells(None, None, options)  # type: ignore[arg-type]
        running = [asyncio.create_task(committer.run()), asyncio.create_task(auths.run())]
        async with TestClient(TestServer(app), cookie_jar=DummyCookieJar()) as client:
            yield House(client, pool, committer, app[keys.VIEWS], forms)
        await end(*running)


@pytest.fixture
def options(request: pytest.FixtureRequest, ours: dict[str, Any]) -> Options:
    """Indirectly: the options of `c.JupyterHub`."""
    return Options(Config({"JupyterHub": getattr(request, "param", {"allow_named_servers": True}), "Hubbub": ours}))


@pytest.fixture
def ours(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Indirectly: the options of `c.Hubbub`."""
    return dict(getattr(request, "param", {}))


@pytest.fixture
def vault_key() -> str:
    """Of every house."""
    return KEY


@pytest.fixture
async def house(database: Database, options: Options) -> AsyncIterator[House]:
    async with api(database.api_dsn, options) as made:
        yield made


@pytest.fixture
async def colleague(database: Database, options: Options) -> AsyncIterator[House]:
    """Another api of the same hub."""
    async with api(database.api_dsn, options) as made:
        yield made


@pytest.fixture
async def auth(database: Database) -> AsyncIterator[StandIn]:
    """An auth of the same hub, which is not announced yet."""
    async with asyncpg.create_pool(database.auth_dsn, min_size=0, max_size=1) as pool:
        made = StandIn(pool)
        yield made
        await made.server.close()
