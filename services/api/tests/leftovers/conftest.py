"""Workers of one pool whose workloads outlive them, as the api sees them; whatever is done, the views stay true."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from msgspec import json as wire

from hubbub.bus import Bus
from hubbub.domain.message import Command
from hubbub.domain.server_messages import LoseAttempt, Reach, ReportState
from hubbub.domain.server_states import Held
from hubbub.rpc import Claim, Claimed, Hello, Spec, Welcome
from hubbub.testing.postgres import Database
from hubbub.tokens import token_hash
from hubbub.verify import verify
from hubbub.watch_messages import Sweep
from hubbub_api import keys, remains
from hubbub_api.hellos import Hellos
from hubbub_api.leftovers import Leftovers
from hubbub_api.managed import ManagedServices
from hubbub_api.sweeps import Sweeps
from hubbub_api.testing import BUS_KEY, BY_TEST, Worker


class Words:
    """The bus, as far as words go that are not answered."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def signal(self, subject: str, _: Any) -> None:
        self.subjects.append(subject)


class Hand(Worker):
    """A worker that takes over and cleans up. `words`: what it, or the sweep, was told on the bus."""

    def __init__(self, house: Any, name: str = "w1", *, host: str = "h1", reach: Reach = "pool") -> None:
        super().__init__(house, name, reach=reach)
        self.host, self.reach = host, reach
        self.words = Words()
        app, options = house.client.app, self._options
        bus = cast("Bus", self.words)
        self._hellos = Hellos(house.pool, house.committer, options)
        managed = ManagedServices(house.pool, house.committer, bus, options, {})
        self._sweeps = Sweeps(house.pool, house.committer, bus, options, app[keys.ACTIVITIES], managed)
        self._claims.leftovers = Leftovers(options, every=0)

    async def takes(
        self, *, starts: int = 0, room: int = 8, id: str = "", pool: str = "default", again: bool = False
    ) -> Claimed:
        hashes = tuple(token_hash(uuid4().hex) for _ in range(starts))
        asked = Claim(host=self.host, hashes=hashes, room=room, reach=self.reach, id=id or uuid4().hex, again=again)
        return await self._claims.claim(f"hub.rpc.claim.{pool}.{self.name}", wire.encode(asked))

    async def claims(self, most: int = 1) -> Any:
        """From its own host."""
        claimed = await self.takes(starts=most)
        self.specs = claimed.specs
        return [_Started(spec) for spec in claimed.specs]

    async def hello(self, host: str = "") -> Welcome:
        message = wire.encode(Hello(host=host or self.host))
        return await self._hellos.hello(f"hub.rpc.hello.default.{self.name}", message)

    async def sweep(self, **who: tuple[str, ...]) -> None:
        await self._sweeps.sweep("hub.rpc.sweep.poller.p1", wire.encode(Sweep(**who)))

    async def remembers(self, server: str, **state: Any) -> None:
        """Its spawner's state of the server's attempt has changed."""
        attempt = (await self.state(server)).attempt
        answer = await self.reports(server, ReportState(attempt=attempt, worker="?", sealed=seal(state)))
        assert answer.refused is None

    async def is_lost(self, server: str, *, deadline: datetime | None = None) -> None:
        """Its holder, without a sweep; by default there is time enough for another."""
        state = await self.state(server)
        assert isinstance(state, Held)
        assert state.holder
        by = deadline or datetime.now(UTC) + timedelta(hours=1)
        command = LoseAttempt(attempt=state.attempt, worker=state.holder, reason="lost", deadline=by)
        await self.wish(server, command)

    async def wish(self, server: str, command: Command) -> None:
        """Somebody wants it, or a sweep."""
        await self.house.committer.submit(lambda tx: remains.act(tx, server, command), BY_TEST.follow())

    async def vault(self) -> set[str]:
        rows = await self.house.pool.fetch("select key from vault where key like 'state:%'")
        return {row["key"] for row in rows}

    async def events(self, server: str) -> list[str]:
        query = "select type from events where stream = $1 order by version"
        return [row["type"] for row in await self.house.pool.fetch(query, f"server-{server}")]


class _Started:
    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.secret = ""


@pytest.fixture
async def root(house: Any, crew: Any) -> Callable[..., Any]:
    """What root asks of the API: method, path below it, body; the answer."""
    secret = await house.token("root")

    async def asks(method: str, path: str, body: Any = None) -> Any:
        return await house.ask(f"/hub/api{path}", token=secret, method=method, json=body)

    return asks


def seal(state: Any) -> str:
    return BUS_KEY.encrypt(json.dumps(state).encode()).decode()


@pytest.fixture
def sealed() -> Callable[[Any], str]:
    """A spawner's state as it travels."""
    return seal


@pytest.fixture
def opened() -> Callable[[Spec], dict[str, Any]]:
    def secrets(spec: Spec) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(BUS_KEY.decrypt(spec.sealed.encode()))
        return found

    return secrets


@pytest.fixture
async def crew(house: Any, database: Database, vault_key: str) -> AsyncIterator[Callable[..., Hand]]:
    """Makes workers; there are ada, and root, who administers. In the end the views are what the log says."""
    await house.person("ada")
    await house.person("root", admin=True)
    yield lambda *args, **more: Hand(house, *args, **more)
    assert await verify(database.api_dsn, vault_key) == []
